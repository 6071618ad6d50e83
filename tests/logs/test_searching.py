import random
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from codeyard.ident import Owner
from codeyard.logs import Framing, Place, searching, table
from codeyard.logs.files import LocalLogs
from codeyard.logs.records import Record
from codeyard.logs.searching import FoundPage, Position, Search, search
from codeyard.logs.table import Group
from codeyard.logs.times import END, ENTRY
from codeyard.store import Tx
from codeyard.store.engine import SqlDatabase
from tests.databases import database as database

OWNER = Owner()


class Room:
    """A group whose streams are written at once, as builds that ended would leave them."""

    def __init__(self, db: SqlDatabase, data: Path) -> None:
        self.db, self.data, self.files = db, data, LocalLogs(data)

    async def fill(self, builds: list[list[int]]) -> Group:
        """Each build writes a line at each of these times."""
        runs = [(str(uuid.uuid4()), moments) for moments in builds]
        for run, moments in runs:
            home = self.data / "builds" / run
            home.mkdir(parents=True)
            (home / "log").write_bytes(b"".join(b"%08d\n" % moment for moment in moments))
            times = b"".join(ENTRY.pack(9 * number, moment) for number, moment in enumerate(moments))
            (home / "log.times").write_bytes(times + ENTRY.pack(END, moments[-1]))

        def work(tx: Tx) -> Group:
            table.create_group(tx, OWNER, "group", 0, {})
            group = table.group(tx, OWNER, "group")
            assert group is not None
            for run, moments in runs:
                table.create_stream(tx, group, run, Place(Framing.LINES, run), 0)
                stream = table.stream(tx, group, run)
                assert stream is not None
                table.learn(tx, stream, first=moments[0], last=moments[-1], stored=1, ended=True)
            return group

        return await self.db.write(work)

    async def put(self, group: Group, name: str, batches: list[list[int]]) -> None:
        """A client puts events of these times."""
        place = Place(Framing.RECORDS, str(uuid.uuid4()))
        for batch in batches:
            self.files.streams.put(place.name, [Record(moment, 0, b"%08d\n" % moment) for moment in batch])
        await self.db.write(lambda tx: table.create_stream(tx, group, name, place, 0))

    async def found(self, group: Group, what: Search) -> list[int]:
        """The times of all events, page by page."""
        found: list[int] = []
        after: Position | None = None
        pages = 0
        while (pages := pages + 1) < 5000:
            page: FoundPage = await search(self.db, self.files, group, what, after, 10**12)
            assert len(page.found) <= what.limit
            found += [each.event.timestamp for each in page.found]
            if page.next is None:
                return found
            after = Position.parse(str(page.next))
        raise AssertionError("the pages do not end")


def every(_message: str) -> bool:
    return True


@pytest.fixture
def room(database: SqlDatabase, tmp_path: Path) -> Room:
    return Room(database, tmp_path)


@pytest.mark.parametrize("seed", range(4))
async def test_pages_hold_all_events_in_order(room: Room, seed: int) -> None:
    chance = random.Random(seed)
    builds = [sorted(chance.sample(range(1, 2000), chance.randint(1, 30))) for _ in range(15)]
    group = await room.fill(builds)
    start, end = chance.randint(1, 1000), chance.randint(1000, 2000)
    limit = chance.choice([2, 7, 50])
    found = await room.found(group, Search(every, start, end, limit=limit))

    assert found == sorted(moment for build in builds for moment in build if start <= moment <= end)


@pytest.mark.parametrize("moment", [lambda _number: 7, lambda number: number // 3, lambda number: number * 5])
async def test_more_builds_than_are_looked_at_together_are_searched(room: Room, moment: Callable[[int], int]) -> None:
    """Whether they begin together, in bunches or one after another."""
    builds = [[1 + moment(number), 2 + moment(number)] for number in range(searching._UPCOMING + 150)]
    group = await room.fill(builds)
    found = await room.found(group, Search(every, limit=200))

    assert found == sorted(each for build in builds for each in build)


@pytest.mark.parametrize("seed", range(4))
async def test_events_that_clients_put_out_of_order_are_found_once(room: Room, seed: int) -> None:
    chance = random.Random(seed)
    group = await room.fill([[5, 500, 900]])
    batches = {name: [sorted(chance.choices(range(1000), k=chance.randint(1, 5))) for _ in range(10)] for name in "abc"}
    for name, given in batches.items():
        await room.put(group, name, given)
    found = await room.found(group, Search(every, 100, 800, limit=chance.choice([1, 4, 100])))
    expected = [moment for given in batches.values() for batch in given for moment in batch if 100 <= moment <= 800]

    assert sorted(found) == sorted([*expected, 500])


async def test_a_page_without_a_match_is_left_after_a_while(room: Room) -> None:
    group = await room.fill([list(range(1, 1000))])
    run = next((room.data / "builds").iterdir())
    (run / "log").write_bytes(b"x" * 99 + b"\n" + (b"y" * 99 + b"\n") * 200_000 + b"found\n")
    page = await search(room.db, room.files, group, Search(lambda text: text == "found"), None, 10**12)

    assert page.found == ()
    assert page.next is not None
    assert len(await room.found(group, Search(lambda text: text == "found"))) == 1
