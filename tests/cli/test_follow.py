"""A server's build on the screen: what the lines of its log say, and how it is followed."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Call, Refused, Shape
from codeyard.aws.gateway import Gateway
from codeyard.cli.follow import Follower, follow
from codeyard.cli.render import JsonLines
from codeyard.events import BuildEnded, BuildStarted, CommandEnded, CommandStarted, Event, PhaseEnded, PhaseStarted
from codeyard.logs import LogPiece
from tests.wire.served import RootOnly, answering, client, serving

LOGS = sorted((Path(__file__).parents[1] / "golden" / "follow").glob("*.log"))
ID = "site:00000000-0000-0000-0000-000000000001"
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STAMP = "[Container] 2026/01/02 03:04:05.000000"


@dataclass
class Seen:
    """A Screen that remembers."""

    events: list[Event] = field(default_factory=list)
    pieces: list[LogPiece] = field(default_factory=list)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def log(self, piece: LogPiece) -> None:
        self.pieces.append(piece)

    def stopping(self) -> None: ...

    def killed(self) -> None: ...

    def close(self) -> None: ...

    @property
    def text(self) -> str:
        return b"".join(piece.content for piece in self.pieces).decode()

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]


def heard(*lines: str) -> Seen:
    """What a screen is shown of a log of these lines."""
    seen = Seen()
    follower = Follower(seen)
    for line in lines:
        follower.line(line)
    follower.close()
    return seen


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.stem)
def test_a_log_becomes_events(log: Path, golden: Callable[[Path, str], None]) -> None:
    out = io.StringIO()
    screen = JsonLines(out)
    screen.event(BuildStarted(AT, ID, "server", "image", "reason", False, ""))
    follower = Follower(screen)
    for line in log.read_text().splitlines():
        follower.line(line)
    follower.close()

    golden(log.with_suffix(".jsonl"), out.getvalue())


def test_a_command_that_failed_in_several_lines_says_how() -> None:
    seen = heard(
        f"{STAMP} Entering phase BUILD",
        f"{STAMP} Running command a",
        "b",
        f"{STAMP} Command did not exit successfully a",
        "b exit status 7",
        f"{STAMP} Phase complete: BUILD State: FAILED",
        f"{STAMP} Phase context status code: COMMAND_EXECUTION_ERROR Message: Error while executing command: a",
        "b. Reason: exit status 7",
    )

    assert [(each.command, each.exit_code) for each in seen.of(CommandEnded)] == [("a", 7)]
    assert seen.of(PhaseEnded)[0].message == "Error while executing command: a\nb. Reason: exit status 7"


def test_commands_are_counted_within_their_phase() -> None:
    seen = heard(
        f"{STAMP} Entering phase PRE_BUILD",
        f"{STAMP} Running command a",
        f"{STAMP} Running command b",
        f"{STAMP} Entering phase BUILD",
        f"{STAMP} Running command c",
    )

    assert [(each.phase, each.index) for each in seen.of(CommandStarted)] == [
        ("PRE_BUILD", 0), ("PRE_BUILD", 1), ("BUILD", 0),
    ]  # fmt: skip


def test_what_a_failure_says_without_end_is_output_some_time() -> None:
    seen = heard(
        f"{STAMP} Running command a", f"{STAMP} Command did not exit successfully a", *["x" * 300_000] * 5,
        f"{STAMP} Phase complete: BUILD State: FAILED",
    )  # fmt: skip

    assert [piece.agent for piece in seen.pieces] == [True, True, True, True, True, False, False, True]


SAID = st.sampled_from(
    [
        "Entering phase BUILD", "Phase is DOWNLOAD_SOURCE", "Running command make", "Running command ",
        "Command did not exit successfully make exit status 2", "Command did not exit successfully make",
        " exit status 3", f"exit status {'9' * 5000}", "Phase complete: BUILD State: SUCCEEDED",
        "Phase complete: BUILD State: FAILED", "Phase context status code:  Message: ",
        "Phase context status code: CLIENT_ERROR Message: no", "Phase complete: ", "hello", "",
    ]
)  # fmt: skip
STAMPS = st.sampled_from(
    ["", STAMP + " ", "[Container] 9999/99/99 99:99:99.999999 ", "[Container] 2026/02/30 03:04:05.000000 "]
)
LINES = st.builds("".join, st.tuples(STAMPS, SAID | st.text(max_size=10)))


@given(st.lists(LINES.map(lambda line: line.replace("\n", " ")), max_size=30))
def test_whatever_is_printed_every_line_is_shown_and_every_command_ends_once(lines: list[str]) -> None:
    lines = [line.encode(errors="replace").decode() for line in lines]
    seen = heard(*lines)

    assert seen.text == "".join(f"{line}\n" for line in lines)
    started, ended = seen.of(CommandStarted), seen.of(CommandEnded)
    assert len(started) - 1 <= len(ended) <= len(started)
    assert [each.command for each in ended] == [each.command for each in started][: len(ended)]


# ── following ──


@dataclass
class Pretended:
    """A server with one build, each look at which gives the next picture; its log is as long as it is told."""

    pictures: list[dict[str, Any]]
    lines: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    refuses: list[Refused] = field(default_factory=list)

    def builds(self, call: Call) -> Shape:
        self.asked.append(call.operation)
        if self.refuses:
            raise self.refuses.pop()
        return {"builds": [self.pictures.pop(0) if len(self.pictures) > 1 else self.pictures[0]]}

    def events(self, call: Call) -> Shape:
        self.asked.append(call.operation)
        begin = int(str(call.input.get("nextToken") or "0"))
        page = self.lines[begin : begin + 2]
        events = [{"timestamp": 1, "ingestionTime": 1, "message": f"{line}\n"} for line in page]
        return {"events": events, "nextForwardToken": str(begin + len(page)), "nextBackwardToken": "0"}


@contextmanager
def clients(server: Pretended) -> Iterator[tuple[Any, Any]]:
    """boto3's, of both services."""
    gateway = Gateway(
        (answering("codebuild", server.builds), answering("logs", server.events)), RootOnly(), lambda: datetime.now(UTC)
    )
    with serving(gateway) as url:
        yield client(url, "codebuild"), client(url, "logs")


