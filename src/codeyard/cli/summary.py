"""The end of a build on a terminal: phases, what failed and its last lines, tests, coverage, cache, artifacts."""

import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path
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
_BAR = 32
_WIDEST = 120  # columns; longer lines are hard to follow
_FRAME = 4 + 9 + 2  # of the panel, the labels and the gap between
_PRIMARY = "primary"
_QUIET = {"QUEUED", "FINALIZING"}  # phases that the user has no part in
_NOTABLE = 0.1  # seconds
_SLOW = 0.01  # seconds
_INCOMPLETE = "INCOMPLETE"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of spans, text and style each. `cut`: what is too long ends in an ellipsis, instead of being folded."""

    spans: tuple[tuple[str, str], ...]
    cut: bool = False


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
        from rich.console import Console
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        assert self._ended is not None
        colour = "green" if self._ended.status == "SUCCEEDED" else "red"
        console = Console(file=self._out, no_color=not self._color, highlight=False, soft_wrap=False)
        width = min(console.width, _WIDEST)
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for label, lines in self._sections(width - _FRAME):
            for number, line in enumerate(lines):
                cell = Text.assemble(*((printable(text), style) for text, style in line.spans))
                if line.cut:
                    cell.no_wrap, cell.overflow = True, "ellipsis"
                table.add_row(label if number == 0 else "", cell)
        mark = "✔" if colour == "green" else "✘"
        title = Text(f"{mark} {self._ended.status} in {seconds(self._ended.seconds)}", f"bold {colour}")
        console.print(Panel(table, title=title, title_align="left", border_style=colour, width=width))

    def _sections(self, width: int) -> list[tuple[str, list[Line]]]:
        """What there is to say, by label; `width` is the room for a line."""
        assert self._ended is not None
        found = [("Phases", self._phase_lines(width))]
        if self._failed is not None:
            found.append(("Failed", _failed_lines(*self._failed)))
        elif problem := next((phase for phase in self._phases if phase.status != "SUCCEEDED"), None):
            label = "Stopped" if problem.status == "STOPPED" else "Failed"
            found.append((label, [_line((f"{problem.phase}: {problem.message or problem.status}", "red"))]))
        tests = [report for report in self._reports if report.counts]  # of coverage nothing is counted
        if tests:
            found.append(("Tests", [line for report in tests for line in _test_lines(report)]))
        coverage = [_coverage_line(report) for report in self._reports if not report.counts]
        if coverage:
            found.append(("Coverage", coverage))
        if self._caches:
            found.append(("Cache", self._cache_lines()))
        if self._artifacts:
            named = max(len(made.identifier or _PRIMARY) for made in self._artifacts)
            found.append(("Artifacts", [line for made in self._artifacts for line in _artifact_lines(made, named)]))
        if self._ended.exported:
            found.append(("Exported", [_line((f"{name}={text}", "")) for name, text in self._ended.exported.items()]))
        found.append(("Log", [_line((_place(self._ended.log), ""))]))
        return found

    def _phase_lines(self, width: int) -> list[Line]:
        """Every phase that took time, did something for the user or went wrong, with a bar for its share."""
        shown = [phase for phase in self._phases if phase.phase not in _QUIET or _notable(phase)]
        longest = max((phase.seconds for phase in shown), default=0) or 1
        states = max((len(phase.status) + 1 for phase in shown if phase.status != "SUCCEEDED"), default=0)
        room = min(_BAR, max(0, width - 27 - states))
        return [
            _line(
                (f"{phase.phase:<16} {seconds(phase.seconds):>8}  ", "" if phase.status == "SUCCEEDED" else "red"),
                ("━" * round(room * phase.seconds / longest), "cyan" if phase.status == "SUCCEEDED" else "red"),
                ("" if phase.status == "SUCCEEDED" else f" {phase.status}", "bold red"),
            )
            for phase in shown
        ]

    def _cache_lines(self) -> list[Line]:
        hit = any(used.action == "restore" and used.hit for used in self._caches)
        # What was found whole stays as it is, and need not be said.
        said = [used for used in self._caches if used.action == "restore" or used.hit or not hit]
        return [line for used in said for line in _cache_use(used)]

    def _last_lines(self) -> str:
        text = b"".join(self._tail).decode(errors="replace")
        # Colours and cursor movements belong where they were printed; of a progress bar the last state counts.
        text = re.sub(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])", "", text)
        lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
        return "\n".join(re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", line) for line in lines if line.strip())


def _line(*spans: tuple[str, str], cut: bool = False) -> Line:
    return Line(spans, cut)


def _notable(phase: PhaseEnded) -> bool:
    return phase.status != "SUCCEEDED" or phase.seconds >= _NOTABLE


def _failed_lines(failed: CommandEnded, tail: str) -> list[Line]:
    first = failed.command.strip().splitlines()[0] if failed.command.strip() else failed.command
    head = _line((f"{failed.phase}: ", "red"), (first, "bold red"), cut=True)
    end = _line((f"exit status {failed.exit_code} after {seconds(failed.seconds)}", "red"))
    return [head, end, *(_line(("│ ", "red"), (line, "")) for line in tail.splitlines()[-_LAST_LINES:])]


def _test_lines(report: ReportMade) -> list[Line]:
    counts = report.counts
    failed = counts.get("FAILED", 0) + counts.get("ERROR", 0)
    skipped = counts.get("SKIPPED", 0)
    passed = counts.get("SUCCEEDED", 0)
    lines = [
        _line(
            (f"{report.name}  ", ""),
            (f"{passed:,} passed", "green" if passed else "dim"),
            (", ", "dim"),
            (f"{failed:,} failed", "bold red" if failed else "dim"),
            (", ", "dim"),
            (f"{skipped:,} skipped", "yellow" if skipped else "dim"),
            ("  incomplete: see the log" if report.status == _INCOMPLETE else "", "yellow"),
        )
    ]
    lines += [_line((f"  ✘ {name}", "red")) for name in report.failed]
    # One that took no time worth a look is not slow.
    slow = [(name, took) for name, took in report.slowest if took >= _SLOW]
    return lines + [_line((f"  {seconds(took):>7}  {name}", "dim"), cut=True) for name, took in slow]


def _coverage_line(report: ReportMade) -> Line:
    if report.line_coverage is None:
        lines = "incomplete: see the log" if report.status == _INCOMPLETE else "no lines"
        return _line((f"{report.name}  ", ""), (lines, "yellow"))
    branches = "" if report.branch_coverage is None else f", {report.branch_coverage:.1f} % of branches"
    return _line((f"{report.name}  {report.line_coverage:.1f} % of lines{branches}", ""))


def _cache_use(used: CacheUsed) -> list[Line]:
    amount = f"{counted(used.files, 'file')}, {size(used.bytes)}"
    if used.action == "save":
        return [_line((f"saved  {amount}", "") if used.hit else (f"not saved: {used.key}", "yellow"))]
    if not used.hit:
        return [_line(("miss", "yellow"))]
    return [
        _line(("hit", "green"), (f"  {amount}", "")),
        *([_line((f"  {used.key}", "dim"), cut=True)] * bool(used.key)),
    ]


def _artifact_lines(made: ArtifactMade, named: int) -> list[Line]:
    name = made.identifier or _PRIMARY
    amount = f"{counted(made.files, 'file')}, {size(made.bytes)}"
    return [
        _line((f"{name:<{named}}  {amount}  ", ""), (f"{made.digest[:19]}…", "dim")),
        _line((f"  {_place(made.location)}", "cyan")),
    ]


def _place(location: str) -> str:
    """A path as one would type it from here; anything else as it is."""
    here = Path.cwd()
    path = Path(location)
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else location


def counted(number: int, noun: str) -> str:
    """`1 file`, `2,000 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """`text` with nothing in it that could move a terminal's cursor or change its colours."""
    return "".join(character if character.isprintable() else " " for character in text)


def seconds(count: float) -> str:
    """A duration as people read it."""
    if count < 0.9995:
        return f"{count * 1000:.0f} ms"
    if count < 59.95:
        return f"{count:.1f} s"
    minutes, rest = divmod(round(count), 60)
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
