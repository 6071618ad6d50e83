"""What clients see of any pipeline, whatever happened to it: always in the shapes of botocore's model."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.ident import Owner
from codeyard.pipelines.happenings import RunEnded
from codeyard.pipelines.model import ExecutionMode, Moment
from codeyard.pipelines.state import RunStatus
from codeyard.pipelines.stored import StoredExecution, StoredPipeline, StoredRun
from codeyard.pipelines.wire import (
    action_execution,
    execution,
    execution_summary,
    rule_execution,
    shown_runs,
    state,
    summary,
)
from tests.pipelines.lines import OneLine, plan, stage
from tests.pipelines.outputs import faults

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWNER = Owner("111122223333", "us-east-1")
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30) | st.just("x" * 5000)
SOME = st.none() | TEXTS
REVISIONS = st.fixed_dictionaries(
    {
        "id": st.just("abc"),
        "summary": TEXTS,
        "change_id": st.sampled_from(["", "c"]),
        "url": st.sampled_from(["", "https://example.com/abc"]),
        "created": st.sampled_from([None, NOON.isoformat()]),
    }
)
ARTIFACTS = st.lists(st.just({"name": "Out", "bucket": "bucket", "key": "demo/Out/abcdefg"}), max_size=2)


@st.composite
def data(draw: st.DrawFn, category: str) -> dict[str, Any]:
    """What is written down of a run; see `run_data`."""
    found = {
        "type": [category, "AWS", "Nothing", "1"],
        "configuration": {"Key": "#{a.b}"},
        "resolved": draw(st.none() | st.just({"Key": "value"})),
        "region": draw(st.sampled_from([None, "eu-west-1"])),
        "role": draw(st.sampled_from([None, "arn:aws:iam::111122223333:role/action"])),
        "namespace": draw(st.sampled_from([None, "Space"])),
        "inputs": draw(ARTIFACTS),
        "outputs": draw(ARTIFACTS),
        "variables": draw(st.none() | st.just({"Name": "value"})),
        "revision": draw(st.none() | REVISIONS),
        "summary": draw(SOME),
        "external_id": draw(st.sampled_from([None, "id"])),
        "external_url": draw(st.sampled_from([None, "https://example.com"])),
        "percent": draw(st.none() | st.integers(0, 100)),
        "token": draw(st.sampled_from([None, "11111111-2222-4333-8444-555555555555"])),
        "error": draw(st.none() | st.just({"code": "JobFailed", "message": "no"})),
        "updated_by": draw(st.sampled_from([None, "me"])),
    }
    return {name: value for name, value in found.items() if value is not None}


def test_whatever_happened_is_shown_in_the_shapes_of_the_model() -> None:
    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def shown(drawn: st.DataObject) -> None:
        one = _lived(drawn)
        line = one.line()
        stored = StoredPipeline(OWNER, "demo", NOON, NOON, line, {})
        facts = {
            "trigger": {"triggerType": "StartPipelineExecution", "triggerDetail": "me"},
            "stop": drawn.draw(st.sampled_from([None, "enough"])),
            "revisions": {"s": {**drawn.draw(REVISIONS), "artifacts": ["Out"]}},
            "variables": {"NAME": "value"},
        }
        executions = {
            id: StoredExecution(OWNER, "demo", each, NOON, NOON, facts) for id, each in line.executions.items()
        }
        runs = _runs(drawn, one, stored, executions)

        plan_ = one.plans[line.version]
        assert faults("GetPipelineState", state(stored, plan_, executions, runs)) == []
        assert faults("ListPipelines", {"pipelines": [summary(stored, plan_)]}) == []
        whole = [execution(each) for each in executions.values()]
        assert [faults("GetPipelineExecution", {"pipelineExecution": each}) for each in whole] == [[]] * len(whole)
        listed = [execution_summary(each) for each in executions.values()]
        assert faults("ListPipelineExecutions", {"pipelineExecutionSummaries": listed}) == []
        actions = [action_execution(run, 1) for run in runs.values() if run.moment is None]
        assert faults("ListActionExecutions", {"actionExecutionDetails": actions}) == []
        rules = [rule_execution(run, 1) for run in runs.values() if run.moment is not None]
        assert faults("ListRuleExecutions", {"ruleExecutionDetails": rules}) == []

    shown()


def _lived(drawn: st.DataObject) -> OneLine:
    mode = drawn.draw(st.sampled_from(list(ExecutionMode)))
    build = stage("Build", "b", "c:2", entry="FAIL", success="FAIL", failure="ROLLBACK?")
    one = OneLine(plan(mode, stage("Source", "s"), build, stage("Deploy", "d", failure="RETRY")))
    for number in range(drawn.draw(st.integers(0, 25))):
        happens = drawn.draw(st.sampled_from(["start", "good", "good", "good", "bad", "stop", "retry", "door"]))
        busy = sorted(one.running)
        if happens in ("good", "bad") and busy:
            run = one.running[drawn.draw(st.sampled_from(busy))]
            one.do(RunEnded(run.execution, run.run, happens == "good"))
        elif happens == "start":
            one.start(f"00000000-0000-4000-8000-{number:012d}")
        elif happens == "door":
            one.door("Deploy", enabled=drawn.draw(st.booleans()))
        elif one.rows and happens in ("stop", "retry"):
            id = drawn.draw(st.sampled_from(sorted(one.rows)))
            with suppress(Refused):
                one.stop(id) if happens == "stop" else one.retry(id, "Build")
    return one


def _runs(
    drawn: st.DataObject, one: OneLine, stored: StoredPipeline, executions: dict[str, StoredExecution]
) -> dict[str, StoredRun]:
    wanted = shown_runs(stored, executions)
    begun = {run.run: run for run in (*one.running.values(), *one.over)}
    statuses = {
        run.id: run.status for each in one.executions() for entered in each.stages.values() for run in entered.runs
    }
    return {
        id: StoredRun(
            id,
            OWNER,
            "demo",
            begun[id].execution,
            begun[id].stage,
            begun[id].name,
            begun[id].moment,
            NOON,
            NOON,
            NOON,
            statuses.get(id, RunStatus.FAILED),
            data=drawn.draw(data("Build" if begun[id].moment is None else "Rule")),
        )
        for id in sorted(wanted)
    }


def test_a_run_of_a_rule_is_known_by_its_moment() -> None:
    run = StoredRun("r", OWNER, "demo", "e", "s", "n", Moment.ON_SUCCESS, NOON, NOON, NOON, data={"type": ["Rule"] * 4})

    assert rule_execution(run, 3)["ruleName"] == "n"
    assert rule_execution(run, 3)["pipelineVersion"] == 3
