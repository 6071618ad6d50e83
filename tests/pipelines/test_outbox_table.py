"""Who sends events on: one process at a time, and each knows whether it is the one."""

from datetime import UTC, datetime, timedelta

from codeyard.pipelines import outbox_table
from codeyard.store import Tx
from codeyard.store.engine import SqlDatabase
from tests.databases import database

__all__ = ["database"]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)
EVENT = {"account": "000000000000", "region": "us-east-1", "detail": {"pipeline": "demo"}}


async def test_who_took_too_long_to_send_stops_when_another_sends(database: SqlDatabase) -> None:
    def work(tx: Tx) -> list[object]:
        late = NOON + timedelta(seconds=31)
        found = [outbox_table.sender(tx, "one", NOON, LEASE), outbox_table.sender(tx, "two", NOON, LEASE)]
        outbox_table.add(tx, NOON, [EVENT, EVENT, EVENT])
        first, second, _ = (each.number for each in outbox_table.owed(tx, 10))
        found += [
            outbox_table.sent(tx, "one", [first], NOON + LEASE),
            outbox_table.sender(tx, "two", late, LEASE),
            outbox_table.sent(tx, "one", [second], late + LEASE),
        ]
        return [*found, len(outbox_table.owed(tx, 10))]

    assert await database.write(work) == [True, False, True, True, False, 2]


async def test_who_sends_on_is_left_to_it_for_as_long_as_it_does(database: SqlDatabase) -> None:
    late = NOON + timedelta(seconds=31)

    def work(tx: Tx) -> bool:
        outbox_table.sender(tx, "one", NOON, LEASE)
        outbox_table.sent(tx, "one", [], late + LEASE)
        return outbox_table.sender(tx, "two", late, LEASE)

    assert not await database.write(work)


async def test_there_is_nothing_to_do_but_for_the_first_and_for_what_is_owed(database: SqlDatabase) -> None:
    def work(tx: Tx) -> list[bool]:
        first = outbox_table.wanted(tx)
        outbox_table.sender(tx, "one", NOON, LEASE)
        idle = outbox_table.wanted(tx)
        outbox_table.add(tx, NOON, [EVENT])
        line = outbox_table.owed(tx, 1)[0].line
        return [first, idle, outbox_table.wanted(tx), outbox_table.wanted(tx, [line])]

    assert await database.write(work) == [True, False, True, False]
