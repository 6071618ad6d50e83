"""What becomes of a deployment: (deployment, fact) → deployment. Pure.

Created or Queued → InProgress → Succeeded, Failed or Stopped. Each function gives the deployment as it is once the fact
is known and what follows from it is decided: who is next (by `waves`), and whether it is over. What is over does not
change any more but for its rollback (User Guide, "Redeploy and roll back a deployment").
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from codeyard.deploys import ErrorCode, EventReport, EventStatus
from codeyard.deploys.model import (
    GRACE,
    LONGEST,
    LONGEST_EVENT,
    MOST_TARGETS,
    ROLLBACK,
    Code,
    Deployment,
    DeploymentRequest,
    DeploymentTarget,
    Error,
    RollbackEvent,
    Status,
    Target,
    TargetStatus,
    pending_events,
)
from codeyard.deploys.waves import Host, Revision, Turn, Verdict, decide

_NOBODY = (
    "The deployment failed because no instances were found for your deployment group. Check your deployment group "
    "settings to make sure the tags for your instances are correct."
)
_UNHEALTHY = (
    "The overall deployment failed because too many individual instances failed deployment, too few healthy instances "
    "are available for deployment, or some instances in your deployment group are experiencing problems."
)
_IMPOSSIBLE = (
    "The deployment can’t start because the minimum number of healthy instances, as the deployment configuration has "
    "it, is not smaller than the number of instances."
)
_TURNS = {
    TargetStatus.PENDING: Turn.WAITING,
    TargetStatus.IN_PROGRESS: Turn.UNDER_WAY,
    TargetStatus.SUCCEEDED: Turn.SUCCEEDED,
    TargetStatus.FAILED: Turn.FAILED,
}
_VERDICTS = {
    Verdict.TOO_FEW_HEALTHY: Error(Code.HEALTH_CONSTRAINTS, _UNHEALTHY),
    Verdict.IMPOSSIBLE: Error(Code.HEALTH_CONSTRAINTS_INVALID, _IMPOSSIBLE),
}
_OVER = (EventStatus.SUCCEEDED, EventStatus.FAILED, EventStatus.SKIPPED)


# ── what happens to a deployment ──


def begun(deployment: Deployment, targets: Iterable[DeploymentTarget], now: datetime) -> Deployment:
    """It starts, on these targets. Those that are Skipped already are left out of all counts."""
    chosen = tuple(
        replace(target, events=pending_events(deployment.request.kind)) if target.status is TargetStatus.PENDING
        else replace(target, events=_closed(pending_events(deployment.request.kind)))
        for target in targets
    )  # fmt: skip
    here = replace(deployment, status=Status.IN_PROGRESS, started=now, targets=chosen)
    if not any(target.status is TargetStatus.PENDING for target in chosen):
        lost = Error(Code.AGENT_ISSUE, "None of the targets can be reached.")
        return _finished(here, Status.FAILED, lost if chosen else Error(Code.NO_INSTANCES, _NOBODY), now)
    if len(chosen) > MOST_TARGETS:
        text = f"The deployment has {len(chosen)} targets; {MOST_TARGETS} are the most."
        few = replace(here, targets=chosen[:MOST_TARGETS])
        return _finished(few, Status.FAILED, Error(Code.OVER_MAX_INSTANCES, text), now)
    return _settled(here, now)


def reported(target: DeploymentTarget, report: EventReport, now: datetime) -> DeploymentTarget:
    """The target, which says how one of its events stands. What is over of an event stays: a report may come twice."""
    if target.status is not TargetStatus.IN_PROGRESS:
        return target
    events = tuple(
        report if event.name == report.name and event.status not in _OVER else event for event in target.events
    )
    return target if events == target.events else replace(target, events=events, updated=now)


def ended(deployment: Deployment, id: str, succeeded: bool, message: str, now: datetime) -> Deployment:
    """A target is done. A second telling changes nothing."""
    target = deployment.target(id)
    if target is None or target.status is not TargetStatus.IN_PROGRESS:
        return deployment
    status = TargetStatus.SUCCEEDED if succeeded else TargetStatus.FAILED
    failed = any(event.status is EventStatus.FAILED for event in target.events)
    if not succeeded and deployment.stopping and not failed:
        status = TargetStatus.SKIPPED  # it left the rest out because it was told to
    after = replace(target, status=status, events=_closed(target.events), updated=now, message=message)
    return _settled(_with(deployment, after), now)


def unheard(deployment: Deployment, id: str, now: datetime, why: str) -> Deployment:
    """Nothing was heard for too long of a target that is under way: it counts as gone."""
    return _given_up(deployment, id, now, why, gone=True)


def too_long(deployment: Deployment, id: str, now: datetime) -> Deployment:
    """A target's event has taken longer than an event may, whatever its agent says."""
    return _given_up(deployment, id, now, "The event took longer than an hour.", gone=False)


