"""Jobs: what somebody outside is asked to do for an action execution, and how far it is. Pure.

    Queued ──offer──▶ Dispatched ──acknowledge──▶ InProgress ──finish──▶ Succeeded, Failed
      ▲ again after a minute │                         │
      └──────────────────────┘            TimedOut ◀───┘ its time is over, or nobody waits for it any more

A job of a function is handed over by us, so it is InProgress from the start: nobody polls for it. A job that succeeds
with a continuation token is done; another job of the same action execution follows it, which bears the token
(User Guide, "Create a custom action"; API, PutJobSuccessResult).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from codeyard.aws import Refused
from codeyard.pipelines.model import ActionType

# AWS does not say how long it waits for a worker to acknowledge.
OFFERED_AGAIN = timedelta(minutes=1)


class Status(StrEnum):
    """JobStatus. The model has Created too, which no job of ours is ever seen in."""

    QUEUED = "Queued"
    DISPATCHED = "Dispatched"
    IN_PROGRESS = "InProgress"
    TIMED_OUT = "TimedOut"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


OPEN = (Status.QUEUED, Status.DISPATCHED, Status.IN_PROGRESS)


class Doer(StrEnum):
    """Who does it, which decides how they come to it."""

    WORKER = "worker"  # polls, by the type of action
    FUNCTION = "function"  # is called with it


@dataclass(frozen=True, slots=True)
class Job:
    """One job. `run` is the action execution, of which it is number `number`, from 0.

    `queue` is `key=value` of the configuration, if the type has a queryable key: workers ask for one value of it.
    """

    id: str
    run: str
    number: int
    doer: Doer
    type: ActionType
    created: datetime
    deadline: datetime
    queue: str = ""
    continuation: str | None = None
    status: Status = Status.QUEUED
    nonce: str | None = None
    offered: datetime | None = None


def made(job: Job) -> Job:
    """The job as it begins."""
    return replace(job, status=Status.IN_PROGRESS if job.doer is Doer.FUNCTION else Status.QUEUED)


def as_of(job: Job, now: datetime) -> Job:
    """The job, timed out if its time is over."""
    return ended(job) if job.status in OPEN and now >= job.deadline else job


def due(job: Job) -> datetime | None:
    """From when on it may be offered to whoever polls; None: never again."""
    if job.status is Status.QUEUED:
        return job.created
    if job.status is Status.DISPATCHED and job.offered is not None:
        return job.offered + OFFERED_AGAIN
    return None


def offerable(job: Job, now: datetime) -> bool:
    """Whether a worker that polls now may have it."""
    since = due(as_of(job, now))
    return since is not None and since <= now


def offer(job: Job, nonce: str, now: datetime) -> Job:
    """Given to a worker that polls, who has to acknowledge it by this nonce; an earlier nonce is worth nothing now."""
    assert offerable(job, now), "looked at before"
    return replace(job, status=Status.DISPATCHED, nonce=nonce, offered=now)


def acknowledge(job: Job, nonce: str, now: datetime) -> Job:
    """The worker's who is the first to say the nonce. InvalidNonceException: too late, or it is another one."""
    if as_of(job, now).status is not Status.DISPATCHED or nonce != job.nonce:
        text = f"The nonce for the job {job.id} is not valid: it is an old one, or the job was claimed before."
        raise Refused("InvalidNonceException", text)
    return replace(job, status=Status.IN_PROGRESS)


def finish(job: Job, *, succeeded: bool, now: datetime) -> Job:
    """Done. InvalidJobStateException: nobody acknowledged it, it was done before, or its time is over."""
    status = as_of(job, now).status
    if status is not Status.IN_PROGRESS:
        text = f"The job {job.id} is in the state {status}, and a result is taken of one that is InProgress."
        raise Refused("InvalidJobStateException", text)
    return replace(job, status=Status.SUCCEEDED if succeeded else Status.FAILED)


def ended(job: Job) -> Job:
    """Nobody waits for it any more."""
    return replace(job, status=Status.TIMED_OUT) if job.status in OPEN else job
