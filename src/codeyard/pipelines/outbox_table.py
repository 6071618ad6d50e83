"""What subscribers are to hear of pipelines, in order: written in the transaction that made it true."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text, func, select

from codeyard.builds.lines_table import microseconds
from codeyard.store import Tx, metadata

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
_c = events.c
Index("ix_pipeline_events_pipeline", _c.account, _c.region, _c.pipeline, _c.number)
Index("ix_pipeline_events_at", _c.at)


@dataclass(frozen=True, slots=True)
class Told:
    """An event, as EventBridge would have it, and its place in the order."""

    number: int
    event: Mapping[str, Any]


def add(tx: Tx, at: datetime, found: Iterable[Mapping[str, Any]]) -> None:
    for event in found:
        detail = event["detail"]
        tx.execute(
            events.insert().values(
                account=event["account"],
                region=event["region"],
                pipeline=detail["pipeline"],
                at=microseconds(at),
                event=json.dumps(event, separators=(",", ":")),
            )
        )


def after(tx: Tx, number: int, limit: int) -> list[Told]:
    """Those that follow, of all pipelines."""
    rows = tx.execute(select(_c.number, _c.event).where(_c.number > number).order_by(_c.number).limit(limit))
    return [Told(row.number, json.loads(row.event)) for row in rows]


def newest(tx: Tx) -> int:
    """The number of the last; 0 if there is none."""
    return int(tx.execute(select(func.max(_c.number))).scalar() or 0)


def forget(tx: Tx, before: datetime) -> None:
    tx.execute(events.delete().where(_c.at < microseconds(before)))
