"""What a project may not be: the rules that AWS's model cannot say. Pure.

Each is refused with InvalidInputException, by the first that is broken. Texts that were observed are AWS's (reference
13.2, and where a comment says so); the others are ours, in the same form.
"""

import re
from collections import Counter
from collections.abc import Iterable

from codeyard.aws import Refused
from codeyard.builds.environment_rules import check_environment, is_lambda
from codeyard.builds.members import to_members
from codeyard.builds.project import Project, to_json
from codeyard.builds.project_parts import (
    ArtifactsType,
    CacheType,
    LogsConfig,
    LogStatus,
    ProjectArtifacts,
    ProjectCache,
    ProjectSource,
    SourceType,
    Tag,
)
from codeyard.builds.project_sources import GIT_TYPES, spec_of
from codeyard.errors import Invalid

LIMIT = 1 << 20  # bytes of a project as it is stored
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{1,149}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_]{1,127}")
_BUCKET = re.compile(r"(?:arn:aws:s3:::)?[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_PREFIXED = re.compile(r"(?:arn:aws:s3:::)?[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9](?:/[^\x00-\x1f\x7f]{0,1024})?")
_GROUP = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")  # CreateLogGroup, logGroupName
_STREAM = re.compile(
    r"[^:*\x00-\x1f]{1,400}"
)  # CreateLogStream, logStreamName: 512, of which the build's id needs some
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):role/[\x21-\x7e]{1,576}")
_KEY = re.compile(
    r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(?:key|alias)/[A-Za-z0-9/_-]{1,256}|alias/[A-Za-z0-9/_-]{1,250}"
)
# Observed at CreateProject, for sources; the same is asked of the others.
_IDENTIFIERS = (
    "identifier must contain only alphanumeric characters and underscores and be less than 128 characters in length"
)
_PIPELINE = "when using CodePipeline both sourceType, and artifactType must be set to: CODEPIPELINE"  # observed


def check_project(project: Project) -> None:
    """Nothing, if there can be such a project in the account of its service role. Refused."""
    check_name(project.name)
    account = role_account(project.service_role)
    for role in project.roles:
        check_role(role, account)
    _check_sources(project)
    _check_artifacts(project)
    check_environment(project.environment, account)
    _check_cache(project.cache)
    _check_logs(project.logs_config)
    _check_tags(project.tags)
    _check_network(project)
    _check_limits(project)
    if len(to_json(project)) > LIMIT:
        raise _invalid(f"the project is larger than {LIMIT} bytes")


def check_name(name: str) -> None:
    """Refused if no project can be called that."""
    if not is_name(name):
        raise Refused("InvalidInputException", "Only alphanumeric characters, dash, and underscore are supported")


def is_name(text: str) -> bool:
    """Whether a project could be called that (ProjectName)."""
    return _NAME.fullmatch(text) is not None


def role_account(role: str) -> str:
    """The account of a role's ARN. Refused if it is none."""
    match = _ROLE.fullmatch(role)
    if match is None:
        raise Refused("InvalidInputException", "Invalid service role")  # observed
    return match[1]


def check_role(role: str, account: str) -> None:
    """Refused unless it is the ARN of a role of this account."""
    if role_account(role) != account:
        text = "Invalid service role: Service role account ID does not match caller's account"
        raise Refused("InvalidInputException", text)


# ── sources and artifacts (reference 4, 5) ──


def _check_sources(project: Project) -> None:
    _check_source(project.source, project.source_version)
    pipeline = (project.source.type is SourceType.CODEPIPELINE, project.artifacts.type is ArtifactsType.CODEPIPELINE)
    if pipeline[0] != pipeline[1]:
        raise _invalid(_PIPELINE)
    if project.source.type is SourceType.NO_SOURCE and not project.source.buildspec:
        raise _invalid("a buildspec is required when the source type is NO_SOURCE")
    if project.badge_enabled and (project.source.type not in GIT_TYPES or is_lambda(project.environment)):
        raise _invalid(f"badgeEnabled is not supported for source type {project.source.type}")
    _check_identifiers("sourceIdentifier", (source.source_identifier for source in project.secondary_sources))
    for source in project.secondary_sources:
        if source.type in (SourceType.CODEPIPELINE, SourceType.NO_SOURCE):
            raise _invalid(f"source type {source.type} is not supported for secondary sources")
        _check_source(source, project.version_of(source.source_identifier or ""))
    known = {source.source_identifier for source in project.secondary_sources}
    for version in project.secondary_source_versions:
        if version.source_identifier not in known:
            raise _invalid(f"there is no secondary source {version.source_identifier[:128]!r} to give a version of")


def _check_source(source: ProjectSource, version: str | None) -> None:
    if source.type not in (SourceType.CODEPIPELINE, SourceType.NO_SOURCE):
        if not source.location:
            raise Refused("InvalidInputException", "Project source location is required")
        try:
            spec_of(source, version)
        except Invalid as error:
            text = f"Invalid project source: location must be a valid {source.type} source: {error.what}: {error.why}"
            raise Refused("InvalidInputException", f"{text} {error.fix}") from None
    if source.report_build_status and (source.type not in GIT_TYPES or source.type is SourceType.CODECOMMIT):
        raise _invalid(f"reportBuildStatus is not supported for source type {source.type}")
    if source.auth is not None and source.auth.type != "OAUTH" and not source.auth.resource:
        raise _invalid(f"auth of type {source.auth.type} requires a resource")


