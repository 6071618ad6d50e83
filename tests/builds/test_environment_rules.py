"""Which environments there can be."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.builds.environment_rules import check_environment, check_variable, is_lambda
from codeyard.builds.members import from_members
from codeyard.builds.model import Variable
from codeyard.builds.project_parts import ProjectEnvironment
from tests.builds.projects import MODEL, environment

TYPES = MODEL.shape_for("EnvironmentType").enum
SIZES = MODEL.shape_for("ComputeType").enum
CREDENTIAL = {"credential": "registry", "credentialProvider": "SECRETS_MANAGER"}
ECR = "{}.dkr.ecr.us-east-1.amazonaws.com/app:1"
OWN, OTHER = ECR.format("000000000000"), ECR.format("111111111111")
CURATED = "aws/codebuild/standard:7.0"


def check(**given: Any) -> None:
    check_environment(from_members(ProjectEnvironment, environment(**given)), "000000000000")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a fleet": ({"fleet": {"fleetArn": "arn:x"}}, "^Invalid input: fleet arn:x does not exist$"),
    "a Mac": ({"type": "MAC_ARM"}, "requires a reserved capacity fleet"),
    "small Windows": ({"type": "WINDOWS_EC2"}, "^Invalid compute type provided: BUILD_GENERAL1_SMALL$"),
    "Linux in Lambda's size": ({"computeType": "BUILD_LAMBDA_1GB"}, "Invalid compute type provided: BUILD_LAMBDA_1GB"),
    "a size of a fleet": ({"computeType": "ATTRIBUTE_BASED_COMPUTE"}, "Invalid compute type provided"),
    "privileged Windows": (
        {"type": "WINDOWS_EC2", "computeType": "BUILD_GENERAL1_LARGE", "privilegedMode": True},
        "privilegedMode is not supported for environment type WINDOWS_EC2",
    ),
    "privileged Lambda": (
        {"type": "ARM_LAMBDA_CONTAINER", "computeType": "BUILD_LAMBDA_1GB", "privilegedMode": True},
        "privilegedMode is not supported",
    ),
    "another kernel of a GPU": ({"type": "LINUX_GPU_CONTAINER", "hostKernel": "LINUX_KERNEL_6"}, "hostKernel is not"),
    "an image of two words": ({"image": "a b"}, "Invalid image provided"),
    "AWS's image by the role": (
        {"image": CURATED, "imagePullCredentialsType": "SERVICE_ROLE"},
        "^Invalid input: cannot use a CodeBuild curated image with imagePullCredentialsType SERVICE_ROLE$",
    ),
    "another account's image by CodeBuild": (
        {"image": OTHER},
        "^Invalid input: cannot use a cross-account ECR image with imagePullCredentialsType CODEBUILD$",
    ),
    "a credential for CodeBuild": (
        {"registryCredential": CREDENTIAL},
        "requires imagePullCredentialsType SERVICE_ROLE",
    ),
    "a credential for ECR": (
        {"registryCredential": CREDENTIAL, "imagePullCredentialsType": "SERVICE_ROLE", "image": OTHER},
        "cannot be used with a CodeBuild curated or an ECR image",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_a_text_that_says_what(case: str) -> None:
    given, message = REFUSED[case]

    with pytest.raises(Refused, match=message):
        check(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"image": CURATED},
        {"image": OWN},
        {"image": OTHER, "imagePullCredentialsType": "SERVICE_ROLE"},
        {"image": "registry:5000/a/b@sha256:" + "0" * 64},
        {"image": "private/x", "imagePullCredentialsType": "SERVICE_ROLE", "registryCredential": CREDENTIAL},
        {"privilegedMode": True, "hostKernel": "LINUX_KERNEL_LATEST"},
        {"fleet": None, "type": "LINUX_GPU_CONTAINER", "computeType": "BUILD_GENERAL1_LARGE"},
        {"environmentVariables": [{"name": "CODEBUILD_CONFIG_X", "value": ""}, {"name": "with-dash", "value": "1"}]},
    ],
)
def test_allowed(given: dict[str, Any]) -> None:
    check(**given)


@given(st.sampled_from(TYPES), st.sampled_from(SIZES))
def test_lambdas_sizes_and_those_of_machines_do_not_mix(kind: str, size: str) -> None:
    value = from_members(ProjectEnvironment, environment(type=kind, computeType=size))
    try:
        check_environment(value, "000000000000")
    except Refused:
        return

    assert is_lambda(value) == size.startswith("BUILD_LAMBDA_")


@pytest.mark.parametrize(
    "variable", [Variable("A=B", ""), Variable("A\0", ""), Variable("A\n", ""), Variable("A", "\0")]
)
def test_a_variable_that_no_environment_can_hold_is_refused(variable: Variable) -> None:
    with pytest.raises(Refused, match="Invalid environment variable"):
        check_variable(variable)
