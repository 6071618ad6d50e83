import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codeyard.console import stream
from codeyard.console.build_logs import BuildLogs
from codeyard.console.stream import EventStream, Limits, Shown, Streams
from codeyard.errors import Fault
from codeyard.logs.files import LocalLogs
from codeyard.logs.tail import Tail
from tests.logs.written import BuildLog

OVER = Shown("done", {"head": "<p>done</p>"}, True)
RUNNING = Shown("runs", {"head": "<p>runs</p>"}, False)
PATIENCE = 60.0  # seconds; what passes does not wait for it
RUN = "0" * 8 + "-0000-0000-0000-" + "0" * 12


class Viewer:
    """Reads a stream as a browser does."""

    def __init__(self, takes: Callable[[], bool] = lambda: True) -> None:
        self.body, self.status, self.ended = b"", 0, False
        self._takes, self.left = takes, asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        while not self._takes():
            await asyncio.sleep(0.005)
        self.status = message.get("status", self.status)
        self.body += message.get("body", b"")
        self.ended = message["type"] == "http.response.body" and not message.get("more_body", False)

    @property
    def events(self) -> list[tuple[str, dict[str, Any], int | None]]:
        """Name, data and id of each."""
        found = []
        for block in self.body.decode().split("\n\n")[:-1]:
            lines = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
            if "event" in lines:
                id = int(lines["id"]) if "id" in lines else None
                found.append((lines["event"], json.loads(lines["data"]), id))
        return found

    @property
    def text(self) -> str:
        return "".join(data["text"] for name, data, _ in self.events if name == "log")


class Seen:
    """The build, as the test moves it."""

    def __init__(self, shown: Shown | None) -> None:
        self.shown, self.fresh = shown, 0

    async def __call__(self, fresh: bool) -> Shown | None:
        self.fresh += fresh  # looks that are not those of once a second
        return self.shown


class Watched:
    """One log, and whoever looks at it."""

    def __init__(self, data: Path, limits: Limits | None = None) -> None:
        self.log = BuildLog(data)
        self.tail = Tail(self.log.files)
        self.streams = Streams(BuildLogs(self.log.files, self.tail), limits or Limits())

    def prints(self, content: bytes) -> None:
        self.log.prints(0, content)
        self.tail.grew(self.log.run)

    def closes(self) -> None:
        self.log.close()
        self.tail.grew(self.log.run)

    def watch(self, viewer: Viewer, seen: Seen, offset: int = 0, seconds: float = 60) -> asyncio.Task[None]:
        response = EventStream(self.streams, self.log.run, offset, seen, seconds)
        return asyncio.create_task(response({}, viewer.receive, viewer.send))


