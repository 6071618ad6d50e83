"""Jobs in rows: whoever polls finds theirs by an index; whoever changes one holds its row."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Index,
    Integer,
    Row,
    Select,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    select,
)

from codeyard.ident import Owner
from codeyard.pipelines import job_data, job_results, jobs
from codeyard.pipelines.job_data import About
from codeyard.pipelines.job_results import Result
from codeyard.pipelines.jobs import OPEN, Doer, Job, Status
from codeyard.pipelines.model import ActionType
from codeyard.store import Tx, metadata
from codeyard.store.times import microseconds, time_of

_AT_ONCE = 100

table = Table(
    "pipeline_jobs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account", String(12), nullable=False),
    Column("region", String(32), nullable=False),
    Column("run", String(36), nullable=False),  # the action execution
    Column("number", Integer, nullable=False),
    Column("doer", String(16), nullable=False),
    Column("type", String(80), nullable=False),  # category/owner/provider/version
    Column("queue", String(110), nullable=False),
    Column("status", String(16), nullable=False),
    Column("due", BigInteger),  # from when on it is offered; NULL: it is not. Times are microseconds since 1970
    Column("nonce", String(50)),
    Column("offered", BigInteger),
    Column("created", BigInteger, nullable=False),
    Column("deadline", BigInteger, nullable=False),
    Column("data", Text, nullable=False),  # job_data.to_json
    Column("continuation", Text),  # JSON's text of it: ASCII, whatever the worker wrote
    Column("result", Text),  # job_results.to_json
    UniqueConstraint("run", "number"),
    Index("ix_pipeline_jobs_due", "account", "region", "type", "queue", "due"),
    Index("ix_pipeline_jobs_deadline", "deadline"),
)
_c = table.c


@dataclass(frozen=True, slots=True)
class Stored:
    """A job, whose it is, and what it is about."""

    owner: Owner
    job: Job
    about: About
    result: Result | None = None


def insert(tx: Tx, stored: Stored) -> None:
    """Duplicate, where the action execution has one of this number."""
    job = stored.job
    values = {
        "id": job.id,
        "account": stored.owner.account,
        "region": stored.owner.region,
        "run": job.run,
        "number": job.number,
        "doer": job.doer.value,
        "type": str(job.type),
        "queue": job.queue,
        "created": microseconds(job.created),
        "deadline": microseconds(job.deadline),
        "data": json.dumps(job_data.to_json(stored.about)),
        "continuation": None if job.continuation is None else json.dumps(job.continuation),
    }
    tx.execute(table.insert().values(**values, **_state(job)))


def numbered(tx: Tx, run: str, number: int) -> Stored | None:
    """The job of this number of an action execution."""
    return _one(tx, select(table).where(_c.run == run, _c.number == number))


def found(tx: Tx, owner: Owner, id: str) -> Stored | None:
    """The owner's job of this id: nobody else's is ever found."""
    return _one(tx, select(table).where(_owned(owner), _c.id == id))


def change(tx: Tx, owner: Owner, id: str, become: Callable[[Job], Job]) -> Stored | None:
    """The owner's job once `become` has changed it; None: there is none. What `become` raises changes nothing."""
    was = _one(tx, select(table).where(_owned(owner), _c.id == id).with_for_update())
    if was is None:
        return None
    now = replace(was, job=become(was.job))
    _save(tx, now.job)
    return now


def put_result(tx: Tx, id: str, result: Result) -> None:
    """Of a job that was changed in this transaction."""
    tx.execute(table.update().where(_c.id == id).values(result=json.dumps(job_results.to_json(result))))


def offer(
    tx: Tx, owner: Owner, type: ActionType, queue: str, most: int, nonce: Callable[[], str], now: datetime
) -> tuple[Stored, ...]:
    """At most `most` jobs for a worker that polls, the oldest first, each with a new nonce.

    Workers that poll at the same moment are not given the same ones."""
    at = microseconds(now)
    mine = and_(_owned(owner), _c.type == str(type), _c.queue == queue, _c.due <= at, _c.deadline > at)
    query = select(table).where(mine).order_by(_c.due, _c.id).limit(most).with_for_update(skip_locked=True)
    given = [_stored(row) for row in tx.execute(query)]
    offered = tuple(replace(each, job=jobs.offer(each.job, nonce(), now)) for each in given)
    for each in offered:
        _save(tx, each.job)
    return offered


# Made once: it is of each action that ends, whether it had jobs or not.
_END = (
    table.update()
    .where(_c.run == bindparam("of"), _c.status.in_([status.value for status in OPEN]))
    .values(status=Status.TIMED_OUT.value, due=None)
)


def end(tx: Tx, run: str) -> None:
    """Nobody waits for this action execution's jobs any more: no result of one is taken."""
    tx.execute(_END, {"of": run})


def forget(tx: Tx, before: datetime) -> bool:
    """Drop some of those whose time was over before this moment. Whether there may be more."""
    old = select(_c.id).where(_c.deadline < microseconds(before)).limit(_AT_ONCE)
    return tx.execute(table.delete().where(_c.id.in_(old))).rowcount == _AT_ONCE


def _save(tx: Tx, job: Job) -> None:
    tx.execute(table.update().where(_c.id == job.id).values(**_state(job)))


def _state(job: Job) -> dict[str, Any]:
    """The columns that change."""
    due = jobs.due(job)
    return {
        "status": job.status.value,
        "due": None if due is None else microseconds(due),
        "nonce": job.nonce,
        "offered": None if job.offered is None else microseconds(job.offered),
    }


def _one(tx: Tx, query: Select[Any]) -> Stored | None:
    row = tx.execute(query).first()
    return None if row is None else _stored(row)


def _stored(row: Row[Any]) -> Stored:
    job = Job(
        id=row.id,
        run=row.run,
        number=row.number,
        doer=Doer(row.doer),
        type=ActionType(*row.type.split("/")),
        created=time_of(row.created),
        deadline=time_of(row.deadline),
        queue=row.queue,
        continuation=None if row.continuation is None else json.loads(row.continuation),
        status=Status(row.status),
        nonce=row.nonce,
        offered=None if row.offered is None else time_of(row.offered),
    )
    result = None if row.result is None else job_results.from_json(json.loads(row.result))
    return Stored(Owner(row.account, row.region), job, job_data.from_json(json.loads(row.data)), result)


def _owned(owner: Owner) -> ColumnElement[bool]:
    return and_(_c.account == owner.account, _c.region == owner.region)
