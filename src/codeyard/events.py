"""What happened, for whoever wants to know: the terminal, `--json`, later the console, metrics and notices.

Frozen facts in the past tense. Each has a `kind`, and `fields` gives it as plain values. docs/events.md lists them.
"""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, at a time (UTC)."""

    kind: ClassVar[str] = "event"

    at: datetime

    def fields(self) -> dict[str, Any]:
        """The fact as values that JSON can hold."""
        plain: dict[str, Any] = {"event": self.kind}
        for field in fields(self):
            value = getattr(self, field.name)
            plain[field.name] = value.isoformat() if isinstance(value, datetime) else value
        return plain


@dataclass(frozen=True, slots=True)
class BuildStarted(Event):
    """A build began, or was found again (`resumed`)."""

    kind: ClassVar[str] = "build_started"

    build: str
    executor: str
    image: str
    reason: str  # why this executor
    resumed: bool
    directory: str  # where its log and state are


@dataclass(frozen=True, slots=True)
class PhaseStarted(Event):
    """A phase was entered."""

    kind: ClassVar[str] = "phase_started"

    phase: str


@dataclass(frozen=True, slots=True)
class PhaseEnded(Event):
    """A phase ended."""

    kind: ClassVar[str] = "phase_ended"

    phase: str
    status: str
    code: str
    message: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CommandStarted(Event):
    """A command of the buildspec is about to run."""

    kind: ClassVar[str] = "command_started"

    phase: str
    index: int  # from 0, within the phase; `finally` goes on counting
    command: str


@dataclass(frozen=True, slots=True)
class CommandEnded(Event):
    """A command of the buildspec ended."""

    kind: ClassVar[str] = "command_ended"

    phase: str
    index: int
    command: str
    exit_code: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Progressed(Event):
    """Something slow goes on: a pull, a clone."""

    kind: ClassVar[str] = "progressed"

    what: str


@dataclass(frozen=True, slots=True)
class LogWritten(Event):
    """A piece of the log: `agent` lines are ours, the rest is what the build printed."""

    kind: ClassVar[str] = "log_written"

    agent: bool
    text: str


@dataclass(frozen=True, slots=True)
class CacheUsed(Event):
    """The cache was looked up (`action` restore) or written (`action` save)."""

    kind: ClassVar[str] = "cache_used"

    action: str
    hit: bool
    key: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ReportMade(Event):
    """A report was made of what the build's tests or coverage tools wrote."""

    kind: ClassVar[str] = "report_made"

    name: str
    format: str
    status: str
    total: int
    counts: dict[str, int]  # test cases by status; empty for coverage
    failed: list[str]  # names of failed cases, the first ten
    slowest: list[tuple[str, float]]  # name and seconds, the first three
    line_coverage: float | None  # per cent; None for tests
    branch_coverage: float | None


@dataclass(frozen=True, slots=True)
class ArtifactMade(Event):
    """An artifact was published. `identifier` is empty for the primary one."""

    kind: ClassVar[str] = "artifact_made"

    identifier: str
    location: str
    digest: str  # of the tree, `sha256:…`
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class BuildEnded(Event):
    """A build ended; nothing of it runs any more."""

    kind: ClassVar[str] = "build_ended"

    build: str
    status: str
    seconds: float
    exported: dict[str, str]
    resolved_source_version: str | None
    log: str  # the file with the whole log
