"""What a project's settings of artifacts and caches mean for one build (reference 5.2, 5.4, 6). Pure."""

from dataclasses import dataclass

from codeyard.artifacts.cache import scope_of
from codeyard.builds.model import ArtifactTarget
from codeyard.builds.project_parts import (
    ArtifactsType,
    CacheMode,
    CacheType,
    Namespace,
    Packaging,
    ProjectArtifacts,
    ProjectCache,
)


@dataclass(frozen=True, slots=True)
class CachePlace:
    """Which cache a build has: `store` names the CacheStore, of which there is one for each, `scope` its part of it."""

    store: str  # "s3/bucket/prefix", or "local/project"
    scope: str


def target_of(artifacts: ProjectArtifacts, project: str, encryption_key: str) -> ArtifactTarget | None:
    """Where an artifact of the project goes; None if it goes nowhere: NO_ARTIFACTS.

    `encryption_key` is the project's, or the alias of AWS's own. A location is a bucket's name, or its ARN."""
    if artifacts.type is not ArtifactsType.S3 or not artifacts.location:
        return None
    return ArtifactTarget(
        location=f"s3://{artifacts.location.removeprefix('arn:aws:s3:::')}",
        name=artifacts.name or project,
        zipped=artifacts.packaging is Packaging.ZIP,
        namespaced=artifacts.namespace_type is Namespace.BUILD_ID,
        override_name=bool(artifacts.override_artifact_name),
        path=artifacts.path,
        encrypt_by=None if artifacts.encryption_disabled else encryption_key,
    )


def targets_of(artifacts: tuple[ProjectArtifacts, ...], encryption_key: str) -> dict[str, ArtifactTarget]:
    """Those of the secondary artifacts, by identifier. One without a name has that: they may share a bucket."""
    found = {name: target_of(each, name, encryption_key) for each in artifacts if (name := each.artifact_identifier)}
    return {name: target for name, target in found.items() if target is not None}


def cache_of(cache: ProjectCache, project: str) -> CachePlace | None:
    """The cache of the project's builds; None: it has none, or only what needs no store (sources, Docker layers)."""
    if cache.type is CacheType.S3:
        location = (cache.location or "").removeprefix("arn:aws:s3:::").strip("/")
        return CachePlace(f"s3/{location}", scope_of(project, cache.cache_namespace))
    if cache.type is CacheType.LOCAL and CacheMode.CUSTOM in (cache.modes or ()):
        return CachePlace(f"local/{project}", scope_of(project))
    return None
