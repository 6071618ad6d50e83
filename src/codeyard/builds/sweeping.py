"""Builds that nobody ends are ended: those that waited too long, and those whose worker is gone.

Any live process sweeps, a worker or a server; the version of the row decides who of them did it.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Self

from codeyard.builds import ending, life, table, tokens_table, workers_table
from codeyard.builds.stored import StoredBuild
from codeyard.errors import CodeyardError
from codeyard.store import Database, Tx

_log = logging.getLogger(__name__)
_FORGOTTEN_AFTER = timedelta(days=7)


class Sweeper:
    """Sweeps for as long as it is entered.

    A worker counts as gone only after we have seen for a whole lease that it says nothing: if we had no database, or
    slept, or have just started, it may have had none either.
    """

    def __init__(
        self,
        db: Database,
        now: Callable[[], datetime],
        *,
        lease: float = 30.0,
        every: float = 1.0,
        ended: Callable[[StoredBuild], None] = lambda _build: None,
    ) -> None:
        """`lease` and `every` in seconds. `ended` hears of each build that was ended here."""
        self._db, self._now, self._every, self._tell = db, now, every, ended
        self._lease = timedelta(seconds=lease)
        self._watching: datetime | None = None  # since when, without a gap
        self._last: datetime | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._go_on(), name="sweeper")
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _go_on(self) -> None:
        while True:
            try:
                await self.sweep()
            except CodeyardError as error:
                _log.warning("sweep_failed error=%s", error)
            except Exception:  # noqa: BLE001 - a row that nobody can read must not end the sweeping of all others
                _log.exception("sweep_broke")
            await asyncio.sleep(self._every)

    async def sweep(self) -> None:
        """Once. Fault."""
        now = self._now()
        if self._last is None or self._watching is None or now - self._last > self._lease / 2:
            self._watching = now
        found = await self._db.read(lambda tx: _look(tx, now))
        for run in found.overdue:
            await self._end(partial(_end_overdue, run=run, now=now))
        if now - self._watching >= self._lease:
            for run, worker in found.abandoned:
                await self._end(partial(_end_lost, run=run, worker=worker, now=now))
        if found.old:  # an idle server does not write
            await self._db.write(lambda tx: _forget(tx, now))
        self._last = now

    async def _end(self, work: Callable[[Tx], StoredBuild | None]) -> None:
        build = await self._db.write(work)
        if build is not None:
            _log.warning("build_ended build=%s status=%s lost=%s", build.id, build.build.status, build.lost)
            self._tell(build)


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is to do."""

    overdue: tuple[str, ...]
    abandoned: tuple[tuple[str, str], ...]  # builds, each with the worker that is gone
    old: bool  # there are rows to forget


def _look(tx: Tx, now: datetime) -> _Found:
    old = tokens_table.any_old(tx, now) or workers_table.any_old(tx, now - _FORGOTTEN_AFTER)
    return _Found(table.overdue(tx, now), _abandoned(tx, now), old)


def _end_overdue(tx: Tx, run: str, now: datetime) -> StoredBuild | None:
    return ending.end(tx, run, lambda was: life.timed_out_in_queue(was, now), now)


def _abandoned(tx: Tx, now: datetime) -> tuple[tuple[str, str], ...]:
    return table.left_by_others(tx, (worker.id for worker in workers_table.alive(tx, now)))


def _end_lost(tx: Tx, run: str, worker: str, now: datetime) -> StoredBuild | None:
    """Ended, unless its worker has said in the meantime that it lives."""
    row = workers_table.lock(tx, worker)
    if row is not None and row.lease > now:
        return None
    heard = "was never heard of" if row is None else f"on {row.machine} was to be heard of by {row.lease:%H:%M:%S} UTC"
    reason = f"Worker {worker} {heard} and was not, so its builds are given up."

    def rule(was: StoredBuild) -> StoredBuild:
        return life.lost(was, reason, now) if was.worker == worker and not was.ended else was

    return ending.end(tx, run, rule, now)


def _forget(tx: Tx, now: datetime) -> None:
    tokens_table.forget(tx, now)
    workers_table.forget(tx, now - _FORGOTTEN_AFTER)
