from hypothesis import given
from hypothesis import strategies as st

from codeyard.console.stage_view import details_link, stage_views
from tests.console.test_pipeline_view import NOW, ONE, SIGHT, TWO, action, run, state

BUILD = "/console/builds/eu-central-1/web:4d83e746-44a5-5616-b0ed-2f7bb5f561dd"
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


@given(st.one_of(st.text(max_size=80), st.sampled_from(["javascript:alert(1)", "//x.test", BUILD + "/../x",
                                                        "https://user:pw@x.test/", "data:text/html,x"])))  # fmt: skip
def test_a_link_leads_to_the_web_or_to_a_build_and_nowhere_else(url: str) -> None:
    link, ours = details_link(url, "https://ci.example.com")

    assert link is None or ours or (link.href or "").startswith(("http://", "https://"))
    assert not ours or (link is not None and (link.href or "").startswith("/console/builds/"))
    assert link is None or "@" not in (link.href or "").partition("//")[2].partition("/")[0]
