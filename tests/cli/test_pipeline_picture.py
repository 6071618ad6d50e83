"""An execution as it is made of what the API answers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.cli.pipeline_picture import picture, shown_executions, waits_for
from tests.cli.pipelines import ID, NOON, OTHER, at, declared, drawn, ran, stage

TWO = declared({"Build": ["Compile:CodeBuild", "Test:CodeBuild"]})
ASKED = declared({"Approve": ["Ask:Approval/Manual"]})
GATED = {"enabled": False, "lastChangedBy": "anna", "lastChangedAt": NOON, "disabledReason": "freeze"}
RULED: dict[str, Any] = declared({"Build": ["Compile:CodeBuild"]})
RULED["stages"][0]["beforeEntry"] = {"conditions": [{"rules": [
    {"name": "window", "ruleTypeId": {"provider": "DeploymentWindow"}}]}]}  # fmt: skip


@pytest.mark.parametrize(
    ("statuses", "whole", "expected"),
    [
        ([], "InProgress", ""),
        (["InProgress"], "InProgress", "InProgress"),
        (["Succeeded"], "InProgress", "InProgress"),
        (["Succeeded", "Succeeded"], "InProgress", "Succeeded"),
        (["Failed", "InProgress"], "InProgress", "InProgress"),
        (["Failed", "Succeeded"], "Failed", "Failed"),
        (["Abandoned"], "Stopped", "Stopped"),
        (["Succeeded"], "Cancelled", "Cancelled"),
    ],
)
def test_a_stage_of_which_the_state_says_nothing_is_what_its_actions_came_to(
    statuses: list[str], whole: str, expected: str
) -> None:
    names = ["Compile", "Test"]
    actions = [ran("Build", name, status, 0, 1) for name, status in zip(names, statuses, strict=False)]

    assert drawn(TWO, [stage("Build", "Succeeded", OTHER)], actions, whole).stages[0].status == expected


def test_a_stage_that_the_state_shows_of_this_execution_is_as_it_says() -> None:
    assert drawn(TWO, [stage("Build", "Skipped")], []).stages[0].status == "Skipped"


def test_a_stage_that_the_execution_has_left_goes_on_no_more_though_the_state_was_asked_a_moment_before() -> None:
    definition = declared({"Build": ["Compile:CodeBuild"], "Deploy": ["Go:S3"]})
    runs = [ran("Build", "Compile", "Succeeded", 0, 1), ran("Deploy", "Go", "InProgress", 2)]
    stages = drawn(definition, [stage("Build", "InProgress"), stage("Deploy")], runs).stages

    assert [(each.status, each.holder) for each in stages] == [("Succeeded", ""), ("InProgress", "")]


def test_of_an_action_the_newest_attempt_is_shown_with_what_the_state_says_of_it() -> None:
    old, new = ran("Build", "Test", "Failed", 0, 1), ran("Build", "Test", "InProgress", 2)
    told = {"actionExecutionId": new["actionExecutionId"], "percentComplete": 40, "summary": "step 2",
            "externalExecutionUrl": "https://ci"}  # fmt: skip
    found = drawn(TWO, [stage("Build", "InProgress", live={"Test": told})], [old, new]).stages[0].actions[1]

    assert (found.started, found.ended, found.percent, found.summary, found.url) == (
        at(2), None, 40, "step 2", "https://ci",
    )  # fmt: skip


def test_what_the_state_says_of_another_attempt_is_not_shown() -> None:
    told = {"actionExecutionId": "another", "summary": "old"}
    state = [stage("Build", "InProgress", OTHER, live={"Test": told})]

    assert drawn(TWO, state, [ran("Build", "Test", "Succeeded", 0, 1)]).stages[0].actions[1].summary == ""


@pytest.mark.parametrize("parallel", [False, True])
def test_an_approval_that_waits_has_its_token_in_each_mode(parallel: bool) -> None:
    run = ran("Approve", "Ask", "InProgress", 0, CustomData="Well?", ExternalEntityLink="https://look",
              result={"externalExecutionId": "token"} if parallel else {})  # fmt: skip
    told = {"actionExecutionId": run["actionExecutionId"], "token": "token"}
    states = [stage("Approve")] if parallel else [stage("Approve", "InProgress", live={"Ask": told})]
    found = drawn(ASKED, states, [run]).stages[0].actions[0]

    assert (found.asks, found.token, found.question, found.look) == (True, "token", "Well?", "https://look")


def test_rules_stand_with_the_actions_and_those_that_wait_keep_the_stage_in_progress() -> None:
    rule = {"pipelineExecutionId": ID, "ruleExecutionId": "r", "stageName": "Build", "ruleName": "window",
            "startTime": NOON, "lastUpdateTime": NOON, "status": "InProgress"}  # fmt: skip
    found = drawn(RULED, [stage("Build")], [], rules=[rule]).stages[0]

    assert [(each.name, each.moment) for each in found.actions] == [("window", "before entry"), ("Compile", "")]
    assert found.status == "InProgress"


@pytest.mark.parametrize(
    ("moment", "result", "actions", "expected"),
    [("beforeEntry", "FAIL", [], "Failed"), ("beforeEntry", "SKIP", [], "Skipped"),
     ("onSuccess", "FAIL", [ran("Build", "Compile", "Succeeded", 0, 1)], "Failed")],
)  # fmt: skip
def test_a_condition_that_failed_decided_how_a_stage_ended_that_another_execution_has_entered(
    moment: str, result: str, actions: list[Any], expected: str
) -> None:
    definition: dict[str, Any] = declared({"Build": ["Compile:CodeBuild"]})
    rules = [{"name": "window", "ruleTypeId": {"provider": "DeploymentWindow"}}]
    definition["stages"][0][moment] = {"conditions": [{"result": result, "rules": rules}]}
    rule = {"pipelineExecutionId": ID, "ruleExecutionId": "r", "stageName": "Build", "ruleName": "window",
            "startTime": NOON, "lastUpdateTime": NOON, "status": "Failed"}  # fmt: skip

    found = drawn(definition, [stage("Build", "Succeeded", OTHER)], actions, "Failed", rules=[rule])

    assert found.stages[0].status == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, ""),
        ({"inboundExecution": {"pipelineExecutionId": ID, "status": "Stopped"}}, ""),
        ({"inboundExecution": {"pipelineExecutionId": OTHER, "status": "InProgress"}}, ""),
        ({"inboundExecution": {"pipelineExecutionId": ID, "status": "InProgress"}}, "99999999 is in the stage"),
        ({"inboundExecutions": [{"pipelineExecutionId": "first"}, {"pipelineExecutionId": ID}]},
         "99999999 is in the stage and 1 before it"),
        ({"inboundExecution": {"pipelineExecutionId": ID}, "inboundTransitionState": GATED},
         "the transition is disabled"),
    ],
)  # fmt: skip
def test_why_an_execution_waits(state: dict[str, Any], expected: str) -> None:
    now = drawn(TWO, [stage("Build", "InProgress", OTHER, **state)], [])

    assert waits_for(now.stages[0], now) == expected


def test_of_a_whole_pipeline_each_stage_has_its_own_execution() -> None:
    definition = declared({"Build": ["Compile:CodeBuild"], "Deploy": ["Go:S3"]})
    state = {"stageStates": [stage("Build", "Failed"), stage("Deploy", "Succeeded", OTHER)]}
    runs = [ran("Build", "Compile", "Failed", 5, 6), ran("Deploy", "Go", "Succeeded", 0, 1, execution=OTHER)]
    now = picture(definition, state, runs, [], NOON)

    assert shown_executions(state) == [ID, OTHER]
    assert [(each.execution, each.status, each.actions[0].status) for each in now.stages] == [
        (ID, "Failed", "Failed"), (OTHER, "Succeeded", "Succeeded"),
    ]  # fmt: skip


def test_a_source_shows_the_beginning_of_its_commit_and_its_message() -> None:
    definition = declared({"Source": ["Git:Source/CodeStarSourceConnection"]})
    definition["stages"][0]["actions"][0]["outputArtifacts"] = [{"name": "Code"}]
    revision = {"name": "Code", "revisionId": "1f" * 20, "revisionSummary": "Faster start"}
    now = drawn(definition, [stage("Source", "Succeeded")], [ran("Source", "Git", "Succeeded", 0, 1)],
                artifactRevisions=[revision])  # fmt: skip

    assert now.stages[0].actions[0].summary == "1f1f1f1f1f Faster start"


RUNS = st.tuples(
    st.sampled_from(["Compile", "Test"]), st.sampled_from(["InProgress", "Failed", "Succeeded"]), st.integers(0, 9)
)


@given(st.lists(RUNS), st.sampled_from(["InProgress", "Failed", "Succeeded", "Stopped"]))
def test_each_stage_has_its_declared_actions_whatever_ran(runs: list[tuple[str, str, int]], whole: str) -> None:
    now = drawn(TWO, [stage("Build")], [ran("Build", name, status, began) for name, status, began in runs], whole)

    assert [each.name for each in now.stages[0].actions] == ["Compile", "Test"]
    assert {each.name for each in now.stages[0].actions if each.run} == {name for name, _, _ in runs}
