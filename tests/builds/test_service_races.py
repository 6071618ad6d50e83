"""Clients, workers that are killed and come back, and time that goes by, in any order: what must hold all the same."""

import asyncio
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeyard.builds import lines_table, table
from codeyard.builds.model import Outcome, Phase, Status
from codeyard.builds.queue import Size
from codeyard.builds.stored import Standing, StoredBuild
from codeyard.builds.sweeping import Sweeper
from codeyard.store import Tx, metadata
from codeyard.store.engine import SqlDatabase
from tests.builds.projects import OWNER
from tests.builds.service import GIB, Service, a_service

PROJECTS = ("plain", "limited", "failing")
LIMIT = 2
NAMES = ("one", "two", "three")
ACTS = st.one_of(
    st.tuples(st.just("start"), st.sampled_from(PROJECTS)),
    st.tuples(st.just("stop"), st.integers(0, 30)),
    st.tuples(st.just("retry"), st.integers(0, 30)),
    st.tuples(st.just("delete"), st.integers(0, 30)),
    st.tuples(st.just("open"), st.integers(0, 30)),
    st.tuples(st.just("begin"), st.sampled_from(NAMES)),
    st.tuples(st.just("deaf"), st.sampled_from(NAMES)),
    st.tuples(st.just("kill"), st.sampled_from(NAMES)),
    st.tuples(st.just("leave"), st.sampled_from(NAMES)),
    st.tuples(st.just("pass"), st.integers(1, 50)),
    st.tuples(st.just("lapse"), st.just(0)),
    st.tuples(st.just("wait"), st.integers(1, 5)),
)


class World:
    """A service, its workers, and every build that somebody was told of."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.told: dict[str, StoredBuild] = {}
        self.ended: dict[str, StoredBuild] = {}
        self.deleted: set[str] = set()
        self.workers: dict[str, AsyncExitStack] = {}
        self.sweeper = Sweeper(service.db, service.clock)

    async def act(self, what: str, which: Any) -> None:
        await getattr(self, f"_{what}")(which)
        await self._look()

    async def _start(self, project: str) -> None:
        build = await self.service.start(project)
        self.told[build.run] = build

    async def _stop(self, index: int) -> None:
        if (build := self._some(index)) is not None:
            await self.service.control(stop_patience=0.0).stop(OWNER, build.id)

    async def _retry(self, index: int) -> None:
        build = self._some(index)
        if build is not None and (await self.service.row(build.run)).ended:
            again = await self.service.control().retry(OWNER, build.id, {}, "root")
            self.told[again.run] = again

    async def _delete(self, index: int) -> None:
        if (build := self._some(index)) is not None:
            done = await self.service.control().delete(OWNER, [build.id])
            self.deleted |= {id.run for id in done.deleted}

    async def _open(self, index: int) -> None:
        if (build := self._some(index)) is not None:
            self.service.builds.gates.setdefault(build.run, asyncio.Event()).set()

    async def _begin(self, name: str, starts: bool = True) -> None:
        if name not in self.workers:
            self.workers[name] = AsyncExitStack()
            size = Size(4, 8 * GIB)
            working = self.service.killed(name, size, starts=starts, poll=0.005, lease=30.0)
            await self.workers[name].enter_async_context(working)

    async def _deaf(self, name: str) -> None:
        """It claims builds, and is killed before their workflows are written down."""
        await self._kill(name)
        await self._begin(name, starts=False)
        await asyncio.sleep(0.05)
        await self._kill(name)

    async def _kill(self, name: str) -> None:
        if name in self.workers:
            await self.workers.pop(name).aclose()

    async def _leave(self, name: str) -> None:
        await self._kill(name)
        async with self.service.working(name, Size(4, 8 * GIB), poll=0.005):
            await asyncio.sleep(0.01)

    async def _pass(self, seconds: int) -> None:
        self.service.clock.pass_by(seconds=seconds)
        await self.sweeper.sweep()

    async def _lapse(self, _: int) -> None:
        """All workers are silent for so long that they are given up, even those that live."""
        for _ in range(5):
            await self._pass(14)

    async def _wait(self, hundredths: int) -> None:
        await asyncio.sleep(hundredths / 100)

    def _some(self, index: int) -> StoredBuild | None:
        left = [build for run, build in self.told.items() if run not in self.deleted]
        return left[index % len(left)] if left else None

    async def _look(self) -> None:
        """What holds at every moment."""
        rows = await self.rows()
        running = [row for row in rows if row.standing is Standing.RUNNING]
        assert sum(row.id.project == "limited" for row in running) <= LIMIT
        held = Counter(row.worker for row in running)
        assert all(number <= 2 for number in held.values()), "more than fit"
        for row in rows:
            was = self.ended.get(row.run)
            assert was is None or was.build == row.build, "a build that ended has changed"
            if row.ended:
                self.ended[row.run] = row

    async def rows(self) -> list[StoredBuild]:
        def work(tx: Tx) -> list[StoredBuild]:
            page = table.listed(tx, OWNER, ascending=True, after=None)
            return list(table.find(tx, OWNER, [id.rpartition(":")[2] for id in page.items]).values())

        return await self.service.db.read(work)

    async def to_the_end(self) -> None:
        """Every worker comes back, every gate opens, and all builds end."""
        self.service.builds.open = True
        for gate in self.service.builds.gates.values():
            gate.set()
        for name in NAMES:
            await self._begin(name)
        async with asyncio.timeout(40):
            while any((await self.service.db.read(lines_table.totals)).values()):
                await asyncio.sleep(0.01)
            while self.service.builds.sandboxes - self.deleted:  # of builds that others ended
                await asyncio.sleep(0.01)
        for name in NAMES:
            await self._kill(name)


async def play(acts: list[tuple[str, Any]], db: SqlDatabase) -> None:
    service = a_service(db)
    service.builds.open = False
    service.builds.outcomes["failing"] = Outcome(Status.FAILED)
    await service.create("plain")
    await service.create("limited", concurrentBuildLimit=LIMIT)
    await service.create("failing", autoRetryLimit=2)
    world = World(service)
    for what, which in acts:
        await world.act(what, which)

    await world.to_the_end()

    rows = {row.run: row for row in await world.rows()}
    assert set(world.told) - world.deleted <= set(rows), "a build is lost"
    for row in rows.values():
        assert [record.phase for record in row.build.records][-1] is Phase.COMPLETED
        _assert_linked(row, rows)
    assert not any((await db.read(lines_table.totals)).values())
    numbers = [(row.id.project, row.number) for row in rows.values()]
    assert len(numbers) == len(set(numbers))
    assert not service.builds.sandboxes - world.deleted, "a sandbox is left"


def _assert_linked(row: StoredBuild, rows: dict[str, StoredBuild]) -> None:
    """Each build that was to be tried again was, once."""
    after = [other for other in rows.values() if other.retries.previous == row.id]
    assert len(after) <= 1
    if row.retries.next is not None and row.retries.next.run in rows:
        assert [other.id for other in after] == [row.retries.next]
    failed = row.build.status in (Status.FAILED, Status.FAULT)
    expected = failed and row.stopping is None and row.retries.number < row.retries.limit
    assert (row.retries.next is not None) == expected


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(ACTS, min_size=8, max_size=30))
def test_whatever_happens_every_build_ends_once_and_none_is_lost(acts: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        db = SqlDatabase(f"sqlite:///{Path(directory) / 'races.sqlite'}")
        metadata.create_all(db.engine)
        try:
            asyncio.run(play(acts, db))
        finally:
            db.close()
