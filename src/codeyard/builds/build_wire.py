"""A build as AWS's clients see it: the shape `Build`. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from codeyard.artifacts import publish
from codeyard.builds.members import to_members
from codeyard.builds.model import Context, Phase, PhaseRecord, Status
from codeyard.builds.project_parts import ArtifactsType, LogStatus, Namespace, Packaging, ProjectArtifacts
from codeyard.builds.project_wire import (
    build_artifacts_to_wire,
    cache_to_wire,
    environment_to_wire,
    key_arn,
    logs_config_to_wire,
    source_to_wire,
)
from codeyard.builds.queue import Place
from codeyard.builds.stored import Standing, StoredBuild

_S3 = "arn:aws:s3:::"


def to_wire(stored: StoredBuild, place: Place | None = None, log_link: str | None = None) -> dict[str, Any]:
    """The shape `Build`. `place` is where it stands in the queue, if it waits, and `log_link` where people read its
    log, if not in AWS's console. What the build does not have yet is left out; a list that is empty is `[]`.
    """
    build, project, facts = stored.build, stored.project, stored.facts
    source = facts.get("source") or {}
    shown = {
        "id": str(stored.id),
        "arn": stored.arn,
        "buildNumber": stored.number,
        "startTime": build.started,
        "endTime": build.ended,
        "currentPhase": build.phase.value,
        "buildStatus": build.status.value,
        "buildComplete": stored.ended,
        "initiator": stored.initiator,
        "projectName": stored.id.project,
        "phases": [_phase(record, place) for record in build.records],
        "sourceVersion": project.source_version,
        "resolvedSourceVersion": source.get("resolved"),
        "source": source_to_wire(project.source),
        "secondarySources": [source_to_wire(each) for each in project.secondary_sources],
        "secondarySourceVersions": [to_members(each) for each in project.secondary_source_versions],
        "artifacts": _artifacts(stored, project.artifacts, ""),
        "secondaryArtifacts": [
            _artifacts(stored, each, each.artifact_identifier or "") for each in project.secondary_artifacts
        ],
        "cache": cache_to_wire(project.cache),
        "environment": environment_to_wire(project.environment),
        "serviceRole": project.service_role,
        "logs": logs_to_wire(stored, log_link),
        "timeoutInMinutes": project.timeout_in_minutes,
        "queuedTimeoutInMinutes": project.queued_timeout_in_minutes,
        "vpcConfig": None if project.vpc_config is None else to_members(project.vpc_config),
        "encryptionKey": key_arn(project.encryption_key, stored.owner),
        "exportedEnvironmentVariables": _exported(facts),
        "reportArns": [],
        "fileSystemLocations": [to_members(each) for each in project.file_system_locations],
        "debugSession": {"sessionEnabled": False},
        "autoRetryConfig": _retries(stored),
    }
    return _given(shown)


def _phase(record: PhaseRecord, place: Place | None) -> dict[str, Any]:
    """COMPLETED has only a start, and what runs has no end; contexts are from PROVISIONING on (reference 2.2).

    Ours: QUEUED says what the build waits for.
    """
    waits = place is not None and record.phase is Phase.QUEUED and record.ended is None
    contexts: Iterable[Context] = (Context("QUEUED", str(place)),) if waits else record.contexts
    phase = {
        "phaseType": record.phase.value,
        "phaseStatus": None if record.status is None else record.status.value,
        "startTime": record.started,
        "endTime": record.ended,
        "durationInSeconds": record.seconds,
        "contexts": [{"statusCode": each.code, "message": each.message} for each in contexts] or None,
    }
    return _given(phase)


# ── artifacts (reference 5.2, 5.3) ──


def _artifacts(stored: StoredBuild, artifacts: ProjectArtifacts, identifier: str) -> dict[str, Any]:
    made: Mapping[str, Any] = next(
        (each for each in stored.facts.get("artifacts", ()) if each["identifier"] == identifier), {}
    )
    # Of what a pipeline's action makes there is no object until something outside needs one.
    location = "" if stored.handed else made.get("location") or expected_location(stored, artifacts, identifier)
    sums = stored.facts.get("artifact_sums", {}).get(identifier, {})
    return build_artifacts_to_wire(artifacts, location, sums)


def expected_location(stored: StoredBuild, artifacts: ProjectArtifacts, identifier: str = "") -> str:
    """The ARN where the artifact will be, unless the buildspec names it otherwise; "" if there is to be none."""
    if artifacts.type is not ArtifactsType.S3 or not artifacts.location:
        return ""
    key = publish.layout(
        artifacts.path,
        publish.NamespaceType((artifacts.namespace_type or Namespace.NONE).value),
        artifacts.name or identifier or stored.id.project,
        stored.run,
        publish.Packaging((artifacts.packaging or Packaging.NONE).value),
    )
    return f"{_S3}{artifacts.location.removeprefix(_S3)}/{key}".rstrip("/")


# ── logs (reference 10.1, 10.2) ──


def log_stream(stored: StoredBuild) -> tuple[str, str] | None:
    """The log group and stream that the build writes to, if it writes to any."""
    logs = stored.project.logs_config.cloud_watch_logs
    if logs.status is LogStatus.DISABLED:
        return None
    group = logs.group_name or f"/aws/codebuild/{stored.id.project}"
    return group, f"{logs.stream_name}/{stored.run}" if logs.stream_name else stored.run


def s3_log(stored: StoredBuild) -> tuple[str, str] | None:
    """The bucket and key that the log goes to, if it goes to one."""
    logs = stored.project.logs_config.s3_logs
    if logs.status is LogStatus.DISABLED or not logs.location:
        return None
    return publish.log_place(logs.location, stored.run)


def logs_to_wire(stored: StoredBuild, link: str | None = None) -> dict[str, Any]:
    """The shape LogsLocation. Before PROVISIONING there is no stream, and links and ARNs say `null` as AWS's do."""
    shown: dict[str, Any] = dict(logs_config_to_wire(stored.project.logs_config))
    provisioned = any(record.phase is Phase.PROVISIONING for record in stored.build.records)
    stream = log_stream(stored)
    if stream is not None:
        group, name = stream if provisioned else ("null", "null")
        shown |= {"groupName": group, "streamName": name} if provisioned else {}
        shown["deepLink"] = link if link is not None and provisioned else _deep_link(stored, group, name)
        shown["cloudWatchLogsArn"] = (
            f"arn:aws:logs:{stored.owner.region}:{stored.owner.account}:log-group:{group}:log-stream:{name}"
        )
    bucket = s3_log(stored)
    if bucket is not None and provisioned:
        shown["s3LogsArn"] = f"{_S3}{bucket[0]}/{bucket[1]}"
        shown["s3DeepLink"] = f"{link}/log" if link is not None else _s3_deep_link(stored, *bucket)
    return shown


