"""What a terminal, a pipe and a machine are shown of a build."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.cli.render import JsonLines, PlainLog, Terminal
from codeyard.cli.summary import printable, seconds, size
from codeyard.events import (
    ArtifactMade,
    BuildEnded,
    BuildStarted,
    CacheUsed,
    CommandEnded,
    CommandStarted,
    Event,
    PhaseEnded,
    PhaseStarted,
    Progressed,
    ReportMade,
)
from codeyard.logs import LogPiece

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GOLDEN = Path(__file__).parents[1] / "golden" / "render"


class Paper(io.TextIOWrapper):
    """A text stream over bytes that remain to be read."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding=encoding, write_through=True)

    @property
    def written(self) -> bytes:
        self.flush()
        return self.bytes.getvalue()


def said(content: bytes) -> LogPiece:
    return LogPiece(False, content)


def command(text: str = "make", *, code: int = 0, took: float = 0.1) -> tuple[CommandStarted, CommandEnded]:
    return CommandStarted(AT, "BUILD", 0, text), CommandEnded(AT, "BUILD", 0, text, code, took)


def phase(name: str, took: float, status: str = "SUCCEEDED", code: str = "", message: str = "") -> PhaseEnded:
    return PhaseEnded(AT, name, status, code, message, took)


def report(**values: object) -> ReportMade:
    told: dict[str, object] = {
        "name": "app-unit",
        "format": "JUNITXML",
        "status": "SUCCEEDED",
        "total": 3,
        "counts": {"SUCCEEDED": 3},
        "failed": [],
        "slowest": [("test_of_everything_at_once_with_a_name_that_goes_on_and_on_and_on", 1.25), ("test_b", 0.001)],
        "line_coverage": None,
        "branch_coverage": None,
    }
    return ReportMade(at=AT, **{**told, **values})  # type: ignore[arg-type]


STARTED = BuildStarted(AT, "app:0001", "bubblewrap", "", "the strongest that needs no image", False, "/state/runs/0001")
GOOD: tuple[Event | LogPiece, ...] = (
    STARTED,
    PhaseStarted(AT, "DOWNLOAD_SOURCE"),
    Progressed(AT, "Cloning https://git.example.com/app.git"),
    phase("DOWNLOAD_SOURCE", 0.2),
    PhaseStarted(AT, "BUILD"),
    command("make\nmake check")[0],
    said(b"compiling\n\n\x1b[32mdone\x1b[0m\n\n"),
    command("make\nmake check", took=1.5)[1],
    phase("BUILD", 1.6),
    CacheUsed(AT, "restore", True, "deps-0123456789abcdef", 7, 13_200_000),
    report(),
    report(name="app-coverage", counts={}, slowest=[], total=0, line_coverage=98.25, branch_coverage=None),
    ArtifactMade(AT, "", "s3://bucket/app", "sha256:" + "ab" * 32, 1, 7607),
    ArtifactMade(AT, "coverage", "/elsewhere/coverage", "sha256:" + "cd" * 32, 1300, 204_700),
    phase("UPLOAD_ARTIFACTS", 0.1),
    BuildEnded(AT, "app:0001", "SUCCEEDED", 2.5, {"RELEASE": "1.2.0-1"}, None, "/state/runs/0001/log"),
)
BAD: tuple[Event | LogPiece, ...] = (
    BuildStarted(AT, "app:0002", "process", "", "NO ISOLATION, nothing stronger works here", False, "/state/runs/0002"),
    phase("DOWNLOAD_SOURCE", 0.2),
    PhaseStarted(AT, "BUILD"),
    command("make check")[0],
    said(b"one\n50 %\r100 %\n\x1b[31massertion failed\x1b[0m: no newline at the end"),
    said(b"\n\n"),
    command("make check", code=2, took=0.4)[1],
    phase("BUILD", 0.5, "FAILED", "COMMAND_EXECUTION_ERROR", "Error while executing command: make check."),
    phase("POST_BUILD", 0.001),
    CacheUsed(AT, "restore", False, "deps", 0, 0),
    report(counts={"SUCCEEDED": 2, "FAILED": 1, "SKIPPED": 1}, failed=["test_of\x1b[2Jthe_hostile"], slowest=[]),
    report(name="app-coverage", status="INCOMPLETE", counts={}, slowest=[], total=0),
    BuildEnded(AT, "app:0002", "FAILED", 0.9, {}, None, "/state/runs/0002/log"),
)


