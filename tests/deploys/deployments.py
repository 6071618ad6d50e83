"""Deployments and targets for tests."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from codeyard.artifacts import Digest
from codeyard.deploys import EVENTS, EventReport, EventStatus, Kind, progress
from codeyard.deploys.model import Deployment, DeploymentRequest, DeploymentTarget
from codeyard.deploys.selection import Selection
from codeyard.ident import Owner

OWNER = Owner()
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TREE = Digest("a" * 64)
WEB = {"role": "web"}


def request(tree: Digest = TREE, **given: Any) -> DeploymentRequest:
    known = {"owner": OWNER, "application": "site", "group": "live/go", "kind": Kind.RELEASE, "group_id": "g1"}
    return DeploymentRequest(**{**known, "tree": tree, "targets": Selection.of_tags(WEB), **given})


def deployment(id: str = "d-AAAAAAAAA", **given: Any) -> Deployment:
    return Deployment(id, request(**given), NOW)


def targets(count: int, *, healthy: bool = True) -> tuple[DeploymentTarget, ...]:
    return tuple(DeploymentTarget(f"t{number}", f"web-{number}", healthy) for number in range(count))


def begun(count: int = 2, *, healthy: bool = True, **given: Any) -> Deployment:
    return progress.begun(deployment(**given), targets(count, healthy=healthy), NOW)


def event(name: str, status: EventStatus = EventStatus.SUCCEEDED, **given: Any) -> EventReport:
    return EventReport(name, status, **given)


def statuses(found: Deployment) -> list[str]:
    return [target.status.value for target in found.targets]


def event_statuses(target: DeploymentTarget | None) -> list[str]:
    assert target is not None
    return [each.status.value for each in target.events]


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def names(kind: Kind = Kind.RELEASE) -> Iterable[str]:
    return EVENTS[kind]
