"""What a project may not be."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.builds.project import from_json, to_json
from codeyard.builds.project_input import created
from codeyard.builds.project_overrides import overridden
from codeyard.builds.project_rules import LIMIT, is_name
from tests.builds.projects import MODEL, NOW, ROLE, environment, project, project_input
from tests.wire.generate import valid

GIT = {"type": "GITHUB", "location": "https://github.com/o/r"}
S3 = {"type": "S3", "location": "bucket"}
LAMBDA = environment(type="LINUX_LAMBDA_CONTAINER", computeType="BUILD_LAMBDA_1GB")
VPC = {"vpcId": "v", "subnets": ["s"], "securityGroupIds": ["g"]}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a name with a dot": ({"name": "a.b"}, "^Only alphanumeric characters, dash, and underscore are supported$"),
    "a name of one": ({"name": "a"}, "Only alphanumeric"),
    "a role by its name": ({"serviceRole": "builds"}, "^Invalid service role$"),
    "no location": ({"source": {"type": "GITHUB"}}, "^Project source location is required$"),
    "an empty location": ({"source": {**GIT, "location": ""}}, "^Project source location is required$"),
    "a scheme of no git": ({"source": {**GIT, "location": "ftp://a/b"}}, "must be a valid GITHUB source: .*ftp"),
    "a path of this machine": ({"source": {**GIT, "location": "/etc"}}, "must be a valid GITHUB source"),
    "an option of git": ({"source": {**GIT, "location": "--upload-pack=x"}}, "must be a valid GITHUB source"),
    "a remote helper": ({"source": {**GIT, "location": "ext::sh -c x"}}, "must be a valid GITHUB source"),
    "a bucket alone": ({"source": {"type": "S3", "location": "bucket"}}, "must be a valid S3 source"),
    "a version of a folder": (
        {"source": {"type": "S3", "location": "bucket/a/"}, "sourceVersion": "1"},
        "a source of kind S3_FOLDER has no versions",
    ),
    "a version like an option": ({"source": GIT, "sourceVersion": "-x"}, "begins with -"),
    "a pipeline's source alone": (
        {"source": {"type": "CODEPIPELINE"}},
        "^Invalid input: when using CodePipeline both sourceType, and artifactType must be set to: CODEPIPELINE$",
    ),
    "a pipeline's artifacts alone": ({"artifacts": {"type": "CODEPIPELINE"}}, "when using CodePipeline both"),
    "no source and no buildspec": ({"source": {"type": "NO_SOURCE"}}, "buildspec is required"),
    "a status nobody gets": ({"source": {"type": "S3", "location": "b12/k", "reportBuildStatus": True}}, "reportBuild"),
    "auth by nothing": ({"source": {**GIT, "auth": {"type": "SECRETS_MANAGER"}}}, "requires a resource"),
    "a badge of no repository": ({"badgeEnabled": True}, "badgeEnabled is not supported for source type NO_SOURCE"),
    "a secondary source of no name": ({"secondarySources": [GIT]}, "sourceIdentifier is required"),
    "an identifier with a dash": (
        {"secondarySources": [{**GIT, "sourceIdentifier": "a-b"}]},
        "^Invalid input: identifier must contain only alphanumeric characters and underscores and be less than 128 "
        "characters in length$",
    ),
    "an identifier of 128": ({"secondarySources": [{**GIT, "sourceIdentifier": "a" * 128}]}, "be less than 128"),
    "one identifier twice": ({"secondarySources": [{**GIT, "sourceIdentifier": "a"}] * 2}, "'a' is given more than"),
    "a secondary source of nothing": (
        {"secondarySources": [{"type": "NO_SOURCE", "sourceIdentifier": "a"}]},
        "not supported for secondary sources",
    ),
    "a version of no source": (
        {"secondarySourceVersions": [{"sourceIdentifier": "a", "sourceVersion": "1"}]},
        "there is no secondary source 'a'",
    ),
    "no artifacts, somewhere": (
        {"artifacts": {"type": "NO_ARTIFACTS", "location": "bucket"}},
        "^Invalid artifacts: artifact type NO_ARTIFACTS should have null location$",
    ),
    "artifacts nowhere": ({"artifacts": {"type": "S3"}}, "should have a bucket's name as its location"),
    "artifacts in a path": ({"artifacts": {**S3, "location": "a/b"}}, "should have a bucket's name"),
    "no artifacts, in clear": ({"artifacts": {"type": "NO_ARTIFACTS", "encryptionDisabled": True}}, "encryptionDisab"),
    "a path with a newline": ({"artifacts": {**S3, "path": "a\nb"}}, "no object can have"),
    "secondary artifacts of no name": ({"secondaryArtifacts": [S3]}, "artifactIdentifier is required"),
    "secondary artifacts of a pipeline": (
        {"secondaryArtifacts": [{"type": "CODEPIPELINE", "artifactIdentifier": "a"}]},
        "artifact type CODEPIPELINE is not supported for secondary artifacts",
    ),
    "a cache nowhere": (
        {"cache": {"type": "S3"}},
        "^Invalid cache: location must be a valid S3 bucket, followed by slash and the prefix$",
    ),
    "a local cache of nothing": ({"cache": {"type": "LOCAL"}}, "at least one mode"),
    "logs to no bucket": ({"logsConfig": {"s3Logs": {"status": "ENABLED"}}}, "must be a valid S3 bucket"),
    "a group of no name": (
        {"logsConfig": {"cloudWatchLogs": {"status": "ENABLED", "groupName": "a b"}}},
        "groupName is not a log group's name",
    ),
    "a stream with a colon": (
        {"logsConfig": {"cloudWatchLogs": {"status": "ENABLED", "streamName": "a:b"}}},
        "streamName cannot begin",
    ),
    "a tag of AWS's": ({"tags": [{"key": "aws:x", "value": ""}]}, "cannot begin with aws:"),
    "a tag of spaces": ({"tags": [{"key": "  ", "value": "x"}]}, "only spaces"),
    "a tag ending in one": ({"tags": [{"key": "a", "value": "x "}]}, "ends in one"),
    "a tag twice": ({"tags": [{"key": "a"}, {"key": "a"}]}, "tag 'a' is given more than once"),
    "a tag of no key": ({"tags": [{"value": "a"}]}, "key is required"),
    "half a network": ({"vpcConfig": {"vpcId": "v"}}, "requires vpcId, subnets and securityGroupIds"),
    "a file system nowhere": ({"fileSystemLocations": [{"identifier": "a"}]}, "requires location and mountPoint"),
    "no builds at all": ({"concurrentBuildLimit": 0}, "at least 1"),
    "endless retries": ({"autoRetryLimit": 11}, "from 0 to 10"),
    "a short time": ({"timeoutInMinutes": 4}, "from 5 to 2160"),
    "a long queue": ({"queuedTimeoutInMinutes": 481}, "from 5 to 480"),
    "a key of no kind": ({"encryptionKey": "mine"}, "encryptionKey must be the ARN"),
    "batches of nobody": ({"buildBatchConfig": {"combineArtifacts": True}}, "requires a serviceRole"),
    "batches of another account": (
        {"buildBatchConfig": {"serviceRole": "arn:aws:iam::111111111111:role/x"}},
        "^Invalid service role: Service role account ID does not match caller's account$",
    ),
    "a cache in Lambda": (
        {"environment": LAMBDA, "cache": {"type": "S3", "location": "b12"}},
        "cache is not supported",
    ),
    "a network in Lambda": ({"environment": LAMBDA, "vpcConfig": VPC}, "vpcConfig is not supported"),
    "a book": ({"source": {"type": "NO_SOURCE", "buildspec": "x" * LIMIT}}, "larger than"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_a_text_that_says_what(case: str) -> None:
    given, message = REFUSED[case]

    with pytest.raises(Refused, match=message) as refused:
        created(project_input(**given), NOW)

    assert refused.value.code == "InvalidInputException"


ALLOWED: dict[str, dict[str, Any]] = {
    "the whole bucket": {"source": {"type": "S3", "location": "bucket/"}},
    "a zip by its ARN": {"source": {"type": "S3", "location": "arn:aws:s3:::bucket/a.zip"}, "sourceVersion": "v1"},
    "a repository on this machine": {"source": {"type": "GITHUB_ENTERPRISE", "location": "file:///srv/r.git"}},
    "a repository by ssh": {"source": {"type": "GITHUB", "location": "git@example.com:o/r.git"}},
    "Bitbucket's own clone URL": {"source": {"type": "BITBUCKET", "location": "https://me@bitbucket.org/o/r.git"}},
    "no artifacts in no place": {"artifacts": {"type": "NO_ARTIFACTS", "location": ""}},
    "a pipeline's project": {"source": {"type": "CODEPIPELINE"}, "artifacts": {"type": "CODEPIPELINE"}},
    "a location of no source": {"source": {"type": "NO_SOURCE", "buildspec": "x", "location": "ignored"}},
    "a badge": {"source": GIT, "badgeEnabled": True},
    "a role with a path": {"serviceRole": "arn:aws:iam::000000000000:role/service-role/builds"},
}


@pytest.mark.parametrize("case", ALLOWED)
def test_allowed(case: str) -> None:
    created(project_input(**ALLOWED[case]), NOW)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    given = {"type": "GITHUB", "location": "https://me:hunter2@github.com/o/r"}

    with pytest.raises(Refused) as refused:
        project(source=given)

    assert "ImportSourceCredentials" in refused.value.message
    assert "hunter2" not in refused.value.message


@given(st.text(max_size=200))
def test_a_name_is_one_that_the_model_allows(text: str) -> None:
    allowed = 2 <= len(text) <= 150 and text.isascii() and text.replace("-", "a").replace("_", "a").isalnum()

    assert is_name(text) == (allowed and text[0] not in "-_")


@given(valid(MODEL.operation_model("CreateProject").input_shape))
def test_whatever_the_model_allows_makes_a_project_or_is_refused(given: dict[str, Any]) -> None:
    with suppress(Refused):
        made = created({**given, "name": "site", "serviceRole": ROLE}, NOW)
        assert from_json(to_json(made)) == made


@given(valid(MODEL.operation_model("StartBuild").input_shape))
def test_whatever_the_model_allows_to_override_makes_a_project_or_is_refused(given: dict[str, Any]) -> None:
    with suppress(Refused):
        changed = overridden(project(), {**given, "serviceRoleOverride": None})
        assert from_json(to_json(changed)) == changed


@given(st.text(max_size=60), st.sampled_from(["GITHUB", "S3", "BITBUCKET", "CODECOMMIT"]), st.none() | st.text())
def test_no_location_is_more_than_refused(location: str, kind: str, version: str | None) -> None:
    given = project_input(source={"type": kind, "location": location}, sourceVersion=version)
    with suppress(Refused):
        created(given, NOW)