def shown(story: tuple[Event | LogPiece, ...], *, color: bool, encoding: str = "utf-8") -> bytes:
    paper = Paper(encoding)
    terminal = Terminal(paper, color=color)
    for part in story:
        if isinstance(part, LogPiece):
            terminal.log(part)
        else:
            terminal.event(part)
    terminal.close()
    return paper.written


@pytest.mark.parametrize("width", [60, 100, 160])
@pytest.mark.parametrize(("name", "story"), [("good", GOOD), ("bad", BAD)])
def test_a_build_on_a_terminal(
    name: str,
    story: tuple[Event | LogPiece, ...],
    width: int,
    golden: Callable[[Path, str], None],
    wide: Callable[[int], None],
) -> None:
    wide(width)

    golden(
        GOLDEN / f"{name}-{width}.txt",
        shown(story, color=False).decode().replace("\r", "<CR>").replace("\x1b", "<ESC>"),
    )


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    return lambda columns: monkeypatch.setenv("COLUMNS", str(columns))


def test_without_colour_the_only_escapes_are_the_builds_own_and_what_clears_a_line() -> None:
    text = shown(GOOD, color=False)

    assert text.replace(b"\x1b[K", b"").count(b"\x1b") == 2


def test_no_name_that_a_build_chose_can_move_the_cursor() -> None:
    assert b"\x1b[2J" not in shown(BAD, color=True)


def test_a_long_script_that_failed_is_not_repeated_whole_but_its_reason_is() -> None:
    script = "\n".join(f"echo {number} \\\n  continued" for number in range(100))
    message = f"Error while executing command: {script}. Reason: exit status 7"
    text = shown((STARTED, phase("BUILD", 0.5, "FAILED", "COMMAND_EXECUTION_ERROR", message)), color=False).decode()
    line = next(line for line in text.splitlines() if "COMMAND_EXECUTION_ERROR" in line)

    assert len(line) < 240
    assert "command: echo 0" in line
    assert line.endswith("Reason: exit status 7")


def test_a_terminal_that_lacks_a_character_gets_another() -> None:
    assert b"? UPLOAD_ARTIFACTS" in shown(GOOD, color=False, encoding="ascii")


def test_a_summary_is_not_wider_than_the_terminal(wide: Callable[[int], None]) -> None:
    wide(60)
    lines = shown(GOOD, color=False).decode().splitlines()

    assert max(len(line) for line in lines if line.startswith(("│", "╭", "╰"))) == 60


@given(st.lists(st.sampled_from([b"a", b"\n", b"\n\n", b"b\n", b"\rc", b"\x1b[1m", b"\xff"]), max_size=12))
def test_what_a_build_prints_is_shown_as_it_is_however_it_is_cut(pieces: list[bytes]) -> None:
    """After the command's last line comes what ends it in the log: a blank line, which is not shown."""
    output = b"".join(pieces)
    ended = output if not output or output.endswith(b"\n") else output + b"\n"
    begin, end = command()
    paper = Paper()
    terminal = Terminal(paper, color=False)
    terminal.event(STARTED)
    terminal.event(begin)
    before = len(paper.written)

    for piece in (*pieces, b"\n" if ended == output else b"\n\n"):
        terminal.log(said(piece))
    terminal.event(end)

    assert paper.written[before:] == ended


