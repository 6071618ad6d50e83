"""What one start changes about a project."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.builds.model import Variable, VariableType
from codeyard.builds.project import to_wire
from codeyard.builds.project_input import created
from codeyard.builds.project_overrides import handed_over, overridden, start_variables
from codeyard.builds.project_parts import ArtifactsType, SourceType
from tests.builds.projects import INPUTS, MODEL, NOW, OWNER, ROLE, environment, project

GITHUB = {"type": "GITHUB", "location": "https://github.com/o/r"}
# Each override of StartBuildInput that replaces one member, with where it is found in the project's shape.
OVERRIDES: dict[str, tuple[str, Any]] = {
    "sourceVersion": ("sourceVersion", "v2"),
    "sourceTypeOverride": ("source.type", "GITLAB"),
    "sourceLocationOverride": ("source.location", "https://github.com/o/other"),
    "sourceAuthOverride": ("source.auth", {"type": "SECRETS_MANAGER", "resource": "arn"}),
    "gitCloneDepthOverride": ("source.gitCloneDepth", 3),
    "gitSubmodulesConfigOverride": ("source.gitSubmodulesConfig", {"fetchSubmodules": True}),
    "buildspecOverride": ("source.buildspec", "other.yml"),
    "insecureSslOverride": ("source.insecureSsl", True),
    "reportBuildStatusOverride": ("source.reportBuildStatus", True),
    "buildStatusConfigOverride": ("source.buildStatusConfig", {"context": "ci"}),
    "environmentTypeOverride": ("environment.type", "ARM_CONTAINER"),
    "imageOverride": ("environment.image", "other"),
    "computeTypeOverride": ("environment.computeType", "BUILD_GENERAL1_LARGE"),
    "certificateOverride": ("environment.certificate", "bucket/a.pem"),
    "privilegedModeOverride": ("environment.privilegedMode", True),
    "imagePullCredentialsTypeOverride": ("environment.imagePullCredentialsType", "SERVICE_ROLE"),
    "hostKernelOverride": ("environment.hostKernel", "LINUX_KERNEL_6"),
    "cacheOverride": ("cache", {"type": "S3", "location": "bucket/x"}),
    "serviceRoleOverride": ("serviceRole", "arn:aws:iam::000000000000:role/other"),
    "timeoutInMinutesOverride": ("timeoutInMinutes", 5),
    "queuedTimeoutInMinutesOverride": ("queuedTimeoutInMinutes", 6),
    "encryptionKeyOverride": ("encryptionKey", "arn:aws:kms:us-east-1:000000000000:key/1"),
    "autoRetryLimitOverride": ("autoRetryLimit", 2),
    "secondaryArtifactsOverride": ("secondaryArtifacts", [{"type": "NO_ARTIFACTS", "artifactIdentifier": "a"}]),
    "secondarySourcesOverride": (
        "secondarySources",
        [{"type": "S3", "location": "b12/k.zip", "sourceIdentifier": "s", "insecureSsl": False}],
    ),
    "artifactsOverride": (
        "artifacts",
        {
            "type": "S3",
            "location": "bucket",
            "name": "x",
            "namespaceType": "NONE",
            "packaging": "ZIP",
            "overrideArtifactName": False,
            "encryptionDisabled": False,
        },
    ),
    "logsConfigOverride": (
        "logsConfig",
        {"cloudWatchLogs": {"status": "DISABLED"}, "s3Logs": {"status": "DISABLED", "encryptionDisabled": False}},
    ),
}
ELSEWHERE = {  # tested below, or no setting of a project's
    "projectName",
    "environmentVariablesOverride",
    "secondarySourcesVersionOverride",
    "registryCredentialOverride",
    "fleetOverride",
    "idempotencyToken",
    "debugSessionEnabled",
}


@given(INPUTS)
def test_a_start_with_no_overrides_builds_the_project_itself(given: dict[str, Any]) -> None:
    made = created(given, NOW)

    assert overridden(made, {"projectName": made.name}) == made


def test_every_member_of_startbuild_is_decided() -> None:
    members = set(MODEL.operation_model("StartBuild").input_shape.members)

    assert members == set(OVERRIDES) | ELSEWHERE


@pytest.mark.parametrize("name", OVERRIDES)
def test_an_override_changes_its_member_and_nothing_else(name: str) -> None:
    path, value = OVERRIDES[name]
    made = project(source=GITHUB)

    changed = to_wire(overridden(made, {name: value}), OWNER)

    part, _, member = path.partition(".")
    expected = to_wire(made, OWNER)
    expected[part] = {**expected[part], member: value} if member else value
    assert changed == expected


def test_variables_of_the_start_replace_those_of_their_names_type_included_and_add_the_others() -> None:
    given = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    made = project(environment=environment(environmentVariables=given))
    start = {
        "environmentVariablesOverride": [
            {"name": "A", "value": "/a", "type": "PARAMETER_STORE"},
            {"name": "C", "value": "3"},
        ]
    }

    changed = overridden(made, start)

    assert changed.environment.environment_variables == (
        Variable("A", "/a", VariableType.PARAMETER_STORE),
        Variable("B", "2"),
        Variable("C", "3"),
    )
    assert start_variables(start) == (Variable("A", "/a", VariableType.PARAMETER_STORE), Variable("C", "3"))


def test_versions_of_secondary_sources_go_over_the_projects_one_by_one() -> None:
    made = project(
        secondarySources=[{**GITHUB, "sourceIdentifier": "a"}, {**GITHUB, "sourceIdentifier": "b"}],
        secondarySourceVersions=[
            {"sourceIdentifier": "a", "sourceVersion": "a1"},
            {"sourceIdentifier": "b", "sourceVersion": "b1"},
        ],
    )

    changed = overridden(made, {"secondarySourcesVersionOverride": [{"sourceIdentifier": "b", "sourceVersion": "b2"}]})

    assert (changed.version_of("a"), changed.version_of("b"), changed.version_of("c")) == ("a1", "b2", None)


def test_versions_of_sources_that_the_start_took_away_go_with_them() -> None:
    made = project(
        secondarySources=[{**GITHUB, "sourceIdentifier": "a"}],
        secondarySourceVersions=[{"sourceIdentifier": "a", "sourceVersion": "a1"}],
    )

    changed = overridden(made, {"secondarySourcesOverride": [{**GITHUB, "sourceIdentifier": "b"}]})

    assert changed.secondary_source_versions == ()


def test_a_registry_credential_comes_with_the_role_that_may_read_it() -> None:
    credential = {"credential": "registry", "credentialProvider": "SECRETS_MANAGER"}
    given = {"registryCredentialOverride": credential, "imagePullCredentialsTypeOverride": "SERVICE_ROLE"}

    changed = to_wire(overridden(project(), given), OWNER)

    assert changed["environment"]["registryCredential"] == credential


def test_without_a_source_there_is_no_location_of_one() -> None:
    changed = overridden(project(source=GITHUB), {"sourceTypeOverride": "NO_SOURCE", "buildspecOverride": "x: y"})

    assert changed.source.location is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sourceTypeOverride": "S3"}, "Invalid project source: location must be a valid S3 source"),
        ({"sourceTypeOverride": "CODECOMMIT", "reportBuildStatusOverride": True}, "reportBuildStatus"),
        ({"environmentTypeOverride": "WINDOWS_EC2"}, "Invalid compute type provided: BUILD_GENERAL1_SMALL"),
        ({"fleetOverride": {"fleetArn": "arn:x"}}, "fleet arn:x does not exist"),
        (
            {"serviceRoleOverride": "arn:aws:iam::111111111111:role/x"},
            "Service role account ID does not match caller's account",
        ),
        ({"artifactsOverride": {"type": "S3"}}, "should have a bucket's name"),
        (
            {"secondarySourcesVersionOverride": [{"sourceIdentifier": "no", "sourceVersion": "1"}]},
            "no secondary source 'no'",
        ),
    ],
)
def test_what_a_project_may_not_be_no_start_makes_of_it(given: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=message) as refused:
        overridden(project(source=GITHUB), given)

    assert refused.value.code == "InvalidInputException"


def test_a_pipelines_project_is_not_started_by_hand_as_it_is() -> None:
    made = project(source={"type": "CODEPIPELINE"}, artifacts={"type": "CODEPIPELINE"})

    with pytest.raises(Refused, match=r"^ArtifactsOverride must be set when using artifacts type CodePipelines$"):
        overridden(made, {})
    by_hand = {
        "artifactsOverride": {"type": "NO_ARTIFACTS"},
        "sourceTypeOverride": "NO_SOURCE",
        "buildspecOverride": "x",
    }
    assert overridden(made, by_hand).service_role == ROLE


@given(INPUTS, st.dictionaries(st.sampled_from(sorted(OVERRIDES)), st.none()))
def test_null_is_as_not_given(given: dict[str, Any], nothing: dict[str, None]) -> None:
    made = created(given, NOW)

    assert overridden(made, nothing) == made


@given(INPUTS)
def test_a_pipeline_brings_sources_and_takes_artifacts_whatever_the_project_has(inputs: dict[str, Any]) -> None:
    was = created(inputs, NOW)

    now = handed_over(was, {"imageOverride": "other"}, "arn:aws:s3:::b/k")

    assert (now.source.type, now.artifacts.type) == (SourceType.CODEPIPELINE, ArtifactsType.CODEPIPELINE)
    assert (now.secondary_sources, now.secondary_artifacts, now.source_version) == ((), (), "arn:aws:s3:::b/k")
    assert (now.source.buildspec, now.environment.image) == (was.source.buildspec, "other")
    assert (now.service_role, now.cache, now.environment.environment_variables) == (
        was.service_role, was.cache, was.environment.environment_variables,
    )  # fmt: skip
