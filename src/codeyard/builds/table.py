"""The rows of builds. Every change compares the version that it read, and keeps the lines of the queue right.

Lists and the queue are answered from indexes, some of them only of the rows that wait or run, so a million builds
that ended cost them nothing. Times are microseconds since 1970. Whoever locks several rows locks builds first, then
projects with their counters, then lines.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    Row,
    Select,
    String,
    Table,
    Text,
    bindparam,
    func,
    literal,
    select,
    tuple_,
)

from codeyard.aws import Page
from codeyard.builds import lines_table
from codeyard.builds.queue import Size, Waiting
from codeyard.builds.stored import Standing, StoredBuild, parse, progress_json, request_json
from codeyard.errors import Conflict, Invalid
from codeyard.ident import BuildId, Owner
from codeyard.store import Tx, metadata
from codeyard.store.times import microseconds, time_of

PAGE = 100

builds = Table(
    "builds",
    metadata,
    Column("run", String(36), primary_key=True),
    Column("account", String(12), nullable=False),
    Column("region", String(64), nullable=False),
    Column("project", String(150), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("submitted", BigInteger, nullable=False),
    Column("standing", String(8), nullable=False),
    Column("status", String(16), nullable=False),
    Column("phase", String(32), nullable=False),
    Column("worker", String(100)),
    Column("stopping", Boolean, nullable=False),
    Column("cpus", Float, nullable=False),
    Column("memory", BigInteger, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("limited", Integer),
    Column("queue_until", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("request", Text, nullable=False),
    Column("progress", Text, nullable=False),
)


def _is(standing: Standing) -> ColumnElement[bool]:
    # Written out in the statement: no index of some rows is used where the standing is a parameter.
    return builds.c.standing == literal(standing.value, String, literal_execute=True)


def _some(name: str, standing: Standing, *columns: Column[Any]) -> Index:
    """An index of those rows only that stand so."""
    where = builds.c.standing == standing.value
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


_c = builds.c
_IN_LINE = (_c.submitted, _c.number, _c.run)  # the order in which builds go within their line
Index("ix_builds_listed", _c.account, _c.region, _c.submitted, _c.run)
Index("ix_builds_numbered", _c.account, _c.region, _c.project, _c.number, _c.run)
_some("ix_builds_waiting", Standing.WAITING, _c.account, _c.region, _c.project, *_IN_LINE)
_some("ix_builds_overdue", Standing.WAITING, _c.queue_until)
_some("ix_builds_running", Standing.RUNNING, _c.worker)

# Made once: SQLAlchemy takes longer to make a statement than SQLite to do it.
_ONE = select(builds).where(_c.run == bindparam("run"))
_ONE_HELD = _ONE.with_for_update()
_HEADS = (
    select(_c.run, _c.cpus, _c.memory, _c.submitted)
    .where(*(_c[name] == bindparam(name) for name in ("account", "region", "project")), _is(Standing.WAITING))
    .order_by(*_IN_LINE)
    .limit(bindparam("at_most", type_=Integer))
)
_CHANGED = builds.update().where(_c.run == bindparam("was"), _c.version == bindparam("was_version"))

_LISTED = _c.number > 0  # but those of managed compute, which have none: AWS's show in no account


# ── one build ──


def insert(tx: Tx, stored: StoredBuild) -> None:
    """A new row. Duplicate."""
    tx.execute(builds.insert(), _constant(stored) | _changing(stored))
    lines_table.joined(tx, stored)


def load(tx: Tx, run: str) -> StoredBuild | None:
    row = tx.execute(_ONE, {"run": run}).first()
    return None if row is None else _stored(row)


def change(tx: Tx, run: str, rule: Callable[[StoredBuild], StoredBuild]) -> tuple[StoredBuild, StoredBuild] | None:
    """The build before and after the rule, which is saved if it changed anything; None if there is no such row.

    The row is held until the transaction ends, so nobody comes in between.
    """
    was = hold(tx, run)
    if was is None:
        return None
    now = rule(was)
    return was, was if now == was else save(tx, was, now)


def hold(tx: Tx, run: str) -> StoredBuild | None:
    """The build, which nobody else changes before the transaction ends."""
    row = tx.execute(_ONE_HELD, {"run": run}).first()
    return None if row is None else _stored(row)


def save(tx: Tx, was: StoredBuild, now: StoredBuild) -> StoredBuild:
    """The build with its new version. Conflict if somebody changed it since `was` was read."""
    if not _write(tx, was, now):
        raise Conflict(f"build {was.id}", "somebody else changed it.", "Read it again.")
    lines_table.moved(tx, was, now)
    return replace(now, version=was.version + 1)


def claim(tx: Tx, chosen: Iterable[Waiting], rule: Callable[[StoredBuild], StoredBuild]) -> tuple[StoredBuild, ...]:
    """Those of the chosen that still wait, as the rule makes them. All rows are locked before any line is."""
    moved = []
    for waiting in chosen:
        was = hold(tx, waiting.run)
        if was is None or was.standing is not Standing.WAITING:
            continue
        now = rule(was)
        _write(tx, was, now)
        moved.append((was, now))
    for was, now in sorted(moved, key=lambda pair: lines_table.order(pair[0])):
        lines_table.moved(tx, was, now)
    return tuple(replace(now, version=was.version + 1) for was, now in moved)


def delete(tx: Tx, was: StoredBuild) -> bool:
    """Whether it was there still, as it was read. Only one that ended may be deleted."""
    assert was.ended, "a build that is under way is not deleted"
    return tx.execute(builds.delete().where(_c.run == was.run, _c.version == was.version)).rowcount == 1


# ── many ──


def find(tx: Tx, owner: Owner, runs: Iterable[str]) -> dict[str, StoredBuild]:
    """Those of the owner's that are there, by run."""
    # By the key alone: with the owner in the query, SQLite looks through all builds of the owner instead.
    query = select(builds).where(_c.run.in_(tuple(runs)))
    mine = (owner.account, owner.region)
    return {row.run: _stored(row) for row in tx.execute(query) if (row.account, row.region) == mine}


