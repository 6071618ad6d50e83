"""What subscribers are yet to hear of pipelines: written in the transaction that made it true, gone once it is sent.

A pipeline's row is held while its events are written, so theirs are numbered in their order; those of two pipelines
may be committed in another one than their numbers have.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text, exists, or_, select

from codeyard.store import Tx, metadata
from codeyard.store.times import microseconds

events = Table(
    "pipeline_events",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("line", String(200), nullable=False),  # whose events go one after another: account/region/pipeline
    Column("at", BigInteger, nullable=False),
    Column("event", Text, nullable=False),
)
senders = Table(
    "pipeline_event_senders",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(120), nullable=False),
    Column("until", BigInteger, nullable=False),
)
_c, _s = events.c, senders.c
_ONLY = 1  # the id of the one row
Index("ix_pipeline_events_at", _c.at)
_INSERT = events.insert()


@dataclass(frozen=True, slots=True)
class Told:
    """An event, as EventBridge would have it, and its place in the order of its line."""

    line: str
    number: int
    event: Mapping[str, Any]

    @property
    def at(self) -> datetime:
        return datetime.fromisoformat(self.event["time"])


def add(tx: Tx, at: datetime, found: Iterable[Mapping[str, Any]]) -> None:
    rows = [
        {
            "line": f"{event['account']}/{event['region']}/{event['detail']['pipeline']}",
            "at": microseconds(at),
            "event": json.dumps(event, separators=(",", ":")),
        }
        for event in found
    ]
    if rows:
        tx.execute(_INSERT, rows)


def owed(tx: Tx, limit: int, but: Collection[str] = ()) -> list[Told]:
    """The oldest first; of these lines none."""
    query = select(_c.line, _c.number, _c.event).where(_c.line.not_in(but)).order_by(_c.number).limit(limit)
    return [Told(row.line, row.number, json.loads(row.event)) for row in tx.execute(query)]


def wanted(tx: Tx, but: Collection[str] = ()) -> bool:
    """Whether there is something for whoever sends, or nobody ever sent."""
    nobody = ~exists().where(_s.id == _ONLY)
    return bool(tx.execute(select(or_(nobody, exists().where(_c.line.not_in(but))))).scalar())


def sender(tx: Tx, name: str, now: datetime, lease: timedelta) -> bool:
    """Whether this process is the one that sends; if not, another does.

    The first that ever sends begins with what comes after it. Duplicate: another is the first, at this very moment.
    """
    row = tx.execute(select(senders).where(_s.id == _ONLY).with_for_update()).first()
    until = microseconds(now + lease)
    if row is None:
        tx.execute(senders.insert().values(id=_ONLY, name=name, until=until))
        tx.execute(events.delete())
        return True
    if row.name != name and row.until > microseconds(now):
        return False
    tx.execute(senders.update().where(_s.id == _ONLY).values(name=name, until=until))
    return True


def sent(tx: Tx, name: str, numbers: Collection[int], until: datetime) -> bool:
    """These were sent, and are gone, if this process is still the one that sends: then it is until then. Whether it
    is."""
    mine = senders.update().where(_s.id == _ONLY, _s.name == name)
    if tx.execute(mine.values(until=microseconds(until))).rowcount != 1:
        return False
    if numbers:
        tx.execute(events.delete().where(_c.number.in_(numbers)))
    return True


def forget(tx: Tx, before: datetime) -> None:
    tx.execute(events.delete().where(_c.at < microseconds(before)))
