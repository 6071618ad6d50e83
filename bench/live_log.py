"""How long a line takes from the build that prints it to who reads along.

    python -m bench.live_log [--lines N]

The build prints the time, twenty times a second. One reader polls GetLogEvents each 20 ms, as an AWS client; one has
the console's server-sent events; one follows the file from another process; one, in one process with a writer, is woken
by it.
"""

import argparse
import asyncio
import re
import shutil
import tempfile
import threading
import time
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from bench.report import at, heading, line, ms
from bench.serving import Server, serving
from codeyard.cli.endpoint import console_link
from codeyard.logs import Framing, Place
from codeyard.logs.archive import ArchivedLog
from codeyard.logs.files import LocalLogs
from codeyard.logs.tail import Tail

_BUILDSPEC = (
    "version: 0.2\n"
    'phases: {{build: {{commands: ["i=0; while [ $i -lt {lines} ]; do date +t%s%N; i=$((i+1)); sleep 0.05; done"]}}}}\n'
)
_POLL = 0.02
_BAR = 0.2


def main() -> None:
    """Print a line for each reader."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=200)
    options = parser.parse_args()
    heading(f"Live log, written → read, {options.lines} lines")
    name = "bubblewrap" if shutil.which("bwrap") else "process"
    with tempfile.TemporaryDirectory(prefix="codeyard-bench-") as place:
        data = Path(place) / "data"
        with serving(data, "--executor", name, *(["--unsafe-process"] if name == "process" else [])) as server:
            server.role()
            client = server.client()
            server.project(client, "prints", _BUILDSPEC.format(lines=options.lines))
            id = client.call("codebuild", "StartBuild", projectName="prints")["build"]["id"]
            run = id.rpartition(":")[2]
            followed: list[float] = []
            shown: list[float] = []
            watcher = threading.Thread(target=lambda: _watch(server, id, shown))
            watcher.start()
            follower = threading.Thread(target=lambda: asyncio.run(_follow(data, run, followed)))
            follower.start()
            polled = _poll(server, run)
            follower.join(30)
            watcher.join(30)
        _told(f"GetLogEvents, polled each {_POLL * 1000:.0f} ms", polled)
        _told("the console's server-sent events", shown)
        _told("followed from another process", followed)
        _told("followed in the process that writes", asyncio.run(_in_process(Path(place), options.lines)))


def _told(what: str, delays: list[float]) -> None:
    if not delays:
        raise SystemExit(f"{what}: no line was seen")
    line(what, ms(at(0.5, delays)), f"p99 {ms(at(0.99, delays))}, {len(delays)} lines", "p99 ≤ 200 ms, aim 50",
         at(0.99, delays) <= _BAR)  # fmt: skip


def _seen(text: str, delays: list[float]) -> None:
    if text.startswith("t") and text[1:].strip().isdigit():
        delays.append(time.time() - int(text[1:]) / 1e9)


def _poll(server: Server, run: str) -> list[float]:
    client, token, over = server.client(), "", False
    delays: list[float] = []
    while True:
        given = {"logGroupName": "/aws/codebuild/prints", "logStreamName": run, "startFromHead": True}
        prepared = client.prepare("logs", "GetLogEvents", given | ({"nextToken": token} if token else {}))
        try:
            page = client.send(prepared)
        except SystemExit:  # there is no such stream yet
            time.sleep(_POLL)
            continue
        for event in page["events"]:
            _seen(event["message"], delays)
        if over and page["nextForwardToken"] == token:
            return delays
        over = token == page["nextForwardToken"] and server.statuses().get("IN_PROGRESS", 0) == 0
        token = page["nextForwardToken"]
        time.sleep(_POLL)


def _watch(server: Server, build: str, delays: list[float]) -> None:
    """As a browser that looks at the build's page."""
    address = urlsplit(console_link(server.data))
    connection = HTTPConnection(address.hostname or "", address.port, timeout=60)
    connection.request("GET", f"{address.path}?{address.query}")
    entered = connection.getresponse()
    entered.read()
    cookie = (entered.getheader("set-cookie") or "").partition(";")[0]
    connection.request("GET", f"/console/builds/us-east-1/{build}/events", headers={"Cookie": cookie})
    for line_ in connection.getresponse():
        now = time.time()
        if line_.startswith(b"data:"):
            delays += [now - int(stamp) / 1e9 for stamp in re.findall(rb"\bt(\d{19})\b", line_.replace(b"\\n", b" "))]
        if line_.startswith(b"event: end"):
            return


async def _follow(data: Path, run: str, delays: list[float]) -> None:
    async for page in Tail(LocalLogs(data)).follow(Place(Framing.LINES, run), 0):
        for event in page.events:
            _seen(event.message, delays)


async def _in_process(place: Path, lines: int) -> list[float]:
    """A writer that says a line each 5 ms, and a reader that it wakes."""
    run = "00000000-0000-4000-8000-000000000000"
    home = place / "builds" / run
    delays: list[float] = []
    home.mkdir(parents=True)
    files = LocalLogs(place)
    tail = Tail(files)
    log = ArchivedLog(
        home / "spool", home / "log", lambda: datetime.now(UTC), lambda _piece: tail.grew(run), times=True
    )

    async def read() -> None:
        async for page in tail.follow(Place(Framing.LINES, run), 0):
            for event in page.events:
                delays.extend([time.time() - int(event.message.rpartition(" t")[2]) / 1e9])

    reading = asyncio.ensure_future(read())
    for number in range(lines):
        log.say(f"line-{number}", f"t{time.time_ns()}")
        await asyncio.sleep(0.005)
    log.close()
    tail.ended(run)
    await asyncio.wait_for(reading, 30)
    return delays


if __name__ == "__main__":
    main()
