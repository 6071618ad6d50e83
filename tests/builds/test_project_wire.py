"""A project's parts as a Build shows them."""

from typing import Any

import pytest
from hypothesis import given

from codeyard.builds.project_input import created
from codeyard.builds.project_wire import (
    artifacts_to_wire,
    build_artifacts_to_wire,
    cache_to_wire,
    environment_to_wire,
    key_arn,
    logs_config_to_wire,
    source_to_wire,
)
from codeyard.ident import Owner
from tests.builds.projects import INPUTS, NOW, assert_shape, project


@given(INPUTS)
def test_the_parts_are_those_of_a_builds_shape(given: dict[str, Any]) -> None:
    made = created(given, NOW)

    build = {
        "source": source_to_wire(made.source),
        "secondarySources": [source_to_wire(source) for source in made.secondary_sources],
        "artifacts": build_artifacts_to_wire(made.artifacts, "", {}),
        "environment": environment_to_wire(made.environment),
        "cache": cache_to_wire(made.cache),
        "logs": logs_config_to_wire(made.logs_config),
    }

    assert_shape({"build": build}, "StartBuild")


def test_a_builds_artifacts_say_where_they_are_and_what_they_add_up_to() -> None:
    artifacts = project(artifacts={"type": "S3", "location": "bucket", "encryptionDisabled": True}).artifacts

    shown = build_artifacts_to_wire(artifacts, "arn:aws:s3:::bucket/site", {"md5sum": "0"})

    assert shown == {"location": "arn:aws:s3:::bucket/site", "md5sum": "0", "encryptionDisabled": True}
    assert artifacts_to_wire(artifacts, "site")["name"] == "site"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, "arn:aws:kms:eu-west-1:123456789012:alias/aws/s3"),
        ("alias/mine", "arn:aws:kms:eu-west-1:123456789012:alias/mine"),
        ("arn:aws:kms:us-east-1:1:key/2", "arn:aws:kms:us-east-1:1:key/2"),
    ],
)
def test_a_key_is_shown_as_an_arn(key: str | None, expected: str) -> None:
    assert key_arn(key, Owner("123456789012", "eu-west-1")) == expected