def _given_up(deployment: Deployment, id: str, now: datetime, why: str, *, gone: bool) -> Deployment:
    target = deployment.target(id)
    if target is None or target.status is not TargetStatus.IN_PROGRESS:
        return deployment
    events = tuple(_unknown(event, now, why) for event in target.events)
    if all(event.status is EventStatus.PENDING for event in target.events):
        events = (_unknown(replace(events[0], status=EventStatus.IN_PROGRESS), now, why), *events[1:])
    after = replace(
        target, status=TargetStatus.FAILED, events=_closed(events), updated=now, lost=gone, message=why
    )  # fmt: skip
    return _settled(_with(deployment, after), now)


def stop_asked(deployment: Deployment, roll_back: bool, now: datetime) -> Deployment:
    """Targets that wait are left out; those under way finish the event they are in, and then it is Stopped."""
    if deployment.ended or deployment.stopping:
        return deployment
    return _settled(replace(deployment, stopping=True, stop_rolls_back=roll_back), now)


def time_over(deployment: Deployment, now: datetime) -> Deployment:
    """It has taken longer than any may: it fails, whatever its targets are at."""
    if deployment.status is not Status.IN_PROGRESS or deployment.started is None:
        return deployment
    if now < deployment.started + LONGEST:
        return deployment
    why = "The deployment took longer than 12 hours."
    targets = tuple(
        replace(each, status=TargetStatus.FAILED, events=_closed(each.events), updated=now, message=why)
        if each.status is TargetStatus.IN_PROGRESS
        else each
        for each in deployment.targets
    )
    return _finished(replace(deployment, targets=targets), Status.FAILED, Error(Code.TIMEOUT, why), now)


def overdue(event_began: datetime | None, now: datetime) -> bool:
    """Whether an event that began then, and is under way, has taken longer than an event may."""
    return event_began is not None and now > event_began + LONGEST_EVENT + GRACE


# ── rollback ──


def wants_rollback(deployment: Deployment) -> bool:
    """Whether the group's last good revision is to come back. A rollback that failed is not rolled back."""
    asked = deployment.request
    if asked.creator == ROLLBACK or not deployment.touched:
        return False
    if deployment.status is Status.FAILED:
        return RollbackEvent.FAILURE in asked.roll_back_on
    if deployment.status is Status.STOPPED:
        return deployment.stop_rolls_back or RollbackEvent.REQUEST in asked.roll_back_on
    return False


def rollback_request(failed: Deployment, good: Deployment) -> DeploymentRequest:
    """What the rollback does: `good` again, on the targets of `failed` and as carefully."""
    asked = failed.request
    return replace(
        good.request,
        targets=asked.targets,
        minimum=asked.minimum,
        config=asked.config,
        strict=False,
        creator=ROLLBACK,
        roll_back_on=frozenset(),
        description=f"Rollback of {failed.id}",
        queue=False,
        outdated_only=False,
    )


