"""Clients that follow builds while they write: the AWS CLI's way of `logs tail --follow`, and the real AWS CLI."""

import asyncio
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from codeyard.aws.gateway import Gateway
from codeyard.aws.paging import Pages
from codeyard.ident import Owner
from codeyard.logs.api import logs_service
from codeyard.logs.archive import ArchivedLog
from codeyard.logs.files import LocalLogs
from codeyard.logs.groups import LogGroups
from codeyard.store import metadata
from codeyard.store.engine import SqlDatabase
from tests.logs.written import BuildLog
from tests.wire.served import KEY_ID, SECRET, RootOnly, client, serving

GROUP = "/aws/codebuild/demo"


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    db = SqlDatabase(f"sqlite:///{tmp_path / 'test.sqlite'}")
    metadata.create_all(db.engine)
    files = LocalLogs(tmp_path)
    service = logs_service(db, files, files.streams, Pages(b"k" * 32), now)
    with serving(Gateway([service], RootOnly(), now)) as url:
        yield url
    db.close()


def begin(data: Path) -> BuildLog:
    """A build in the group, whose log has the times of the real clock."""
    log = BuildLog(data)
    log.close()
    log.path.with_name("log.times").unlink()
    log.writer = ArchivedLog(log.spool, log.path, now, times=True)
    db = SqlDatabase(f"sqlite:///{data / 'test.sqlite'}")
    asyncio.run(LogGroups(db, now, log.files).build_stream(Owner(), GROUP, log.run, log.run))
    db.close()
    return log


def write(logs: list[BuildLog], lines: int) -> None:
    """Lines in turns, each written in two parts, with no pause between most of them."""
    for number in range(lines):
        for log in logs:
            say(log, f"line {number}".encode())
        time.sleep(0.003 if number % 3 else 0)
        for log in logs:
            say(log, b" of the build\n")


def say(log: BuildLog, content: bytes) -> None:
    with log.spool.open("ab") as spool:
        spool.write(content)
    log.writer.pump()


def follow(logs: Any, until: int, **what: Any) -> list[Any]:
    """What `aws logs tail --follow` shows, until there are so many events: it asks from the newest time on that it
    saw, and leaves out what it saw of that time."""
    seen: dict[int, set[str]] = {}
    shown: list[Any] = []
    deadline = time.monotonic() + 30
    while len(shown) < until and time.monotonic() < deadline:
        answer = logs.filter_log_events(logGroupName=GROUP, interleaved=True, **what)
        for event in answer["events"]:
            known = seen.setdefault(event["timestamp"], set())
            shown += [] if event["eventId"] in known else [event]
            known.add(event["eventId"])
        newest = max(seen, default=0)
        seen = {newest: seen[newest]} if seen else {}
        what.pop("nextToken", None)
        what |= {"nextToken": answer["nextToken"]} if "nextToken" in answer else {"startTime": newest}
        time.sleep(0.01)
    return shown


@pytest.mark.parametrize("builds", [1, 3])
def test_a_follower_of_builds_sees_each_line_once(url: str, tmp_path: Path, builds: int) -> None:
    running = [begin(tmp_path) for _ in range(builds)]
    writer = threading.Thread(target=write, args=(running, 300))
    writer.start()
    shown = follow(client(url, "logs"), 300 * builds, startTime=int(time.time() * 1000) - 600_000)
    writer.join()
    by_stream = {log.run: [event["message"] for event in shown if event["logStreamName"] == log.run] for log in running}

    assert by_stream == {log.run: [f"line {number} of the build\n" for number in range(300)] for log in running}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("aws") is None, reason="the AWS CLI is not here")
def test_the_aws_cli_reads_and_finds(url: str, tmp_path: Path) -> None:
    log = begin(tmp_path)
    say(log, b"".join(b"line %d\n" % number for number in range(25_000)))
    aws = [
        "aws", "--endpoint-url", url, "--region", "us-east-1", "--output", "json", "logs",
    ]  # fmt: skip
    surroundings = os.environ | {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "NO_PROXY": "127.0.0.1"}

    def answer(*arguments: str) -> Any:
        done = subprocess.run([*aws, *arguments], env=surroundings, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    last = answer("get-log-events", "--log-group-name", GROUP, "--log-stream-name", log.run, "--limit", "1")
    found = answer("filter-log-events", "--log-group-name", GROUP, "--filter-pattern", '"line 2499"')
    every = answer("filter-log-events", "--log-group-name", GROUP)
    streams = answer("describe-log-streams", "--log-group-name", GROUP)

    assert last["events"][0]["message"] == "line 24999\n"
    assert [event["message"] for event in found["events"]] == [
        "line 2499\n",
        *(f"line 2499{digit}\n" for digit in range(10)),
    ]
    assert len(every["events"]) == 25_000
    assert streams["logStreams"][0]["arn"].endswith(f"log-group:{GROUP}:log-stream:{log.run}")
