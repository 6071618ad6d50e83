"""Logs for tests: written by the real writer at times of the test's choosing, and read from the local files."""

import os
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from codeyard.logs import Framing, Place
from codeyard.logs.archive import ArchivedLog
from codeyard.logs.files import LocalLogs
from codeyard.logs.reading import LogReader, open_log

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
START = int(NOON.timestamp() * 1000)  # milliseconds


class Clock:
    """A time that the test moves."""

    def __init__(self) -> None:
        self.moment = NOON

    def __call__(self) -> datetime:
        return self.moment

    def after(self, milliseconds: int) -> None:
        self.moment = NOON + timedelta(milliseconds=milliseconds)


class BuildLog:
    """The log of one run, being written."""

    def __init__(self, data: Path, run: str | None = None) -> None:
        self.run = run or str(uuid.uuid4())
        self.home, self.clock, self.files = data / "builds" / self.run, Clock(), LocalLogs(data)
        self.home.mkdir(parents=True, exist_ok=True)
        self.spool = self.home / "spool"
        self.spool.touch()
        self.writer = self.open()

    @property
    def place(self) -> Place:
        return Place(Framing.LINES, self.run)

    @property
    def path(self) -> Path:
        return self.home / "log"

    def open(self) -> ArchivedLog:
        return ArchivedLog(self.spool, self.path, self.clock, times=True)

    def prints(self, at: int, content: bytes) -> None:
        """The build prints this so many milliseconds after noon."""
        self.clock.after(at)
        with self.spool.open("ab") as spool:
            spool.write(content)
        self.writer.pump()

    def close(self) -> None:
        self.writer.close()

    def idle(self, milliseconds: int) -> None:
        """Nothing was written for so long."""
        about = self.path.stat()
        os.utime(self.path, ns=(about.st_atime_ns, about.st_mtime_ns - milliseconds * 1_000_000))

    async def reader(self) -> LogReader:
        return await open_log(self.files, self.place)


def messages(page: object) -> list[str]:
    """The messages of a page of events."""
    events = getattr(page, "events", ())
    return [event.message for event in events]