def picture(status: str = "IN_PROGRESS", logs: bool = True, **more: Any) -> dict[str, Any]:
    """A build as it may be looked at."""
    named = {"groupName": "/aws/codebuild/site", "streamName": "1"} if logs else {}
    return {
        "id": ID, "buildStatus": status, "buildComplete": status != "IN_PROGRESS", "startTime": AT, "logs": named,
        "phases": [{"phaseType": "BUILD", "startTime": AT}], "environment": {"image": "busybox"}, **more,
    }  # fmt: skip


ENDED = picture("SUCCEEDED", endTime=datetime(2026, 1, 2, 3, 4, 9, tzinfo=UTC), resolvedSourceVersion="abc",
                exportedEnvironmentVariables=[{"name": "A", "value": "1"}])  # fmt: skip


def test_a_build_is_shown_from_its_first_line_to_its_last() -> None:
    server, seen = Pretended([picture(), ENDED], [f"line {number}" for number in range(7)]), Seen()
    with clients(server) as (codebuild, logs):
        ended = follow(codebuild, logs, picture(), seen)

    assert ended["buildStatus"] == "SUCCEEDED"
    assert seen.text == "".join(f"line {number}\n" for number in range(7))
    assert [type(each) for each in seen.events] == [BuildStarted, BuildEnded]
    last = seen.of(BuildEnded)[0]
    assert (last.status, last.exported, last.resolved_source_version) == ("SUCCEEDED", {"A": "1"}, "abc")
    assert last.seconds == 4


def test_one_that_ended_before_is_shown_too() -> None:
    server, seen = Pretended([ENDED], ["only", "these", "lines"]), Seen()
    with clients(server) as (codebuild, logs):
        follow(codebuild, logs, ENDED, seen)

    assert seen.text == "only\nthese\nlines\n"
    assert "BatchGetBuilds" not in server.asked


def test_why_one_waits_is_said_once() -> None:
    waits = picture(logs=False, phases=[{"phaseType": "QUEUED", "contexts": [{"message": "limit of 1 build"}]}])
    server, seen = Pretended([waits, waits, ENDED]), Seen()
    with clients(server) as (codebuild, logs):
        follow(codebuild, logs, waits, seen)

    assert [event.fields().get("what") for event in seen.events][1:-1] == ["limit of 1 build"]


def test_one_that_has_no_log_ends_all_the_same() -> None:
    server, seen = Pretended([picture(logs=False), picture("STOPPED", logs=False)]), Seen()
    with clients(server) as (codebuild, logs):
        ended = follow(codebuild, logs, picture(logs=False), seen)

    assert ended["buildStatus"] == "STOPPED"
    assert "GetLogEvents" not in server.asked


def test_a_server_that_fails_for_a_moment_is_waited_for() -> None:
    server, seen = Pretended([picture(), ENDED], ["a"]), Seen()
    server.refuses = [Refused("ServiceUnavailableException", "later", 503)]
    with clients(server) as (codebuild, logs):
        ended = follow(codebuild, logs, picture(), seen)

    assert ended["buildStatus"] == "SUCCEEDED"
    assert seen.text == "a\n"


def test_what_is_refused_is_not_asked_for_again() -> None:
    server = Pretended([picture()])
    server.refuses = [Refused("AccessDeniedException", "no", 403)]
    with clients(server) as (codebuild, logs), pytest.raises(ClientError, match="AccessDenied"):
        follow(codebuild, logs, picture(), Seen())

    assert server.asked.count("BatchGetBuilds") == 1


def test_one_that_is_gone_is_not_waited_for_without_end() -> None:
    with clients(Pretended([picture()])) as (codebuild, logs):
        pass

    with pytest.raises(EndpointConnectionError):
        follow(codebuild, logs, picture(), Seen(), patience=0.5)


def test_a_phase_ends_on_the_screen_even_if_its_reason_is_the_logs_last_line() -> None:
    lines = [f"{STAMP} Entering phase BUILD", f"{STAMP} Phase complete: BUILD State: FAILED",
             f"{STAMP} Phase context status code: CLIENT_ERROR Message: no"]  # fmt: skip
    server, seen = Pretended([picture("FAILED")], lines), Seen()
    with clients(server) as (codebuild, logs):
        follow(codebuild, logs, picture("FAILED"), seen)

    assert [type(each) for each in seen.events] == [BuildStarted, PhaseStarted, PhaseEnded, BuildEnded]
