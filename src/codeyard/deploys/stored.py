"""Deployments and their targets as JSON, and back. Pure. What is written here is read by later versions too."""

import json
from datetime import datetime
from typing import Any

from codeyard.artifacts import Digest
from codeyard.deploys import EventReport, Kind, report_from_json, report_to_json
from codeyard.deploys.model import (
    Code,
    Deployment,
    DeploymentRequest,
    DeploymentTarget,
    Error,
    RollbackEvent,
    Status,
    TargetStatus,
)
from codeyard.deploys.selection import selection_json, selection_of
from codeyard.deploys.waves import Minimum, Revision, Rule
from codeyard.ident import Owner
from codeyard.store.times import microseconds, time_of


def request_json(asked: DeploymentRequest) -> str:
    return json.dumps(
        {
            "group": asked.group,
            "kind": asked.kind,
            "tree": asked.tree,
            "targets": selection_json(asked.targets),
            "minimum": [asked.minimum.rule, asked.minimum.value],
            "config": asked.config,
            "strict": asked.strict,
            "options": dict(asked.options),
            "roll_back_on": sorted(asked.roll_back_on),
            "description": asked.description,
            "creator": asked.creator,
            "queue": asked.queue,
            "outdated_only": asked.outdated_only,
            "revision": asked.revision,
        }
    )


def request_of(text: str, *, owner: Owner, application: str, group_id: str) -> DeploymentRequest:
    found = json.loads(text)
    rule, value = found["minimum"]
    return DeploymentRequest(
        owner=owner,
        application=application,
        group=found["group"],
        kind=Kind(found["kind"]),
        tree=Digest.parse(found["tree"]),
        targets=selection_of(found["targets"]),
        group_id=group_id,
        minimum=Minimum(Rule(rule), value),
        config=found["config"],
        strict=found["strict"],
        options=found["options"],
        roll_back_on=frozenset(map(RollbackEvent, found["roll_back_on"])),
        description=found["description"],
        creator=found["creator"],
        queue=found["queue"],
        outdated_only=found["outdated_only"],
        revision=found["revision"],
    )


def progress_json(deployment: Deployment) -> str:
    error = deployment.error
    return json.dumps(
        {
            "started": _moment(deployment.started),
            "completed": _moment(deployment.completed),
            "error": None if error is None else [error.code, error.message],
            "stopping": deployment.stopping,
            "stop_rolls_back": deployment.stop_rolls_back,
            "rolls_back": deployment.rolls_back,
            "rolled_back_by": deployment.rolled_back_by,
            "rollback_message": deployment.rollback_message,
        }
    )


def deployment_of(
    id: str,
    status: str,
    created: int,
    version: int,
    progress: str,
    asked: DeploymentRequest,
    targets: tuple[DeploymentTarget, ...],
) -> Deployment:
    found = json.loads(progress)
    error = found["error"]
    return Deployment(
        id,
        asked,
        time_of(created),
        Status(status),
        targets,
        _time(found["started"]),
        _time(found["completed"]),
        None if error is None else Error(Code(error[0]), error[1]),
        found["stopping"],
        found["stop_rolls_back"],
        found["rolls_back"],
        found["rolled_back_by"],
        found["rollback_message"],
        version,
    )


def target_json(target: DeploymentTarget) -> str:
    return json.dumps(
        {
            "healthy": target.healthy,
            "revision": target.revision.value,
            "events": [_event(report) for report in target.events],
            "started": _moment(target.started),
            "lost": target.lost,
            "message": target.message,
        }
    )


def target_of(id: str, name: str, status: str, updated: int | None, text: str) -> DeploymentTarget:
    found = json.loads(text)
    return DeploymentTarget(
        id,
        name,
        found["healthy"],
        Revision(found["revision"]),
        TargetStatus(status),
        tuple(report_from_json(_EMPTY | report) for report in found["events"]),
        _time(found["started"]),
        _time(updated),
        found["lost"],
        found["message"],
    )


_EMPTY: dict[str, Any] = {"errorCode": "", "script": "", "message": "", "logTail": "", "started": None, "ended": None}


def _event(report: EventReport) -> dict[str, Any]:
    """Without what is empty: most events of most targets have not begun."""
    return {name: value for name, value in report_to_json(report).items() if value not in (None, "")}


def _moment(at: datetime | None) -> int | None:
    return None if at is None else microseconds(at)


def _time(at: int | None) -> datetime | None:
    return None if at is None else time_of(at)
