"""Rules that need nothing but themselves."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from codeyard.errors import CodeyardError
from codeyard.pipelines.actions import ActionFailed, ErrorCode, code_of
from codeyard.pipelines.actions.rules import DeploymentWindowRule, VariableCheckRule
from tests.pipelines.works import NOON, action, bench_at

CHECK, WINDOW = "Rule/AWS/VariableCheck/1", "Rule/AWS/DeploymentWindow/1"


@pytest.mark.parametrize(
    ("operator", "value", "passes"),
    [("EQ", "main", True), ("EQ", "other", False), ("NE", "other", True), ("CONTAINS", "ai", True),
     ("MATCHES", "m.*n", True), ("MATCHES", "x", False)],
)  # fmt: skip
async def test_a_variable_is_compared(tmp_path: Path, operator: str, value: str, passes: bool) -> None:
    bench = bench_at(tmp_path, action(CHECK, {"Variable": "main", "Operator": operator, "Value": value}))

    if passes:
        assert (await VariableCheckRule().run(bench)).summary
    else:
        with pytest.raises(ActionFailed) as failed:
            await VariableCheckRule().run(bench)
        assert failed.value.code is ErrorCode.JOB_FAILED


@pytest.mark.parametrize("given", [{}, {"Operator": "GT", "Value": "1"}])
async def test_a_check_that_is_none_is_an_error_of_the_configuration(tmp_path: Path, given: dict[str, str]) -> None:
    with pytest.raises(CodeyardError) as failed:
        await VariableCheckRule().run(bench_at(tmp_path, action(CHECK, {"Variable": "x", **given})))

    assert code_of(failed.value) is ErrorCode.CONFIGURATION


@pytest.mark.parametrize(("cron", "passes"), [("* * 9-17 ? * * *", True), ("* * 1-2 ? * * *", False)])
async def test_a_window_is_open_or_not(tmp_path: Path, cron: str, passes: bool) -> None:
    bench = bench_at(tmp_path, action(WINDOW, {"Cron": cron}))

    if passes:
        assert (await DeploymentWindowRule(lambda: NOON).run(bench)).summary
    else:
        with pytest.raises(ActionFailed, match="closed"):
            await DeploymentWindowRule(lambda: NOON).run(bench)


async def test_with_a_time_of_its_own_it_waits_for_the_window(tmp_path: Path) -> None:
    times = [NOON + timedelta(hours=1, seconds=-1)] * 3

    def now() -> datetime:
        return times.pop(0) if times else NOON + timedelta(hours=1)

    bench = bench_at(
        tmp_path,
        action(WINDOW, {"Cron": "* * 13 ? * * *"}, timeout_minutes=120),
        deadline=NOON + timedelta(hours=2),
    )

    assert (await DeploymentWindowRule(now).run(bench)).summary
