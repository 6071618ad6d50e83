"""Whoever waits in this process for news of something, by its name, and whoever has the news. Other processes' news is
found by looking again; this only saves the wait."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Wakes:
    """For one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    @contextmanager
    def waiting(self, name: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever there is news of `name`; whoever waits clears it before looking."""
        event = asyncio.Event()
        self._waiting.setdefault(name, set()).add(event)
        try:
            yield event
        finally:
            here = self._waiting[name]
            here.discard(event)
            if not here:
                del self._waiting[name]

    def wake(self, names: Iterable[str]) -> None:
        for name in names:
            for event in self._waiting.get(name, ()):
                event.set()

    def wake_all(self) -> None:
        """After a change that may concern several."""
        self.wake(tuple(self._waiting))
