"""The log of a build: what it printed and what we say of it, in one order, with no secret in it.

Written by a LogWriter, found by its Place, read through LogFiles.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from codeyard.errors import NotFound


@dataclass(frozen=True, slots=True)
class LogPiece:
    """A piece of the log as written. `agent` pieces are whole lines of ours; the others are cut anywhere."""

    agent: bool
    content: bytes


def agent_line(at: datetime, text: str) -> str:
    """A line as CodeBuild's agent prints it; `at` is in UTC (reference 10.3)."""
    return f"[Container] {at:%Y/%m/%d %H:%M:%S.%f} {text}\n"


class LogWriter(Protocol):
    """One build's log, written by one process at a time and found again by the next, with nothing lost or twice."""

    @property
    def read(self) -> int:
        """How many bytes of the spool were taken in."""
        ...

    def say(self, key: str, text: str, upto: int | None = None) -> None:
        """Write a line of ours, after what the build had printed by then (`upto` bytes of the spool, or all).

        The same key again, in this process or a later one, writes nothing.
        """
        ...

    def end_output(self, key: str, upto: int) -> None:
        """End what a command printed, `upto` bytes of the spool, with the blank line that AWS's agent puts there."""
        ...

    def pump(self, at_most: int | None = None) -> bool:
        """Write what the build has printed since, or some of it: `at_most` bytes. Whether more is waiting."""
        ...

    def mask(self, values: tuple[str, ...]) -> None:
        """From now on, hide these wherever they appear."""
        ...

    def close(self) -> None:
        """Write what is left; nothing more will be said."""
        ...

    def masked(self, text: str) -> str:
        """`text` as the log would show it."""
        ...


class Framing(StrEnum):
    """How events lie in a file."""

    LINES = "lines"  # a build's log: text, each line an event
    RECORDS = "records"  # what clients put: see `put_streams`


@dataclass(frozen=True, slots=True)
class Place:
    """Where the events of a stream are: the log of a build's run, or a file that clients put into."""

    framing: Framing
    name: str  # the run's uuid, or the file's


@dataclass(frozen=True, slots=True)
class LogState:
    """What there is of a log at one moment. All that is within `size` has its times within `times`."""

    size: int  # bytes that may be read
    times: int  # bytes of the time index, whole entries
    closed: bool  # nothing will follow
    idle: int  # milliseconds since something was written, by the clock of the machine that has it


class LogFiles(Protocol):
    """Logs and their time indexes, wherever they are: this machine, a bucket, the worker that runs the build.

    What was written stays as it is until it is removed. `read` and `times` give less than asked for at the end.
    """

    async def state(self, place: Place) -> LogState:
        """NotFound if there is none (yet)."""
        ...

    async def read(self, place: Place, offset: int, length: int) -> bytes:
        """`length` bytes of the log from `offset`. NotFound."""
        ...

    async def times(self, place: Place, offset: int, length: int) -> bytes:
        """`length` bytes of its time index from `offset`. NotFound."""
        ...

    async def remove(self, place: Place) -> None:
        """Remove it for good; nothing, if it is not there."""
        ...


def log_not_there(place: Place) -> NotFound:
    """What a LogFiles raises that has none at this place."""
    return NotFound(f"log {place.name}", "there is none here.", "Wait until the build has begun.")
