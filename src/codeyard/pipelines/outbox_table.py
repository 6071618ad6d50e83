"""What subscribers are to hear of pipelines, in order: written in the transaction that made it true."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text, func, select

from codeyard.store import Tx, metadata
from codeyard.store.times import microseconds

events = Table(
    "pipeline_events",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("account", String(12), nullable=False),
    Column("region", String(64), nullable=False),
    Column("pipeline", String(100), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("event", Text, nullable=False),
)
senders = Table(
    "pipeline_event_senders",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(120), nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("sent", BigInteger, nullable=False),
)
_c, _s = events.c, senders.c
_ONLY = 1  # the id of the one row
Index("ix_pipeline_events_pipeline", _c.account, _c.region, _c.pipeline, _c.number)
Index("ix_pipeline_events_at", _c.at)
_INSERT = events.insert()


@dataclass(frozen=True, slots=True)
class Told:
    """An event, as EventBridge would have it, and its place in the order."""

    number: int
    event: Mapping[str, Any]


def add(tx: Tx, at: datetime, found: Iterable[Mapping[str, Any]]) -> None:
    rows = [
        {
            "account": event["account"],
            "region": event["region"],
            "pipeline": event["detail"]["pipeline"],
            "at": microseconds(at),
            "event": json.dumps(event, separators=(",", ":")),
        }
        for event in found
    ]
    if rows:
        tx.execute(_INSERT, rows)


def after(tx: Tx, number: int, limit: int, before: datetime | None = None) -> list[Told]:
    """Those that follow, of all pipelines; only what was written `before`: of two transactions at once, the one with
    the lower numbers may be committed last."""
    query = select(_c.number, _c.event).where(_c.number > number)
    if before is not None:
        query = query.where(_c.at < microseconds(before))
    rows = tx.execute(query.order_by(_c.number).limit(limit))
    return [Told(row.number, json.loads(row.event)) for row in rows]


def sender(tx: Tx, name: str, now: datetime, lease: timedelta) -> int | None:
    """The number of the last event that was sent on, if this process is the one that sends; None: another does.

    The first that ever sends begins with what comes after it. Duplicate: another is the first, at this very moment.
    """
    row = tx.execute(select(senders).where(_s.id == _ONLY).with_for_update()).first()
    until = microseconds(now + lease)
    if row is None:
        last = int(tx.execute(select(func.max(_c.number))).scalar() or 0)
        tx.execute(senders.insert().values(id=_ONLY, name=name, until=until, sent=last))
        return last
    if row.name != name and row.until > microseconds(now):
        return None
    tx.execute(senders.update().where(_s.id == _ONLY).values(name=name, until=until))
    return int(row.sent)


def sent(tx: Tx, name: str, number: int, until: datetime) -> bool:
    """All up to this one were sent on. Whether this process is still the one that sends: then it is until then."""
    mine = senders.update().where(_s.id == _ONLY, _s.name == name)
    return tx.execute(mine.values(sent=number, until=microseconds(until))).rowcount == 1


def forget(tx: Tx, before: datetime) -> None:
    tx.execute(events.delete().where(_c.at < microseconds(before)))
