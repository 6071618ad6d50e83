"""Answers of the API, shared by those who ask at the same time, for a moment."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")
_FRESH = 0.5  # seconds


class Memory:
    """Answers for a moment; who asks while another's question is under way waits for that answer."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], tuple[float, asyncio.Task[Any]]] = {}

    async def get(self, key: tuple[object, ...], ask: Callable[[], Awaitable[T]]) -> T:
        now = time.monotonic()
        if (known := self._known.get(key)) is None or (known[1].done() and now - known[0] > _FRESH):
            self._known = {each: one for each, one in self._known.items()
                           if not one[1].done() or now - one[0] <= _FRESH}  # fmt: skip
            known = (now, asyncio.ensure_future(_asked(ask)))
            self._known[key] = known
        # Who goes away does not take the answer from the others.
        answer: T = await asyncio.shield(known[1])
        return answer

    def forget(self, key: tuple[object, ...]) -> None:
        self._known.pop(key, None)


async def _asked(ask: Callable[[], Awaitable[T]]) -> T:
    return await ask()
