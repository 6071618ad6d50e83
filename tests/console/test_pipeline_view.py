from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.console.pipeline_view import (
    Sight,
    details_link,
    execution_row,
    pipeline_row,
    stage_standing,
    stage_views,
)

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
SIGHT = Sight(NOW, "https://ci.example.com")
ONE, TWO = "1" * 36, "2" * 36
BUILD = "/console/builds/eu-central-1/web:4d83e746-44a5-5616-b0ed-2f7bb5f561dd"


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


PIPELINE = {
    "stages": [
        {"name": "Source", "actions": []},
        {"name": "Build", "actions": [
            {"name": "Compile", "actionTypeId": {"category": "Build", "provider": "CodeBuild"}},
            {"name": "Ask", "actionTypeId": {"category": "Approval", "provider": "Manual"},
             "configuration": {"CustomData": "Go?", "ExternalEntityLink": "https://beta.example.com/"}}]},
    ]
}  # fmt: skip


def test_an_action_says_how_long_it_took_and_where_its_log_is() -> None:
    shown = action("Compile", "Failed", externalExecutionUrl=f"https://ci.example.com{BUILD}", summary="red",
                   errorDetails={"code": "JobFailed", "message": "exit status 2"})  # fmt: skip
    stages = {"stageStates": [state("Succeeded", name="Source"), state("Failed", shown)]}
    stage = stage_views(PIPELINE, stages, [run("Compile", "Failed")], SIGHT)[1]
    found = stage.actions[0]

    assert (found.kind, found.standing.label, found.time.took) == ("CodeBuild", "Failed", "1 min 00 s")
    assert (found.code, found.error, found.summary) == ("JobFailed", "exit status 2", "red")
    assert (found.ours, found.link and found.link.href) == (True, BUILD)
    assert (stage.retry, stage.back) == (True, True)


def test_what_an_earlier_execution_did_here_is_not_what_this_one_did() -> None:
    stages = {"stageStates": [state("Succeeded", name="Source"), state("InProgress", action("Compile", "Succeeded"))]}
    old = run("Compile", "Succeeded", TWO) | {"actionExecutionId": "Compile-1"}
    found = stage_views(PIPELINE, stages, [old], SIGHT)[1].actions[0]

    assert (found.standing.label, found.time.seconds, found.link) == ("Not started", None, None)


def test_a_stage_that_asks_says_so_with_what_is_asked() -> None:
    stages = {"stageStates": [state("", name="Source"), state("InProgress", action("Ask", "InProgress", token="t"))]}
    stage = stage_views(PIPELINE, stages, [], SIGHT)[1]
    approval = stage.actions[0].approval

    assert stage.shown.label == "Approval needed"
    assert approval is not None
    assert (approval.stage, approval.action, approval.token, approval.asked) == ("Build", "Ask", "t", "Go?")
    assert approval.link is not None
    assert approval.link.href == "https://beta.example.com/"


def test_doors_and_those_before_them() -> None:
    shut = {"enabled": False, "disabledReason": "Freeze", "lastChangedBy": "arn:aws:iam::1:root", "lastChangedAt": NOW}
    waiting = [{"pipelineExecutionId": ONE}, {"pipelineExecutionId": TWO}]
    last = state("", inboundTransitionState=shut, inboundExecution=waiting[0], inboundExecutions=waiting)
    first, second = stage_views(PIPELINE, {"stageStates": [state("Succeeded", name="Source"), last]}, [], SIGHT)

    assert first.door is None
    assert second.door is not None
    assert (second.door.enabled, second.door.reason, second.door.by) == (False, "Freeze", "root")
    assert second.waiting == (ONE, TWO)


def test_conditions_that_failed_can_be_overridden() -> None:
    rules = [{"ruleName": "Alarm", "latestExecution": {"status": "Failed", "summary": "it rings"}}]
    states = {"latestExecution": {"status": "Failed"}, "conditionStates": [{"ruleStates": rules}]}
    stages = [state("Succeeded", name="Source"), state("Failed", beforeEntryConditionState=states,
                                                       onFailureConditionState=states)]  # fmt: skip
    before, failure = stage_views(PIPELINE, {"stageStates": stages}, [], SIGHT)[1].conditions

    assert (before.moment, before.override, before.rules[0].summary) == ("Before entry", "BEFORE_ENTRY", "it rings")
    assert (failure.moment, failure.override) == ("On failure", None)


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


@given(st.one_of(st.text(max_size=80), st.sampled_from(["javascript:alert(1)", "//x.test", BUILD + "/../x",
                                                        "https://user:pw@x.test/", "data:text/html,x"])))  # fmt: skip
def test_a_link_leads_to_the_web_or_to_a_build_and_nowhere_else(url: str) -> None:
    link, ours = details_link(url, "https://ci.example.com")

    assert link is None or ours or (link.href or "").startswith(("http://", "https://"))
    assert not ours or (link is not None and (link.href or "").startswith("/console/builds/"))
    assert link is None or "@" not in (link.href or "").partition("//")[2].partition("/")[0]


def test_an_execution_says_why_it_was_stopped_and_what_it_went_back_to() -> None:
    shape = {"pipelineExecutionId": ONE, "status": "Stopped", "stopTrigger": {"reason": "Not today"},
             "rollbackMetadata": {"rollbackTargetPipelineExecutionId": TWO},
             "startTime": NOW - timedelta(seconds=90), "lastUpdateTime": NOW - timedelta(seconds=88)}  # fmt: skip
    row = execution_row(shape, SIGHT)

    assert (row.stopped, row.target, row.time.took) == ("Not today", TWO, "2.0 s")
