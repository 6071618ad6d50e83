"""What CreateProject and UpdateProject make of a caller's input. Pure.

created(input, now) → Project → updated(project, input, now) → …
"""

from dataclasses import replace
from datetime import datetime

from codeyard.aws import Shape
from codeyard.builds.members import from_members, read_members
from codeyard.builds.project import Project
from codeyard.builds.project_parts import BuildBatchConfig
from codeyard.builds.project_rules import check_project

_NOT_INPUT = ("created", "lastModified", "projectVisibility", "publicProjectAlias", "resourceAccessRole", "cacheScope")


def created(given: Shape, now: datetime, cache_scope: str = "") -> Project:
    """The project that CreateProject's input describes. Refused, with InvalidInputException."""
    plain = {name: value for name, value in given.items() if name not in _NOT_INPUT}
    return checked(from_members(Project, {**plain, "created": now, "lastModified": now, "cacheScope": cache_scope}))


def updated(project: Project, given: Shape, now: datetime) -> Project:
    """The project after UpdateProject: a member that is given replaces the whole of what was there. Refused."""
    changes = read_members(Project, {name: value for name, value in given.items() if name not in _NOT_INPUT})
    return checked(replace(project, **{**changes, "name": project.name, "last_modified": now}))


def checked(project: Project) -> Project:
    """The project with what is as good as not given left out, if it may be so. Refused."""
    settled = _settled(project)
    check_project(settled)
    return settled


def _settled(project: Project) -> Project:
    """Empty texts and structures take a setting away, as -1 does the limit (UpdateProject)."""
    environment = project.environment
    if environment.fleet is not None and not environment.fleet.fleet_arn:
        environment = replace(environment, fleet=None)
    vpc = project.vpc_config
    given = vpc is not None and (vpc.vpc_id or vpc.subnets or vpc.security_group_ids)
    return replace(
        project,
        description=project.description or None,
        source_version=project.source_version or None,
        environment=environment,
        vpc_config=vpc if given else None,
        build_batch_config=None if project.build_batch_config == BuildBatchConfig() else project.build_batch_config,
        concurrent_build_limit=None if project.concurrent_build_limit == -1 else project.concurrent_build_limit,
    )
