"""The log of a build: what it printed and what we say of it, in one order, with no secret in it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


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
