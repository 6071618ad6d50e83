"""Pictures as lines: what stands in them, and that they keep to the terminal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from codeyard.cli.pipeline_picture import Picture
from codeyard.cli.pipeline_view import ago, lines
from tests.cli.pipelines import ID, NOON, OTHER, declared, drawn, ran, stage

SHOP = declared(
    {
        "Source": ["Checkout:Source/S3"],
        "Build": ["Compile:CodeBuild", "Test:CodeBuild"],
        "Approve": ["Ask:Approval/Manual"],
        "Deploy": ["ToStaging:S3", "ToProduction:S3"],
    }
)
DONE = [
    ran("Source", "Checkout", "Succeeded", 0, 1, result={"externalExecutionSummary": "1f1f1f1f1f Faster start"}),
    ran("Build", "Compile", "Succeeded", 1, 61),
    ran("Build", "Test", "Succeeded", 1, 31),
]
ASK = ran("Approve", "Ask", "InProgress", 61, CustomData="Looks it well?", ExternalEntityLink="https://staging")
WAITS = {"actionExecutionId": ASK["actionExecutionId"], "token": "t"}
ASKED = drawn(SHOP, [stage("Source", "Succeeded"), stage("Build", "Succeeded"),
                     stage("Approve", "InProgress", live={"Ask": WAITS})], [*DONE, ASK])  # fmt: skip
BAD = ran("Build", "Test", "Failed", 1, 31, result={"errorDetails": {"message": "17 of 20 tests failed"}})
FAILED = drawn(SHOP, [stage("Source", "Succeeded"), stage("Build", "Failed")], [*DONE[:2], BAD], "Failed")
PAGE = f"https://ci.example.com/console/builds/eu-west-1/test:{ID}"
RULED: dict[str, Any] = declared({"Build": ["Compile:CodeBuild"]})
RULED["stages"][0]["beforeEntry"] = {"conditions": [{"result": "FAIL", "rules": [
    {"name": "Never", "ruleTypeId": {"provider": "VariableCheck"}}]}]}  # fmt: skip
NEVER = {"pipelineExecutionId": ID, "ruleExecutionId": "r", "stageName": "Build", "ruleName": "Never",
         "startTime": NOON, "lastUpdateTime": NOON, "status": "Failed"}  # fmt: skip
GATED = {"enabled": False, "lastChangedBy": "anna", "lastChangedAt": NOON, "disabledReason": "freeze"}
CLOSED = drawn(SHOP, [stage("Source", "Succeeded"), stage("Build", "Succeeded"), stage("Approve", "Succeeded", OTHER,
               inboundTransitionState=GATED, inboundExecution={"pipelineExecutionId": ID})], DONE)  # fmt: skip


def text(now: Picture, width: int = 80, height: int | None = None) -> list[str]:
    return ["".join(part for part, _ in line) for line in lines(now, width, height)]


def test_a_picture_for_eighty_columns() -> None:
    assert text(ASKED)[3:] == [
        "✔ Source                            1.0 s",
        "│  ✔ Checkout      S3               1.0 s  1f1f1f1f1f Faster start",
        "✔ Build                        1 min 00 s",
        "│  ✔ Compile       CodeBuild   1 min 00 s",
        "│  ✔ Test          CodeBuild       30.0 s",
        "◆ Approve                          39.0 s",
        "│  ◆ Ask           Manual          39.0 s  waits for approval",
        "│      Looks it well?",
        "│      https://staging",
        "│      codeyard pipeline approve shop",
        "│      codeyard pipeline reject shop",
        "○ Deploy           ToStaging, ToProduction",
        "",
        "● InProgress 1 min 40 s",
    ]


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (FAILED, "17 of 20 tests failed"),
        (FAILED, "✘ Failed in 1 min 40 s"),
        (FAILED, "codeyard pipeline retry shop Build --execution 4f2c91aa"),
        (drawn(SHOP, [], [ran("Build", "Test", "Failed", 1, 2, result={"externalExecutionUrl": PAGE})], "Failed"),
         f"codeyard logs test:{ID}"),
        (drawn(RULED, [], [], "Failed", rules=[NEVER]),
         "codeyard pipeline override shop Build 4f2c91aa --type BEFORE_ENTRY"),
        (CLOSED, "waits: the transition is disabled"),
        (CLOSED, "disabled by anna"),
        (CLOSED, "freeze"),
        (CLOSED, "codeyard pipeline enable shop Approve"),
        (drawn(SHOP, [stage("Build", "Failed", retryStageMetadata={"manualStageRetryAttempt": 2})], [BAD]),
         "retried 2×"),
        (drawn(SHOP, [], [], rollbackMetadata={"rollbackTargetPipelineExecutionId": OTHER}), "goes back to 99999999"),
        (drawn(SHOP, [], [], "Superseded", statusSummary="a newer one came"), "a newer one came"),
        (drawn(SHOP, [], [ran("Build", "Test", "InProgress", 9)]), "1 min 31 s"),
        (drawn({**SHOP, "executionMode": "PARALLEL"}, [], [{**ASK, "output": {"executionResult": {
            "externalExecutionId": "t"}}}]), "codeyard pipeline approve shop --execution 4f2c91aa"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("width", [80, 120, 1000])
def test_what_matters_is_in_the_picture(now: Picture, said: str, width: int) -> None:
    assert said in " ".join(text(now, width))


def test_where_two_approvals_wait_it_says_which() -> None:
    definition = declared({"Approve": ["Ask:Approval/Manual", "Legal:Approval/Manual"]})
    runs = [ran("Approve", name, "InProgress", 0, result={"externalExecutionId": name}) for name in ("Ask", "Legal")]

    assert "codeyard pipeline approve shop Approve Legal" in " ".join(text(drawn(definition, [], runs)))


def many(count: int, busy: int) -> Picture:
    """A pipeline of so many stages with long names; the execution is in this one."""
    names = [f"Stage-{number}-{'long' * 20}" for number in range(count)]
    definition = declared({name: [f"A-{'n' * 60}:CodeBuild", "Test:CodeBuild"] for name in names})
    states = [stage(name, "Succeeded" if at < busy else "InProgress") for at, name in enumerate(names[: busy + 1])]
    runs = [ran(name, action, "Succeeded" if at < busy else "InProgress", at, at + 1)
            for at, name in enumerate(names[: busy + 1]) for action in (f"A-{'n' * 60}", "Test")]  # fmt: skip
    return drawn(definition, states, runs)


@pytest.mark.parametrize("height", [10, 16, 20, 24, 50])
def test_what_happens_now_stays_where_there_is_little_room(height: int) -> None:
    found = text(many(12, 6), 80, height)

    assert len(found) <= height
    assert sum(line.startswith("● Stage-6-") for line in found) == 1
    assert sum("● Test" in line for line in found) == 1
    assert found[-1].startswith("● InProgress")


def test_stages_that_are_over_share_a_line_only_where_they_must() -> None:
    assert [line for line in text(many(12, 6), 80, 24) if " stages: " in line] == []
    assert [line[:12] for line in text(many(12, 6), 80, 16) if " stages: " in line] == ["✔ 4 stages: "]


@pytest.mark.parametrize(("seconds", "said"), [(-3, "0 s ago"), (59, "59 s ago"), (60, "1 min ago"),
                                               (7300, "2 h ago"), (200_000, "2 d ago")])  # fmt: skip
def test_how_long_ago(seconds: float, said: str) -> None:
    assert ago(seconds) == said


texts = st.text(max_size=200)


@given(st.integers(20, 200), st.none() | st.integers(1, 60), st.integers(1, 9), st.data())
def test_no_line_is_wider_than_the_terminal_nor_are_there_more_than_it_has(
    width: int, height: int | None, count: int, data: Any
) -> None:
    names = [f"{number}{'x' * data.draw(st.integers(0, 99))}" for number in range(count)]
    definition = declared({name: ["Ask:Approval/Manual", f"B{'y' * 99}:{'P' * 35}"] for name in names})
    kinds = st.sampled_from(["InProgress", "Succeeded", "Failed", "Abandoned"])
    runs = [
        ran(name, "Ask", data.draw(kinds), 0, 1, CustomData=data.draw(texts), ExternalEntityLink=data.draw(texts),
            result={"externalExecutionId": "t", "externalExecutionSummary": data.draw(texts),
                    "externalExecutionUrl": data.draw(texts), "errorDetails": {"message": data.draw(texts)}})
        for name in names
    ]  # fmt: skip
    status = data.draw(st.sampled_from(["InProgress", "Failed", "Succeeded", "Superseded"]))
    found = text(drawn(definition, [], runs, status, statusSummary=data.draw(texts)), width, height)

    assert max((cell_len(line) for line in found), default=0) <= width
    assert height is None or len(found) <= height
    assert all(line.isprintable() for line in found)
