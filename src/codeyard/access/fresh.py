"""Answers of the database kept for a moment: what every request asks for must not cost a read each."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from datetime import datetime, timedelta
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
KEPT = timedelta(seconds=1.5)  # how late a change by another process is seen
_MOST = 4096


class Fresh(Generic[K, V]):
    """What `load` gave, for a moment. For one event loop."""

    def __init__(self, load: Callable[[K], Awaitable[V]], now: Callable[[], datetime]) -> None:
        self._load = load
        self._now = now
        self._kept: dict[K, tuple[datetime, V]] = {}
        self._loading: WeakValueDictionary[K, asyncio.Lock] = WeakValueDictionary()
        self._changes = 0

    async def get(self, key: K) -> V:
        if (found := self._found(key)) is not None:
            return found[0]
        lock = self._loading.setdefault(key, asyncio.Lock())
        async with lock:  # of those who ask at once, one reads
            if (found := self._found(key)) is not None:
                return found[0]
            return await self._read(key)

    def _found(self, key: K) -> tuple[V] | None:
        kept = self._kept.get(key)
        return (kept[1],) if kept is not None and timedelta(0) <= self._now() - kept[0] < KEPT else None

    async def _read(self, key: K) -> V:
        now, changes = self._now(), self._changes
        value = await self._load(key)
        if changes == self._changes:  # else what was read may be what was there before
            if len(self._kept) >= _MOST:
                self._kept.clear()
            self._kept[key] = (now, value)
        return value

    def forget(self, key: K) -> None:
        """It was changed, by us: the next one to ask sees that."""
        self._changes += 1
        self._kept.pop(key, None)