async def until(true: Callable[[], object], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


async def test_a_viewer_sees_the_whole_log_the_end_and_no_more(tmp_path: Path) -> None:
    watched, viewer = Watched(tmp_path), Viewer()
    watched.prints(b"one\n\x1b[31mtwo\x1b[0m\n")
    seen = Seen(RUNNING)
    task = watched.watch(viewer, seen)
    await until(lambda: "two" in viewer.text)
    watched.prints(b"three\n")
    watched.closes()
    seen.shown = OVER
    await asyncio.wait_for(task, PATIENCE)

    assert viewer.text == "one\n\x1b[31mtwo\x1b[0m\nthree\n"
    assert [name for name, _, _ in viewer.events if name != "log"] == ["build", "build", "end"]
    assert viewer.events[-1][0] == "end"
    assert viewer.ended
    assert watched.streams.open == 0


async def test_one_that_comes_back_goes_on_where_it_was(tmp_path: Path) -> None:
    watched, first, second = Watched(tmp_path), Viewer(), Viewer()
    watched.prints("zwölf\n".encode())
    task = watched.watch(first, Seen(RUNNING))
    await until(lambda: first.text)
    first.left.set()
    await asyncio.wait_for(task, PATIENCE)
    offset = next(id for name, _, id in first.events if name == "log")
    assert offset is not None
    watched.prints(b"thirteen\n")
    watched.closes()
    await asyncio.wait_for(watched.watch(second, Seen(OVER), offset), PATIENCE)

    assert offset == 7
    assert second.text == "thirteen\n"


async def test_each_line_is_on_its_way_before_the_next_is_written(tmp_path: Path) -> None:
    watched, viewer = Watched(tmp_path), Viewer()
    watched.prints(b"begins\n")
    task = watched.watch(viewer, Seen(RUNNING))
    await until(lambda: viewer.text)
    for number in range(20):
        watched.prints(b"line %d\n" % number)
        await until(lambda number=number: f"line {number}\n" in viewer.text)  # type: ignore[misc]
    viewer.left.set()
    await task

    assert [data["text"] for name, data, _ in viewer.events if name == "log"] == [
        "begins\n",
        *(f"line {number}\n" for number in range(20)),
    ]


async def test_a_phase_that_the_log_announces_is_looked_at_at_once(tmp_path: Path) -> None:
    watched, viewer, seen = Watched(tmp_path), Viewer(), Seen(RUNNING)
    watched.prints(b"begins\n")
    task = watched.watch(viewer, seen)
    await until(lambda: seen.fresh and viewer.text)
    before = seen.fresh
    watched.prints(b"[Container] 2026/11/20 12:00:00.000000 Entering phase BUILD\n")
    await until(lambda: seen.fresh > before)
    viewer.left.set()
    await task

    assert (before, seen.fresh) == (1, 2)


async def test_only_what_changed_is_told(tmp_path: Path) -> None:
    watched, viewer = Watched(tmp_path), Viewer()
    seen = Seen(Shown("runs", {"head": "a", "facts": "b"}, False))
    task = watched.watch(viewer, seen)
    await until(lambda: viewer.events)
    seen.shown = Shown("runs", {"head": "c", "facts": "b"}, False)
    await until(lambda: len(viewer.events) == 2)
    viewer.left.set()
    await task

    assert viewer.events[1][1] == {"title": "runs", "parts": {"head": "c"}}


async def test_a_viewer_that_takes_nothing_is_cut_off(tmp_path: Path) -> None:
    watched = Watched(tmp_path, Limits(stalled=0.1))
    watched.prints(b"x" * 100 + b"\n")
    taking = [True]
    viewer = Viewer(lambda: taking[0])
    task = watched.watch(viewer, Seen(RUNNING))
    await until(lambda: viewer.text)
    taking[0] = False
    watched.prints(b"never taken\n")
    await asyncio.wait_for(task, PATIENCE)

    assert watched.streams.open == 0
    assert not viewer.ended


async def test_one_that_is_far_behind_goes_on_near_the_end(tmp_path: Path) -> None:
    watched, viewer = Watched(tmp_path), Viewer()
    watched.prints(b"".join(b"a line that is the %07d. of very many\n" % number for number in range(1, 400_001)))
    watched.closes()
    await asyncio.wait_for(watched.watch(viewer, Seen(OVER)), PATIENCE)
    skip = next(data for name, data, _ in viewer.events if name == "skip")

    assert viewer.text.endswith("0400000. of very many\n")
    assert len(viewer.body) < 4 << 20
    assert skip["line"] == 398_001


async def test_a_build_without_a_log_ends_and_so_does_one_that_is_deleted(tmp_path: Path) -> None:
    files = LocalLogs(tmp_path)
    streams = Streams(BuildLogs(files, Tail(files)))
    never, gone = Viewer(), Viewer()
    for viewer, seen in ((never, Seen(OVER)), (gone, Seen(None))):
        await asyncio.wait_for(EventStream(streams, RUN, 0, seen, 60)({}, viewer.receive, viewer.send), PATIENCE)

    assert [name for name, _, _ in never.events] == ["build", "end"]
    assert [name for name, _, _ in gone.events] == ["end"]


async def test_a_database_that_is_away_for_a_moment_does_not_end_a_stream(tmp_path: Path) -> None:
    watched, viewer = Watched(tmp_path), Viewer()
    answers: list[Shown | Exception] = [OVER, Fault("the database", "it is away.", "Wait.")]

    async def look(_fresh: bool) -> Shown | None:
        answer = answers.pop()
        if isinstance(answer, Exception):
            raise answer
        return answer

    watched.closes()
    await asyncio.wait_for(
        EventStream(watched.streams, watched.log.run, 0, look, 60)({}, viewer.receive, viewer.send), PATIENCE
    )

    assert viewer.events[-1][0] == "end"


async def test_streams_end_with_the_session_and_with_the_server(tmp_path: Path) -> None:
    watched, short, long = Watched(tmp_path), Viewer(), Viewer()
    await asyncio.wait_for(watched.watch(short, Seen(RUNNING), seconds=0.1), PATIENCE)
    task = watched.watch(long, Seen(RUNNING))
    await until(lambda: long.events)
    watched.streams.drain()
    await asyncio.wait_for(task, PATIENCE)

    assert short.ended
    assert long.ended
    assert watched.streams.full


@pytest.mark.slow
async def test_many_viewers_cost_little_each(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    viewers = [Viewer() for _ in range(200)]
    seen = Seen(RUNNING)
    tasks = [watched.watch(viewer, seen) for viewer in viewers]
    watched.prints(b"".join(b"line %d\n" % number for number in range(2000)))
    watched.closes()
    seen.shown = OVER
    await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)

    assert {viewer.text.count("\n") for viewer in viewers} == {2000}
    assert stream.HEADERS["cache-control"] == "no-store"
