import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from obstore.store import MemoryStore

from codeyard.errors import Fault, NotFound
from codeyard.logs import Place
from codeyard.logs.bucket import BucketLogs
from codeyard.logs.files import LocalLogs
from codeyard.logs.reading import open_log
from codeyard.logs.remote import CombinedLogs, LogEndpoint, WorkerLogs
from tests.logs.written import BuildLog
from tests.wire.served import serving

TOKEN = "a token of the cluster"


@pytest.fixture
def log(tmp_path: Path) -> BuildLog:
    log = BuildLog(tmp_path / "worker")
    log.prints(0, b"one\n")
    log.prints(500, b"two\n")
    return log


@pytest.fixture
def worker(log: BuildLog) -> Iterator[str]:
    with serving(LogEndpoint(log.files, TOKEN)) as url:
        yield url


def asking(address: str | None, token: str = TOKEN) -> WorkerLogs:
    async def where(_place: Place) -> str | None:
        return address

    return WorkerLogs(where, token)


async def test_a_worker_s_log_is_read_as_its_own(log: BuildLog, worker: str) -> None:
    there = await open_log(asking(worker), log.place)

    assert await there.forward(0) == await (await log.reader()).forward(0)
    assert (there.state.size, there.state.closed) == (8, False)


async def test_what_no_worker_has_is_not_found(log: BuildLog, worker: str) -> None:
    with pytest.raises(NotFound):
        await asking(worker).state(Place(log.place.framing, "0" * 36))
    with pytest.raises(NotFound):
        await asking(None).state(log.place)


async def test_a_wrong_token_and_a_dead_worker_are_faults(log: BuildLog, worker: str) -> None:
    with pytest.raises(Fault, match="401"):
        await asking(worker, "wrong").state(log.place)
    with pytest.raises(Fault):
        await asking("http://127.0.0.1:9").state(log.place)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/internal/logs/lines/RUN", {}, 401),
        ("/internal/logs/lines/../../etc/passwd", {"Authorization": f"Bearer {TOKEN}"}, 404),
        ("/internal/logs/lines/RUN?offset=-1", {"Authorization": f"Bearer {TOKEN}"}, 404),
        ("/internal/logs/other/RUN", {"Authorization": f"Bearer {TOKEN}"}, 404),
        ("/internal/logs/lines/RUN?length=99999999999", {"Authorization": f"Bearer {TOKEN}"}, 200),
    ],
)
def test_only_logs_are_served_and_only_with_the_token(
    log: BuildLog, worker: str, path: str, headers: dict[str, str], status: int
) -> None:
    connection = http.client.HTTPConnection(urlsplit(worker).netloc, timeout=5)
    connection.request("GET", path.replace("RUN", log.run), headers=headers)
    answered = connection.getresponse().status
    connection.close()

    assert answered == status


async def test_a_log_is_read_where_it_is_local_or_bucket_or_worker(log: BuildLog, worker: str, tmp_path: Path) -> None:
    bucket, other = BucketLogs(MemoryStore()), LocalLogs(tmp_path / "server")
    combined = CombinedLogs(other, bucket, asking(worker))
    running = await (await open_log(combined, log.place)).forward(0)
    log.close()
    await bucket.archive(log.files, log.place)
    ended = await open_log(CombinedLogs(other, bucket, asking("http://127.0.0.1:9")), log.place)

    assert (await ended.forward(0)).events == running.events
    assert ended.state.closed


async def test_a_worker_that_cannot_be_asked_is_told_where_nobody_else_has_the_log(log: BuildLog) -> None:
    with pytest.raises(Fault):
        await CombinedLogs(BucketLogs(MemoryStore()), asking("http://127.0.0.1:9")).state(log.place)
