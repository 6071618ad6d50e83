"""One build while it runs here: what it tells goes into its row, and who wants it to stop is heard."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from codeyard.builds import ending, life, table
from codeyard.builds.model import Build, Context
from codeyard.builds.run import Finished
from codeyard.builds.stored import StoredBuild
from codeyard.durable import Answer, Steps
from codeyard.errors import CodeyardError, Fault
from codeyard.events import Event
from codeyard.store import Database, Tx

T = TypeVar("T")
Perform = Callable[[StoredBuild, Steps, Callable[[Event], None], asyncio.Event], Awaitable[Finished]]
Kill = Callable[[StoredBuild], Awaitable[None]]
Told = Callable[[StoredBuild, Event], None]

_log = logging.getLogger(__name__)
_REMAINS_AT_MOST = 60.0  # seconds until it is tried again to end what is left of a build
_AGAIN, _AGAIN_AT_MOST = 0.1, 5.0  # seconds until a database is asked again that did not answer
# Seconds for each build that runs here, and at the most: the phases of a quick build follow each other faster than rows
# are written, and many builds at once are not to write more often than one.
_TOGETHER, _TOGETHER_AT_MOST = 0.05, 1.0
_REASON_AT_MOST = 4096


@dataclass(slots=True)
class Held:
    """A build that is ours. `stored` runs ahead of its row by what was heard since the row was written."""

    stored: StoredBuild
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    asked: bool = False  # its workflow was started, as far as we know
    begun: bool = False  # its workflow runs in this process
    over: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, stored: StoredBuild) -> None:
        if stored is not self.stored:
            self.stored = stored
            self.changed.set()


class Minder:
    """Has builds performed, and keeps their rows true."""

    def __init__(
        self, db: Database, worker: str, perform: Perform, kill: Kill | None, now: Callable[[], datetime], told: Told
    ) -> None:
        self._db, self._worker, self._perform, self._now, self._told = db, worker, perform, now, told
        self._kill = kill
        self._minding = 0  # how many builds

    async def mind(self, held: Held, steps: Steps) -> None:
        """Have it performed; when this returns, its row says how it ended.

        While the database is away the build goes on, and what it has told is written later.
        """
        saving = asyncio.create_task(self._save_as_it_goes(held), name=f"saving {held.stored.run}")
        self._minding += 1
        try:
            build, facts = await self._performed(held, steps)
        finally:
            self._minding -= 1
            saving.cancel()
            with suppress(asyncio.CancelledError):
                await saving
        await persist(lambda: self._db.write(lambda tx: self._end(tx, held.stored.run, build, facts)))

    async def end_remains(self, stored: StoredBuild, steps: Steps) -> None:
        """Leave nothing running of a build that others ended, who took us for dead. Its row stays as it is."""
        stop = asyncio.Event()
        stop.set()
        pause = _AGAIN
        while True:
            try:
                if self._kill is not None:
                    await self._kill(stored)
                else:
                    await self._perform(stored, steps, lambda _event: None, stop)
            except Fault as error:  # what keeps its sandbox is away: it comes back, and the sandbox is there still
                _log.warning("remains_wait build=%s error=%s", stored.id, error)
            except Exception as error:  # noqa: BLE001 - whatever it was, nobody waits for this build
                _log.warning("remains_left build=%s error=%s", stored.id, error)
                return
            else:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _REMAINS_AT_MOST)

    async def _performed(self, held: Held, steps: Steps) -> tuple[Build, Mapping[str, Any]]:
        def emit(event: Event) -> None:
            held.put(life.heard(held.stored, event))
            self._told(held.stored, event)

        try:
            finished = await self._perform(held.stored, _Noted(steps, held), emit, held.stop)
        except Exception as error:  # noqa: BLE001 - a build whose work breaks ends all the same
            _log.exception("build_broke build=%s", held.stored.id)
            reason = str(error) if isinstance(error, CodeyardError) else f"{type(error).__name__}: {error}"
            context = Context("SERVER_ERROR", reason[:_REASON_AT_MOST])
            return life.faulted(held.stored.build, context, self._now()), held.stored.facts
        return finished.build, finished.facts

    async def _save_as_it_goes(self, held: Held) -> None:
        """What is heard together is written together."""
        while True:
            await held.changed.wait()
            await asyncio.sleep(min(_TOGETHER * self._minding, _TOGETHER_AT_MOST))
            held.changed.clear()
            fresh = held.stored
            row = await persist(lambda: self._db.write(lambda tx: self._save(tx, fresh)))  # noqa: B023 - awaited here
            if row is None or row.stopping is not None:
                held.stop.set()

    def _save(self, tx: Tx, fresh: StoredBuild) -> StoredBuild | None:
        """The row as it is now; None if the build is ours no more."""
        found = table.change(tx, fresh.run, lambda was: life.told(was, fresh) if self._is_ours(was) else was)
        return found[1] if found is not None and self._is_ours(found[1]) else None

    def _end(self, tx: Tx, run: str, build: Build, facts: Mapping[str, Any]) -> StoredBuild | None:
        def rule(was: StoredBuild) -> StoredBuild:
            return life.finished(was, build, facts) if self._is_ours(was) else was

        return ending.end(tx, run, rule, self._now())

    def _is_ours(self, stored: StoredBuild) -> bool:
        return stored.worker == self._worker and not stored.ended


async def persist(work: Callable[[], Awaitable[T]]) -> T:
    """What `work` gives, asking again for as long as the database does not answer."""
    pause = _AGAIN
    while True:
        try:
            return await work()
        except CodeyardError as error:
            _log.warning("database_awaited error=%s", error)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _AGAIN_AT_MOST)


class _Noted:
    """Steps, of whose answers is noted at once what clients see before the build ends: the resolved version."""

    def __init__(self, steps: Steps, held: Held) -> None:
        self._steps, self._held = steps, held

    async def step(self, name: str, work: Callable[[], Awaitable[Answer]]) -> Answer:
        answer = await self._steps.step(name, work)
        source = answer.get("facts", {}).get("source")
        if source and source.get("resolved"):
            stored = self._held.stored
            facts = {**stored.facts, "source": {"resolved": source["resolved"]}}
            self._held.put(replace(stored, facts=facts))
        return answer
