"""A project's parts as AWS's clients see them, for a Project and for a Build alike. Pure."""

from typing import Any

from codeyard.builds.members import to_members
from codeyard.builds.project_parts import (
    ArtifactsType,
    LogsConfig,
    Namespace,
    Packaging,
    ProjectArtifacts,
    ProjectCache,
    ProjectEnvironment,
    ProjectSource,
)
from codeyard.ident import Owner


def source_to_wire(source: ProjectSource) -> dict[str, Any]:
    """The shape ProjectSource."""
    return to_members(source)


def artifacts_to_wire(artifacts: ProjectArtifacts, project: str) -> dict[str, Any]:
    """The shape ProjectArtifacts; for S3 with its defaults, of which the name is the project's (reference 5.2)."""
    members = to_members(artifacts)
    if artifacts.type is not ArtifactsType.S3:
        return members
    defaults = {
        "namespaceType": Namespace.NONE.value,
        "name": project,
        "packaging": Packaging.NONE.value,
        "overrideArtifactName": False,
        "encryptionDisabled": False,
    }
    return defaults | members


def build_artifacts_to_wire(artifacts: ProjectArtifacts, location: str, sums: dict[str, str]) -> dict[str, Any]:
    """The shape BuildArtifacts. `location` is an S3 ARN or ""; `sums` are md5sum and sha256sum (reference 5.3)."""
    members = to_members(artifacts)
    shown = ("overrideArtifactName", "encryptionDisabled", "artifactIdentifier", "bucketOwnerAccess")
    return {"location": location, **sums} | {name: members[name] for name in shown if name in members}


def cache_to_wire(cache: ProjectCache) -> dict[str, Any]:
    """The shape ProjectCache."""
    return to_members(cache)


def environment_to_wire(environment: ProjectEnvironment) -> dict[str, Any]:
    """The shape ProjectEnvironment. Variables have the references of secrets, never what these say (reference 3.2)."""
    return to_members(environment)


def logs_config_to_wire(logs: LogsConfig) -> dict[str, Any]:
    """The shape LogsConfig: `cloudWatchLogs` and `s3Logs`, which a Build's `logs` repeats."""
    return to_members(logs)


def key_arn(key: str | None, owner: Owner) -> str:
    """The ARN of the key that encrypts, by default AWS's own for S3 (reference 14)."""
    name = key or "alias/aws/s3"
    return name if name.startswith("arn:") else f"arn:aws:kms:{owner.region}:{owner.account}:{name}"
