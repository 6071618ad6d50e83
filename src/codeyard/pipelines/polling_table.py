"""What was seen of pipelines' sources, when they are looked at next, and what is still to be started for it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, PrimaryKeyConstraint, Row, String, Table, Text, select
from sqlalchemy.sql.elements import ColumnElement

from codeyard.ident import Owner
from codeyard.pipelines.changes import Begin, Seen, begin_shape, parse_begin
from codeyard.store import Tx, metadata
from codeyard.store.times import microseconds, time_of

polls = Table(
    "pipeline_polls",
    metadata,
    Column("account", String(12), nullable=False),
    Column("region", String(64), nullable=False),
    Column("pipeline", String(100), nullable=False),
    Column("seen", Text, nullable=False),
    Column("pending", Text, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("turn", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    PrimaryKeyConstraint("account", "region", "pipeline"),
)
_c = polls.c


@dataclass(frozen=True, slots=True)
class Poll:
    """A row. `seen` is by action: the mark of what was looked at, and what was there."""

    owner: Owner
    pipeline: str
    due: datetime  # before that nobody looks
    seen: Mapping[str, tuple[str, Seen]] = field(default_factory=dict)
    pending: tuple[Begin, ...] = ()
    turn: int = 0  # of the row: each change of it is one
    failures: int = 0  # looks that failed since the last that did not


@dataclass(frozen=True, slots=True)
class Due:
    """When a pipeline is looked at next, and the turn of its row. `failing`: the last look failed."""

    at: datetime
    turn: int
    failing: bool


def dues(tx: Tx) -> dict[tuple[Owner, str], Due]:
    """Of all rows, by owner and pipeline."""
    query = select(_c.account, _c.region, _c.pipeline, _c.due, _c.turn, _c.failures)
    return {
        (Owner(row.account, row.region), row.pipeline): Due(time_of(row.due), row.turn, row.failures > 0)
        for row in tx.execute(query)
    }


def load(tx: Tx, owner: Owner, pipeline: str) -> Poll | None:
    row = tx.execute(select(polls).where(*_of(owner, pipeline))).first()
    return None if row is None else _poll(row)


def claim(tx: Tx, owner: Owner, pipeline: str, turn: int, until: datetime) -> Poll | None:
    """The row, at which nobody else looks until then; None: it has another turn by now."""
    mine = polls.update().where(*_of(owner, pipeline), _c.turn == turn)
    claimed = tx.execute(mine.values(due=microseconds(until), turn=turn + 1)).rowcount == 1
    return load(tx, owner, pipeline) if claimed else None


def insert(tx: Tx, poll: Poll) -> None:
    """Duplicate: somebody else was quicker."""
    key = {"account": poll.owner.account, "region": poll.owner.region, "pipeline": poll.pipeline}
    tx.execute(polls.insert().values(**key, **_values(poll)))


def save(tx: Tx, was: Poll, now: Poll) -> bool:
    """Whether nobody changed the row since it was read: then it is as `now` has it."""
    mine = polls.update().where(*_of(was.owner, was.pipeline), _c.turn == was.turn)
    return tx.execute(mine.values(**_values(now))).rowcount == 1


def remove(tx: Tx, owner: Owner, pipeline: str, turn: int) -> None:
    """Unless it has another turn by now."""
    tx.execute(polls.delete().where(*_of(owner, pipeline), _c.turn == turn))


def _of(owner: Owner, pipeline: str) -> tuple[ColumnElement[bool], ...]:
    return _c.account == owner.account, _c.region == owner.region, _c.pipeline == pipeline


def _values(poll: Poll) -> dict[str, Any]:
    return {
        "seen": json.dumps(poll.seen),
        "pending": json.dumps([begin_shape(each) for each in poll.pending]),
        "due": microseconds(poll.due),
        "turn": poll.turn,
        "failures": poll.failures,
    }


def _poll(row: Row[Any]) -> Poll:
    return Poll(
        Owner(row.account, row.region),
        row.pipeline,
        time_of(row.due),
        {action: (mark, seen) for action, (mark, seen) in json.loads(row.seen).items()},
        tuple(parse_begin(each) for each in json.loads(row.pending)),
        row.turn,
        row.failures,
    )
