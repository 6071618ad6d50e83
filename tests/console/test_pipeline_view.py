from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.console.pipeline_view import (
    Sight,
    execution_row,
    pipeline_row,
    stage_standing,
)

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
SIGHT = Sight(NOW, "https://ci.example.com")
ONE, TWO = "1" * 36, "2" * 36


def run(action: str, status: str, execution: str = ONE, stage: str = "Build", category: str = "Build",
        **result: Any) -> dict[str, Any]:  # fmt: skip
    """The shape ActionExecutionDetail."""
    return {
        "pipelineExecutionId": execution,
        "actionExecutionId": f"{action}-{execution[0]}",
        "stageName": stage,
        "actionName": action,
        "status": status,
        "startTime": NOW - timedelta(seconds=70),
        "lastUpdateTime": NOW - timedelta(seconds=10),
        "input": {"actionTypeId": {"category": category, "provider": "CodeBuild"}, "resolvedConfiguration": {}},
        "output": {"executionResult": result},
    }


def state(status: str, *actions: dict[str, Any], name: str = "Build", **more: Any) -> dict[str, Any]:
    """The shape StageState."""
    latest = {"latestExecution": {"pipelineExecutionId": ONE, "status": status}} if status else {}
    return {"stageName": name, "actionStates": list(actions), "inboundTransitionState": {"enabled": True}, **latest,
            **more}  # fmt: skip


def action(name: str, status: str, **latest: Any) -> dict[str, Any]:
    """The shape ActionState."""
    found = {"actionExecutionId": f"{name}-1", "status": status, "lastStatusChange": NOW, **latest}
    return {"actionName": name, "latestExecution": found}


def test_a_line_of_the_list_shows_the_stages_and_what_waits() -> None:
    asks = state("InProgress", action("Ask", "InProgress", token="t"))
    shut = state("", name="Prod", inboundTransitionState={"enabled": False})
    execution = {"pipelineExecutionId": ONE, "status": "InProgress", "startTime": NOW - timedelta(seconds=5),
                 "sourceRevisions": [{"actionName": "Get", "revisionId": "4f1c5d2a9be04d7b8c6e",
                                      "revisionSummary": "Fix\n\nAll", "revisionUrl": "javascript:alert(1)"}],
                 }  # fmt: skip
    summary = {"name": "web", "executionMode": "QUEUED", "pipelineType": "V2"}
    row = pipeline_row(summary, {"stageStates": [asks, shut]}, [execution], [], SIGHT)

    assert [(each.standing.value, each.shut) for each in row.segments] == [("waiting", False), ("idle", True)]
    assert [(note.kind, note.text) for note in row.notes] == [("waiting", "Build · Ask"), ("shut", "Prod")]
    assert row.latest is not None
    assert row.latest.time.took == "5 s"
    assert row.latest.revisions[0][1].text == "4f1c5d2a9be0 · Fix"
    assert row.latest.revisions[0][1].href is None


def test_a_line_of_parallel_mode_shows_the_newest_execution() -> None:
    runs = [
        run("Ask", "InProgress", TWO, category="Approval", externalExecutionId="token"),
        run("Compile", "Succeeded"),
    ]
    executions = [{"pipelineExecutionId": id, "status": "InProgress"} for id in (TWO, ONE)]
    states = {"stageStates": [state("", {"actionName": "Ask"}), state("", name="Prod")]}
    row = pipeline_row({"name": "web", "executionMode": "PARALLEL"}, states, executions, runs, SIGHT)

    assert [each.standing.value for each in row.segments] == ["waiting", "idle"]
    assert [(note.stage, note.execution) for note in row.notes] == [("Build", TWO)]
    assert row.live == 2


@pytest.mark.parametrize(
    ("statuses", "label"),
    [
        ([], "Didn’t run"),
        ([("A", "InProgress"), ("B", "Failed")], "In progress"),
        ([("A", "Succeeded"), ("B", "Failed")], "Failed"),
        ([("A", "Succeeded"), ("B", "Abandoned")], "Stopped"),
        ([("A", "Succeeded")], "In progress"),
        ([("A", "Succeeded"), ("B", "Succeeded"), ("A", "Failed")], "Succeeded"),
    ],
)
def test_a_stage_stands_as_the_latest_attempts_of_its_actions(statuses: list[tuple[str, str]], label: str) -> None:
    runs = [run(name, status) for name, status in statuses]

    assert stage_standing(["A", "B"], runs).label == label


@given(st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from(["Succeeded", "Failed", "InProgress"])), max_size=6))
def test_a_stage_has_succeeded_only_if_each_of_its_actions_has_at_last(runs: list[tuple[str, str]]) -> None:
    latest: dict[str, str] = {}
    for name, status in runs:
        latest.setdefault(name, status)
    found = stage_standing(["A", "B"], [run(name, status) for name, status in runs])

    assert (found.label == "Succeeded") == (latest == {"A": "Succeeded", "B": "Succeeded"})


def test_an_execution_says_why_it_was_stopped_and_what_it_went_back_to() -> None:
    shape = {"pipelineExecutionId": ONE, "status": "Stopped", "stopTrigger": {"reason": "Not today"},
             "rollbackMetadata": {"rollbackTargetPipelineExecutionId": TWO},
             "startTime": NOW - timedelta(seconds=90), "lastUpdateTime": NOW - timedelta(seconds=88)}  # fmt: skip
    row = execution_row(shape, SIGHT)

    assert (row.stopped, row.target, row.time.took) == ("Not today", TWO, "2.0 s")
