"""The workers: who they are, what they have, and until when each is taken to live."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Float, Row, String, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

from codeyard.builds.queue import Size
from codeyard.store import Tx, metadata
from codeyard.store.times import microseconds, time_of

workers = Table(
    "build_workers",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("machine", String(255), nullable=False),
    Column("address", String(255), nullable=False),
    Column("cpus", Float, nullable=False),
    Column("memory", BigInteger, nullable=False),
    Column("slots", BigInteger, nullable=False),
    Column("lease", BigInteger, nullable=False),
    Column("draining", Boolean, nullable=False),
)
_c = workers.c


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker, as it says of itself. Its builds are given up when `lease` is past."""

    id: str
    machine: str
    address: str  # where its builds' live logs are read, if anywhere
    total: Size
    slots: int  # builds at the same time, at the most
    lease: datetime
    draining: bool = False  # takes no new builds


def put(tx: Tx, worker: WorkerRow) -> None:
    """Make it known, or say anew how it is."""
    values = {
        "machine": worker.machine,
        "address": worker.address,
        "cpus": worker.total.cpus,
        "memory": worker.total.memory,
        "slots": worker.slots,
        "lease": microseconds(worker.lease),
        "draining": worker.draining,
    }
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    query = insert(workers).values(id=worker.id, **values)
    tx.execute(query.on_conflict_do_update(index_elements=[_c.id], set_=values))


def remove(tx: Tx, id: str) -> None:
    tx.execute(workers.delete().where(_c.id == id))


def any_old(tx: Tx, before: datetime) -> bool:
    """Whether some were last heard of before that."""
    return tx.execute(select(_c.id).where(_c.lease < microseconds(before)).limit(1)).first() is not None


def forget(tx: Tx, before: datetime) -> None:
    """Drop those that were last heard of before that."""
    tx.execute(workers.delete().where(_c.lease < microseconds(before)))


def load(tx: Tx, id: str) -> WorkerRow | None:
    row = tx.execute(select(workers).where(_c.id == id)).first()
    return None if row is None else _worker(row)


def lock(tx: Tx, id: str) -> WorkerRow | None:
    """The worker, which stays as it is until the transaction ends. To write only: no read may lock."""
    row = tx.execute(select(workers).where(_c.id == id).with_for_update()).first()
    return None if row is None else _worker(row)


def alive(tx: Tx, now: datetime) -> tuple[WorkerRow, ...]:
    """Those whose lease holds, by id."""
    query = select(workers).where(_c.lease > microseconds(now)).order_by(_c.id)
    return tuple(_worker(row) for row in tx.execute(query))


def counted(tx: Tx, now: datetime) -> int:
    return int(tx.scalar(select(func.count()).select_from(workers).where(_c.lease > microseconds(now))) or 0)


def _worker(row: Row[Any]) -> WorkerRow:
    total = Size(row.cpus, row.memory)
    return WorkerRow(row.id, row.machine, row.address, total, row.slots, time_of(row.lease), row.draining)
