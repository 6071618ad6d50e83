"""Projects for tests: inputs as clients send them, strategies that make them, and who may pass which role."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import botocore.session
import botocore.validate
from hypothesis import strategies as st

from codeyard.aws import Caller, Key, Refused, Said
from codeyard.builds.project import Project
from codeyard.builds.project_input import created
from codeyard.ident import Owner

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LATER = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
OWNER = Owner()
ROLE = "arn:aws:iam::000000000000:role/builds"
MODEL = botocore.session.get_session().get_service_model("codebuild")


def project_input(**given: Any) -> dict[str, Any]:
    """The least that CreateProject takes, with these members instead."""
    least = {
        "name": "site",
        "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2"},
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": environment(),
        "serviceRole": ROLE,
    }
    return least | given


def environment(**given: Any) -> dict[str, Any]:
    """The least environment, with these members instead."""
    return {"type": "LINUX_CONTAINER", "image": "busybox", "computeType": "BUILD_GENERAL1_SMALL"} | given


def project(**given: Any) -> Project:
    """The project of that input."""
    return created(project_input(**given), NOW)


def assert_shape(output: Mapping[str, Any], operation: str) -> None:
    """The output is one of AWS's model: every member is known and of its type."""
    shape = MODEL.operation_model(operation).output_shape
    given = {name: value for name, value in output.items() if value is not None}
    report = botocore.validate.ParamValidator().validate(given, shape)
    assert not report.has_errors(), report.generate_report()


class Everybody:
    """Identities that let all callers do all, but pass the role `forbidden`; `asked` is what they were asked."""

    forbidden = "arn:aws:iam::000000000000:role/admin"

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...], Said]] = []

    async def key(self, id: str, token: str | None) -> Key:
        raise AssertionError("nobody signs here")

    async def authorise(self, caller: Caller, action: str, resources: tuple[str, ...], context: Said) -> None:
        self.asked.append((action, resources, context))
        if self.forbidden in resources:
            raise Refused("AccessDeniedException", f"{caller.arn} is not authorized to perform: {action}")


async def require_role(owner: Owner, role: str, source: str) -> None:
    """All roles are there but `gone`."""
    if role.endswith("/gone"):
        raise Refused("InvalidInputException", f"CodeBuild is not authorized to perform: sts:AssumeRole on {role}")


# ── inputs of all kinds ──

_WORDS = st.text("abcXYZ09_", min_size=1, max_size=8)
_FLAGS = st.booleans()
_GIT = st.sampled_from(["CODECOMMIT", "GITHUB", "GITHUB_ENTERPRISE", "GITLAB", "GITLAB_SELF_MANAGED", "BITBUCKET"])
_AUTH = st.fixed_dictionaries({"type": st.just("SECRETS_MANAGER"), "resource": _WORDS})
_GIT_SOURCES = st.fixed_dictionaries(
    {"type": _GIT, "location": _WORDS.map("https://example.com/{}.git".format)},
    optional={
        "gitCloneDepth": st.integers(0, 100),
        "gitSubmodulesConfig": st.fixed_dictionaries({"fetchSubmodules": _FLAGS}),
        "buildspec": st.text(max_size=20),
        "auth": _AUTH,
        "buildStatusConfig": st.fixed_dictionaries({}, optional={"context": _WORDS, "targetUrl": _WORDS}),
        "insecureSsl": _FLAGS,
        "sourceIdentifier": _WORDS,
    },
)
_S3_SOURCES = st.fixed_dictionaries({"type": st.just("S3"), "location": _WORDS.map("bucket/{}.zip".format)})
_SOURCES = _GIT_SOURCES | _S3_SOURCES
_ARTIFACTS = st.just({"type": "NO_ARTIFACTS"}) | st.fixed_dictionaries(
    {"type": st.just("S3"), "location": st.just("bucket")},
    optional={
        "path": _WORDS,
        "namespaceType": st.sampled_from(["NONE", "BUILD_ID"]),
        "name": _WORDS,
        "packaging": st.sampled_from(["NONE", "ZIP"]),
        "overrideArtifactName": _FLAGS,
        "encryptionDisabled": _FLAGS,
        "bucketOwnerAccess": st.sampled_from(["NONE", "READ_ONLY", "FULL"]),
    },
)
_VARIABLES = st.fixed_dictionaries(
    {"name": _WORDS, "value": st.text(max_size=20).filter(lambda text: "\0" not in text)},
    optional={"type": st.sampled_from(["PLAINTEXT", "PARAMETER_STORE", "SECRETS_MANAGER"])},
)
_ENVIRONMENTS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["LINUX_CONTAINER", "ARM_CONTAINER"]),
        "image": _WORDS,
        "computeType": st.sampled_from(["BUILD_GENERAL1_SMALL", "BUILD_GENERAL1_2XLARGE"]),
    },
    optional={
        "computeConfiguration": st.fixed_dictionaries({}, optional={"vCpu": st.integers(1, 9), "machineType": _WORDS}),
        "fleet": st.just({}),
        "environmentVariables": st.lists(_VARIABLES, max_size=4),
        "privilegedMode": _FLAGS,
        "certificate": _WORDS,
        "imagePullCredentialsType": st.sampled_from(["CODEBUILD", "SERVICE_ROLE"]),
        "dockerServer": st.just({"computeType": "BUILD_GENERAL1_SMALL", "securityGroupIds": ["sg-1"]}),
        "hostKernel": st.sampled_from(["LINUX_KERNEL_4", "LINUX_KERNEL_6", "LINUX_KERNEL_LATEST"]),
    },
)


