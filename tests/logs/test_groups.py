import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from codeyard.ident import Owner
from codeyard.logs import table
from codeyard.logs.groups import LogGroups
from codeyard.logs.table import DAY, Stream
from codeyard.store import Tx
from codeyard.store.engine import SqlDatabase
from tests.databases import database as database
from tests.logs.written import START, BuildLog, Clock

OWNER, GROUP = Owner(), "/aws/codebuild/demo"


@dataclass
class Place:
    """Log groups over a database, and one build's log."""

    db: SqlDatabase
    log: BuildLog
    clock: Clock

    @property
    def groups(self) -> LogGroups:
        return LogGroups(self.db, self.clock, self.log.files)

    async def stream(self) -> Stream | None:
        def work(tx: Tx) -> Stream | None:
            group = table.group(tx, OWNER, GROUP)
            return None if group is None else table.stream(tx, group, self.log.run)

        return await self.db.read(work)

    async def keep(self, days: int) -> None:
        def work(tx: Tx) -> None:
            group = table.group(tx, OWNER, GROUP)
            assert group is not None
            table.set_retention(tx, group, days)

        await self.db.write(work)

    async def delete(self) -> None:
        def work(tx: Tx) -> None:
            group = table.group(tx, OWNER, GROUP)
            assert group is not None
            table.delete_group(tx, group, START)

        await self.db.write(work)


@pytest.fixture
def place(database: SqlDatabase, tmp_path: Path) -> Place:
    return Place(database, BuildLog(tmp_path), Clock())


async def test_a_build_gets_a_group_and_a_stream_once(place: Place) -> None:
    await asyncio.gather(*(place.groups.build_stream(OWNER, GROUP, place.log.run, place.log.run) for _ in range(5)))
    stream = await place.stream()

    assert stream is not None
    assert stream.place == place.log.place
    assert not stream.ended


async def test_a_build_that_ended_tells_when_its_events_were(place: Place) -> None:
    await place.groups.build_stream(OWNER, GROUP, place.log.run, place.log.run)
    place.log.prints(100, b"one\n")
    place.log.prints(900, b"two\n")
    place.log.close()
    await place.groups.build_ended(place.log.run)
    await place.groups.build_ended(place.log.run)
    stream = await place.stream()
    group = await place.db.read(lambda tx: table.group(tx, OWNER, GROUP))

    assert stream is not None
    assert (stream.first, stream.last, stream.stored, stream.ended) == (START + 100, START + 900, 8, True)
    assert group is not None
    assert group.stored == 8


async def test_a_build_that_wrote_nothing_ends_too(place: Place) -> None:
    await place.groups.build_stream(OWNER, GROUP, place.log.run, place.log.run)
    place.log.path.unlink()
    await place.groups.build_ended(place.log.run)
    stream = await place.stream()

    assert stream is not None
    assert stream.ended


async def test_what_is_older_than_its_group_keeps_goes(place: Place) -> None:
    await place.groups.build_stream(OWNER, GROUP, place.log.run, place.log.run)
    place.log.prints(0, b"one\n")
    place.log.close()
    await place.groups.build_ended(place.log.run)
    await place.keep(3)
    place.clock.after(3 * DAY - 1)
    kept = await place.groups.sweep()
    place.clock.after(3 * DAY + 1)
    gone = await place.groups.sweep()

    assert (kept, gone) == (0, 1)
    assert await place.stream() is None
    assert not place.log.path.exists()
    assert await place.groups.sweep() == 0


async def test_the_log_of_a_running_build_stays_until_it_is_closed(place: Place) -> None:
    await place.groups.build_stream(OWNER, GROUP, place.log.run, place.log.run)
    place.log.prints(0, b"one\n")
    await place.keep(1)
    place.clock.after(5 * DAY)
    running = await place.groups.sweep()
    await place.delete()
    deleted = await place.groups.sweep()
    place.log.close()
    closed = await place.groups.sweep()

    assert (running, deleted, closed) == (0, 0, 1)
    assert not place.log.path.exists()
