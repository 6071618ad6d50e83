"""Who sends events on: one process at a time, and each knows whether it is the one."""

from datetime import UTC, datetime, timedelta

from codeyard.pipelines import outbox_table
from codeyard.store import Tx
from codeyard.store.engine import SqlDatabase
from tests.databases import database

__all__ = ["database"]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)


async def test_who_took_too_long_to_send_stops_when_another_sends(database: SqlDatabase) -> None:
    def work(tx: Tx) -> list[object]:
        late = NOON + timedelta(seconds=31)
        return [
            outbox_table.sender(tx, "one", NOON, LEASE),
            outbox_table.sender(tx, "two", NOON, LEASE),
            outbox_table.sent(tx, "one", 5, NOON + LEASE),
            outbox_table.sender(tx, "two", late, LEASE),
            outbox_table.sent(tx, "one", 9, late + LEASE),
            outbox_table.sent(tx, "two", 7, late + LEASE),
            outbox_table.sender(tx, "two", late, LEASE),
        ]

    assert await database.write(work) == [0, None, True, 5, False, True, 7]


async def test_who_sends_on_is_left_to_it_for_as_long_as_it_does(database: SqlDatabase) -> None:
    late = NOON + timedelta(seconds=31)

    def work(tx: Tx) -> int | None:
        outbox_table.sender(tx, "one", NOON, LEASE)
        outbox_table.sent(tx, "one", 5, late + LEASE)
        return outbox_table.sender(tx, "two", late, LEASE)

    assert await database.write(work) is None
