"""Reads the events of one log, forwards and backwards from an offset or a time, never more of the file than it must.

Offsets are what tokens hold. An unfinished line of a log that grows is held back until it ends, or nothing was
written for a while: then it is shown as it is, and what follows is an event of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from codeyard.logs import Framing, LogFiles, LogState, Place
from codeyard.logs.cutting import LONGEST, backwards, forwards
from codeyard.logs.records import records
from codeyard.logs.time_index import TimeSearch

PAGE = 1 << 20  # bytes of events in a page, as AWS's
EVENTS = 10_000  # events in a page
HELD = 1500  # milliseconds; more than the pause that ends an event, so that what was shown has ended
_FIRST = 64 << 10  # bytes read at first; more if the page is not full


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One event: where it lies, its time and when it was taken in (milliseconds), its bytes with the line's end.

    `order` rises within a log; it is the timestamp, but for clients that put events out of their order.
    """

    offset: int
    end: int
    timestamp: int
    ingested: int
    order: int
    content: bytes

    @property
    def message(self) -> str:
        """As AWS gives it: what a build prints has its line's end (reference 10.1), so no message is empty."""
        return self.content.decode(errors="replace")

    @property
    def text(self) -> str:
        """The message without the line's end."""
        return self.message.removesuffix("\n").removesuffix("\r")


@dataclass(frozen=True, slots=True)
class Events:
    """A run of events in the order of the file, and the offsets at which it begins and ends."""

    events: tuple[LogEvent, ...]
    start: int
    end: int


