"""Searches the streams of a group for events, in the order of their times, a page at a time.

Streams that ended tell when their events were, so only those are opened that may have some; each is read as far as the
page goes. Where a page ends depends on its last event alone: nothing is kept between pages.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from codeyard.errors import NotFound
from codeyard.logs import Framing, LogFiles, table
from codeyard.logs.filter_patterns import Test
from codeyard.logs.reading import EVENTS, PAGE, LogEvent, LogReader, open_log
from codeyard.logs.table import Group, Stream
from codeyard.store import Database, Tx

_ACTIVE = 10_000  # streams with events at one moment; beyond that, the latest are left out
_UPCOMING = 500  # streams that are looked at further on
_SCANNED = 8 << 20  # bytes read for a page, of which perhaps nothing matches
_READ = 64 << 10  # bytes of a stream that are held, where there are several
_SETTLED = 50  # milliseconds by which a write may come after its time


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """After which event a page begins; positions are in the order in which events are given."""

    order: int
    stream: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        order, stream, offset = text.split(":")
        return cls(int(order), int(stream), int(offset))

    def __str__(self) -> str:
        return f"{self.order}:{self.stream}:{self.offset}"


_BEYOND = 2**63  # as a stream's number: after all events of that moment


@dataclass(frozen=True, slots=True)
class Search:
    """What is sought. Times are milliseconds, both included."""

    test: Test
    start: int = 0
    end: int | None = None
    names: Sequence[str] | None = None
    prefix: str = ""
    limit: int = EVENTS

    def takes(self, event: LogEvent) -> bool:
        return event.timestamp >= self.start and (self.end is None or event.timestamp <= self.end)


@dataclass(frozen=True, slots=True)
class Found:
    """An event and its stream."""

    stream: Stream
    event: LogEvent

    @property
    def id(self) -> str:
        """Of 56 digits, as AWS's are; the same whenever the event is found."""
        return f"{self.event.order:020d}{self.stream.id:016d}{self.event.offset:020d}"


@dataclass(frozen=True, slots=True)
class FoundPage:
    """Events, and after which to go on; None: there is nothing more now."""

    found: tuple[Found, ...]
    next: Position | None


async def search(
    db: Database, files: LogFiles, group: Group, what: Search, after: Position | None, now: int
) -> FoundPage:
    """The events after `after`, oldest first; a page may be empty and still have a next."""
    floor = max(what.start, after.order if after is not None else 0)
    active, upcoming, horizon = await db.read(lambda tx: _streams(tx, group, what, floor))
    feeds = [feed for feed in await asyncio.gather(*(_feed(files, each, what) for each in active)) if feed is not None]
    ceiling = await _ceiling(feeds, now)
    start = after if after is not None else Position(floor, -1, 0)
    merge = _Merge(files, what, start, deque(upcoming))
    await asyncio.gather(*(feed.begin(floor, start, alone=len(feeds) == 1) for feed in feeds))
    merge.add(feeds)
    return await merge.page(horizon, ceiling)


def _streams(tx: Tx, group: Group, what: Search, floor: int) -> tuple[list[Stream], list[Stream], int | None]:
    """Those that may have events at once, those whose begin later, and up to when these are all."""
    active = table.streams_active(tx, group, floor, _ACTIVE, what.names, what.prefix)
    upcoming = table.streams_beginning(tx, group, floor, what.end, _UPCOMING, what.names, what.prefix)
    if len(upcoming) < _UPCOMING:
        return active, upcoming, None
    horizon = upcoming[-1].first
    return (
        active,
        table.streams_beginning(tx, group, floor, horizon, _ACTIVE, what.names, what.prefix),
        horizon,
    )


async def _feed(files: LogFiles, stream: Stream, what: Search) -> "_Feed | None":
    try:
        return _Feed(stream, await open_log(files, stream.place), what)
    except NotFound:  # a build that has not begun to write
        return None


