"""A pipeline's own compute, which runs the Commands action: a build of a project that nobody created. Pure.

"Commands action reference" in the CodePipeline guide.
"""

import re
from datetime import datetime

from codeyard.builds.project import Project
from codeyard.builds.project_parts import (
    ArtifactsType,
    CloudWatchLogs,
    LogsConfig,
    ProjectArtifacts,
    ProjectEnvironment,
    ProjectSource,
    SourceType,
    VpcConfig,
)

TIMEOUT = 55  # minutes
_NAME_AT_MOST = 150


def managed_project(
    pipeline: str,
    role: str,
    buildspec: str,
    environment: ProjectEnvironment,
    now: datetime,
    vpc: VpcConfig | None = None,
) -> Project:
    """The project of one such build: the pipeline's role and log group, and a buildspec's text that the caller made."""
    return Project(
        name=managed_name(pipeline),
        source=ProjectSource(SourceType.CODEPIPELINE, buildspec=buildspec),
        artifacts=ProjectArtifacts(ArtifactsType.CODEPIPELINE),
        environment=environment,
        service_role=role,
        created=now,
        last_modified=now,
        timeout_in_minutes=TIMEOUT,
        logs_config=LogsConfig(CloudWatchLogs(group_name=log_group(pipeline))),
        vpc_config=vpc,
    )


def managed_name(pipeline: str) -> str:
    """What its builds' ids begin with: the pipeline's name, as far as a project could be called that."""
    return f"codepipeline-{re.sub(r'[^A-Za-z0-9_-]', '_', pipeline)}"[:_NAME_AT_MOST]


def log_group(pipeline: str) -> str:
    """Where its builds log; a log group's name has no @ in it."""
    return f"/aws/codepipeline/{pipeline.replace('@', '_')}"