class LogReader:
    """One log as it was when it was opened. Offsets are those that it gave; any other reads on at the next event."""

    def __init__(self, files: LogFiles, place: Place, state: LogState) -> None:
        self._place, self._files, self.state = place, files, state
        self._index = TimeSearch(partial(files.times, place), state.times)
        self._lines = place.framing is Framing.LINES

    @property
    def complete(self) -> bool:
        """Whether all that is in the file may be shown."""
        return self.state.closed or self.state.idle >= HELD

    async def forward(self, offset: int, limit: int = EVENTS, size: int = PAGE) -> Events:
        """Events from `offset` on, at most `limit` and (but for the first) `size` bytes together."""
        if offset >= self.state.size:
            return Events((), offset, offset)
        return await (self._lines_from if self._lines else self._records_from)(offset, limit, size)

    async def backward(self, offset: int, limit: int = EVENTS, size: int = PAGE) -> Events:
        """The events that end at `offset`, in the order of the file, within the same bounds."""
        offset = min(offset, self.state.size)
        if offset <= 0:
            return Events((), 0, 0)
        return await (self._lines_before if self._lines else self._records_before)(offset, limit, size)

    async def end(self) -> int:
        """The offset after the last event that may be shown."""
        if not self._lines:
            return await self._records_end()
        size = self.state.size
        if self.complete or size == 0:
            return size
        tail = await self._read(max(0, size - LONGEST - 1), size)
        if tail.endswith(b"\n"):
            return size
        last = next(backwards(tail, size - len(tail), await self._pauses(size - len(tail), size)), (0, size))
        return last[0]

    async def since(self, moment: int) -> int:
        """An offset where an event begins; those before it are older than `moment` (but by order, not timestamp)."""
        entry = await self._index.below(1, moment)
        if not self._lines:
            return (await self._index.entry(entry - 1))[0] if entry else 0
        if entry >= self._index.entries:
            return await self.end()
        offset, _ = await self._index.entry(entry)
        if offset == 0 or offset >= self.state.size:
            return min(offset, self.state.size)
        start = max(0, offset - LONGEST - 1)
        before = await self._read(start, offset)
        if before.endswith(b"\n"):
            return offset
        pauses = await self._pauses(start, offset + 1)
        if offset in pauses:
            return offset
        # It is within a line, which began where one that ended there would have.
        return next(backwards(before, start, pauses), (start, offset))[0]

    async def first_moment(self) -> int | None:
        """When the first event was written; None if there is none."""
        found = await self.forward(0, 1)
        return found.events[0].timestamp if found.events else None

    async def last_moment(self) -> int | None:
        """When the last event was written, by the index; None if there is none."""
        if self._lines:
            return (await self._index.entry(self._index.entries - 1))[1] if self._index.entries else None
        found = await self.backward(await self.end(), 1)
        return found.events[-1].timestamp if found.events else None

    async def held(self) -> int | None:
        """When that was written which is held back until its line ends; None if nothing is."""
        return await self.last_moment() if self._lines and await self.end() < self.state.size else None

    async def _lines_from(self, offset: int, limit: int, size: int) -> Events:
        found: list[LogEvent] = []
        at, used, more = offset, 0, min(_FIRST, size)
        content = b""
        while True:
            upto = min(self.state.size, at + len(content) + more)
            content += await self._read(at + len(content), upto)
            there = at + len(content)
            over = there >= self.state.size or there < upto
            times = await self._index.around(at, there)
            base = at
            for start, end in forwards(content, base, times.pauses(), self.complete and over):
                if len(found) == limit or (found and used + end - start > size):
                    return Events(tuple(found), offset, at)
                moment = times.at(end - 1)
                found.append(LogEvent(start, end, moment, moment, moment, content[start - base : end - base]))
                at, used = end, used + end - start
            if over:
                return Events(tuple(found), offset, at)
            content, more = content[at - base :], min(more * 4, LONGEST)

    async def _lines_before(self, offset: int, limit: int, size: int) -> Events:
        window = min(_FIRST, size)
        while True:
            base = max(0, offset - window)
            content = await self._read(base, offset)
            times = await self._index.around(base, offset)
            found: list[LogEvent] = []
            used = 0
            full = False
            for start, end in backwards(content, base, times.pauses()):
                full = len(found) == limit or (bool(found) and used + end - start > size)
                if full:
                    break
                moment = times.at(end - 1)
                found.append(LogEvent(start, end, moment, moment, moment, content[start - base : end - base]))
                used += end - start
            if full or base == 0 or window >= size + LONGEST:
                return Events(tuple(reversed(found)), found[-1].offset if found else offset, offset)
            window = min(window * 4, size + LONGEST)

    async def _records_from(self, offset: int, limit: int, size: int) -> Events:
        entry = await self._index.below(0, offset + 1)
        at, order = await self._index.entry(entry - 1) if entry else (0, 0)
        found: list[LogEvent] = []
        used = 0
        while at < self.state.size:
            parsed = self._parsed(await self._read(at, min(self.state.size, at + 2 * LONGEST)), at, order)
            for event in parsed:
                if event.offset >= offset:
                    if len(found) == limit or (found and used + event.end - event.offset > size):
                        return Events(tuple(found), offset, event.offset)
                    found.append(event)
                    used += event.end - event.offset
            if not parsed:
                break
            at, order = parsed[-1].end, parsed[-1].order
        return Events(tuple(found), offset, max(at, offset))

    async def _records_before(self, offset: int, limit: int, size: int) -> Events:
        found: list[LogEvent] = []
        used, end = 0, offset
        while end > 0:
            entry = await self._index.below(0, end)
            start, order = await self._index.entry(entry - 1) if entry else (0, 0)
            for event in reversed(self._parsed(await self._read(start, end), start, order)):
                if len(found) == limit or (found and used + event.end - event.offset > size):
                    return Events(tuple(reversed(found)), found[-1].offset, offset)
                found.append(event)
                used += event.end - event.offset
            end = start
        return Events(tuple(reversed(found)), found[-1].offset if found else 0, offset)

    async def _records_end(self) -> int:
        at, order = await self._index.entry(self._index.entries - 1) if self._index.entries else (0, 0)
        while at < self.state.size:
            parsed = self._parsed(await self._read(at, min(self.state.size, at + 2 * LONGEST)), at, order)
            if not parsed:
                return at
            at = parsed[-1].end
        return at

    def _parsed(self, content: bytes, base: int, order: int) -> list[LogEvent]:
        found: list[LogEvent] = []
        at = base
        for after, record in records(content):
            order = max(order, record.timestamp)
            found.append(LogEvent(at, base + after, record.timestamp, record.ingested, order, record.message))
            at = base + after
        return found

    async def _read(self, start: int, end: int) -> bytes:
        return await self._files.read(self._place, start, end - start) if end > start else b""

    async def _pauses(self, start: int, end: int) -> Sequence[int]:
        return (await self._index.around(start, end)).pauses()


async def open_log(files: LogFiles, place: Place) -> LogReader:
    """A reader of the log at this place as it is now. NotFound."""
    return LogReader(files, place, await files.state(place))
