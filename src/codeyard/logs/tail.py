"""Follows logs that grow: the writer of this process wakes who waits; another process's file is looked at often.

The writer does no more than set a flag for each who waits. What a slow reader has not read stays in the file alone.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from codeyard.errors import NotFound
from codeyard.logs import LogFiles, LogState, Place
from codeyard.logs.reading import HELD, PAGE, Events, open_log

_SOONEST, _LATEST = 0.02, 0.2  # seconds between looks at a file that another process writes
_WOKEN = 1.0  # the same where the writer of this process wakes us: in case that another took over
_NOTHING = LogState(0, 0, False, 0)


class Tail:
    """One for a process. All but `grew` is for the event loop that made the waiting."""

    def __init__(self, files: LogFiles) -> None:
        self._files = files
        self._waiting: dict[str, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}
        self._written: set[str] = set()

    def grew(self, run: str) -> None:
        """The log of this run was written to by this process, from whichever thread."""
        self._written.add(run)
        for loop, event in tuple(self._waiting.get(run, ())):
            with contextlib.suppress(RuntimeError):  # its loop has ended meanwhile
                loop.call_soon_threadsafe(event.set)

    def ended(self, run: str) -> None:
        """This process writes to it no more."""
        self.grew(run)
        self._written.discard(run)

    async def changed(self, place: Place, beyond: int, seconds: float) -> bool:
        """Wait until the log's size is another than `beyond`, or it is closed. Whether it came to that in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        pause = _SOONEST
        with self._wakened(place.name) as event:
            while True:
                event.clear()
                state = await self._state(place)
                if state.size != beyond or state.closed:
                    return True
                left = deadline - loop.time()
                if left <= 0:
                    return False
                waits = _WOKEN if place.name in self._written else pause
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), min(waits, left))
                pause = min(pause * 1.5, _LATEST)

    async def follow(
        self, place: Place, offset: int, patience: float = 15.0, size: int = PAGE
    ) -> AsyncIterator[Events]:
        """Pages of events from `offset` on, until the log is closed and read; the next is read when it is asked for.

        A page has `size` bytes at the most, or one event; one without events says that nothing came for `patience`
        seconds. A log that is not there yet is waited for.
        """
        while True:
            try:
                log = await open_log(self._files, place)
                state, page = log.state, await log.forward(offset, size=size)
            except NotFound:
                state, page = _NOTHING, Events((), offset, offset)
            if page.events:
                offset = page.end
                yield page
            elif state.closed and offset >= state.size:
                return
            elif state.size > offset:  # part of a line, which is shown after a while
                await self.changed(place, state.size, max(_SOONEST, (HELD - state.idle) / 1000))
            elif not await self.changed(place, state.size, patience):
                yield page

    async def _state(self, place: Place) -> LogState:
        try:
            return await self._files.state(place)
        except NotFound:
            return _NOTHING

    @contextlib.contextmanager
    def _wakened(self, run: str) -> Iterator[asyncio.Event]:
        waiter = (asyncio.get_running_loop(), asyncio.Event())
        self._waiting.setdefault(run, set()).add(waiter)
        try:
            yield waiter[1]
        finally:
            self._waiting[run].discard(waiter)
            if not self._waiting[run]:
                del self._waiting[run]
