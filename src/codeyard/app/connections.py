"""What a connection may take of a server before it has said who it is: time, header bytes, and room.

uvicorn's own protocol waits for ever for the first request, takes headers of any length, and any number of
connections: a client that means harm, or none, could so use up the process's descriptors, which builds need too.
"""

import asyncio
import resource
from collections import OrderedDict
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADERS_AT_MOST = 64 * 1024  # bytes of a request's line and headers; AWS's clients stay far below
HEADERS_WITHIN = 20.0  # seconds for all of a connection's first headers to come
KEPT_ALIVE = 75.0  # seconds from an answer until the next headers have come
_PIPELINED = 64  # requests that wait behind one which is being answered; no client of AWS's sends any
_FEWEST = 64
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def room() -> int:
    """How many connections this process may have: half of its descriptors, for builds and the database need some."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(_FEWEST, soft // 2) if soft != resource.RLIM_INFINITY else 1 << 16


class Crowd:
    """The connections that wait for a request, the longest first; `most` is how many there may be in all."""

    def __init__(self, most: int, first: float = HEADERS_WITHIN, next: float = KEPT_ALIVE) -> None:
        """`first` and `next` are the seconds for the first headers, and for those after an answer."""
        self.most, self.first, self.next = most, first, next
        self._waiting: OrderedDict[asyncio.BaseProtocol, asyncio.Transport] = OrderedDict()

    def waits(self, connection: asyncio.BaseProtocol, transport: asyncio.Transport) -> None:
        self._waiting[connection] = transport
        self._waiting.move_to_end(connection)

    def left(self, connection: asyncio.BaseProtocol) -> None:
        self._waiting.pop(connection, None)

    def make_room(self, there_are: int) -> bool:
        """Whether one more may stay, among so many: the one that waits longest goes for it."""
        if there_are <= self.most:
            return True
        if not self._waiting:
            return False
        _, oldest = self._waiting.popitem(last=False)
        oldest.abort()
        return True


def bounded(crowd: Crowd) -> type[asyncio.Protocol]:
    """The protocol for uvicorn's setting `http`, whose connections are this crowd."""
    return type("Bounded", (_Bounded,), {"crowd": crowd})


class _Bounded(HttpToolsProtocol):
    """uvicorn's protocol, within these bounds."""

    crowd: Crowd

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._here, self._size, self._in_headers, self._refused = False, 0, True, False
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if not self.crowd.make_room(len(self.connections) + 1):
            transport.abort()
            return
        self._here = True
        super().connection_made(transport)
        self._wait(self.crowd.first)

    def connection_lost(self, exc: Exception | None) -> None:
        self._go_on()
        if self._here:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._here or self.transport.is_closing():
            return
        # What comes with the end of the headers is counted for a moment too: no more than is read at once.
        self._size += len(data) if self._in_headers else 0
        super().data_received(data)
        if self._in_headers and self._size > HEADERS_AT_MOST:
            self._refuse()
        if len(self.pipeline) > _PIPELINED:
            self.transport.abort()

    def on_headers_complete(self) -> None:
        if self._refused or sum(len(name) + len(value) for name, value in self.headers) > HEADERS_AT_MOST:
            self._refuse()
            return
        self._in_headers, self._size = False, 0
        self._go_on()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._refused:
            super().on_message_complete()
            self._in_headers = True

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._wait(self.crowd.next)

    def _wait(self, seconds: float) -> None:
        """No request is being answered now, and the next has to be here in time."""
        self._go_on()
        self.crowd.waits(self, self.transport)
        self._late = self.loop.call_later(seconds, self.transport.abort)

    def _go_on(self) -> None:
        self.crowd.left(self)
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _refuse(self) -> None:
        if not self._refused and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        self._refused = True
