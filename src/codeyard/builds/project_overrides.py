"""What StartBuild changes about a project for one build, and only for it. Pure."""

from dataclasses import replace
from typing import Any, TypeVar

from codeyard.aws import Refused, Shape
from codeyard.builds.members import read_members
from codeyard.builds.model import Variable
from codeyard.builds.project import Project
from codeyard.builds.project_input import checked
from codeyard.builds.project_parts import (
    ArtifactsType,
    ProjectArtifacts,
    ProjectEnvironment,
    ProjectSource,
    SourceType,
    SourceVersion,
)
from codeyard.builds.project_rules import check_role, role_account

# StartBuildInput's member → that of the part which it replaces.
_SOURCE = {
    "sourceTypeOverride": "type",
    "sourceLocationOverride": "location",
    "sourceAuthOverride": "auth",
    "gitCloneDepthOverride": "gitCloneDepth",
    "gitSubmodulesConfigOverride": "gitSubmodulesConfig",
    "buildspecOverride": "buildspec",
    "insecureSslOverride": "insecureSsl",
    "reportBuildStatusOverride": "reportBuildStatus",
    "buildStatusConfigOverride": "buildStatusConfig",
}
_ENVIRONMENT = {
    "environmentTypeOverride": "type",
    "imageOverride": "image",
    "computeTypeOverride": "computeType",
    "certificateOverride": "certificate",
    "privilegedModeOverride": "privilegedMode",
    "registryCredentialOverride": "registryCredential",
    "imagePullCredentialsTypeOverride": "imagePullCredentialsType",
    "fleetOverride": "fleet",
    "hostKernelOverride": "hostKernel",
}
_PROJECT = {
    "artifactsOverride": "artifacts",
    "secondaryArtifactsOverride": "secondaryArtifacts",
    "secondarySourcesOverride": "secondarySources",
    "sourceVersion": "sourceVersion",
    "cacheOverride": "cache",
    "serviceRoleOverride": "serviceRole",
    "timeoutInMinutesOverride": "timeoutInMinutes",
    "queuedTimeoutInMinutesOverride": "queuedTimeoutInMinutes",
    "encryptionKeyOverride": "encryptionKey",
    "logsConfigOverride": "logsConfig",
    "autoRetryLimitOverride": "autoRetryLimit",
}
# Each member of StartBuild that says something of the project: the part of it ("": the project itself), and the member.
START_MEMBERS = {
    **{name: ("", member) for name, member in _PROJECT.items()},
    **{name: ("source", member) for name, member in _SOURCE.items()},
    **{name: ("environment", member) for name, member in _ENVIRONMENT.items()},
    "environmentVariablesOverride": ("environment", "environmentVariables"),
    "secondarySourcesVersionOverride": ("", "secondarySourceVersions"),
}
_PIPELINE = "ArtifactsOverride must be set when using artifacts type CodePipelines"  # observed (reference 4.5)
_P = TypeVar("_P", ProjectSource, ProjectEnvironment, Project)


def overridden(project: Project, given: Shape) -> Project:
    """The project as one StartBuild wants it: whole parts are replaced, variables and versions one by one.

    Refused as UpdateProject would be. That the caller may pass `serviceRoleOverride` is not looked at here.
    """
    changed = _changed(project, given)
    changed = replace(changed, secondary_source_versions=_versions(project, changed, given))
    if changed.artifacts.type is ArtifactsType.CODEPIPELINE:
        raise Refused("InvalidInputException", _PIPELINE)
    return checked(changed) if changed != project else project


def handed_over(project: Project, given: Shape, version: str) -> Project:
    """The project as one pipeline's action wants it: as `overridden`, but sources and artifacts are the pipeline's,
    whatever the project has (reference 4.5). `version` is that of the primary input. Refused, as there.
    """
    changed = _changed(project, given)
    source = replace(
        changed.source, type=SourceType.CODEPIPELINE, location=None, auth=None, git_clone_depth=None,
        report_build_status=None, build_status_config=None,
    )  # fmt: skip
    return checked(
        replace(
            changed, source=source, source_version=version, secondary_sources=(), secondary_source_versions=(),
            artifacts=ProjectArtifacts(ArtifactsType.CODEPIPELINE), secondary_artifacts=(), badge_enabled=False,
        )
    )  # fmt: skip


def _changed(project: Project, given: Shape) -> Project:
    if given.get("serviceRoleOverride") is not None:
        check_role(given["serviceRoleOverride"], role_account(project.service_role))
    return replace(
        _with(project, _PROJECT, given),
        source=_source(project.source, given),
        environment=_environment(project.environment, given),
    )


def start_variables(given: Shape) -> tuple[Variable, ...]:
    """The variables of the call itself, which go before the project's and the buildspec's (reference 3.2)."""
    found = read_members(ProjectEnvironment, {"environmentVariables": given.get("environmentVariablesOverride")})
    variables: tuple[Variable, ...] = found.get("environment_variables", ())
    return variables


def _with(part: _P, names: dict[str, str], given: Shape) -> _P:
    members = {member: given[name] for name, member in names.items() if given.get(name) is not None}
    changes: dict[str, Any] = read_members(type(part), members)
    return replace(part, **changes)


def _source(source: ProjectSource, given: Shape) -> ProjectSource:
    changed = _with(source, _SOURCE, given)
    return replace(changed, location=None) if changed.type is SourceType.NO_SOURCE else changed


def _environment(environment: ProjectEnvironment, given: Shape) -> ProjectEnvironment:
    """A variable replaces the one of its name, type included, and else is added."""
    changed = _with(environment, _ENVIRONMENT, given)
    variables = {each.name: each for each in (*environment.environment_variables, *start_variables(given))}
    if not start_variables(given):
        return changed
    return replace(changed, environment_variables=tuple(variables.values()))


def _versions(project: Project, changed: Project, given: Shape) -> tuple[SourceVersion, ...]:
    """A version replaces the one of its source; versions of sources that the call took away are dropped."""
    found = read_members(Project, {"secondarySourceVersions": given.get("secondarySourcesVersionOverride")})
    here = {source.source_identifier for source in changed.secondary_sources}
    kept = [each for each in project.secondary_source_versions if each.source_identifier in here]
    named: tuple[SourceVersion, ...] = found.get("secondary_source_versions", ())
    return tuple({each.source_identifier: each for each in (*kept, *named)}.values())
