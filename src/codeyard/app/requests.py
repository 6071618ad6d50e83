"""What a stored build asks of the engine: its settings, from the project as the start call changed it. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from codeyard.builds.build_wire import log_stream
from codeyard.builds.model import COMPUTE_TYPES, ComputeType, Settings
from codeyard.builds.project_parts import Visibility
from codeyard.builds.project_wire import key_arn
from codeyard.builds.stored import StoredBuild
from codeyard.builds.targets import CachePlace, cache_of, target_of, targets_of

_S3_ARN = "arn:aws:s3:::"


def settings_of(
    stored: StoredBuild, *, build_url: str | None, service_variables: Mapping[str, str], hidden: tuple[str, ...]
) -> Settings:
    """All that decides the build but its sources and the machine."""
    project, environment = stored.project, stored.project.environment
    stream = log_stream(stored)
    key, cache = key_arn(project.encryption_key, stored.owner), cache_place(stored)
    known = COMPUTE_TYPES.get(environment.compute_type)
    return Settings(
        id=stored.id,
        owner=stored.owner,
        number=stored.number,
        initiator=stored.initiator,
        image=environment.image,
        submitted=stored.build.started,
        claimed=stored.claimed,
        compute=known or ComputeType(environment.compute_type, stored.need.cpus, stored.need.memory),
        privileged=environment.privileged_mode,
        buildspec=project.source.buildspec or None,
        overrides=stored.variables,
        project_variables=environment.environment_variables,
        artifacts=target_of(project.artifacts, project.name, key),
        secondary_artifacts=targets_of(project.secondary_artifacts, key),
        outputs=None if stored.handed is None else stored.handed.outputs,
        cache=cache is not None,
        cache_scope=None if cache is None else cache.scope,
        timeout=timedelta(minutes=project.timeout_in_minutes),
        log_path=None if stream is None else stream[1],
        encryption_key=key,
        build_url=build_url,
        public_url=build_url if project.project_visibility is Visibility.PUBLIC_READ else None,
        service_variables=dict(service_variables),
        hidden=hidden,
    )


def cache_place(stored: StoredBuild) -> CachePlace | None:
    """Which cache it has. InvalidateProjectCache gives the project another scope; a namespace is shared, and stays."""
    project = stored.project
    place = cache_of(project.cache, project.name)
    if place is None or project.cache.cache_namespace:
        return place
    return replace(place, scope=f"{place.scope}:{project.cache_scope}")
