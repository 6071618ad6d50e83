"""The log of a build in parts, by lines: the last of them, some from a line on, those since an offset.

Lines count from 1. Where they begin is found by counting, once for each MiB of a log, since what was written stays.
"""

import re
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass

from codeyard.errors import NotFound
from codeyard.logs import Framing, LogFiles, LogState, Place
from codeyard.logs.reading import Events, LogReader, open_log
from codeyard.logs.tail import Tail

WINDOW = 2000  # lines of a part
_PART = 512 * 1024  # bytes of a part
_PAGE = 64 * 1024  # bytes that a follower is given at a time
_STEP = 1 << 20
_REMEMBERED = 256  # logs
# A phase begins in the log where the agent says so; UPLOAD_ARTIFACTS is never announced (reference 10.3).
_ENTRY = re.compile(
    rb"^\[Container\] \S+ \S+ (?:Entering phase |Phase is |Phase complete: (?=POST_BUILD ))([A-Z_]+)", re.MULTILINE
)
_OVERLAP = 200  # bytes, longer than such a line


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a log: `text` from `start` to `end` (bytes), which begins with the line of this number."""

    start: int
    end: int
    line: int
    text: str
    last: bool  # nothing follows yet
    over: bool  # nothing ever will


_EMPTY = Part(0, 0, 1, "", True, False)


class BuildLogs:
    """Reads builds' logs wherever they are. A log that is not there yet is empty."""

    def __init__(self, files: LogFiles, tail: Tail) -> None:
        self._files, self._tail = files, tail
        self._counts: OrderedDict[str, list[int]] = OrderedDict()  # lines that end within the first n + 1 MiB

    async def state(self, run: str) -> LogState | None:
        """None: there is none yet."""
        try:
            return await self._files.state(_place(run))
        except NotFound:
            return None

    async def last(self, run: str, lines: int = WINDOW) -> Part:
        """The last lines, but for an unfinished one."""
        try:
            log = await open_log(self._files, _place(run))
            page = await log.backward(await log.end(), lines, _PART)
            return await self._part(run, page, log)
        except NotFound:
            return _EMPTY

    async def from_line(self, run: str, line: int, lines: int = WINDOW) -> Part:
        """Lines from this one on; none, if there are not so many."""
        try:
            log = await open_log(self._files, _place(run))
            start = await self._start_of(run, line, log.state.size)
            page = await log.forward(start, lines, _PART)
            return await self._part(run, page, log)
        except NotFound:
            return _EMPTY

    def follow(self, run: str, offset: int) -> AsyncIterator[Events]:
        """See `Tail.follow`."""
        return self._tail.follow(_place(run), offset, size=_PAGE)

    async def line_of_phase(self, run: str, phase: str) -> int | None:
        """The line at which this phase begins, by the agent's words."""
        wanted = b"POST_BUILD" if phase == "UPLOAD_ARTIFACTS" else phase.encode()
        state = await self.state(run)
        at = 0
        while state is not None and at < state.size:
            content = await self._read(run, at, min(_STEP + _OVERLAP, state.size - at))
            for found in _ENTRY.finditer(content):
                entered = b"Phase complete" not in found[0]
                if found[1] == wanted and entered == (phase != "UPLOAD_ARTIFACTS") and _begins_line(found, at):
                    return await self._line_at(run, at + found.start())
            at += _STEP
        return None

    async def bytes_of(self, run: str) -> AsyncIterator[bytes]:
        """The whole log as it is now."""
        state = await self.state(run)
        at = 0
        while state is not None and at < state.size:
            content = await self._read(run, at, min(_PAGE * 4, state.size - at))
            if not content:
                return
            yield content
            at += len(content)

    async def _part(self, run: str, page: Events, log: LogReader) -> Part:
        text = b"".join(event.content for event in page.events).decode(errors="replace")
        line = await self._line_at(run, page.start)
        last = page.end >= await log.end()
        return Part(page.start, page.end, line, text, last, last and log.state.closed)

    async def _line_at(self, run: str, offset: int) -> int:
        """The number of the line that this byte is in."""
        counts = await self._counted(run, offset // _STEP)
        begun = min(offset // _STEP, len(counts))
        rest = await self._read(run, begun * _STEP, offset - begun * _STEP)
        return 1 + (counts[begun - 1] if begun else 0) + rest.count(b"\n")

    async def _start_of(self, run: str, line: int, size: int) -> int:
        """Where this line begins; `size`, if it does not."""
        if line <= 1:
            return 0
        counts = await self._counted(run, size // _STEP)
        step = bisect_left(counts, line - 1)
        before = counts[step - 1] if step else 0
        content = await self._read(run, step * _STEP, min(_STEP, size - step * _STEP))
        at = -1
        for _ in range(line - 1 - before):
            at = content.find(b"\n", at + 1)
            if at < 0:
                return size
        return step * _STEP + at + 1

    async def _counted(self, run: str, steps: int) -> list[int]:
        """How many lines end within the first MiB, the first two, and so on: for so many of them."""
        counts = self._counts.setdefault(run, [])
        self._counts.move_to_end(run)
        while len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)
        while (step := len(counts)) < steps:
            content = await self._read(run, step * _STEP, _STEP)
            if len(content) < _STEP:
                break
            if step == len(counts):  # nobody else has counted it meanwhile
                counts.append((counts[-1] if counts else 0) + content.count(b"\n"))
        return counts

    async def _read(self, run: str, offset: int, length: int) -> bytes:
        return await self._files.read(_place(run), offset, length) if length > 0 else b""


def _begins_line(found: re.Match[bytes], base: int) -> bool:
    """At the beginning of a piece `^` proves nothing, unless that is the log's."""
    return found.start() > 0 or base == 0


def _place(run: str) -> Place:
    return Place(Framing.LINES, run)
