"""Stacks at moto's CloudFormation, which does what it is asked at once."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from codeyard.errors import Invalid
from codeyard.pipelines.actions import ActionFailed, Artifact, ErrorCode, Outcome
from codeyard.pipelines.actions.cloudformation import CloudFormationAction
from tests.pipelines.actions.services import Outside, forget
from tests.pipelines.works import BUCKET, Bench, a_tree, action, bench_at

ROLE = "arn:aws:iam::111122223333:role/deployer"
PARAMETERS = {name: {"Type": "String", "Default": "-"} for name in ("Name", "Size", "Bucket", "Url")}


def template(**more: Any) -> bytes:
    """One topic, whose name is a parameter."""
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": "Name"}}}
    outputs = {name: {"Value": {"Ref": name}} for name in PARAMETERS}
    return json.dumps({"Parameters": PARAMETERS, "Resources": {"Topic": topic}, "Outputs": outputs, **more}).encode()


def a_bench(home: Path, mode: str, stack: str, files: dict[str, bytes] | None = None, /, **given: str) -> Bench:
    """An action on a stack, with its own run: what is below `home` is of this action alone."""
    declared = action(
        "Deploy/AWS/CloudFormation/1",
        {"ActionMode": mode, "StackName": stack, "TemplatePath": "In::t.json", "RoleArn": ROLE, **given},
        inputs=["In"],
        outputs=["Out"] if "OutputFileName" in given else [],
    )
    inputs: list[Artifact] = [a_tree(home, "In", files or {"t.json": template()})]
    return bench_at(home, declared, inputs, run=str(uuid.uuid4()))


async def act(outside: Outside, bench: Bench) -> Outcome:
    return await CloudFormationAction(outside.client, pause=0).run(bench)


async def test_a_stack_is_created_with_values_from_everywhere(outside: Outside, tmp_path: Path) -> None:
    values = {"Parameters": {"Name": "of the file", "Size": 3}, "Tags": {"k": "v"}, "StackPolicy": {"Statement": []}}
    files = {"t.json": template(), "c.json": json.dumps(values).encode(), "build.json": b'{"name": "of the build"}'}
    overrides = {
        "Name": {"Fn::GetParam": ["In", "build.json", "name"]},
        "Bucket": {"Fn::GetArtifactAtt": ["In", "BucketName"]},
        "Url": {"Fn::GetArtifactAtt": ["In", "URL"]},
    }
    bench = a_bench(
        tmp_path, "CREATE_UPDATE", "values", files, TemplateConfiguration="In::c.json", OutputFileName="o.json",
        ParameterOverrides=json.dumps(overrides), Capabilities="CAPABILITY_IAM,CAPABILITY_NAMED_IAM",
    )  # fmt: skip
    outcome = await act(outside, bench)
    stack = outside.plain("cloudformation").describe_stacks(StackName="values")["Stacks"][0]
    arn = "arn:aws:cloudformation:us-east-1:111122223333:stack/values/*"

    assert outcome.variables == {
        "Name": "of the build",
        "Size": "3",
        "Bucket": BUCKET,
        "Url": f"https://s3.us-east-1.amazonaws.com/{BUCKET}/Pipeline/In/abcdefg",
    }
    assert json.loads(bench.files(outcome.outputs[0])["o.json"]) == outcome.variables
    assert (stack["Tags"], outcome.external_id) == ([{"Key": "k", "Value": "v"}], stack["StackId"])
    assert bench.keys() == ["Pipeline/In/abcdefg"]
    assert ("iam:PassRole", ROLE) in bench.permitted
    assert ("cloudformation:SetStackPolicy", arn) in bench.permitted


async def test_a_stack_is_updated_and_no_change_is_no_failure(outside: Outside, tmp_path: Path) -> None:
    await act(outside, a_bench(tmp_path / "1", "CREATE_UPDATE", "twice", ParameterOverrides='{"Name": "a"}'))
    second = await act(outside, a_bench(tmp_path / "2", "CREATE_UPDATE", "twice", ParameterOverrides='{"Name": "b"}'))
    await act(outside, a_bench(tmp_path / "3", "REPLACE_ON_FAILURE", "twice", ParameterOverrides='{"Name": "b"}'))

    assert second.variables["Name"] == "b"
    assert [call for call in outside.calls if not call.startswith("Describe")] == [
        "CreateStack", "UpdateStack", "UpdateStack",
    ]  # fmt: skip


async def test_change_sets_are_replaced_and_executed(outside: Outside, tmp_path: Path) -> None:
    names = {"ChangeSetName": "c"}
    first = await act(outside, a_bench(tmp_path / "1", "CHANGE_SET_REPLACE", "sets", **names))
    again = {"ParameterOverrides": '{"Name": "second"}', **names}
    await act(outside, a_bench(tmp_path / "2", "CHANGE_SET_REPLACE", "sets", **again))
    executed = await act(outside, a_bench(tmp_path / "3", "CHANGE_SET_EXECUTE", "sets", **names))
    calls = [call for call in outside.calls if not call.startswith("Describe")]

    assert calls == ["CreateChangeSet", "DeleteChangeSet", "CreateChangeSet", "ExecuteChangeSet"]
    assert first.variables == {}
    assert executed.summary == "Stack sets: CREATE_COMPLETE"


async def test_an_empty_change_set_is_no_failure_nor_is_executing_it(outside: Outside, tmp_path: Path) -> None:
    names = {"ChangeSetName": "empty", "ParameterOverrides": '{"Name": "a"}'}
    await act(outside, a_bench(tmp_path / "1", "CREATE_UPDATE", "still", **names))
    replaced = await act(outside, a_bench(tmp_path / "2", "CHANGE_SET_REPLACE", "still", **names))
    executed = await act(outside, a_bench(tmp_path / "3", "CHANGE_SET_EXECUTE", "still", **names))

    assert replaced.variables["Name"] == executed.variables["Name"] == "a"
    assert "ExecuteChangeSet" not in outside.calls


async def test_no_change_set_is_a_wrong_configuration(outside: Outside, tmp_path: Path) -> None:
    with pytest.raises(ActionFailed, match="does not exist") as failed:
        await act(outside, a_bench(tmp_path, "CHANGE_SET_EXECUTE", "nothing", ChangeSetName="c"))
    assert failed.value.code is ErrorCode.CONFIGURATION


async def test_a_stack_is_deleted_and_one_that_is_not_there_is_no_failure(outside: Outside, tmp_path: Path) -> None:
    await act(outside, a_bench(tmp_path / "1", "CREATE_UPDATE", "short"))
    bench = a_bench(tmp_path / "2", "DELETE_ONLY", "short")
    await act(outside, bench)
    forget(tmp_path / "2", "delete stack")
    outcome = await act(outside, bench.again())

    assert outcome.summary == "Stack short: gone"
    assert outside.calls.count("DeleteStack") == 1


async def test_a_change_set_that_was_made_is_not_made_again(outside: Outside, tmp_path: Path) -> None:
    bench = a_bench(tmp_path, "CHANGE_SET_REPLACE", "once", ChangeSetName="once")
    await act(outside, bench)
    forget(tmp_path, "create change set")
    await act(outside, bench.again())

    assert [outside.calls.count(name) for name in ("CreateChangeSet", "DeleteChangeSet")] == [1, 0]


async def test_a_large_template_goes_by_the_bucket(moto: str, tmp_path: Path) -> None:
    outside = Outside(moto.replace("127.0.0.1", "localhost"))  # by another name moto does not know its own buckets
    outside.plain("s3").create_bucket(Bucket=BUCKET)
    large = template(Description="x" * 1000, Metadata={"x": "y" * 60_000})
    bench = a_bench(tmp_path, "CREATE_UPDATE", "large", {"t.json": large})
    outcome = await act(outside, bench)
    keys = [each["Key"] for each in outside.plain("s3").list_objects_v2(Bucket=BUCKET)["Contents"]]

    assert outcome.variables["Name"] == "-"
    assert [key.startswith("Pipeline/In/abcdefg.") for key in keys] == [True]
    assert ("s3:PutObject", f"arn:aws:s3:::{BUCKET}/{keys[0]}") in bench.permitted


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"TemplatePath": "In::none.json"}, "none.json"),
        ({"TemplatePath": "Other::t.json"}, "Other is not an input artifact"),
        ({"ParameterOverrides": '{"Name": []}'}, "must be a string"),
        ({"Capabilities": "CAPABILITY_ALL"}, "is none of"),
        ({"ActionMode": "DO"}, "ActionMode is none of"),
        ({"RoleArn": ""}, "Configuration Property RoleArn should not be empty in current ActionMode"),
        ({"TemplatePath": ""}, "Configuration Property TemplatePath should not be empty"),
        ({"ActionMode": "CHANGE_SET_EXECUTE"}, "Configuration Property ChangeSetName should not be empty"),
    ],
)
async def test_what_is_wrong_with_its_configuration_is_told(
    outside: Outside, tmp_path: Path, given: dict[str, str], text: str
) -> None:
    bench = a_bench(tmp_path, given.get("ActionMode", "CREATE_UPDATE"), "wrong", **given)

    with pytest.raises((ActionFailed, Invalid), match=text):
        await act(outside, bench)
    assert "CreateStack" not in outside.calls


async def test_a_role_that_may_not_hand_on_another_begins_nothing(outside: Outside, tmp_path: Path) -> None:
    bench = a_bench(tmp_path, "CREATE_UPDATE", "denied")
    bench.denied = ["iam:PassRole"]

    with pytest.raises(ActionFailed, match="iam:PassRole"):
        await act(outside, bench)
    assert outside.calls == []
