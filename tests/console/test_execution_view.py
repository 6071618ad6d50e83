from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from codeyard.console.execution_view import ExecutionView, artifact_of, execution_view
from codeyard.console.pipeline_asking import ExecutionPicture
from tests.console.test_pipeline_view import ONE, SIGHT, run, state
from tests.console.test_stage_view import PIPELINE

PLACE = {"bucket": "artifacts", "key": "web/Out/abc"}


def picture(status: str, *runs: dict[str, Any], **more: Any) -> ExecutionPicture:
    """`runs`: the newest first."""
    execution = {"pipelineExecutionId": ONE, "status": status, "pipelineVersion": 3, "executionMode": "QUEUED", **more}
    return ExecutionPicture(PIPELINE, execution, None, runs, ())


def shown(found: ExecutionPicture) -> ExecutionView:
    return execution_view(found, SIGHT)


def test_attempts_are_told_with_the_latest_first() -> None:
    first = run("Compile", "Failed", errorDetails={"message": "exit status 2"}) | {"actionExecutionId": "first"}
    view = shown(picture("InProgress", run("Compile", "Succeeded"), first))
    compile, ask = view.stages[1].actions

    assert (compile.now.standing.label, [each.error for each in compile.earlier]) == ("Succeeded", ["exit status 2"])
    assert ask.now.standing.label == "Not started"
    assert view.stages[1].standing.label == "In progress"
    assert not view.stages[1].retry


def test_the_stage_that_failed_can_be_tried_again() -> None:
    view = shown(picture("Failed", run("Compile", "Failed")))

    assert [(stage.standing.label, stage.retry) for stage in view.stages] == [("Didn’t run", False), ("Failed", True)]


def test_a_stage_is_as_the_state_says_and_once_another_execution_is_in_it_as_its_conditions_left_it() -> None:
    """Of Guarded and Skipped no action ran, of Held all did, and nothing came after it."""
    act = {"actions": [{"name": "Act", "actionTypeId": {"category": "Build", "provider": "CodeBuild"}}]}
    rules = [{"name": "Never"}]
    declared: list[dict[str, Any]] = [
        {"name": "Guarded", **act, "beforeEntry": {"conditions": [{"result": "FAIL", "rules": rules}]}},
        {"name": "Skipped", **act, "beforeEntry": {"conditions": [{"result": "SKIP", "rules": rules}]}},
        {"name": "Held", **act, "onSuccess": {"conditions": [{"result": "FAIL", "rules": rules}]}},
        {"name": "After", **act},
    ]
    failed = tuple({"stageName": each["name"], "ruleName": "Never", "status": "Failed"} for each in declared[:3])
    states = {"stageStates": [state("Stopped", name="Guarded"), state("", name="Skipped")]}
    held, after = run("Act", "Succeeded", stage="Held"), run("Act", "Succeeded", stage="After")
    known, later, overridden = (
        replace(picture("Failed", *runs), pipeline={"stages": declared}, rules=failed, state=at)
        for runs, at in (((held,), states), ((held,), {}), ((after, held), {}))
    )

    assert [each.standing.label for each in shown(known).stages] == ["Stopped", "Skipped", "Failed", "Didn’t run"]
    assert [each.retry for each in shown(known).stages] == [True, False, True, False]
    assert [each.standing.label for each in shown(later).stages] == ["Failed", "Skipped", "Failed", "Didn’t run"]
    assert shown(overridden).stages[2].standing.label == "Succeeded"


def test_what_was_made_can_be_fetched_and_nothing_else() -> None:
    made = run("Compile", "Succeeded") | {
        "output": {"outputArtifacts": [{"name": "Out", "s3location": PLACE}], "outputVariables": {"VERSION": "1.4.2"}},
        "input": {"region": "eu-central-1", "namespace": "Build", "inputArtifacts": [{"name": "App"}]},
    }
    found = picture("Succeeded", made, variables=[{"name": "STAGE", "resolvedValue": "beta"}])
    view = shown(found)
    action = view.stages[1].actions[0]

    assert view.variables == (("STAGE", "beta"),)
    assert (action.inputs, action.variables, action.namespace) == (("App",), (("VERSION", "1.4.2"),), "Build")
    assert [(maker, each.name) for maker, each in view.artifacts] == [("Build · Compile", "Out")]
    assert artifact_of(found, "Compile-1", "Out") == ("eu-central-1", "artifacts", "web/Out/abc")
    assert artifact_of(found, "Compile-1", "App") is None
    assert artifact_of(found, "other", "Out") is None
    assert artifact_of(picture("Failed", {**made, "status": "Failed"}), "Compile-1", "Out") is None


@given(
    st.sampled_from(["InProgress", "Succeeded", "Failed", "Stopped"]),
    st.lists(st.sampled_from(["Succeeded", "Failed", "Abandoned"]), max_size=4),
)
def test_nothing_goes_on_in_an_execution_that_has_ended(status: str, attempts: list[str]) -> None:
    view = shown(picture(status, *(run("Compile", each) for each in attempts)))

    assert view.row.standing.live or not any(stage.standing.live for stage in view.stages)
    assert not view.row.standing.live or not any(stage.retry for stage in view.stages)
