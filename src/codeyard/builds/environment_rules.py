"""Which environments there can be: which types have which sizes, who pulls which image. Pure."""

import re

from codeyard.aws import Refused
from codeyard.builds.model import Variable
from codeyard.builds.project_parts import ProjectEnvironment, PullCredentials

_GENERAL = {size: f"BUILD_GENERAL1_{size}" for size in ("SMALL", "MEDIUM", "LARGE", "XLARGE", "2XLARGE")}
_LAMBDA = tuple(f"BUILD_LAMBDA_{size}GB" for size in (1, 2, 4, 8, 10))
# Reference 3.4: what each environment type can be had in.
_SIZES = {
    "LINUX_CONTAINER": tuple(_GENERAL.values()),
    "ARM_CONTAINER": tuple(_GENERAL.values()),
    "LINUX_GPU_CONTAINER": (_GENERAL["SMALL"], _GENERAL["LARGE"]),
    "WINDOWS_CONTAINER": (_GENERAL["MEDIUM"], _GENERAL["LARGE"]),
    "WINDOWS_SERVER_2019_CONTAINER": (_GENERAL["MEDIUM"], _GENERAL["LARGE"]),
    "WINDOWS_SERVER_2022_CONTAINER": tuple(_GENERAL[size] for size in ("MEDIUM", "LARGE", "XLARGE", "2XLARGE")),
    "LINUX_EC2": (_GENERAL["SMALL"], _GENERAL["MEDIUM"], _GENERAL["LARGE"]),
    "ARM_EC2": (_GENERAL["SMALL"], _GENERAL["MEDIUM"], _GENERAL["LARGE"]),
    "WINDOWS_EC2": (_GENERAL["MEDIUM"], _GENERAL["LARGE"]),
    "LINUX_LAMBDA_CONTAINER": _LAMBDA,
    "ARM_LAMBDA_CONTAINER": _LAMBDA,
}
_KERNELS = ("LINUX_CONTAINER", "ARM_CONTAINER", "LINUX_EC2", "ARM_EC2")
_ECR = re.compile(r"([0-9]{12})\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/.*", re.DOTALL)
_IMAGE = re.compile(r"[!-~]{1,1024}")  # a reference holds no space, no control character
_PULL = "Invalid input: cannot use {} with imagePullCredentialsType {}"  # observed


def check_environment(environment: ProjectEnvironment, account: str) -> None:
    """Nothing, if there can be such an environment in this account. Refused, by the first rule that is broken."""
    if environment.fleet is not None:
        raise _invalid(f"Invalid input: fleet {str(environment.fleet.fleet_arn)[:200]} does not exist")
    if environment.type == "MAC_ARM":
        raise _invalid("Invalid input: environment type MAC_ARM requires a reserved capacity fleet")
    if environment.compute_type not in _SIZES.get(environment.type, ()):
        raise _invalid(f"Invalid compute type provided: {environment.compute_type}")
    if environment.privileged_mode and not _may_be_privileged(environment):
        raise _invalid(f"Invalid input: privilegedMode is not supported for environment type {environment.type}")
    if environment.host_kernel is not None and environment.type not in _KERNELS:
        raise _invalid(f"Invalid input: hostKernel is not supported for environment type {environment.type}")
    _check_image(environment, account)
    for variable in environment.environment_variables:
        check_variable(variable)


def is_lambda(environment: ProjectEnvironment) -> bool:
    """Whether it is one of Lambda's, which can do less (reference 3.5)."""
    return "_LAMBDA_" in environment.type


def check_variable(variable: Variable) -> None:
    """Nothing, if an environment can hold it: what execve(2) takes, whatever a shell makes of the name. Refused."""
    if re.search(r"[=\x00-\x1f\x7f]", variable.name):
        raise _invalid(f"Invalid environment variable name: {variable.name[:100]!r}")
    if "\x00" in variable.value:
        raise _invalid(f"Invalid environment variable value: that of {variable.name[:100]} holds a NUL character")


def _may_be_privileged(environment: ProjectEnvironment) -> bool:
    return not environment.type.startswith("WINDOWS") and not is_lambda(environment)


def _check_image(environment: ProjectEnvironment, account: str) -> None:
    """Who may pull what: Private registry with Secrets Manager sample, and imagePullCredentialsType in the model."""
    image, pull = environment.image, environment.image_pull_credentials_type
    if _IMAGE.fullmatch(image) is None:
        raise _invalid(f"Invalid image provided: {image[:100]!r}")
    curated, repository = image.startswith("aws/codebuild/"), _ECR.fullmatch(image)
    if curated and pull is PullCredentials.SERVICE_ROLE:
        raise _invalid(_PULL.format("a CodeBuild curated image", pull))
    if repository is not None and repository[1] != account and pull is PullCredentials.CODEBUILD:
        raise _invalid(_PULL.format("a cross-account ECR image", pull))
    if environment.registry_credential is None:
        return
    if pull is not PullCredentials.SERVICE_ROLE:
        raise _invalid("Invalid input: registryCredential requires imagePullCredentialsType SERVICE_ROLE")
    if curated or repository is not None:
        raise _invalid("Invalid input: registryCredential cannot be used with a CodeBuild curated or an ECR image")


def _invalid(text: str) -> Refused:
    return Refused("InvalidInputException", text)
