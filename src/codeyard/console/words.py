"""How the console says things: how a build stands, how long something took, how long ago it was. Pure."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_WAITING = frozenset({"SUBMITTED", "QUEUED"})
_GONE_BY = ((45, "just now"), (90, "1 min ago"))


class State(StrEnum):
    """How a build or a phase stands, as people are told; the value is a CSS class too."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    FAULT = "fault"
    TIMED_OUT = "timed-out"
    STOPPED = "stopped"

    @property
    def label(self) -> str:
        return self.value.replace("-", " ").capitalize()

    @property
    def over(self) -> bool:
        return self not in (State.QUEUED, State.RUNNING)

    @property
    def sign(self) -> str:
        """One character, for a window's title."""
        return {"queued": "…", "running": "▶", "succeeded": "✓", "stopped": "■"}.get(self.value, "✗")


_STATES = {
    "SUCCEEDED": State.SUCCEEDED,
    "FAILED": State.FAILED,
    "FAULT": State.FAULT,
    "TIMED_OUT": State.TIMED_OUT,
    "STOPPED": State.STOPPED,
}


def build_state(build: Mapping[str, Any]) -> State:
    """Of a shape `Build`."""
    running = State.QUEUED if build.get("currentPhase") in _WAITING else State.RUNNING
    return _STATES.get(build.get("buildStatus", ""), running)


def phase_state(phase: Mapping[str, Any]) -> State:
    """Of a shape `BuildPhase`: one without a status is the one in progress."""
    running = State.QUEUED if phase.get("phaseType") in _WAITING else State.RUNNING
    return _STATES.get(phase.get("phaseStatus", ""), running)


def duration(seconds: float | None) -> str:
    """`7 s`, `3 min 05 s`, `1 h 02 min`, `2 d 3 h`; cut, not rounded."""
    if seconds is None:
        return "–"
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def took(seconds: float | None) -> str:
    """How long something took that has ended: of a few seconds also the tenths, as `0.4 s`."""
    if seconds is not None and 0 <= seconds < 9.95:
        return f"{seconds:.1f} s"
    return duration(seconds)


def ago(then: datetime, now: datetime) -> str:
    """`just now`, `4 min ago`, `3 h ago`, `2 days ago`, then the date."""
    seconds = (now - then).total_seconds()
    for limit, words in _GONE_BY:
        if seconds < limit:
            return words
    if seconds < _HOUR:
        return f"{int(seconds / _MINUTE)} min ago"
    if seconds < _DAY:
        return f"{int(seconds / _HOUR)} h ago"
    if seconds < 2 * _DAY:
        return "yesterday"
    if seconds < 14 * _DAY:
        return f"{int(seconds / _DAY)} days ago"
    return f"{then:%Y-%m-%d}"


def counted(number: int, noun: str) -> str:
    """`1 build`, `1,234 builds`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
