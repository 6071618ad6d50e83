"""One build as server-sent events: its log as it is written, and its state as it changes.

Each event with log has the offset after it as its id, so a browser that comes back goes on where it was. A viewer costs
one page of the log at a time; one that falls far behind is taken to the end, one that takes nothing is cut off.

Events: `log` {text}, `skip` {line}: what follows begins at that line, `build` {title, parts: {element: HTML}}, `end`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from codeyard.console.build_logs import WINDOW, BuildLogs
from codeyard.errors import CodeyardError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

HEADERS = {"content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no"}
_BEHIND = 4 << 20  # bytes
_LOOK = 1.0  # seconds between looks at the build's state
_SILENCE = 15.0  # seconds, after which a comment says that we are still here
_CLOSING = 10.0  # seconds that the log of a build that has ended may take to close
_PHASE = (b" Entering phase ", b" Phase complete: ", b" Phase is ")


@dataclass(frozen=True, slots=True)
class Shown:
    """A build's state as a page shows it: HTML by the id of the element, and the window's title."""

    title: str
    parts: Mapping[str, str]
    over: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """Of all viewers."""

    viewers: int = 500
    stalled: float = 20.0  # seconds that one may take for a piece


@dataclass
class Streams:
    """All that are open."""

    logs: BuildLogs
    limits: Limits = field(default_factory=Limits)
    draining: bool = False
    _open: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = field(default_factory=set)

    @property
    def open(self) -> int:
        return len(self._open)

    @property
    def full(self) -> bool:
        return self.draining or self.open >= self.limits.viewers

    def drain(self) -> None:
        """End them all, from whichever thread; browsers come back by themselves, to whoever answers then."""
        self.draining = True
        for loop, event in tuple(self._open):
            with suppress(RuntimeError):  # its loop has ended meanwhile
                loop.call_soon_threadsafe(event.set)

    @contextmanager
    def one_more(self) -> Iterator[asyncio.Event]:
        """The event says that it is to end."""
        stream = (asyncio.get_running_loop(), asyncio.Event())
        self._open.add(stream)
        try:
            yield stream[1]
        finally:
            self._open.discard(stream)


class _Stalled(Exception):
    """The viewer takes nothing."""


class EventStream:
    """An ASGI response. `look` gives the build as it is (None: it is gone), asked at once when a phase changes."""

    def __init__(
        self,
        streams: Streams,
        run: str,
        offset: int,
        look: Callable[[bool], Awaitable[Shown | None]],
        seconds: float,
        headers: Mapping[str, str] = HEADERS,
    ) -> None:
        """`seconds`: how long the viewer may stay; `look(True)` certainly gives what is now."""
        self._streams, self._logs = streams, streams.logs
        self._run, self._offset, self._look, self._seconds = run, offset, look, seconds
        self._headers = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        self._sending = asyncio.Lock()
        self._changed = asyncio.Event()
        self._sent: dict[str, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._streams.one_more() as ending:
            work = asyncio.ensure_future(self._serve(send, ending))
            gone = asyncio.ensure_future(_gone(receive))
            try:
                await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            finally:
                work.cancel()
                gone.cancel()
                ended, _ = await asyncio.gather(work, gone, return_exceptions=True)
        if isinstance(ended, Exception) and not isinstance(ended, OSError):
            raise ended

    async def _serve(self, send: Send, ending: asyncio.Event) -> None:
        with suppress(_Stalled):
            await self._put(send, {"type": "http.response.start", "status": 200, "headers": self._headers})
            await self._body(send, b"retry: 1000\n\n")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._both(send, ending)
            await self._put(send, {"type": "http.response.body", "body": b"", "more_body": False})

    async def _both(self, send: Send, ending: asyncio.Event) -> None:
        """The log beside the build, until that has ended and all of the log was sent, or all streams are to end."""
        log = asyncio.ensure_future(self._log(send))
        state = asyncio.ensure_future(self._state(send, log))
        told = asyncio.ensure_future(ending.wait())
        try:
            await asyncio.wait((state, told), return_when=asyncio.FIRST_COMPLETED)
            if state.done():
                state.result()
        finally:
            for task in (log, state, told):
                task.cancel()
            await asyncio.gather(log, state, told, return_exceptions=True)

    async def _log(self, send: Send) -> None:
        while not await self._followed(send):
            part = await self._logs.last(self._run, WINDOW)
            self._offset = max(part.start, self._offset)
            await self._body(send, _event("skip", {"line": part.line}, part.start))

    async def _followed(self, send: Send) -> bool:
        """Until the log's end; False: we are so far behind that it is better to go on near its end."""
        async for page in _closing(self._logs.follow(self._run, self._offset)):
            content = b"".join(event.content for event in page.events)
            self._offset = page.end
            if not content:
                await self._body(send, b": still here\n\n")
                continue
            await self._body(send, _event("log", {"text": content.decode(errors="replace")}, page.end))
            if any(words in content for words in _PHASE):
                self._changed.set()
            state = await self._logs.state(self._run) if len(content) > _BEHIND >> 7 else None
            if state is not None and state.size - page.end > _BEHIND:
                return False
        return True

    async def _state(self, send: Send, log: asyncio.Future[None]) -> None:
        fresh, silent = True, 0.0
        while True:
            self._changed.clear()
            shown = await self._seen(fresh)
            if shown is None:
                await self._body(send, _event("end", {}))
                return
            told = await self._tell(send, shown)
            if shown.over:
                await self._rest(log)
                await self._body(send, _event("end", {}))
                return
            silent = 0.0 if told else silent + _LOOK
            if silent >= _SILENCE:
                await self._body(send, b": still here\n\n")
                silent = 0.0
            fresh = await self._wait(log)

    async def _seen(self, fresh: bool) -> Shown | None:
        """The build; if it cannot be seen for now, we look again."""
        while True:
            try:
                return await self._look(fresh)
            except CodeyardError:
                await asyncio.sleep(_LOOK)

    async def _wait(self, log: asyncio.Future[None]) -> bool:
        """A while, or until a phase changes: whether it did. Raises what befell the log."""
        if log.done():
            log.result()
        changed = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait((changed,) if log.done() else (changed, log), timeout=_LOOK,
                               return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
            return changed.done()
        finally:
            changed.cancel()

    async def _rest(self, log: asyncio.Future[None]) -> None:
        """All that there is of the log of a build that has ended, which may never have had one."""
        while not log.done():
            at = self._offset
            state = await self._logs.state(self._run)
            await asyncio.wait((log,), timeout=_CLOSING if state is not None else 0)
            if not log.done() and at == self._offset:
                return
        log.result()

    async def _tell(self, send: Send, shown: Shown) -> bool:
        """What changed since it was told last."""
        now = {"": shown.title, **shown.parts}
        changed = {name: html for name, html in now.items() if self._sent.get(name) != html}
        self._sent = now
        if not changed:
            return False
        parts = {name: html for name, html in changed.items() if name}
        await self._body(send, _event("build", {"title": shown.title, "parts": parts}))
        return True

    async def _body(self, send: Send, content: bytes) -> None:
        await self._put(send, {"type": "http.response.body", "body": content, "more_body": True})

    async def _put(self, send: Send, message: MutableMapping[str, Any]) -> None:
        """One message at a time. _Stalled."""
        try:
            async with self._sending, asyncio.timeout(self._streams.limits.stalled):
                await send(message)
        except TimeoutError:
            raise _Stalled from None


def _event(name: str, data: Mapping[str, Any], id: int | None = None) -> bytes:
    """JSON has no line ends of its own, so one line of data is enough."""
    head = f"id: {id}\n" if id is not None else ""
    return f"event: {name}\n{head}data: {json.dumps(data)}\n\n".encode()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _closing(pages: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The same, whose end is the generator's."""
    try:
        async for page in pages:
            yield page
    finally:
        close = getattr(pages, "aclose", None)
        if close is not None:
            await close()
