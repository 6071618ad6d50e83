"""Which variables a build sees, and which level of them wins (reference 3.1, 3.2). Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from codeyard.builds.buildspec import Buildspec
from codeyard.builds.model import Settings, Variable, VariableType

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What fetching a source told. `directory` is its absolute path inside."""

    directory: str
    repository: str = ""
    version: str = ""
    resolved: str | None = None
    secondary: dict[str, "SourceFacts"] = field(default_factory=dict)


def merged(settings: Settings, spec: Buildspec) -> tuple[Variable, ...]:
    """The variables asked for: start call over project over buildspec; the winner's type goes with its value."""
    levels: tuple[Iterable[Variable], ...] = (
        (Variable(name, value) for name, value in spec.env.variables.items()),
        (Variable(name, value, VariableType.PARAMETER_STORE) for name, value in spec.env.parameter_store.items()),
        (Variable(name, value, VariableType.SECRETS_MANAGER) for name, value in spec.env.secrets_manager.items()),
        settings.project_variables,
        settings.overrides,
    )
    found: dict[str, Variable] = {}
    for level in levels:
        found.update((variable.name, variable) for variable in level)
    return tuple(found.values())


def builtin(settings: Settings, source: SourceFacts, started: datetime) -> dict[str, str]:
    """The variables that CodeBuild itself sets."""
    owner, id = settings.owner, str(settings.id)
    variables = {
        "AWS_REGION": owner.region,
        "AWS_DEFAULT_REGION": owner.region,
        "CODEBUILD_CI": "true",
        "CODEBUILD_BUILD_ID": id,
        "CODEBUILD_BUILD_ARN": owner.arn(f"build/{id}"),
        "CODEBUILD_BUILD_NUMBER": str(settings.number),
        "CODEBUILD_BUILD_IMAGE": settings.image,
        "CODEBUILD_BUILD_SUCCEEDING": "1",
        "CODEBUILD_BUILD_URL": settings.build_url
        or f"https://{owner.region}.console.aws.amazon.com/codebuild/home?region={owner.region}#/builds/{id}/view/new",
        "CODEBUILD_PROJECT_ARN": owner.arn(f"project/{settings.id.project}"),
        "CODEBUILD_INITIATOR": settings.initiator,
        "CODEBUILD_KMS_KEY_ID": settings.encryption_key or f"arn:aws:kms:{owner.region}:{owner.account}:alias/aws/s3",
        "CODEBUILD_LOG_PATH": settings.log_path or settings.id.run,
        "CODEBUILD_START_TIME": str(int(started.timestamp() * 1000)),
        "CODEBUILD_SRC_DIR": source.directory,
        "CODEBUILD_SOURCE_REPO_URL": source.repository,
        "CODEBUILD_SOURCE_VERSION": source.version,
    }
    if settings.public_url is not None:
        variables["CODEBUILD_PUBLIC_BUILD_URL"] = settings.public_url
    if source.resolved is not None:
        variables["CODEBUILD_RESOLVED_SOURCE_VERSION"] = source.resolved
    for identifier, other in source.secondary.items():
        variables[f"CODEBUILD_SRC_DIR_{identifier}"] = other.directory
        variables[f"CODEBUILD_SOURCE_REPO_URL_{identifier}"] = other.repository
        variables[f"CODEBUILD_SOURCE_VERSION_{identifier}"] = other.version
    return variables


def settable(name: str) -> bool:
    """Whether a shell can export a variable of this name; others would break every later command (reference 1.3)."""
    return _NAME.fullmatch(name) is not None
