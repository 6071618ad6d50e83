"""Rows of workers."""

from codeyard.builds import workers_table
from codeyard.builds.queue import Size
from codeyard.builds.workers_table import WorkerRow
from codeyard.store.engine import SqlDatabase
from tests.builds.projects import NOW
from tests.databases import database

__all__ = ["database"]
ONE = WorkerRow("one", "machine", "http://machine:1", Size(2, 1 << 30), 4, NOW)


async def test_a_worker_can_be_read_where_nothing_may_be_written(database: SqlDatabase) -> None:
    """PostgreSQL locks no row in a transaction that only reads: who wants a worker's address asks in such a one."""
    await database.write(lambda tx: workers_table.put(tx, ONE))

    assert await database.read(lambda tx: workers_table.load(tx, "one")) == ONE


async def test_a_locked_worker_is_as_it_was_put(database: SqlDatabase) -> None:
    await database.write(lambda tx: workers_table.put(tx, ONE))

    assert await database.write(lambda tx: workers_table.lock(tx, "one")) == ONE
    assert await database.write(lambda tx: workers_table.lock(tx, "two")) is None
