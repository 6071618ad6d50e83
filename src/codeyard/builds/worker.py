"""A worker takes builds from the queue, has them run, and keeps their rows true until they end.

It says every few seconds that it lives. While the database is away it waits, and its builds go on. It may be killed at
any moment: the next process of its name finds the rows that it had, and goes on with their workflows.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from codeyard.builds import claiming, lines_table, table, workers_table
from codeyard.builds.claiming import NoLease
from codeyard.builds.minding import Held, Kill, Minder, Perform, Told, persist
from codeyard.builds.queue import NOTHING
from codeyard.builds.workers_table import WorkerRow
from codeyard.durable import Steps
from codeyard.errors import CodeyardError
from codeyard.store import Database, Tx

Start = Callable[[str], Awaitable[None]]
_log = logging.getLogger(__name__)
_AGAIN, _AGAIN_AT_MOST = 0.1, 5.0  # seconds until the database is asked again that did not answer


class Worker:
    """Works for as long as it is entered; `run` is the body of each build's workflow, and waits until then.

    Leaving it ends nothing that runs: the sandboxes live on, and the next process of this name takes them up again,
    if it comes within `grace`; or else their builds are given up.
    """

    def __init__(
        self,
        db: Database,
        start: Start,
        perform: Perform,
        known_as: WorkerRow,
        now: Callable[[], datetime],
        *,
        kill: Kill | None = None,
        account_limit: int | None = None,
        told: Told = lambda _build, _event: None,
        over: Callable[[str], None] = lambda _run: None,
        lease: float = 30.0,
        poll: float = 0.1,
        grace: float = 300.0,
    ) -> None:
        """Times are in seconds; the lease and the draining of `known_as` are set here.

        `start` begins the workflow of this id, once however often it is asked. `perform` does the build and `kill`
        ends its sandbox, if there is one. `told` hears every event of a build that runs here, with the build as it is
        then; `over` the run of each one whose row says now that it ended.
        """
        self._db, self._start, self._now = db, start, now
        self._known_as, self._over = known_as, over
        self._account_limit = account_limit
        self._lease, self._grace = timedelta(seconds=lease), timedelta(seconds=max(lease, grace))
        self._beat, self._poll = lease / 6, poll
        self._minder = Minder(db, known_as.id, perform, kill, now, told)
        self._bell, self._known = asyncio.Event(), asyncio.Event()
        self._held: dict[str, Held] = {}
        self._draining = False
        self._said_alive: float | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await persist(self._say_alive)
        self._known.set()
        self._task = asyncio.create_task(self._go_on(), name=f"worker {self._known_as.id}")
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self._draining = True
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        with suppress(CodeyardError):
            await self._db.write(self._say_farewell)

    def wake(self) -> None:
        """There may be something to do: a build was started, or is to stop. To be called in our event loop."""
        self._bell.set()

    def drain(self) -> None:
        """Take no new builds from now on; those that run go on. To be called in our event loop."""
        self._draining = True
        self._said_alive = None
        self._bell.set()

    @property
    def running(self) -> int:
        """How many builds it has."""
        return len(self._held)

    async def run(self, id: str, steps: Steps) -> None:
        """The workflow of the build whose run's uuid is `id`: when it returns, the row says how the build ended."""
        await self._known.wait()
        stored = await persist(lambda: self._db.read(lambda tx: table.load(tx, id)))
        if stored is None or stored.worker != self._known_as.id:
            return
        if stored.ended:
            if stored.lost:
                await self._minder.end_remains(stored, steps)
            return
        held = self._held.setdefault(id, Held(stored))
        if held.begun:
            await held.over.wait()
            return
        held.begun, held.stored = True, stored
        if stored.stopping is not None:
            held.stop.set()
        try:
            await self._minder.mind(held, steps)
            self._over(id)
        finally:
            self._held.pop(id, None)
            held.over.set()
            self._bell.set()  # there is room now

    # ── the queue ──

    async def _go_on(self) -> None:
        pause, woken = _AGAIN, True
        while True:
            try:
                await self._round(woken=woken)
                pause = _AGAIN
            except Exception as error:  # noqa: BLE001 - the database, mostly; nothing may end a worker
                level = logging.WARNING if isinstance(error, CodeyardError) else logging.ERROR
                _log.log(level, "worker_waits worker=%s error=%s", self._known_as.id, error, exc_info=level > 30)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _AGAIN_AT_MOST)
            woken = await self._wait()

    async def _wait(self) -> bool:
        """Until somebody calls, or it is time to look. Whether somebody called."""
        # Whoever stops a build from another process is heard of by looking.
        look_after = self._poll / 2 if self._held else self._poll
        with suppress(TimeoutError):
            async with asyncio.timeout(look_after):
                await self._bell.wait()
        woken = self._bell.is_set()
        self._bell.clear()
        return woken

    async def _round(self, *, woken: bool) -> None:
        if self._said_alive is None or time.monotonic() - self._said_alive >= self._beat:
            await self._say_alive()
        running = bool(self._held)
        if self._has_room() and (woken or await self._db.read(lines_table.anybody_waits)):
            await self._claim()
        await self._start_those_not_begun()
        if running:  # those that were taken just now were not asked to stop yet, and are in a hurry
            await self._hear_of_stops()

    def _has_room(self) -> bool:
        if self._draining:
            return False
        here = claiming.machine(self._known_as, [held.stored.need for held in self._held.values()])
        return here.slots > 0 and here.free.cpus > NOTHING.cpus and here.free.memory > NOTHING.memory

    async def _claim(self) -> None:
        needs = {run: held.stored.need for run, held in self._held.items()}
        id, limit = self._known_as.id, self._account_limit
        try:
            taken = await self._db.write(lambda tx: claiming.claim(tx, id, needs, limit, self._now()))
        except NoLease:
            self._said_alive = None
            self._bell.set()
            return
        for stored in taken:
            self._held.setdefault(stored.run, Held(stored))

    async def _start_those_not_begun(self) -> None:
        idle = [held for held in self._held.values() if not (held.asked or held.begun)]
        await asyncio.gather(*(self._begin(held) for held in idle))

    async def _begin(self, held: Held) -> None:
        await self._start(held.stored.run)
        held.asked = True

    async def _hear_of_stops(self) -> None:
        mine = await self._db.read(lambda tx: table.held_by(tx, self._known_as.id))
        for run, stopping in mine.items():
            if stopping and run in self._held:
                self._held[run].stop.set()

    # ── the lease ──

    async def _say_alive(self) -> None:
        """Renew the lease, and compare what we have with what the rows say."""
        before = set(self._held)
        rows = set(await self._db.write(self._renew))
        self._said_alive = time.monotonic()
        for run in before - rows:
            gone = self._held.get(run)
            if gone is not None and gone.begun:
                gone.stop.set()  # somebody ended it, who took us for dead
            elif gone is not None:
                del self._held[run]
        for held in self._held.values():
            held.asked = held.begun  # ask for those again of which nothing was heard since
        for run in rows - before:  # an earlier process had it, or we did not hear that we have
            stored = await self._db.read(lambda tx, run=run: table.load(tx, run))  # type: ignore[misc]
            if stored is not None and stored.worker == self._known_as.id and not stored.ended:
                self._held.setdefault(run, Held(stored))

    def _renew(self, tx: Tx) -> dict[str, bool]:
        lease = self._now() + self._lease
        workers_table.put(tx, replace(self._known_as, lease=lease, draining=self._draining))
        return table.held_by(tx, self._known_as.id)

    def _say_farewell(self, tx: Tx) -> None:
        if table.held_by(tx, self._known_as.id):
            lease = self._now() + self._grace
            workers_table.put(tx, replace(self._known_as, lease=lease, draining=True))
        else:
            workers_table.remove(tx, self._known_as.id)
