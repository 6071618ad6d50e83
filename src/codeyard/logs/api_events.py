"""CloudWatch Logs' operations that read events: of one stream both ways, and of a group by time and pattern."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from codeyard.aws import Call, Shape, operation
from codeyard.aws.paging import Pages
from codeyard.errors import Invalid, NotFound
from codeyard.logs import Framing, LogFiles
from codeyard.logs.api_streams import found_group, found_stream
from codeyard.logs.filter_patterns import pattern_test
from codeyard.logs.groups import milliseconds
from codeyard.logs.naming import WRONG, group_name, on_group, on_stream, stream_name, stream_prefix, wrong
from codeyard.logs.reading import EVENTS, Events, LogEvent, LogReader, open_log
from codeyard.logs.searching import Found, Position, Search, search
from codeyard.store import Database

_LATEST = 1 << 62  # milliseconds; what a database's number holds
_TOKEN = re.compile(r"([fb])/(\d{1,56})(?:/s)?")


@dataclass(frozen=True, slots=True)
class _Range:
    """Which events of a stream are asked for, by time and by where those lie. `end` is not included."""

    start: int | None
    end: int | None
    low: int
    high: int


class EventOperations:
    """The operations that read."""

    def __init__(self, db: Database, files: LogFiles, pages: Pages, now: Callable[[], datetime]) -> None:
        self._db, self._files, self._pages, self._now = db, files, pages, now

    @operation("GetLogEvents", on_stream)
    async def get_log_events(self, call: Call) -> Shape:
        given = call.input
        _, stream = await self._db.read(lambda tx: found_stream(tx, call))
        start, end = _times(call)
        direction, at = _token(given.get("nextToken"), bool(given.get("startFromHead")))
        try:
            log = await open_log(self._files, stream.place)
        except NotFound:  # a build that has not begun to write, or a stream that nothing was put into
            return _page(Events((), at or 0, at or 0))
        asked = await _range(log, stream.place.framing, start, end)
        limit = given.get("limit") or EVENTS
        if direction == "f":
            return _page(await _forward(log, asked, asked.low if at is None else at, limit))
        return _page(await _backward(log, asked, asked.high if at is None else at, limit))

    @operation("FilterLogEvents", on_group)
    async def filter_log_events(self, call: Call) -> Shape:
        given = call.input
        named = group_name(call)
        what = _search(call)
        opened = self._pages.open(call, given.get("nextToken"), WRONG, named)
        after = None if opened is None else Position.parse(opened)
        group = await self._db.read(lambda tx: found_group(tx, call, named))
        page = await search(self._db, self._files, group, what, after, milliseconds(self._now()))
        following = None if page.next is None else str(page.next)
        return {
            "events": [_found(each) for each in page.found],
            "searchedLogStreams": [],  # as AWS, since 2020
            "nextToken": self._pages.seal(call, following, named),
        }


async def _range(log: LogReader, framing: Framing, start: int | None, end: int | None) -> _Range:
    low = await log.since(start) if start else 0
    high = await log.end()
    if end is not None and framing is Framing.LINES:
        high = min(high, await log.since(end))
    return _Range(start, end, low, max(low, high))


async def _forward(log: LogReader, asked: _Range, at: int, limit: int) -> Events:
    at = max(at, asked.low)
    if at >= asked.high:
        return Events((), at, at)
    page = await log.forward(at, limit)
    within = [event for event in page.events if event.offset < asked.high]
    end = page.end if len(within) == len(page.events) else (within[-1].end if within else at)
    return Events(_asked_for(within, asked), at, end)


async def _backward(log: LogReader, asked: _Range, at: int, limit: int) -> Events:
    at = min(at, asked.high)
    if at <= asked.low:
        return Events((), at, at)
    page = await log.backward(at, limit)
    within = [event for event in page.events if event.offset >= asked.low]
    start = page.start if len(within) == len(page.events) else (within[0].offset if within else at)
    return Events(_asked_for(within, asked), start, at)


def _asked_for(events: list[LogEvent], asked: _Range) -> tuple[LogEvent, ...]:
    start, end = asked.start or 0, asked.end
    return tuple(each for each in events if each.timestamp >= start and (end is None or each.timestamp < end))


def _page(page: Events) -> Shape:
    return {
        "events": [
            {"timestamp": event.timestamp, "message": event.message, "ingestionTime": event.ingested}
            for event in page.events
        ],
        "nextForwardToken": f"f/{page.end:056d}/s",
        "nextBackwardToken": f"b/{page.start:056d}/s",
    }


def _found(each: Found) -> Shape:
    return {
        "logStreamName": each.stream.name,
        "timestamp": each.event.timestamp,
        "message": each.event.message,
        "ingestionTime": each.event.ingested,
        "eventId": each.id,
    }


def _token(token: str | None, from_head: bool) -> tuple[str, int | None]:
    """The direction to read in, and from where."""
    if token is None:
        return ("f" if from_head else "b"), None
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise wrong("The specified nextToken is invalid.")
    return match[1], min(int(match[2]), 2**63)


def _times(call: Call) -> tuple[int | None, int | None]:
    start, end = (
        None if each is None else min(each, _LATEST) for each in map(call.input.get, ("startTime", "endTime"))
    )
    if start is not None and end is not None and start > end:
        raise wrong("startTime must not be greater than endTime")
    return start, end


def _search(call: Call) -> Search:
    given = call.input
    names, prefix = given.get("logStreamNames"), stream_prefix(call)
    if names and prefix:
        raise wrong("Only one of logStreamNames and logStreamNamePrefix may be specified.")
    if given.get("startFromHead") is False:
        raise wrong("Events are found oldest first here: leave startFromHead out, or set it to true.")
    start, end = _times(call)
    try:
        test = pattern_test(given.get("filterPattern") or "")
    except Invalid as error:
        raise wrong(error.why) from None
    named = None if not names else [stream_name(name) for name in names]
    return Search(test, start or 0, end, named, prefix, given.get("limit") or EVENTS)