def _deep_link(stored: StoredBuild, group: str, name: str) -> str:
    place = f"{_encoded(group)}/log-events/{_encoded(name)}"
    console = f"https://console.aws.amazon.com/cloudwatch/home?region={stored.owner.region}"
    return f"{console}#logsV2:log-groups/log-group/{place}"


def _s3_deep_link(stored: StoredBuild, bucket: str, key: str) -> str:
    console = f"https://s3.console.aws.amazon.com/s3/object/{bucket}"
    return f"{console}?region={stored.owner.region}&prefix={key}"


def _encoded(text: str) -> str:
    return text.replace("/", "$252F")


# ── the rest ──


def _exported(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in (facts.get("exported") or {}).items()]


def _retries(stored: StoredBuild) -> dict[str, Any]:
    retries, owner = stored.retries, stored.owner
    config = {
        "autoRetryLimit": retries.limit,
        "autoRetryNumber": retries.number,
        "nextAutoRetry": None if retries.next is None else owner.arn(f"build/{retries.next}"),
        "previousAutoRetry": None if retries.previous is None else owner.arn(f"build/{retries.previous}"),
    }
    return _given(config)


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def stopped_to_wire(stored: StoredBuild, log_link: str | None = None) -> dict[str, Any]:
    """What StopBuild answers: of a build that is still about to end, that it was stopped (reference 2.7)."""
    shown = to_wire(stored, log_link=log_link)
    if stored.standing is Standing.RUNNING and stored.build.status is Status.IN_PROGRESS:
        shown["buildStatus"] = Status.STOPPED.value
    return shown
