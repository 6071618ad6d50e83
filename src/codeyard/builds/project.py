"""What a project is, how it is stored, and how AWS's clients see it. Pure.

How one comes from a caller's input is in `project_input`, what StartBuild changes for one build in `project_overrides`.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from codeyard.builds.members import from_members, to_members
from codeyard.builds.project_parts import (
    DEFAULT_LOGS,
    NO_CACHE,
    BuildBatchConfig,
    FileSystemLocation,
    LogsConfig,
    ProjectArtifacts,
    ProjectCache,
    ProjectEnvironment,
    ProjectSource,
    SourceVersion,
    Tag,
    Visibility,
    VpcConfig,
)
from codeyard.builds.project_wire import artifacts_to_wire, key_arn
from codeyard.ident import Owner

_STORED = 1  # the version of the stored form


@dataclass(frozen=True, slots=True)
class Project:
    """A build project. The defaults are AWS's (reference 14); times are aware UTC."""

    name: str
    source: ProjectSource
    artifacts: ProjectArtifacts
    environment: ProjectEnvironment
    service_role: str
    created: datetime
    last_modified: datetime
    description: str | None = None
    secondary_sources: tuple[ProjectSource, ...] = ()
    source_version: str | None = None
    secondary_source_versions: tuple[SourceVersion, ...] = ()
    secondary_artifacts: tuple[ProjectArtifacts, ...] = ()
    cache: ProjectCache = NO_CACHE
    timeout_in_minutes: int = 60
    queued_timeout_in_minutes: int = 480
    encryption_key: str | None = None  # as it was given: an ARN, or alias/…; None: AWS's own for S3
    tags: tuple[Tag, ...] = ()
    vpc_config: VpcConfig | None = None
    badge_enabled: bool = False
    logs_config: LogsConfig = DEFAULT_LOGS
    file_system_locations: tuple[FileSystemLocation, ...] = ()
    build_batch_config: BuildBatchConfig | None = None
    concurrent_build_limit: int | None = None
    project_visibility: Visibility = Visibility.PRIVATE
    public_project_alias: str | None = None
    resource_access_role: str | None = None
    auto_retry_limit: int | None = None
    cache_scope: str = ""  # whose caches its builds share: another one from InvalidateProjectCache on

    @property
    def resource(self) -> str:
        """The last part of the ARN (reference 2.1)."""
        return f"project/{self.name}"

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that the service takes on for this project, and that whoever sets them must be let pass."""
        batch = self.build_batch_config.service_role if self.build_batch_config is not None else None
        return tuple(dict.fromkeys(role for role in (self.service_role, batch) if role is not None))

    def version_of(self, identifier: str) -> str | None:
        """The version of a secondary source."""
        versions = {each.source_identifier: each.source_version for each in self.secondary_source_versions}
        return versions.get(identifier)


def to_json(project: Project) -> str:
    """The project as text (ASCII), for a row or a journal; `from_json` reads it back the same."""
    members = to_members(project)
    times = {name: members[name].isoformat() for name in ("created", "lastModified")}
    return json.dumps({"version": _STORED, "project": members | times}, separators=(",", ":"))


def from_json(text: str) -> Project:
    """What `to_json` wrote."""
    stored = json.loads(text)
    assert stored["version"] == _STORED, "a project stored by a later version of this program"
    return from_members(Project, stored["project"])


def to_wire(project: Project, owner: Owner) -> dict[str, Any]:
    """The shape `Project`, with AWS's defaults shown (reference 14); a list that is empty is `[]`."""
    members = to_members(project)
    badge = members.pop("badgeEnabled")
    del members["cacheScope"]
    if not members["fileSystemLocations"]:
        del members["fileSystemLocations"]
    return {
        **members,
        "arn": owner.arn(project.resource),
        "artifacts": artifacts_to_wire(project.artifacts, project.name),
        "secondaryArtifacts": [artifacts_to_wire(each, project.name) for each in project.secondary_artifacts],
        "encryptionKey": key_arn(project.encryption_key, owner),
        "badge": {"badgeEnabled": badge},
    }