def rollback_targets(
    failed: Deployment, here: Mapping[str, Target], health: Mapping[str, tuple[bool, Revision]]
) -> tuple[DeploymentTarget, ...]:
    """The targets of the rollback: those of what failed that are still enrolled. One of which nothing was heard since
    it was lost is left out: it would hold up the others' way back, and the next deployment begins with it."""
    found = []
    for was in failed.targets[:MOST_TARGETS]:
        if was.id not in here:
            continue
        healthy, revision = health.get(was.id, (False, Revision.UNKNOWN))
        gone = was.lost and was.updated is not None and here[was.id].heard <= was.updated
        status = TargetStatus.SKIPPED if gone else TargetStatus.PENDING
        found.append(DeploymentTarget(was.id, was.name, healthy, revision, status, lost=gone))
    return tuple(found)


# ── what follows ──


def _settled(deployment: Deployment, now: datetime) -> Deployment:
    if deployment.stopping:
        return _stopped(deployment, now)
    hosts = tuple(
        Host(target.id, target.healthy, target.revision, _TURNS[target.status])
        for target in deployment.targets
        if target.status is not TargetStatus.SKIPPED
    )
    decision = decide(hosts, deployment.request.minimum, strict=deployment.request.strict)
    if decision.verdict is Verdict.SUCCEEDED:
        return _finished(deployment, Status.SUCCEEDED, None, now)
    if decision.verdict is not None:
        return _finished(deployment, Status.FAILED, _error(deployment, decision.verdict), now)
    start = frozenset(decision.start)
    targets = tuple(
        replace(target, status=TargetStatus.IN_PROGRESS, started=now, updated=now) if target.id in start else target
        for target in deployment.targets
    )
    return replace(deployment, targets=targets)


def _stopped(deployment: Deployment, now: datetime) -> Deployment:
    if any(target.status is TargetStatus.IN_PROGRESS for target in deployment.targets):
        return _without_waiting(deployment, now)
    error = Error(Code.MANUAL_STOP, "The deployment was stopped on request.")
    return _finished(deployment, Status.STOPPED, error, now)


def _finished(deployment: Deployment, status: Status, error: Error | None, now: datetime) -> Deployment:
    return replace(_without_waiting(deployment, now), status=status, error=error, completed=now)


def _without_waiting(deployment: Deployment, now: datetime) -> Deployment:
    targets = tuple(
        replace(target, status=TargetStatus.SKIPPED, events=_closed(target.events), updated=now)
        if target.status is TargetStatus.PENDING
        else target
        for target in deployment.targets
    )
    return replace(deployment, targets=targets)


def _error(deployment: Deployment, verdict: Verdict) -> Error:
    failed = [target for target in deployment.targets if target.status is TargetStatus.FAILED]
    if verdict is Verdict.TOO_FEW_HEALTHY and failed and all(target.lost for target in failed):
        names = ", ".join(target.name for target in failed[:10])
        return Error(Code.AGENT_ISSUE, f"Nothing is heard of the agent of {names}.")
    return _VERDICTS[verdict]


def _with(deployment: Deployment, after: DeploymentTarget) -> Deployment:
    return replace(
        deployment, targets=tuple(after if target.id == after.id else target for target in deployment.targets)
    )


def _closed(events: tuple[EventReport, ...]) -> tuple[EventReport, ...]:
    """The events of a target that is done: what never began is Skipped, of what never ended nothing is known."""
    ends = {EventStatus.PENDING: EventStatus.SKIPPED, EventStatus.IN_PROGRESS: EventStatus.UNKNOWN}
    return tuple(replace(event, status=ends.get(event.status, event.status)) for event in events)


def _unknown(event: EventReport, now: datetime, why: str) -> EventReport:
    if event.status is not EventStatus.IN_PROGRESS:
        return event
    return replace(
        event, status=EventStatus.FAILED, started=event.started or now, ended=now, error_code=ErrorCode.UNKNOWN_ERROR,
        message=why,
    )  # fmt: skip