def _check_artifacts(project: Project) -> None:
    _check_target(project.artifacts)
    _check_identifiers("artifactIdentifier", (each.artifact_identifier for each in project.secondary_artifacts))
    for artifacts in project.secondary_artifacts:
        if artifacts.type is ArtifactsType.CODEPIPELINE:
            raise _invalid("artifact type CODEPIPELINE is not supported for secondary artifacts")
        _check_target(artifacts)


def _check_target(artifacts: ProjectArtifacts) -> None:
    where = f"Invalid artifacts: artifact type {artifacts.type}"
    if artifacts.type is ArtifactsType.NO_ARTIFACTS and artifacts.location:
        raise Refused("InvalidInputException", f"{where} should have null location")
    if artifacts.encryption_disabled and artifacts.type is not ArtifactsType.S3:
        raise Refused("InvalidInputException", f"{where} cannot have encryptionDisabled")
    if artifacts.type is ArtifactsType.S3 and _BUCKET.fullmatch(artifacts.location or "") is None:
        raise Refused("InvalidInputException", f"{where} should have a bucket's name as its location")
    for text in (artifacts.path or "", artifacts.name or ""):
        if len(text) > 1024 or re.search(r"[\x00-\x1f\x7f]", text):
            raise Refused("InvalidInputException", f"{where} has a path or name that no object can have")


def _check_identifiers(member: str, identifiers: Iterable[str | None]) -> None:
    names = [name or "" for name in identifiers]
    if any(not name for name in names):
        raise _invalid(f"{member} is required")
    if any(_IDENTIFIER.fullmatch(name) is None for name in names):
        raise _invalid(_IDENTIFIERS)
    _check_unique(member, names)


def _check_unique(what: str, names: Iterable[str]) -> None:
    name, count = (Counter(names).most_common(1) or [("", 0)])[0]
    if count > 1:
        raise _invalid(f"{what} {name!r} is given more than once")


# ── the rest (reference 6, 10, 13.1) ──


def _check_cache(cache: ProjectCache) -> None:
    if cache.type is CacheType.S3 and _PREFIXED.fullmatch(cache.location or "") is None:
        text = "Invalid cache: location must be a valid S3 bucket, followed by slash and the prefix"
        raise Refused("InvalidInputException", text)
    if cache.type is CacheType.LOCAL and not cache.modes:
        raise Refused("InvalidInputException", "Invalid cache: cache type LOCAL requires at least one mode")


def _check_logs(logs: LogsConfig) -> None:
    cloud, bucket = logs.cloud_watch_logs, logs.s3_logs
    if cloud.group_name and _GROUP.fullmatch(cloud.group_name) is None:
        raise Refused("InvalidInputException", "Invalid logs config: groupName is not a log group's name")
    if cloud.stream_name and _STREAM.fullmatch(cloud.stream_name) is None:
        raise Refused("InvalidInputException", "Invalid logs config: streamName cannot begin a log stream's name")
    if bucket.status is LogStatus.ENABLED and _PREFIXED.fullmatch(bucket.location or "") is None:
        raise Refused("InvalidInputException", "Invalid logs config: location of S3 logs must be a valid S3 bucket")


def _check_tags(tags: tuple[Tag, ...]) -> None:
    """Reference 13.1; the model has the characters and lengths."""
    for tag in tags:
        if tag.key.lower().startswith("aws:"):
            raise _invalid("a tag's key cannot begin with aws:")
        if not tag.key.strip() or tag.key != tag.key.rstrip() or tag.value != tag.value.rstrip():
            raise _invalid("a tag's key or value is only spaces, or ends in one")
    _check_unique("tag", (tag.key for tag in tags))


def _check_network(project: Project) -> None:
    vpc = project.vpc_config
    if vpc is not None and not (vpc.vpc_id and vpc.subnets and vpc.security_group_ids):
        raise _invalid("vpcConfig requires vpcId, subnets and securityGroupIds")
    systems = project.file_system_locations
    _check_identifiers("identifier of a file system", (each.identifier for each in systems))
    if any(not (each.location and each.mount_point) for each in systems):
        raise _invalid("a file system requires location and mountPoint")


def _check_limits(project: Project) -> None:
    if project.concurrent_build_limit is not None and project.concurrent_build_limit < 1:
        raise _invalid("concurrentBuildLimit must be at least 1; -1 takes it away")
    if project.auto_retry_limit is not None and not 0 <= project.auto_retry_limit <= 10:
        raise _invalid("autoRetryLimit must be from 0 to 10")
    if not 5 <= project.timeout_in_minutes <= 2160 or not 5 <= project.queued_timeout_in_minutes <= 480:
        raise _invalid("timeoutInMinutes must be from 5 to 2160, and queuedTimeoutInMinutes from 5 to 480")
    if project.encryption_key and _KEY.fullmatch(project.encryption_key) is None:
        raise _invalid("encryptionKey must be the ARN of a key or alias, or alias/ and its name")
    batch = project.build_batch_config
    if batch is not None and batch.service_role is None:
        raise _invalid("buildBatchConfig requires a serviceRole")
    if is_lambda(project.environment) and _beyond_lambda(project):
        raise _invalid(f"{_beyond_lambda(project)} is not supported for environment type {project.environment.type}")


def _beyond_lambda(project: Project) -> str | None:
    """What Lambda's environments cannot do, of what is asked (reference 3.5)."""
    members = to_members(project)
    asked = ("vpcConfig", "fileSystemLocations", "badgeEnabled")
    if project.environment.certificate:
        return "certificate"
    return "cache" if project.cache.type is not CacheType.NO_CACHE else next((n for n in asked if members.get(n)), None)


def _invalid(text: str) -> Refused:
    return Refused("InvalidInputException", f"Invalid input: {text}")
