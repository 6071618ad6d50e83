"""Pipelines' events go on, in order and at least once: to a URL, and to the event bus of their own region."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from codeyard.app.outside import Outside
from codeyard.app.telling import OUTSIDE, Telling
from codeyard.config import Config
from codeyard.errors import Fault
from codeyard.pipelines import outbox_table
from codeyard.store.engine import SqlDatabase
from tests.databases import database as database

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Receiver:
    """Takes what is posted; refuses the first `refusals`."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.regions: list[str] = []
        self.refusals = 0


@contextmanager
def receiving(receiver: Receiver) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if receiver.refusals:
                receiver.refusals -= 1
                self.send_response(503)
                self.end_headers()
                return
            asked = json.loads(body)
            receiver.taken += asked.get("Entries", [asked])
            receiver.regions.append(self.headers.get("authorization", "").partition("Credential=")[2])
            answer = b'{"FailedEntryCount": 0, "Entries": []}'
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def event(number: int, region: str = "us-east-1") -> dict[str, Any]:
    return {
        "source": "aws.codepipeline", "account": "000000000000", "region": region, "time": "2026-03-01T12:00:00Z",
        "detail-type": "CodePipeline Pipeline Execution State Change", "resources": [],
        "detail": {"pipeline": "demo", "state": "STARTED", "number": number},
    }  # fmt: skip


async def put(database: SqlDatabase, *events: dict[str, Any]) -> None:
    await database.write(lambda tx: outbox_table.add(tx, NOON, events))


def telling(database: SqlDatabase, where: str, config: Config, name: str = "one") -> Telling:
    return Telling(database, Outside(config), where, name, lambda: NOON + timedelta(minutes=1))


async def test_events_are_posted_once_each_in_their_order(database: SqlDatabase, tmp_path: Path) -> None:
    receiver = Receiver()
    with receiving(receiver) as url:
        sender = telling(database, url, Config(data=tmp_path))
        await sender.once()  # what comes after the first look is sent
        await put(database, *(event(number) for number in range(25)))

        while await sender.once():
            pass

    assert [each["detail"]["number"] for each in receiver.taken] == list(range(25))


async def test_what_is_refused_is_sent_again_and_nothing_is_passed_over(database: SqlDatabase, tmp_path: Path) -> None:
    receiver = Receiver()
    with receiving(receiver) as url:
        sender = telling(database, url, Config(data=tmp_path))
        await sender.once()
        await put(database, event(1), event(2))
        receiver.refusals = 1

        with pytest.raises(Fault):
            await sender.once()
        await sender.once()

    assert [each["detail"]["number"] for each in receiver.taken] == [1, 2]


async def test_only_one_process_sends(database: SqlDatabase, tmp_path: Path) -> None:
    receiver = Receiver()
    with receiving(receiver) as url:
        first, second = (telling(database, url, Config(data=tmp_path), name) for name in ("one", "two"))
        await first.once()
        await put(database, event(1))

        assert not await second.once()
        assert await first.once()

    assert len(receiver.taken) == 1


async def test_each_event_goes_to_the_bus_of_its_region(
    database: SqlDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    receiver = Receiver()
    with receiving(receiver) as url:
        sender = telling(database, OUTSIDE, Config(data=tmp_path, outside=url))
        await sender.once()
        await put(database, event(1), event(2, "eu-west-1"), event(3, "eu-west-1"))

        await sender.once()

    assert [each.split("/")[2] for each in receiver.regions] == ["us-east-1", "eu-west-1"]
    assert [json.loads(each["Detail"])["number"] for each in receiver.taken] == [1, 2, 3]
