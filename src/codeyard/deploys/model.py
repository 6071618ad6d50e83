"""What a deployment is, and what it is asked for with. Pure.

Words and statuses are CodeDeploy's (API Reference, DeploymentInfo and InstanceTarget).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from codeyard.artifacts import Digest
from codeyard.deploys import EVENTS, MAX_NAME, Assignment, EventReport, EventStatus, Kind
from codeyard.deploys.selection import Selection
from codeyard.deploys.waves import DEFAULT, PREDEFINED, Minimum, Revision
from codeyard.ident import Owner

MOST_TARGETS = 1000  # of one deployment (CodeDeploy's quotas)
LONGEST = timedelta(hours=12)  # of a deployment in place
LONGEST_EVENT = timedelta(seconds=3600)
GRACE = timedelta(seconds=60)  # for the report of an event that ended at the last moment
ROLLBACK = "codeDeployRollback"


class Status(StrEnum):
    CREATED = "Created"
    QUEUED = "Queued"
    IN_PROGRESS = "InProgress"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"


ENDED = (Status.SUCCEEDED, Status.FAILED, Status.STOPPED)


class TargetStatus(StrEnum):
    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"


class Code(StrEnum):
    """CodeDeploy's error codes of a deployment, of those that we give."""

    AGENT_ISSUE = "AGENT_ISSUE"
    HEALTH_CONSTRAINTS = "HEALTH_CONSTRAINTS"
    HEALTH_CONSTRAINTS_INVALID = "HEALTH_CONSTRAINTS_INVALID"
    MANUAL_STOP = "MANUAL_STOP"
    NO_INSTANCES = "NO_INSTANCES"
    OVER_MAX_INSTANCES = "OVER_MAX_INSTANCES"
    TIMEOUT = "TIMEOUT"


class RollbackEvent(StrEnum):
    """What may lead to a rollback; the values are those of AutoRollbackEvent."""

    FAILURE = "DEPLOYMENT_FAILURE"
    ALARM = "DEPLOYMENT_STOP_ON_ALARM"
    REQUEST = "DEPLOYMENT_STOP_ON_REQUEST"


@dataclass(frozen=True, slots=True)
class Target:
    """A machine whose agent has enrolled."""

    id: str  # a uuid
    owner: Owner
    name: str
    tags: Mapping[str, str]
    registered: datetime
    heard: datetime  # when its agent last asked
    removed: datetime | None = None

    @property
    def arn(self) -> str:
        return f"arn:aws:codedeploy:{self.owner.region}:{self.owner.account}:instance/{self.name}"


@dataclass(frozen=True, slots=True)
class DeploymentRequest:
    """What a deployment is to do. `application` and `group` need no rows: a pipeline names its own and its action."""

    owner: Owner
    application: str
    group: str
    kind: Kind
    tree: Digest
    targets: Selection
    group_id: str = ""  # empty: one that follows from owner, application and group
    minimum: Minimum = PREDEFINED[DEFAULT]
    config: str = DEFAULT  # the minimum's name
    strict: bool = False  # any failure fails it, also one that the minimum would allow
    options: Mapping[str, str] = field(default_factory=dict)  # for the targets
    roll_back_on: frozenset[RollbackEvent] = frozenset()
    description: str = ""
    creator: str = "user"
    queue: bool = False  # wait for a deployment of the group that is in flight; else be refused
    outdated_only: bool = False  # leave out targets that have the group's current revision
    revision: Mapping[str, Any] | None = None  # a shape RevisionLocation, as clients are shown it


@dataclass(frozen=True, slots=True)
class DeploymentTarget:
    """One target of a deployment."""

    id: str
    name: str
    healthy: bool  # when the deployment began: the last one to it of the group had succeeded
    revision: Revision = Revision.UNKNOWN  # likewise
    status: TargetStatus = TargetStatus.PENDING
    events: tuple[EventReport, ...] = ()  # of all lifecycle events, in order
    started: datetime | None = None
    updated: datetime | None = None
    lost: bool = False  # it failed because nothing was heard of it
    message: str = ""  # why it failed, where no event says it

    @property
    def ended(self) -> bool:
        return self.status not in (TargetStatus.PENDING, TargetStatus.IN_PROGRESS)

    @property
    def event_began(self) -> datetime | None:
        """When the event began that is under way, as the server saw it."""
        under_way = any(event.status is EventStatus.IN_PROGRESS for event in self.events)
        return self.updated if under_way else None


@dataclass(frozen=True, slots=True)
class Error:
    code: Code
    message: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """One attempt to put one revision on the targets of one group."""

    id: str  # `d-` and nine upper-case letters and digits
    request: DeploymentRequest
    created: datetime
    status: Status = Status.CREATED
    targets: tuple[DeploymentTarget, ...] = ()
    started: datetime | None = None
    completed: datetime | None = None
    error: Error | None = None
    stopping: bool = False  # somebody asked for its stop
    stop_rolls_back: bool = False  # and for its rollback
    rolls_back: str | None = None  # the deployment whose rollback it is
    rolled_back_by: str | None = None
    rollback_message: str = ""
    version: int = 0

    @property
    def owner(self) -> Owner:
        return self.request.owner

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def touched(self) -> bool:
        """Whether any target was begun with."""
        return any(target.started is not None for target in self.targets)

    def target(self, id: str) -> DeploymentTarget | None:
        return next((target for target in self.targets if target.id == id), None)

    def counts(self) -> dict[str, int]:
        """`deploymentOverview`."""
        found = {status.value: 0 for status in TargetStatus}
        for target in self.targets:
            found[target.status.value] += 1
        return found | {"Ready": 0}


@dataclass(frozen=True, slots=True)
class Application:
    id: str
    name: str
    platform: str
    tags: tuple[Mapping[str, str], ...]
    created: datetime


@dataclass(frozen=True, slots=True)
class Group:
    """A deployment group; `settings` are members of CreateDeploymentGroup's input, by their names."""

    id: str
    application: str
    name: str
    settings: Mapping[str, Any]
    version: int = 0


def assignment(deployment: Deployment) -> Assignment:
    """What its targets are told. Invalid, if a part of the request cannot be told."""
    asked = deployment.request
    return Assignment(
        deployment.id,
        asked.kind,
        asked.tree,
        asked.application[:MAX_NAME],
        asked.group[:MAX_NAME],  # a pipeline's stage and action have up to 100 characters each
        asked.group_id,
        asked.creator,
        asked.options,
    )


def pending_events(kind: Kind) -> tuple[EventReport, ...]:
    return tuple(EventReport(name, EventStatus.PENDING) for name in EVENTS[kind])
