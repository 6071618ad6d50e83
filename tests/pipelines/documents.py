"""Definitions for tests: short to write, and sent as a client's would be, through the wire and AWS's model."""

import json
from collections.abc import Mapping
from typing import Any

from codeyard.aws import Refused, shapes
from codeyard.aws.json_wire import JSON
from codeyard.aws.validation import violations
from codeyard.ident import Owner
from codeyard.pipelines.action_types import Catalogue
from codeyard.pipelines.builtin_types import catalogue
from codeyard.pipelines.rules import check

OWNER = Owner("111122223333", "us-east-1")
ROLE = "arn:aws:iam::111122223333:role/pipelines"
Shape = dict[str, Any]
TOPIC = "arn:aws:sns:us-east-1:111122223333:reviews"
VARIABLES = [{"name": "TARGET", "defaultValue": "test"}]
STORE = {"type": "S3", "location": "artifacts"}
PUSH = {"push": [{"branches": {"includes": ["main", "release/**"]}, "filePaths": {"includes": ["src/**"]}}]}
RETRY = {"result": "RETRY", "retryConfiguration": {"retryMode": "FAILED_ACTIONS"}}


def action(name: str, type: str, inputs: str = "", outputs: str = "", /, **more: Any) -> Shape:
    """`type` is Category/Owner/Provider; `inputs` and `outputs` are names with spaces between; more are members."""
    category, owner, provider = type.split("/")
    return {
        "name": name,
        "actionTypeId": {"category": category, "owner": owner, "provider": provider, "version": "1"},
        "inputArtifacts": [{"name": each} for each in inputs.split()],
        "outputArtifacts": [{"name": each} for each in outputs.split()],
        **more,
    }


def s3(name: str = "Fetch", outputs: str = "Source", **more: Any) -> Shape:
    configuration = {"S3Bucket": "bucket", "S3ObjectKey": "app.zip"}
    return action(name, "Source/AWS/S3", "", outputs, **{"configuration": configuration, **more})


def git(name: str = "Fetch", outputs: str = "Source", **more: Any) -> Shape:
    arn = "arn:aws:codestar-connections:us-east-1:111122223333:connection/0b1c"
    configuration = {"ConnectionArn": arn, "FullRepositoryId": "us/app", "BranchName": "main"}
    return action(name, "Source/AWS/CodeStarSourceConnection", "", outputs, **{"configuration": configuration, **more})


def build(
    name: str = "Make", inputs: str = "Source", outputs: str = "", configuration: Any = None, **more: Any
) -> Shape:
    values = {"ProjectName": "app", **(configuration or {})}
    return action(name, "Build/AWS/CodeBuild", inputs, outputs, configuration=values, **more)


def commands(*lines: str, name: str = "Run", **more: Any) -> Shape:
    return action(name, "Compute/AWS/Commands", "Source", "", **{"commands": list(lines), **more})


def approval(name: str = "Ask", **more: Any) -> Shape:
    return action(name, "Approval/AWS/Manual", **more)


def stage(name: str, *actions: Shape, **more: Any) -> Shape:
    return {"name": name, "actions": list(actions), **more}


def rule(provider: str, configuration: Mapping[str, str], name: str = "Rule", **more: Any) -> Shape:
    return {
        "name": name,
        "ruleTypeId": {"category": "Rule", "provider": provider},
        "configuration": dict(configuration),
        **more,
    }


ALARM = rule("CloudWatchAlarm", {"AlarmName": "errors"}, "Alarm")
ON_MAIN = rule("VariableCheck", {"Variable": "#{Git.BranchName}", "Operator": "EQ", "Value": "main"}, "OnMain")


def condition(result: str, *rules: Shape) -> Shape:
    return {"conditions": [{"result": result, "rules": list(rules)}]}


def pipeline(*stages: Shape, **more: Any) -> Shape:
    """With a source stage of S3 before these stages. `more` are members; None leaves one out."""
    return whole(stage("Source", s3(namespace="Git")), *stages, **more)


def whole(*stages: Shape, **more: Any) -> Shape:
    members = {
        "name": "demo",
        "roleArn": ROLE,
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": list(stages),
        **more,
    }
    return {name: value for name, value in members.items() if value is not None}


def then(*actions: Shape, **more: Any) -> Shape:
    """A pipeline whose second stage has these actions."""
    return pipeline(stage("Second", *actions), **more)


def env(text: str) -> Shape:
    return then(build(configuration={"EnvironmentVariables": text}))


def second(*stages: Shape, **more: Any) -> Shape:
    """A pipeline with a stage that builds, with these members, and more stages."""
    return pipeline(stage("Second", build(outputs="Built"), **more), *stages)


def triggered(configuration: Shape, **more: Any) -> Shape:
    git_configuration = {"sourceActionName": "Fetch", **configuration}
    one = {"providerType": "CodeStarSourceConnection", "gitConfiguration": git_configuration}
    return whole(stage("Source", git()), stage("Second", build()), **{"triggers": [one], **more})


def cloudformation(inputs: str = "Source", **configuration: str) -> Shape:
    return then(action("Apply", "Deploy/AWS/CloudFormation", inputs, "", configuration=configuration))


def release(**configuration: str) -> Shape:
    values = {"Targets": "role=web,zone=a", "Path": "/srv/app", **configuration}
    return then(action("Place", "Deploy/Custom/Codeyard-Release", "Source", configuration=values))


def http(**configuration: str) -> Shape:
    return then(
        action(
            "Tell", "Invoke/Custom/Codeyard-HTTP", configuration={"Url": "https://example.com/hook", **configuration}
        )
    )


def says(reference: str, **more: Any) -> Shape:
    """A reference in an approval of the second stage."""
    return then(approval(configuration={"CustomData": reference}), **more)


def decoded(definition: Any) -> Shape:
    """What a handler would be given. Refused: the wire or the model has refused it."""
    operation = shapes.model("codepipeline").operations["CreatePipeline"]
    try:
        given = JSON.decode(operation, json.dumps({"pipeline": definition}).encode())
    except shapes.Unreadable as error:
        raise Refused("SerializationException", str(error)) from None
    text = violations(operation.input, given)
    if text is not None:
        raise Refused("ValidationException", text)
    shape: Shape = given["pipeline"]
    return shape


def accepted(definition: Any, types: Catalogue | None = None, owner: Owner = OWNER) -> Shape:
    """What is stored of it. Refused."""
    return check(decoded(definition), owner, types or catalogue())


def verdict(definition: Any) -> str | None:
    """The type of error that it is refused with, or None: it is accepted."""
    try:
        accepted(definition)
    except Refused as refused:
        return refused.code
    return None