def listed(tx: Tx, owner: Owner, *, ascending: bool, after: str | None) -> Page:
    """A page of ids, in the order in which the builds were started. Invalid: `after` is nothing of ours."""
    key = (_c.submitted, _c.run)
    return _page(tx, select(_c.project, _c.run, _c.submitted).where(*_of(owner), _LISTED), key, ascending, after)


def listed_of_project(tx: Tx, owner: Owner, project: str, *, ascending: bool, after: str | None) -> Page:
    """A page of ids by build number. Invalid: `after` is nothing of ours."""
    query = select(_c.project, _c.run, _c.number).where(*_of(owner), _c.project == project, _LISTED)
    return _page(tx, query, (_c.number, _c.run), ascending, after)


def _page(tx: Tx, query: Select[Any], key: tuple[Column[int], Column[str]], ascending: bool, after: str | None) -> Page:
    if after is not None:
        mark, colon, run = after.partition(":")
        if not colon or not mark.isdigit() or len(mark) > 18:
            raise Invalid("nextToken", "it is none that was given.", "Begin again without it.")
        here, there = tuple_(*key), tuple_(literal(int(mark), BigInteger), literal(run, String))
        query = query.where(here > there if ascending else here < there)
    ordered = query.order_by(*(column.asc() if ascending else column.desc() for column in key)).limit(PAGE + 1)
    rows = tx.execute(ordered).all()
    ids = tuple(f"{row.project}:{row.run}" for row in rows[:PAGE])
    last = rows[PAGE - 1] if len(rows) > PAGE else None
    return Page(ids, None if last is None else f"{last[2]}:{last.run}")


def heads(tx: Tx, owner: Owner, project: str, at_most: int) -> tuple[Waiting, ...]:
    """The first of the builds that wait in this line."""
    line = {"account": owner.account, "region": owner.region, "project": project, "at_most": at_most}
    return tuple(
        Waiting(row.run, Size(row.cpus, row.memory), time_of(row.submitted)) for row in tx.execute(_HEADS, line)
    )


