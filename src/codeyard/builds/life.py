"""What becomes of a stored build: started, claimed, heard of, stopped, timed out, lost, ended, tried again. Pure."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from codeyard.builds.handed import Handed
from codeyard.builds.model import Build, Context, Outcome, Phase, PhaseRecord, Status, Variable
from codeyard.builds.phases import finish_phase, submit
from codeyard.builds.project import Project
from codeyard.builds.queue import size_of
from codeyard.builds.stored import Retries, StoredBuild
from codeyard.errors import Conflict
from codeyard.events import Event, PhaseEnded, PhaseStarted
from codeyard.ident import BuildId, Owner

PRIORITY_TAG = "codeyard:priority"
WORKER_LOST = "WORKER_LOST"
_PRIORITIES = 1000
_ORDER = tuple(Phase)
_NO_CONTEXTS = (Phase.SUBMITTED, Phase.QUEUED)
# TIMED_OUT is a failure too (reference 10.5, FailedBuilds); STOPPED was somebody's wish (reference 2.8).
_TRIED_AGAIN = (Status.FAILED, Status.FAULT, Status.TIMED_OUT)


def started(
    owner: Owner,
    project: Project,
    variables: tuple[Variable, ...],
    initiator: str,
    number: int,
    now: datetime,
    *,
    run: str | None = None,
    handed: Handed | None = None,
) -> StoredBuild:
    """A new build that waits. `project` is as the call wants it; a run of None is a new one."""
    environment = project.environment
    compute = environment.compute_configuration
    return StoredBuild(
        owner=owner,
        build=submit(BuildId.mint(project.name) if run is None else BuildId(project.name, run), now),
        number=number,
        initiator=initiator,
        project=project,
        variables=variables,
        need=size_of(
            environment.compute_type,
            compute.v_cpu if compute is not None else None,
            compute.memory if compute is not None else None,
        ),
        queue_until=now + timedelta(minutes=project.queued_timeout_in_minutes),
        priority=priority_of(project),
        limit=project.concurrent_build_limit,
        # Nobody would wait for the second build: auto-retry is "not available for CodePipeline builds" (reference 2.8).
        retries=Retries(limit=project.auto_retry_limit or 0 if handed is None else 0),
        handed=handed,
    )


def priority_of(project: Project) -> int:
    """What the tag `codeyard:priority` says: a whole number up to a thousand either way; anything else is 0."""
    for tag in project.tags:
        if tag.key == PRIORITY_TAG:
            with contextlib.suppress(ValueError):
                return max(-_PRIORITIES, min(_PRIORITIES, int(tag.value)))
    return 0


def retried(was: StoredBuild, project: Project, initiator: str, number: int, now: datetime) -> StoredBuild:
    """A new build with the settings and the source version that this one was asked for (reference 2.8). Conflict.

    How it waits is as its project, `project`, is now.
    """
    if not was.ended:
        raise Conflict(f"build {was.id}", "it is still in progress.", "Wait for its end, or stop it.")
    again = started(was.owner, was.project, was.variables, initiator, number, now, handed=was.handed)
    return replace(again, priority=priority_of(project), limit=project.concurrent_build_limit)


def tried_again(was: StoredBuild) -> bool:
    """Whether a build that ended is to be followed by another of itself.

    One that timed out in the queue is not: nothing of it failed, and the queue is long enough. Nor is one that
    somebody wanted to stop, however it ended.
    """
    spent = was.retries.next is not None or was.retries.number >= was.retries.limit
    if not was.ended or spent or was.stopping is not None:
        return False
    queued_in_vain = was.build.status is Status.TIMED_OUT and was.claimed is None
    return was.build.status in _TRIED_AGAIN and not queued_in_vain


def linked(was: StoredBuild, project: Project, number: int, now: datetime) -> tuple[StoredBuild, StoredBuild]:
    """The build that ended and the one that follows it by itself, each naming the other (AutoRetryConfig)."""
    again = retried(was, project, was.initiator, number, now)
    retries = Retries(was.retries.limit, was.retries.number + 1, previous=was.id)
    return (
        replace(was, retries=replace(was.retries, next=again.id)),
        replace(again, retries=retries),
    )


def claimed(was: StoredBuild, worker: str, now: datetime) -> StoredBuild:
    # Who claims may have looked at the clock before the build came, or have another clock.
    return replace(was, worker=worker, claimed=max(now, was.build.started))


def stopped(was: StoredBuild, now: datetime) -> StoredBuild:
    """One that waits has ended; one that runs is asked to; one that ended stays as it is (reference 2.7)."""
    if was.ended or was.stopping is not None:
        return was
    asked = replace(was, stopping=now)
    if was.worker is not None:
        return asked
    return replace(asked, build=finish_phase(was.build, Outcome(Status.STOPPED), now))


def timed_out_in_queue(was: StoredBuild, now: datetime) -> StoredBuild:
    """As it is, unless it has waited too long (reference 2.6)."""
    if was.ended or was.worker is not None or now < was.queue_until:
        return was
    return replace(was, build=finish_phase(was.build, Outcome(Status.TIMED_OUT), now))


def lost(was: StoredBuild, reason: str, now: datetime) -> StoredBuild:
    """Ended, because the worker that has it is gone: FAULT, with the reason."""
    return replace(was, build=faulted(was.build, Context(WORKER_LOST, reason), now), lost=True)


def faulted(build: Build, context: Context, now: datetime) -> Build:
    """The build ended here and now, by a fault of ours in its current phase."""
    while build.phase is not Phase.COMPLETED:
        if build.phase in _NO_CONTEXTS:  # which can tell no reason; the next can
            build = finish_phase(build, Outcome(Status.SUCCEEDED), now)
        build = finish_phase(build, Outcome(Status.FAULT, context), now)
    return build


def finished(was: StoredBuild, build: Build, facts: Mapping[str, Any]) -> StoredBuild:
    return replace(was, build=build, facts=facts)


def told(was: StoredBuild, fresh: StoredBuild) -> StoredBuild:
    """The row, with what its worker has heard of the build since."""
    return replace(was, build=fresh.build, facts=fresh.facts)


def heard(was: StoredBuild, event: Event) -> StoredBuild:
    """With what the event tells of its phases. A process that takes a build up again hears of the first ones twice."""
    match event:
        case PhaseStarted(at=at, phase=name) if not _passed(was.build, Phase(name)):
            return replace(was, build=replace(was.build, phase=Phase(name), phase_started=at))
        case PhaseEnded(phase=name) if not _passed(was.build, Phase(name)):
            return replace(was, build=_ended(was.build, event))
    return was


def _passed(build: Build, phase: Phase) -> bool:
    return any(record.phase is phase for record in build.history) or build.ended is not None


def _ended(build: Build, event: PhaseEnded) -> Build:
    """Which phase follows is heard in the same breath; the end of FINALIZING is the build's, and told by that."""
    phase, status = Phase(event.phase), Status(event.status)
    if phase is Phase.FINALIZING:
        return build
    contexts = () if phase in _NO_CONTEXTS else (Context(event.code, event.message),)
    record = PhaseRecord(phase, build.phase_started, event.at, status, contexts)
    failed = build.status is Status.IN_PROGRESS and status is not Status.SUCCEEDED
    return replace(
        build,
        phase=_ORDER[_ORDER.index(phase) + 1],
        phase_started=event.at,
        status=status if failed else build.status,
        history=(*build.history, record),
    )