async def _ceiling(feeds: list["_Feed"], now: int) -> int | None:
    """Up to when nothing can come any more in between, where several builds write.

    Who follows a group asks for what is later than the last event that they saw: it must not be overtaken.
    """
    running = [feed.log for feed in feeds if not feed.log.state.closed and feed.stream.place.framing is Framing.LINES]
    if len(running) < 2:
        return None
    held = [moment for moment in await asyncio.gather(*(log.held() for log in running)) if moment is not None]
    return min(now - _SETTLED, *held) if held else now - _SETTLED


class _Feed:
    """The events of one stream, read ahead a little."""

    def __init__(self, stream: Stream, log: LogReader, what: Search) -> None:
        self.stream, self.log, self._what = stream, log, what
        self._ahead: deque[tuple[LogEvent, bool]] = deque()
        self._offset = 0
        self._after = Position(0, -1, 0)
        self._size = _READ

    async def begin(self, floor: int, after: Position, alone: bool) -> None:
        self._after = after
        self._size = PAGE if alone else _READ
        here = after.stream == self.stream.id
        self._offset = after.offset if here else await self.log.since(floor)
        await self._fill()

    @property
    def head(self) -> Position | None:
        """Where its next event stands; None: there is none."""
        if not self._ahead:
            return None
        event = self._ahead[0][0]
        return Position(event.order, self.stream.id, event.offset)

    async def take(self) -> tuple[LogEvent, bool]:
        """The next event, and whether it is sought."""
        event, sought = self._ahead.popleft()
        if not self._ahead:
            await self._fill()
        return event, sought

    async def _fill(self) -> None:
        while not self._ahead:
            page = await self.log.forward(self._offset, EVENTS, self._size)
            self._offset = page.end
            fresh = [
                event for event in page.events if Position(event.order, self.stream.id, event.offset) > self._after
            ]
            end = self._what.end
            if end is not None and self.stream.place.framing is Framing.LINES:
                fresh = [event for event in fresh if event.order <= end]
            self._ahead.extend(await asyncio.to_thread(_tested, fresh, self._what))
            if not page.events or (page.events[-1].order > self._after.order and not fresh):
                return


def _tested(events: list[LogEvent], what: Search) -> list[tuple[LogEvent, bool]]:
    return [(event, what.takes(event) and what.test(event.text)) for event in events]


class _Merge:
    """Streams put together by time."""

    def __init__(self, files: LogFiles, what: Search, start: Position, upcoming: deque[Stream]) -> None:
        self._files, self._what, self._start, self._upcoming = files, what, start, upcoming
        self._heap: list[tuple[Position, _Feed]] = []

    def add(self, feeds: list[_Feed]) -> None:
        for feed in feeds:
            if (head := feed.head) is not None:
                heapq.heappush(self._heap, (head, feed))

    async def page(self, horizon: int | None, ceiling: int | None) -> FoundPage:
        found: list[Found] = []
        size = scanned = 0
        last = self._start
        while True:
            await self._open_next()
            if not self._heap or (ceiling is not None and self._heap[0][0].order > ceiling):
                over = horizon is None or (ceiling is not None and horizon > ceiling)
                return FoundPage(tuple(found), None if over else Position(horizon or 0, _BEYOND, 0))
            if horizon is not None and self._heap[0][0].order > horizon:
                return FoundPage(tuple(found), Position(horizon, _BEYOND, 0))
            if len(found) == self._what.limit or scanned >= _SCANNED:
                return FoundPage(tuple(found), last)
            position, feed = self._heap[0]
            event, sought = await feed.take()
            if sought and found and size + len(event.content) > PAGE:
                return FoundPage(tuple(found), last)
            if sought:
                found.append(Found(feed.stream, event))
                size += len(event.content)
            scanned += len(event.content)
            last = position
            if (head := feed.head) is not None:
                heapq.heapreplace(self._heap, (head, feed))
            else:
                heapq.heappop(self._heap)

    async def _open_next(self) -> None:
        """Open the streams whose first event comes before all that are open."""
        while self._upcoming and (not self._heap or (self._upcoming[0].first or 0) <= self._heap[0][0].order):
            feed = await _feed(self._files, self._upcoming.popleft(), self._what)
            if feed is not None:
                await feed.begin(0, self._start, alone=not self._heap)
                self.add([feed])
