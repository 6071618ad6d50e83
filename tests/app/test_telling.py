"""Pipelines' events go on, in order and at least once: to a URL, and to the event bus of their own region."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from codeyard.app.outside import Outside
from codeyard.app.telling import OUTSIDE, Telling
from codeyard.config import Config
from codeyard.pipelines import outbox_table
from codeyard.store.engine import SqlDatabase
from tests.databases import database as database

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Receiver:
    """Takes what is posted, but answers events of these numbers with a status: of a bus, with an error of the entry."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.regions: list[str] = []
        self.asked: list[int] = []
        self.statuses: dict[int, int] = {}

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        entries = body.get("Entries", [body])
        details = [json.loads(each["Detail"]) if "Detail" in each else each["detail"] for each in entries]
        statuses = [self.statuses.get(each["number"], 200) for each in details]
        self.asked += [each["number"] for each in details]
        self.taken += [each for each, status in zip(entries, statuses, strict=True) if status == 200]
        codes = {200: {"EventId": "1"}, 400: {"ErrorCode": "MalformedDetail"}, 503: {"ErrorCode": "InternalFailure"}}
        failed = sum(status != 200 for status in statuses)
        return (
            200 if "Entries" in body else statuses[0],
            {"FailedEntryCount": failed, "Entries": [codes.get(each, {}) for each in statuses]},
        )


@contextmanager
def receiving(receiver: Receiver) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            receiver.regions.append(self.headers.get("authorization", "").partition("Credential=")[2])
            status, told = receiver.answer(asked)
            answer = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("location", "/elsewhere")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def event(number: int, region: str = "us-east-1", pipeline: str = "demo") -> dict[str, Any]:
    return {
        "source": "aws.codepipeline", "account": "000000000000", "region": region, "time": "2026-03-01T12:00:00Z",
        "detail-type": "CodePipeline Pipeline Execution State Change", "resources": [],
        "detail": {"pipeline": pipeline, "state": "STARTED", "number": number},
    }  # fmt: skip


async def put(database: SqlDatabase, *events: dict[str, Any], at: datetime = NOON) -> None:
    await database.write(lambda tx: outbox_table.add(tx, at, events))


@dataclass
class Desk:
    """Who sends, whose clock the test puts forward."""

    database: SqlDatabase
    where: str
    config: Config
    name: str = "one"
    ahead: timedelta = timedelta(minutes=1)
    dropped: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        outside = Outside(self.config)
        now = lambda: NOON + self.ahead  # noqa: E731
        self.telling = Telling(self.database, outside, self.where, self.name, now, self.dropped.append)

    async def send(self, *, after: timedelta = timedelta()) -> None:
        """All that can be sent, that much later."""
        self.ahead += after
        while await self.telling.once():
            pass


async def test_events_are_posted_once_each_in_their_order(database: SqlDatabase, tmp_path: Path) -> None:
    receiver = Receiver()
    with receiving(receiver) as url:
        desk = Desk(database, url, Config(data=tmp_path))
        await put(database, event(99))
        await desk.send()  # what comes after the first look is sent
        await put(database, *(event(number) for number in range(25)))

        await desk.send()

    assert [each["detail"]["number"] for each in receiver.taken] == list(range(25))


@pytest.mark.parametrize("bus", [False, True])
async def test_what_is_not_taken_is_sent_again_and_holds_up_its_own_pipeline_alone(
    database: SqlDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bus: bool
) -> None:
    keys(monkeypatch)
    receiver = Receiver()
    with receiving(receiver) as url:
        desk = Desk(database, OUTSIDE if bus else url, Config(data=tmp_path, outside=url if bus else ""))
        await desk.send()
        await put(database, event(1), event(2), event(3, pipeline="other"), event(4, pipeline="other"))
        receiver.statuses = {1: 503}

        await desk.send()
        before = list(receiver.asked)
        receiver.statuses.clear()
        await desk.send(after=timedelta(seconds=1))

    assert (before, receiver.asked[len(before) :]) == ([1, 3, 4], [1, 2])


