from typing import Any

import pytest

from codeyard.aws import Refused
from codeyard.ident import Owner
from codeyard.pipelines.action_types import created
from codeyard.pipelines.builtin_types import catalogue
from codeyard.pipelines.rules import check, invokes
from tests.pipelines.documents import (
    ALARM,
    OWNER,
    VARIABLES,
    accepted,
    action,
    approval,
    build,
    condition,
    decoded,
    pipeline,
    stage,
    then,
)

JENKINS = created(
    {
        "category": "Build",
        "provider": "Jenkins",
        "version": "3",
        "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 5},
        "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 5},
        "configurationProperties": [
            {"name": "Job", "required": True, "key": True, "secret": False, "queryable": True},
            {"name": "Password", "required": False, "key": False, "secret": True, "type": "Number"},
            {"name": "Fast", "required": False, "key": False, "secret": False, "type": "Boolean"},
            {"name": "Tries", "required": False, "key": False, "secret": False, "type": "Number"},
        ],
    }
)


def jenkins(**configuration: str) -> Any:
    made = action("Make", "Build/Custom/Jenkins", "Source", configuration=configuration)
    return then({**made, "actionTypeId": {**made["actionTypeId"], "version": "3"}})


def refusal(definition: Any) -> str:
    with pytest.raises(Refused) as refused:
        accepted(definition, catalogue((JENKINS,)))
    return refused.value.message


def test_what_is_left_out_is_filled_in() -> None:
    bare = action("Ask", "Approval/AWS/Manual")
    del bare["inputArtifacts"], bare["outputArtifacts"]

    stored = accepted(pipeline(stage("Second", bare)))

    assert stored["stages"][1]["actions"][0] == {
        **bare,
        "runOrder": 1,
        "configuration": {},
        "inputArtifacts": [],
        "outputArtifacts": [],
    }
    assert (stored["version"], stored["executionMode"], stored["pipelineType"]) == (1, "SUPERSEDED", "V1")


def test_what_is_empty_is_not_stored() -> None:
    stored = accepted(pipeline(stage("Second", build(), blockers=[], onFailure={}), variables=[], triggers=[]))

    assert {"variables", "triggers"}.isdisjoint(stored)
    assert {"blockers", "onFailure"}.isdisjoint(stored["stages"][1])


def test_an_update_is_the_next_version_whatever_the_client_says() -> None:
    first = accepted(then(build(), version=9))

    second = check(decoded(first), OWNER, catalogue(), previous=first)

    assert second == {**first, "version": 2}


@pytest.mark.parametrize(
    ("definition", "type"),
    [
        (then(build()), "V1"),
        (then(build(), variables=VARIABLES), "V2"),
        (then(build(), executionMode="PARALLEL"), "V2"),
        (pipeline(stage("Second", build(), onFailure={"result": "ROLLBACK"})), "V2"),
        (then(build(), pipelineType="V2"), "V2"),
    ],
)
def test_what_only_v2_has_makes_it_v2(definition: Any, type: str) -> None:
    assert accepted(definition)["pipelineType"] == type


def test_a_result_for_a_condition_is_stored_in_it() -> None:
    failure = {"result": "ROLLBACK", "conditions": [{"rules": [ALARM]}]}

    stored = accepted(pipeline(stage("Second", build(), onFailure=failure)))["stages"][1]["onFailure"]

    assert "result" not in stored
    assert stored["conditions"][0]["result"] == "ROLLBACK"


def test_a_rule_has_the_owner_and_the_version_that_there_are() -> None:
    stored = accepted(pipeline(stage("Second", build(), beforeEntry=condition("FAIL", ALARM))))

    [one] = stored["stages"][1]["beforeEntry"]["conditions"][0]["rules"]
    assert one["ruleTypeId"] == {"category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1"}


def test_the_region_is_the_pipelines_own() -> None:
    definition = then(approval(configuration={"NotificationArn": "arn:aws:sns:eu-west-1:111122223333:reviews"}))

    assert accepted(definition, owner=Owner("111122223333", "eu-west-1"))


def test_a_type_of_ones_own_is_held_to_its_definition() -> None:
    assert accepted(jenkins(Job="make-it", Password="pw", Fast="true", Tries="3"), catalogue((JENKINS,)))
    assert "'Job'" in refusal(jenkins(Fast="true"))
    assert "1 to 20 letters" in refusal(jenkins(Job="a job with spaces"))
    assert "'Fast': it must be true or false" in refusal(jenkins(Job="j", Fast="very"))
    assert "'Tries': it must be a number" in refusal(jenkins(Job="j", Tries="few"))
    assert "unknown configuration 'Colour'" in refusal(jenkins(Job="j", Colour="red"))


def test_a_secret_is_never_read_as_a_reference_nor_repeated() -> None:
    assert accepted(jenkins(Job="j", Password="#{Nobody.x} #{"), catalogue((JENKINS,)))
    assert "hunter2" not in refusal(jenkins(Job="j", Password="hunter2", Tries="hunter2"))


def test_all_references_that_are_wrong_are_told_at_once() -> None:
    text = refusal(then(approval(configuration={"CustomData": "#{A.x}", "ExternalEntityLink": "#{B.y} #{C.z}"})))

    assert [f"VariableReferenceText=[#{{{name}}}]" in text for name in ("A.x", "B.y", "C.z")] == [True] * 3


def test_one_knows_which_pipelines_it_starts() -> None:
    def starting(name: str, pipeline: str) -> Any:
        return action(name, "Invoke/AWS/CodePipeline", configuration={"PipelineName": pipeline})

    definition = then(starting("A", "one"), starting("B", "two"), starting("C", "#{Git.ETag}"), build())

    assert invokes(accepted(definition)) == {"one", "two"}
