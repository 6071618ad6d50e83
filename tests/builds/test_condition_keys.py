"""What conditions of policies may ask of a call to CodeBuild."""

import json
from typing import Any

import pytest

from codeyard.aws import policy
from codeyard.aws.policy import Asked, Kind, Outcome
from codeyard.builds.condition_keys import condition_keys
from tests.calls import call

ENVIRONMENT = {
    "type": "LINUX_CONTAINER", "privilegedMode": True,
    "environmentVariables": [{"name": "STAGE", "value": "prod", "type": "PLAINTEXT"}, {"name": "B", "value": ""}],
}  # fmt: skip


def said(operation: str, **given: Any) -> dict[str, Any]:
    return dict(condition_keys(call("codebuild", operation, **given)))


def test_a_projects_members_are_there_by_their_paths() -> None:
    sources = [{"type": "S3", "location": "code/a.zip", "sourceIdentifier": "lib"}]
    vpc = {"vpcId": "vpc-1", "subnets": ["subnet-1", "subnet-2"]}
    tags = [{"key": "team", "value": "web"}]
    found = said(
        "CreateProject", name="site", environment=ENVIRONMENT, secondarySources=sources, vpcConfig=vpc, tags=tags
    )

    assert found == {
        "aws:RequestTag/team": "web",
        "aws:TagKeys": ("team",),
        "codebuild:environment": "true",
        "codebuild:environment.type": "LINUX_CONTAINER",
        "codebuild:environment.privilegedMode": "true",
        "codebuild:environment.environmentVariables": "true",
        "codebuild:environment.environmentVariables.name": ("STAGE", "B"),
        "codebuild:environment.environmentVariables/STAGE.value": "prod",
        "codebuild:environment.environmentVariables/STAGE.type": "PLAINTEXT",
        "codebuild:environment.environmentVariables/B.value": "",
        "codebuild:secondarySources": "true",
        "codebuild:secondarySources.sourceIdentifier": ("lib",),
        "codebuild:secondarySources/lib.type": "S3",
        "codebuild:secondarySources/lib.location": "code/a.zip",
        "codebuild:vpcConfig": "true",
        "codebuild:vpcConfig.vpcId": "vpc-1",
        "codebuild:vpcConfig.subnets": ("subnet-1", "subnet-2"),
    }


def test_overrides_have_the_names_of_what_they_override() -> None:
    found = said("StartBuild", projectName="site", buildspecOverride="x", privilegedModeOverride=False)

    assert found == {
        "codebuild:source": "true",
        "codebuild:source.buildspec": "x",
        "codebuild:environment": "true",
        "codebuild:environment.privilegedMode": "false",
    }


def test_no_token_is_told() -> None:
    given = {"token": "s3cret", "username": "me", "serverType": "GITHUB", "authType": "PERSONAL_ACCESS_TOKEN"}
    found = said("ImportSourceCredentials", **given)

    assert found == {"codebuild:serverType": "GITHUB", "codebuild:authType": "PERSONAL_ACCESS_TOKEN"}


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        ({}, Outcome.ALLOWED),
        ({"sourceVersion": "main"}, Outcome.ALLOWED),
        ({"buildspecOverride": "version: 0.2"}, Outcome.EXPLICIT_DENY),
        ({"environmentVariablesOverride": [{"name": "STAGE", "value": "prod"}]}, Outcome.EXPLICIT_DENY),
        ({"environmentVariablesOverride": [{"name": "STAGE", "value": "test"}]}, Outcome.ALLOWED),
        (
            {"environmentVariablesOverride": [{"name": "STAGE", "value": "prod"}, {"name": "stage", "value": "test"}]},
            Outcome.EXPLICIT_DENY,
        ),
    ],
)
def test_a_policy_can_forbid_an_override(given: dict[str, Any], outcome: Outcome) -> None:
    any_build = {"Action": "codebuild:StartBuild", "Resource": "*"}
    prod = {"StringEquals": {"codebuild:environment.environmentVariables/STAGE.value": "prod"}}
    document = [
        {"Effect": "Allow", **any_build},
        {"Effect": "Deny", **any_build, "Condition": {"Null": {"codebuild:source.buildspec": "false"}}},
        {"Effect": "Deny", **any_build, "Condition": prod},
    ]
    parsed = policy.parse(json.dumps({"Version": "2012-10-17", "Statement": document}), Kind.IDENTITY, "p")
    context = policy.context(said("StartBuild", projectName="site", **given))
    decision = policy.evaluate([parsed], Asked("codebuild:StartBuild", "arn:aws:codebuild:::project/site", context))

    assert decision.outcome is outcome
