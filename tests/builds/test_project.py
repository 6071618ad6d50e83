"""A project as it is stored and as clients see it."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given

from codeyard.builds.project import from_json, to_json, to_wire
from codeyard.builds.project_input import created
from codeyard.ident import Owner
from tests.builds.projects import INPUTS, NOW, OWNER, ROLE, assert_shape, environment, project


@given(INPUTS)
def test_a_stored_project_is_read_back_the_same(given: dict[str, Any]) -> None:
    made = created(given, NOW, cache_scope="abc")

    text = to_json(made)

    assert from_json(text) == made
    assert text.isascii()


@given(INPUTS)
def test_whatever_was_given_the_answer_is_of_awss_shape(given: dict[str, Any]) -> None:
    assert_shape({"project": to_wire(created(given, NOW), OWNER)}, "CreateProject")


def test_every_default_is_shown_and_no_list_is_null() -> None:
    shown = to_wire(project(), Owner("123456789012", "eu-west-1"))

    assert shown == {
        "name": "site",
        "arn": "arn:aws:codebuild:eu-west-1:123456789012:project/site",
        "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2", "insecureSsl": False},
        "secondarySources": [],
        "secondarySourceVersions": [],
        "artifacts": {"type": "NO_ARTIFACTS"},
        "secondaryArtifacts": [],
        "cache": {"type": "NO_CACHE"},
        "environment": environment(environmentVariables=[], privilegedMode=False, imagePullCredentialsType="CODEBUILD"),
        "serviceRole": ROLE,
        "timeoutInMinutes": 60,
        "queuedTimeoutInMinutes": 480,
        "encryptionKey": "arn:aws:kms:eu-west-1:123456789012:alias/aws/s3",
        "tags": [],
        "created": NOW,
        "lastModified": NOW,
        "badge": {"badgeEnabled": False},
        "logsConfig": {
            "cloudWatchLogs": {"status": "ENABLED"},
            "s3Logs": {"status": "DISABLED", "encryptionDisabled": False},
        },
        "projectVisibility": "PRIVATE",
    }


def test_artifacts_on_s3_are_named_after_the_project_until_told_otherwise() -> None:
    shown = to_wire(project(artifacts={"type": "S3", "location": "bucket"}), OWNER)

    assert shown["artifacts"] == {
        "type": "S3",
        "location": "bucket",
        "namespaceType": "NONE",
        "name": "site",
        "packaging": "NONE",
        "overrideArtifactName": False,
        "encryptionDisabled": False,
    }


def test_a_time_of_another_zone_is_read_back_as_that_moment() -> None:
    made = created({**_least(), "name": "zone"}, datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2))))

    assert from_json(to_json(made)).created == made.created


def test_a_form_that_is_not_known_is_not_guessed_at() -> None:
    with pytest.raises(AssertionError):
        from_json('{"version": 2, "project": {}}')


def test_the_roles_are_those_of_the_builds_and_of_the_batches_each_once() -> None:
    other = "arn:aws:iam::000000000000:role/batches"

    assert project(buildBatchConfig={"serviceRole": other}).roles == (ROLE, other)
    assert project(buildBatchConfig={"serviceRole": ROLE}).roles == (ROLE,)


def _least() -> dict[str, Any]:
    return {
        "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2"},
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": environment(),
        "serviceRole": ROLE,
    }
