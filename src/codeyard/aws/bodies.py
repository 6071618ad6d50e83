"""The bodies of requests: each bounded in length and in the time it takes to come, all of them together in memory."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from codeyard.aws import Refused

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_DRAINED = 2.0  # seconds for the rest of a body that is not wanted, so that the client reads our answer


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one request, and of all at once."""

    body: int = 10 * 1024 * 1024  # bytes
    seconds: float = 30.0  # for the whole body to come
    held: int = 256 * 1024 * 1024  # bytes of all bodies that came and are not yet answered
    small: int = 64 * 1024  # bytes of a body that is taken all the same: a few large ones shut nobody else out


class Gone(Exception):
    """The client went before its request was whole."""


class Bodies:
    """Reads bodies, and counts what is held."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = 0

    @asynccontextmanager
    async def read(self, receive: Receive, announced: str | None) -> AsyncIterator[bytes]:
        """The whole body, held until the block ends. `announced` is the Content-Length.

        Refused: it is too long, or too slow, or too much is held already; the connection must then be closed. Gone.
        """
        chunks: list[bytes] = []
        try:
            yield await self._whole(receive, announced, chunks)
        finally:
            self._held -= sum(map(len, chunks))

    async def _whole(self, receive: Receive, announced: str | None, chunks: list[bytes]) -> bytes:
        size, limits = _number(announced), self._limits
        if size > limits.body:
            await _drain(receive, 4 * limits.body)
            raise self._too_long()
        size, more = 0, True
        try:
            async with asyncio.timeout(limits.seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Gone
                    chunks.append(message.get("body", b""))
                    more = message.get("more_body", False)
                    size += len(chunks[-1])
                    self._held += len(chunks[-1])
                    if size > limits.body or self._too_much(size):
                        break
        except TimeoutError:
            text = f"The request's body did not come within {limits.seconds:g} seconds."
            raise Refused("RequestTimeout", text, 408) from None
        if size > limits.body:
            await _drain(receive, 4 * limits.body if more else 0)
            raise self._too_long()
        if self._too_much(size):
            raise Refused("ServiceUnavailable", "There are too many large requests at once. Try again.", 503)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _too_much(self, size: int) -> bool:
        return size > self._limits.small and self._held > self._limits.held

    def _too_long(self) -> Refused:
        text = f"The request's body is longer than {self._limits.body} bytes."
        return Refused("RequestEntityTooLargeException", text, 413)


def _number(length: str | None) -> int:
    """Of a Content-Length; one that is none is for the HTTP server to refuse, and is as good as too long."""
    if length is None:
        return 0
    return int(length) if re.fullmatch("[0-9]{1,15}", length) else 10**15


async def _drain(receive: Receive, most: int) -> None:
    """Lets go of the rest of a body, some of it and for a while."""
    try:
        async with asyncio.timeout(_DRAINED):
            while most > 0:
                message = await receive()
                if not message.get("more_body", False):
                    return
                most -= len(message.get("body", b""))
    except TimeoutError:
        return
