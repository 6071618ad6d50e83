"""The end of a build on a terminal: phases, what failed and its last lines, tests, coverage, cache, artifacts."""

import re
from collections import deque
from typing import TextIO

from codeyard.events import (
    ArtifactMade,
    BuildEnded,
    CacheUsed,
    CommandEnded,
    CommandStarted,
    Event,
    PhaseEnded,
    ReportMade,
)
from codeyard.logs import LogPiece

_LAST_LINES = 12
_KEPT_BYTES = 16 * 1024
_BAR = 24


class Summary:
    """Learns from the events and the log, and shows what they came to."""

    def __init__(self, out: TextIO, *, color: bool) -> None:
        self._out, self._color = out, color
        self._phases: list[PhaseEnded] = []
        self._reports: list[ReportMade] = []
        self._artifacts: list[ArtifactMade] = []
        self._caches: list[CacheUsed] = []
        self._failed: tuple[CommandEnded, str] | None = None
        self._ended: BuildEnded | None = None
        self._tail: deque[bytes] = deque()
        self._kept = 0

    def learn(self, event: Event) -> None:
        match event:
            case PhaseEnded():
                self._phases.append(event)
            case ReportMade():
                self._reports.append(event)
            case ArtifactMade():
                self._artifacts.append(event)
            case CacheUsed():
                self._caches.append(event)
            case CommandStarted():
                self._tail.clear()
                self._kept = 0
            case CommandEnded() if event.exit_code != 0 and self._failed is None:
                self._failed = (event, self._last_lines())
            case BuildEnded():
                self._ended = event
            case _:
                pass

    def hear(self, piece: LogPiece) -> None:
        """Keep the end of what the running command prints."""
        if piece.agent:
            return
        self._tail.append(piece.content[-_KEPT_BYTES:])
        self._kept += len(self._tail[-1])
        while self._kept - len(self._tail[0]) > _KEPT_BYTES:
            self._kept -= len(self._tail.popleft())

    def show(self) -> None:
        """Write it."""
        from rich.console import Console, Group
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        assert self._ended is not None
        good = self._ended.status == "SUCCEEDED"
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for label, lines in self._sections():
            for number, (text, style) in enumerate(lines):
                table.add_row(label if number == 0 else "", Text(text, style=style))
        console = Console(file=self._out, no_color=not self._color, highlight=False, soft_wrap=False)
        title = Text(f"{'✔' if good else '✘'} {self._ended.status} in {seconds(self._ended.seconds)}")
        title.stylize("bold green" if good else "bold red")
        console.print(Panel(Group(table), title=title, title_align="left", border_style="green" if good else "red"))

    def _sections(self) -> list[tuple[str, list[tuple[str, str]]]]:
        assert self._ended is not None
        found = [("Phases", self._phase_lines())]
        if self._failed is not None:
            found.append(("Failed", self._failed_lines(*self._failed)))
        elif problem := next((phase for phase in self._phases if phase.status != "SUCCEEDED"), None):
            found.append(("Failed", [(f"{problem.phase}: {problem.message or problem.status}", "red")]))
        tests = [report for report in self._reports if report.line_coverage is None]
        if tests:
            found.append(("Tests", [line for report in tests for line in _test_lines(report)]))
        coverage = [_coverage_line(report) for report in self._reports if report.line_coverage is not None]
        if coverage:
            found.append(("Coverage", coverage))
        if self._caches:
            found.append(("Cache", [(_cache_text(used), "") for used in self._caches]))
        if self._artifacts:
            found.append(("Artifacts", [line for made in self._artifacts for line in _artifact_lines(made)]))
        if self._ended.exported:
            found.append(("Exported", [(f"{name}={value}", "") for name, value in self._ended.exported.items()]))
        found.append(("Log", [(self._ended.log, "")]))
        return found

    def _phase_lines(self) -> list[tuple[str, str]]:
        longest = max((phase.seconds for phase in self._phases), default=0) or 1
        lines = []
        for phase in self._phases:
            bar = "█" * round(_BAR * phase.seconds / longest)
            state = "" if phase.status == "SUCCEEDED" else f"  {phase.status}"
            lines.append((f"{phase.phase:<16} {seconds(phase.seconds):>8}  {bar}{state}", "red" if state else ""))
        return lines

    def _failed_lines(self, failed: CommandEnded, tail: str) -> list[tuple[str, str]]:
        first = failed.command.strip().splitlines()[0] if failed.command.strip() else failed.command
        lines = [(f"{failed.phase}: {first}", "bold red"), (f"exit status {failed.exit_code}", "red")]
        return [*lines, *((f"│ {line}", "") for line in tail.splitlines()[-_LAST_LINES:])]

    def _last_lines(self) -> str:
        text = b"".join(self._tail).decode(errors="replace")
        # Colours and cursor movements belong where they were printed; of a progress bar the last state counts.
        text = re.sub(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])", "", text)
        lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
        return "\n".join(re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", line) for line in lines if line.strip())


def _test_lines(report: ReportMade) -> list[tuple[str, str]]:
    counts = report.counts
    failed = counts.get("FAILED", 0) + counts.get("ERROR", 0)
    text = f"{report.name}: {counts.get('SUCCEEDED', 0)} passed, {failed} failed, {counts.get('SKIPPED', 0)} skipped"
    if report.status == "INCOMPLETE":
        text += " (incomplete: see the log)"
    lines = [(text, "red" if failed else "yellow" if report.status == "INCOMPLETE" else "green")]
    lines += [(f"  ✘ {name}", "red") for name in report.failed]
    slow = ", ".join(f"{name} {seconds(took)}" for name, took in report.slowest)
    return [*lines, (f"  slowest: {slow}", "dim")] if slow else lines


def _coverage_line(report: ReportMade) -> tuple[str, str]:
    branches = "" if report.branch_coverage is None else f", {report.branch_coverage:.1f} % of branches"
    return f"{report.name}: {report.line_coverage:.1f} % of lines{branches}", ""


def _cache_text(used: CacheUsed) -> str:
    if used.action == "save":
        return f"saved {used.files:,} files, {size(used.bytes)}" if used.hit else f"not saved: {used.key}"
    return f"hit: {used.files:,} files, {size(used.bytes)}  {used.key}" if used.hit else "miss"


def _artifact_lines(made: ArtifactMade) -> list[tuple[str, str]]:
    name = made.identifier or "primary"
    text = f"{name}: {made.files:,} file{'' if made.files == 1 else 's'}, {size(made.bytes)}  {made.digest[:19]}…"
    return [(text, ""), (f"  {made.location}", "dim")]


def seconds(count: float) -> str:
    """A duration as people read it."""
    if count < 1:
        return f"{count * 1000:.0f} ms"
    if count < 60:
        return f"{count:.1f} s"
    minutes, rest = divmod(int(count), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def size(count: int) -> str:
    """A number of bytes as people read it."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
