"""Who waits for the end of a build is called at once where the build ran in this process, and else looks.

However many wait, one looks for all, so that hundreds of pipelines ask no more often than one.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from codeyard.builds import table
from codeyard.store import Database, patiently

_FIRST, _LAST, _SLOWER = 0.02, 0.25, 1.5  # seconds until it looks again


class Ends:
    """The builds whose end somebody in this process waits for."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._looking = asyncio.Lock()
        self._looked = 0.0

    def tell(self, run: str) -> None:
        """The row of this build says that it ended, or the row is gone. To be called in our event loop."""
        for event in self._waiting.get(run, ()):
            event.set()

    async def wait(self, run: str, patience: float | None) -> None:
        """Until the build has ended or is gone, or `patience` seconds have passed. A database that is away is waited
        for."""
        until = None if patience is None else time.monotonic() + patience
        pause = _FIRST
        with self._waits(run) as over:
            while not over.is_set():
                left = pause if until is None else min(pause, until - time.monotonic())
                if left <= 0:
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await over.wait()
                        return
                await self._look()
                pause = min(pause * _SLOWER, _LAST)

    @contextmanager
    def _waits(self, run: str) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        self._waiting.setdefault(run, set()).add(event)
        try:
            yield event
        finally:
            others = self._waiting[run]
            others.discard(event)
            if not others:
                del self._waiting[run]

    async def _look(self) -> None:
        asked = time.monotonic()
        async with self._looking:
            if self._looked > asked - _FIRST:  # somebody has looked for all of us
                return
            self._looked, runs = time.monotonic(), tuple(self._waiting)
            going = await patiently(lambda: self._db.read(lambda tx: table.still_going(tx, runs)))
        for run in set(runs) - going:
            self.tell(run)