def ahead(tx: Tx, owner: Owner, waiting: Iterable[BuildId]) -> dict[str, int]:
    """How many builds wait before each of these in its line, by run. Each line is gone through once."""
    ids = tuple(waiting)
    rank = func.row_number().over(partition_by=_c.project, order_by=_IN_LINE).label("rank")
    line = select(_c.run, rank).where(*_of(owner), _c.project.in_({id.project for id in ids}), _is(Standing.WAITING))
    ranked = line.subquery()
    query = select(ranked.c.run, ranked.c.rank).where(ranked.c.run.in_([id.run for id in ids]))
    return {row.run: row.rank - 1 for row in tx.execute(query)}


def overdue(tx: Tx, now: datetime) -> tuple[str, ...]:
    """Some of the builds that have waited too long."""
    query = select(_c.run).where(_is(Standing.WAITING), _c.queue_until <= microseconds(now)).limit(PAGE)
    return tuple(tx.scalars(query))


def held_by(tx: Tx, worker: str) -> dict[str, bool]:
    """The builds that this worker has, and of each whether somebody wants it to stop."""
    query = select(_c.run, _c.stopping).where(_is(Standing.RUNNING), _c.worker == worker)
    return {row.run: row.stopping for row in tx.execute(query)}


def left_by_others(tx: Tx, workers: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Some of the builds whose worker is none of these, each with its worker."""
    query = select(_c.run, _c.worker).where(_is(Standing.RUNNING), _c.worker.not_in(tuple(workers))).limit(PAGE)
    return tuple((row.run, row.worker) for row in tx.execute(query))


def sizes_held_by(tx: Tx, worker: str) -> dict[str, Size]:
    """What the builds need that this worker has, by run."""
    query = select(_c.run, _c.cpus, _c.memory).where(_is(Standing.RUNNING), _c.worker == worker)
    return {row.run: Size(row.cpus, row.memory) for row in tx.execute(query)}


def still_going(tx: Tx, runs: Iterable[str]) -> frozenset[str]:
    """Those of the runs that wait or run."""
    query = select(_c.run).where(_c.run.in_(tuple(runs)), _c.standing != Standing.ENDED.value)
    return frozenset(tx.scalars(query))


# ── rows and values ──


def _of(owner: Owner) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _c.account == owner.account, _c.region == owner.region


def _write(tx: Tx, was: StoredBuild, now: StoredBuild) -> bool:
    """Whether nobody has changed the row since."""
    there = {"was": was.run, "was_version": was.version}
    return tx.execute(_CHANGED, _changing(now) | {"version": was.version + 1} | there).rowcount == 1


def _constant(stored: StoredBuild) -> dict[str, Any]:
    return {
        "run": stored.run,
        "account": stored.owner.account,
        "region": stored.owner.region,
        "project": stored.id.project,
        "number": stored.number,
        "submitted": microseconds(stored.build.started),
        "cpus": stored.need.cpus,
        "memory": stored.need.memory,
        "priority": stored.priority,
        "limited": stored.limit,
        "queue_until": microseconds(stored.queue_until),
        "version": stored.version,
        "request": request_json(stored),
    }


def _changing(stored: StoredBuild) -> dict[str, Any]:
    return {
        "standing": stored.standing.value,
        "status": stored.build.status.value,
        "phase": stored.build.phase.value,
        "worker": stored.worker,
        "stopping": stored.stopping is not None,
        "progress": progress_json(stored),
    }


def _stored(row: Row[Any]) -> StoredBuild:
    return parse(
        row.request,
        row.progress,
        id=BuildId(row.project, row.run),
        owner=Owner(row.account, row.region),
        number=row.number,
        need=Size(row.cpus, row.memory),
        queue_until=time_of(row.queue_until),
        priority=row.priority,
        limit=row.limited,
        worker=row.worker,
        version=row.version,
    )