def test_a_blank_line_of_a_build_is_not_held_back_for_what_follows() -> None:
    paper = Paper()
    terminal = Terminal(paper, color=False)
    terminal.event(STARTED)
    terminal.log(said(b"one\n\n"))
    terminal.log(said(b"two"))

    assert paper.written.endswith(b"one\n\ntwo")


def test_why_a_source_or_a_buildspec_is_wrong_stands_below_its_phase() -> None:
    story: list[Event | LogPiece] = [
        STARTED,
        PhaseStarted(AT, "DOWNLOAD_SOURCE"),
        LogPiece(True, b"[Container] 2026/01/02 03:04:05.000006 Phase is DOWNLOAD_SOURCE\n"),
        LogPiece(True, b"[Container] 2026/01/02 03:04:05.000006 Line 3, column 3: no such key. Remove it.\n"),
        LogPiece(True, b"[Container] 2026/01/02 03:04:05.000006 Line 9, column 1: \x1b[2Jno such phase. Remove it.\n"),
        LogPiece(True, b"[Container] 2026/01/02 03:04:05.000006 Expanding **/*\n"),
        LogPiece(True, b"[Container] 2026/01/02 03:04:05.000006 Phase complete: DOWNLOAD_SOURCE State: FAILED\n"),
        phase("DOWNLOAD_SOURCE", 0.1, "FAILED", "YAML_FILE_ERROR", "no such key"),
    ]
    told = shown(tuple(story), color=False).decode()

    assert "  Line 3, column 3: no such key. Remove it.\n  Line 9, column 1:  [2Jno such phase. Remove it.\n" in told
    assert "Phase is" not in told
    assert "Expanding" not in told


def test_a_long_command_is_cut() -> None:
    paper = Paper()
    Terminal(paper, color=False).event(CommandStarted(AT, "BUILD", 0, "\n".join(f"line {n}" for n in range(30))))

    assert b"line 9" in paper.written
    assert b"line 10" not in paper.written
    assert "… and 20 more lines".encode() in paper.written


def test_a_pipe_gets_the_log_byte_for_byte(capsys: pytest.CaptureFixture[str]) -> None:
    paper = Paper()
    plain = PlainLog(paper)
    plain.event(STARTED)
    plain.log(LogPiece(True, b"[Container] ours\n"))
    plain.log(said(b"\xff\x00\r\n\n"))
    plain.event(BuildEnded(AT, "app:0001", "SUCCEEDED", 61.0, {}, None, "/state/log"))
    plain.close()

    assert paper.written == b"[Container] ours\n\xff\x00\r\n\n"
    assert capsys.readouterr().err.splitlines() == [
        "codeyard: app:0001 runs with bubblewrap: the strongest that needs no image",
        "codeyard: SUCCEEDED in 1 min 01 s; the log is /state/log",
    ]


def test_a_machine_gets_an_object_on_each_line() -> None:
    paper = Paper("ascii")
    lines = JsonLines(paper)
    lines.event(STARTED)
    lines.log(said("naïve ✔".encode()[:-1]))
    lines.log(said("✔".encode()[-1:] + b"\xff\n"))
    lines.log(LogPiece(True, b"[Container] ours\n"))
    lines.close()

    told = [json.loads(line) for line in paper.written.decode().splitlines()]
    assert [event["event"] for event in told] == ["build_started"] + ["log_written"] * (len(told) - 1)
    assert "".join(event["text"] for event in told[1:]) == "naïve ✔\ufffd\n[Container] ours\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0.0042, "4 ms"),
        (0.9996, "1.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (61.2, "1 min 01 s"),
        (3725, "1 h 02 min"),
    ],
)
def test_a_duration_is_read_at_a_glance(count: float, text: str) -> None:
    assert seconds(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (13_200_000, "13.2 MB"), (5 * 10**12, "5000.0 GB")],
)
def test_a_size_is_read_at_a_glance(count: int, text: str) -> None:
    assert size(count) == text


@given(st.text())
def test_what_is_printable_moves_no_cursor(text: str) -> None:
    assert printable(text).isprintable()
    assert len(printable(text)) == len(text)
