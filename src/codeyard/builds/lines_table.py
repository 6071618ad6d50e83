"""The lines of the queue: one row for each project that ever had a build, with how many of its builds wait and run.

The row changes in the transaction that changes a build, so the queue is asked without counting builds.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Executable,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Row,
    String,
    Table,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite

from codeyard.builds.queue import Line
from codeyard.builds.stored import Standing, StoredBuild
from codeyard.ident import Owner
from codeyard.store import Tx, metadata
from codeyard.store.times import microseconds, time_of

_CLAIMING = 0x636F6465  # of PostgreSQL's advisory locks: one worker at a time chooses
_STARTING = 0x73746172

lines = Table(
    "build_lines",
    metadata,
    Column("account", String(12)),
    Column("region", String(64)),
    Column("project", String(150)),
    Column("waiting", BigInteger, nullable=False),
    Column("running", BigInteger, nullable=False),
    Column("turn", BigInteger, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("limited", Integer),
    PrimaryKeyConstraint("account", "region", "project"),
)
_c = lines.c
_ANY = _c.waiting > literal(0, Integer, literal_execute=True)
_RUN = _c.running > literal(0, Integer, literal_execute=True)
Index(
    "ix_build_lines_next", _c.priority.desc(), _c.running, _c.turn,
    sqlite_where=_c.waiting > 0, postgresql_where=_c.waiting > 0,
)  # fmt: skip
Index("ix_build_lines_running", _c.account, _c.region, sqlite_where=_c.running > 0, postgresql_where=_c.running > 0)
_MOVED = (
    lines.update()
    .where(_c.account == bindparam("in_account"), _c.region == bindparam("in_region"), _c.project == bindparam("of"))
    .values(
        waiting=_c.waiting - bindparam("less", type_=BigInteger),
        running=_c.running + bindparam("more", type_=BigInteger),
        turn=func.coalesce(bindparam("served", type_=BigInteger), _c.turn),
    )
)


def order(stored: StoredBuild) -> tuple[str, str, str]:
    """Whoever changes several lines does so in this order."""
    return (stored.owner.account, stored.owner.region, stored.id.project)


def joined(tx: Tx, stored: StoredBuild) -> None:
    """A build has come to wait. Its project's priority and limit are from now on what it says."""
    account, region, project = order(stored)
    since = microseconds(stored.build.started)
    new = {"waiting": 1, "running": 0, "turn": since, "priority": stored.priority, "limited": stored.limit}
    tx.execute(_joining(tx.dialect.name), {"account": account, "region": region, "project": project, **new})


@cache
def _joining(dialect: str) -> Executable:
    query = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(lines)
    new = query.excluded
    # The first of a line has its turn by when it came, or else by when the line was last served.
    turn = case(((_c.waiting == 0) & (_c.turn < new.turn), new.turn), else_=_c.turn)
    changed = {"waiting": _c.waiting + 1, "turn": turn, "priority": new.priority, "limited": new.limited}
    return query.on_conflict_do_update(index_elements=[_c.account, _c.region, _c.project], set_=changed)


def settle(tx: Tx, owner: Owner, project: str, priority: int, limit: int | None) -> None:
    """The project was changed: what it says from now on holds for those that wait, too."""
    tx.execute(lines.update().where(*_is(owner, project)).values(priority=priority, limited=limit))


def moved(tx: Tx, was: StoredBuild, now: StoredBuild) -> None:
    """A build stands otherwise than it did; or not, and nothing changes."""
    if was.standing is now.standing:
        return
    account, region, project = order(was)
    values: dict[str, Any] = {
        "less": int(was.standing is Standing.WAITING),
        "more": int(now.standing is Standing.RUNNING) - int(was.standing is Standing.RUNNING),
        "served": None,
    }
    if now.standing is Standing.RUNNING and now.claimed is not None:
        values["served"] = microseconds(now.claimed)
    tx.execute(_MOVED, {"in_account": account, "in_region": region, "of": project, **values})


def alone(tx: Tx) -> None:
    """Nobody else claims builds until this transaction ends. SQLite has one writer in any case."""
    if tx.dialect.name == "postgresql":
        tx.execute(select(func.pg_advisory_xact_lock(_CLAIMING)))


def alone_in(tx: Tx, owner: Owner) -> None:
    """Nobody else who counts starts builds of this account and region until this transaction ends."""
    if tx.dialect.name == "postgresql":
        key = func.hashtext(f"{owner.account}/{owner.region}")
        tx.execute(select(func.pg_advisory_xact_lock(_STARTING, key)))


def anybody_waits(tx: Tx) -> bool:
    return tx.execute(select(_c.project).where(_ANY).limit(1)).first() is not None


def first(tx: Tx, at_most: int, without: Iterable[Owner]) -> tuple[Line, ...]:
    """The lines whose turn is next and that are not at their limit, without the builds in them."""
    open_ = or_(_c.limited.is_(None), _c.running < _c.limited)
    query = select(lines).where(_ANY, open_).order_by(_c.priority.desc(), _c.running, _c.turn).limit(at_most)
    shut = tuple((owner.account, owner.region) for owner in without)
    if shut:
        query = query.where(tuple_(_c.account, _c.region).not_in(shut))
    return tuple(_line(row) for row in tx.execute(query))


def all_lines(tx: Tx) -> tuple[Line, ...]:
    """Every line in which somebody waits, without the builds in it."""
    return tuple(_line(row) for row in tx.execute(select(lines).where(_ANY)))


def running(tx: Tx) -> dict[Owner, int]:
    """How many builds run in each account and region where any does."""
    query = select(_c.account, _c.region, func.sum(_c.running)).where(_RUN).group_by(_c.account, _c.region)
    return {Owner(account, region): int(total) for account, region, total in tx.execute(query)}


def active(tx: Tx, owner: Owner, project: str | None = None) -> int:
    """How many builds wait or run in the account and region, or of one project there."""
    query = select(func.sum(_c.waiting + _c.running)).where(_c.account == owner.account, _c.region == owner.region)
    if project is not None:
        query = query.where(_c.project == project)
    return int(tx.scalar(query) or 0)


def totals(tx: Tx) -> dict[str, int]:
    """How many builds wait and run, in all, by their standing."""
    waiting, going = tx.execute(select(func.sum(_c.waiting), func.sum(_c.running)).where(or_(_ANY, _RUN))).one()
    return {Standing.WAITING.value: int(waiting or 0), Standing.RUNNING.value: int(going or 0)}


def _is(owner: Owner, project: str) -> tuple[Any, ...]:
    return _c.account == owner.account, _c.region == owner.region, _c.project == project


def _line(row: Row[Any]) -> Line:
    return Line(
        owner=Owner(row.account, row.region),
        project=row.project,
        waiting=(),
        running=row.running,
        turn=time_of(row.turn),
        priority=row.priority,
        limit=row.limited,
        length=row.waiting,
    )