def _identified(parts: st.SearchStrategy[dict[str, Any]], member: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    pairs = st.lists(st.tuples(_WORDS, parts), max_size=3, unique_by=lambda pair: pair[0])
    return pairs.map(lambda found: [part | {member: name} for name, part in found])


def _with_versions(given: dict[str, Any]) -> dict[str, Any]:
    """A version for each secondary source."""
    sources = given.get("secondarySources", [])
    versions = [{"sourceIdentifier": each["sourceIdentifier"], "sourceVersion": "main"} for each in sources]
    return given | {"secondarySourceVersions": versions} if sources else given


_OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "description": st.text(max_size=20),
    "secondarySources": _identified(_SOURCES, "sourceIdentifier"),
    "sourceVersion": _WORDS,
    "secondaryArtifacts": _identified(_ARTIFACTS, "artifactIdentifier"),
    "cache": st.sampled_from(
        [
            {"type": "NO_CACHE"},
            {"type": "S3", "location": "bucket/prefix", "cacheNamespace": "team"},
            {"type": "LOCAL", "modes": ["LOCAL_SOURCE_CACHE", "LOCAL_CUSTOM_CACHE"]},
        ]
    ),
    "timeoutInMinutes": st.integers(5, 2160),
    "queuedTimeoutInMinutes": st.integers(5, 480),
    "encryptionKey": st.sampled_from(["alias/mine", "arn:aws:kms:us-east-1:000000000000:key/1234-56"]),
    "tags": st.lists(st.fixed_dictionaries({"key": _WORDS, "value": _WORDS}), max_size=3, unique_by=lambda t: t["key"]),
    "vpcConfig": st.sampled_from([{}, {"vpcId": "vpc-1", "subnets": ["s-1"], "securityGroupIds": ["sg-1"]}]),
    "logsConfig": st.sampled_from(
        [
            {},
            {"cloudWatchLogs": {"status": "DISABLED"}},
            {"cloudWatchLogs": {"status": "ENABLED", "groupName": "g", "streamName": "s"}},
            {"s3Logs": {"status": "ENABLED", "location": "arn:aws:s3:::bucket/logs", "encryptionDisabled": True}},
        ]
    ),
    "fileSystemLocations": st.just(
        [{"type": "EFS", "location": "fs-1:/", "mountPoint": "/mnt", "identifier": "shared"}]
    ),
    "buildBatchConfig": st.just({"serviceRole": ROLE, "restrictions": {"maximumBuildsAllowed": 3}}),
    "concurrentBuildLimit": st.sampled_from([-1, 1, 50]),
    "autoRetryLimit": st.integers(0, 10),
}
_REQUIRED: dict[str, st.SearchStrategy[Any]] = {
    "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{1,20}", fullmatch=True),
    "source": _SOURCES,
    "artifacts": _ARTIFACTS,
    "environment": _ENVIRONMENTS,
    "serviceRole": st.just(ROLE),
}
INPUTS = st.fixed_dictionaries(_REQUIRED, optional=_OPTIONAL).map(_with_versions)
CHANGES = st.fixed_dictionaries({}, optional={**_REQUIRED, **_OPTIONAL}).map(_with_versions)