@pytest.mark.parametrize("bus", [False, True])
async def test_what_can_never_be_taken_is_dropped_at_once(
    database: SqlDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bus: bool
) -> None:
    keys(monkeypatch)
    receiver = Receiver()
    with receiving(receiver) as url:
        desk = Desk(database, OUTSIDE if bus else url, Config(data=tmp_path, outside=url if bus else ""))
        await desk.send()
        await put(database, event(1), event(2))
        receiver.statuses = {1: 400}

        await desk.send()

    assert (receiver.asked, desk.dropped) == ([1, 2], ["refused"])


async def test_what_is_sent_elsewhere_by_the_receiver_does_not_count_as_taken(
    database: SqlDatabase, tmp_path: Path
) -> None:
    receiver = Receiver()
    with receiving(receiver) as url:
        desk = Desk(database, url, Config(data=tmp_path))
        await desk.send()
        await put(database, event(1))
        receiver.statuses = {1: 302}

        await desk.send()

    assert desk.dropped == ["refused"]


async def test_what_is_not_taken_for_a_day_is_dropped(database: SqlDatabase, tmp_path: Path) -> None:
    receiver = Receiver()
    with receiving(receiver) as url:
        desk = Desk(database, url, Config(data=tmp_path))
        await desk.send()
        await put(database, event(1), event(2))
        receiver.statuses = {1: 500}

        await desk.send()
        await desk.send(after=timedelta(hours=23, minutes=58))
        before = list(desk.dropped)
        await desk.send(after=timedelta(minutes=10))

    assert (before, desk.dropped, receiver.asked) == ([], ["expired"], [1, 1, 1, 2])


async def test_what_is_not_taken_is_tried_less_and_less_often_and_not_for_ever(
    database: SqlDatabase, tmp_path: Path
) -> None:
    receiver = Receiver()
    with receiving(receiver) as url:
        desk = Desk(database, url, Config(data=tmp_path))
        await desk.send()
        await put(database, event(1))
        receiver.statuses = {1: 500}

        for _ in range(60):
            await desk.send(after=timedelta(seconds=20))
        often = len(receiver.asked)
        for _ in range(180):
            await desk.send(after=timedelta(minutes=7, seconds=48))

    assert 6 < often < 15
    assert (len(receiver.asked), desk.dropped) == (186, ["expired"])


async def test_what_a_server_with_a_fast_clock_wrote_is_sent_too(database: SqlDatabase, tmp_path: Path) -> None:
    receiver = Receiver()
    with receiving(receiver) as url:
        desk = Desk(database, url, Config(data=tmp_path))
        await desk.send()
        await put(database, event(1), at=NOON + timedelta(minutes=10))
        await put(database, event(2, pipeline="other"))

        await desk.send()
        await desk.send(after=timedelta(minutes=20))

    assert sorted(receiver.asked) == [1, 2]


async def test_only_one_process_sends(database: SqlDatabase, tmp_path: Path) -> None:
    receiver = Receiver()
    with receiving(receiver) as url:
        first, second = (Desk(database, url, Config(data=tmp_path), name) for name in ("one", "two"))
        await first.send()
        await put(database, event(1))

        assert not await second.telling.once()
        assert await first.telling.once()

    assert len(receiver.taken) == 1


async def test_each_event_goes_to_the_bus_of_its_region(
    database: SqlDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys(monkeypatch)
    receiver = Receiver()
    with receiving(receiver) as url:
        desk = Desk(database, OUTSIDE, Config(data=tmp_path, outside=url))
        await desk.send()
        await put(database, event(1), event(2, "eu-west-1"), event(3, "eu-west-1", "other"))

        await desk.send()

    assert [each.split("/")[2] for each in receiver.regions] == ["eu-west-1", "us-east-1"]
    assert sorted(receiver.asked) == [1, 2, 3]


def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
