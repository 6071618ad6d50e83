"""Logs on this machine: builds/<run>/log and streams/<name> below the data directory, each with its time index."""

import asyncio
import os
import re
import time
from pathlib import Path

from codeyard.logs import Framing, LogState, Place, log_not_there
from codeyard.logs.put_streams import PutStreams
from codeyard.logs.time_index import TimeIndex, index_of
from codeyard.logs.times import END, ENTRY


class LocalLogs:
    """See LogFiles. Of builds, only those whose log was written with times are read well."""

    def __init__(self, data: Path) -> None:
        self._builds = data / "builds"
        self.streams = PutStreams(data / "streams")

    def path(self, place: Place) -> Path:
        """The file of a log. Nothing but a name of ours becomes part of a path."""
        if re.fullmatch(r"[0-9a-f-]{32,36}", place.name) is None:
            raise log_not_there(place)
        return self._builds / place.name / "log" if place.framing is Framing.LINES else self.streams.path(place.name)

    async def state(self, place: Place) -> LogState:
        return await asyncio.to_thread(self.state_now, place)

    async def read(self, place: Place, offset: int, length: int) -> bytes:
        return await asyncio.to_thread(_part, self.path(place), place, offset, length)

    async def times(self, place: Place, offset: int, length: int) -> bytes:
        return await asyncio.to_thread(_part, index_of(self.path(place)), place, offset, length)

    async def remove(self, place: Place) -> None:
        path = self.path(place)
        await asyncio.to_thread(index_of(path).unlink, missing_ok=True)
        await asyncio.to_thread(path.unlink, missing_ok=True)

    def close(self, place: Place) -> None:
        """Mark the log of a build as complete, whose writer died and was not followed by another."""
        path = self.path(place)
        if not self.state_now(place).closed:
            TimeIndex(path, path.stat().st_size).close()

    def state_now(self, place: Place) -> LogState:
        """As `state`, at once."""
        path = self.path(place)
        try:
            about = path.stat()  # before the index: an entry is written before what it speaks of
        except OSError:
            raise log_not_there(place) from None
        times, closed = _index(index_of(path))
        return LogState(about.st_size, times, closed, max(0, (time.time_ns() - about.st_mtime_ns) // 1_000_000))


def _index(path: Path) -> tuple[int, bool]:
    try:
        with path.open("rb") as file:
            entries = os.fstat(file.fileno()).st_size // ENTRY.size
            if not entries:
                return 0, False
            file.seek((entries - 1) * ENTRY.size)
            closed = ENTRY.unpack(file.read(ENTRY.size))[0] == END
            return (entries - closed) * ENTRY.size, closed
    except OSError:
        return 0, False


def _part(path: Path, place: Place, offset: int, length: int) -> bytes:
    try:
        with path.open("rb", buffering=0) as file:
            parts: list[bytes] = []
            while length > 0 and (part := os.pread(file.fileno(), length, offset)):
                parts.append(part)
                offset, length = offset + len(part), length - len(part)
            return b"".join(parts)
    except OSError:
        raise log_not_there(place) from None
