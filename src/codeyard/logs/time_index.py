"""The time index of a log in its file: written beside the log, and searched without reading all of it."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from codeyard.logs.times import END, ENTRY, Times

_GRAIN = 10  # milliseconds; writes that follow so soon share a time
_BLOCK = 4096  # entries that a search reads at once


def index_of(log: Path) -> Path:
    """The file of the time index of a log."""
    return log.with_name(f"{log.name}.times")


class TimeIndex:
    """Appends to the index of a log. An entry is written before what it speaks of, so no reader sees bytes without it.

    Entries of an earlier process stay for what it had written (`written`, the size of the log as it was found): bytes
    that are written again after a crash keep the times that readers may have seen.
    """

    def __init__(self, log: Path, written: int) -> None:
        path = index_of(log)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        entries = os.fstat(self._file).st_size // ENTRY.size
        self._last = -1
        while entries:
            offset, moment = ENTRY.unpack(os.pread(self._file, ENTRY.size, (entries - 1) * ENTRY.size))
            if offset < written:
                self._last = moment
                break
            entries -= 1
        os.ftruncate(self._file, entries * ENTRY.size)
        self._covered = written if entries else 0

    def note(self, offset: int, length: int, moment: int) -> None:
        """So many bytes are about to be written at `offset`, at `moment`. Time never goes back."""
        moment, start = max(moment, self._last), max(offset, self._covered)
        if start >= offset + length or (self._last >= 0 and moment < self._last + _GRAIN):
            return
        self._last = moment
        os.write(self._file, ENTRY.pack(start, moment))

    def close(self) -> None:
        """Mark that nothing follows."""
        try:
            os.write(self._file, ENTRY.pack(END, max(self._last, 0)))
        finally:
            os.close(self._file)


class TimeSearch:
    """Looks into an index of `size` bytes by its blocks: a few reads, however long the log."""

    def __init__(self, read: Callable[[int, int], Awaitable[bytes]], size: int) -> None:
        self._read, self._entries = read, size // ENTRY.size
        self._blocks: dict[int, Times] = {}

    async def below(self, column: int, value: int) -> int:
        """How many entries have less than `value` as offset (0) or time (1)."""
        low, high = 0, max(0, (self._entries - 1) // _BLOCK)
        while low < high:  # the last block that begins below the value
            middle = (low + high + 1) // 2
            if (await self._block(middle)).below(column, value):
                low = middle
            else:
                high = middle - 1
        return low * _BLOCK + (await self._block(low)).below(column, value)

    async def entry(self, number: int) -> tuple[int, int]:
        """Offset and time of an entry that is there."""
        block = await self._block(number // _BLOCK)
        return block.offsets[number % _BLOCK], block.moments[number % _BLOCK]

    async def around(self, start: int, end: int) -> Times:
        """The entries for the bytes from `start` to `end`, and one before: a pause is told by two."""
        first = max(0, await self.below(0, start + 1) - 2)
        last = await self.below(0, end)
        if last <= first:
            return Times.parse(b"")
        if last - first <= _BLOCK and first // _BLOCK == (last - 1) // _BLOCK:
            block, at = await self._block(first // _BLOCK), first // _BLOCK * _BLOCK
            return Times(block.offsets[first - at : last - at], block.moments[first - at : last - at])
        return Times.parse(await self._read(first * ENTRY.size, (last - first) * ENTRY.size))

    @property
    def entries(self) -> int:
        return self._entries

    async def _block(self, number: int) -> Times:
        if (known := self._blocks.get(number)) is None:
            length = min(_BLOCK, self._entries - number * _BLOCK)
            known = Times.parse(await self._read(number * _BLOCK * ENTRY.size, length * ENTRY.size) if length else b"")
            if len(self._blocks) > 16:
                self._blocks.clear()
            self._blocks[number] = known
        return known
