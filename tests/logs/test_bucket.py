from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore

from codeyard.errors import Conflict, NotFound
from codeyard.logs.bucket import BucketLogs
from codeyard.logs.reading import open_log
from tests.logs.written import BuildLog, messages


async def test_an_archived_log_is_read_as_the_one_that_was_written(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, b"one\n")
    log.prints(500, b"two\nend")
    log.close()
    bucket = BucketLogs(MemoryStore())
    await bucket.archive(log.files, log.place)
    here = await (await log.reader()).forward(0)
    there = await open_log(bucket, log.place)

    assert await there.forward(0) == here
    assert await there.backward(await there.end(), limit=1) == await (await log.reader()).backward(11, limit=1)
    assert await there.since(here.events[1].timestamp) == 4


async def test_archiving_again_changes_nothing(tmp_path: Path) -> None:
    log = BuildLog(tmp_path / "data")
    log.prints(0, b"one\n")
    log.close()
    (tmp_path / "bucket").mkdir()
    bucket = BucketLogs(LocalStore(tmp_path / "bucket"))
    await bucket.archive(log.files, log.place)
    put = next((tmp_path / "bucket").rglob("log")).stat().st_mtime_ns
    await bucket.archive(log.files, log.place)

    assert next((tmp_path / "bucket").rglob("log")).stat().st_mtime_ns == put


async def test_an_empty_log_is_archived(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.close()
    bucket = BucketLogs(MemoryStore())
    await bucket.archive(log.files, log.place)

    assert messages(await (await open_log(bucket, log.place)).forward(0)) == []


async def test_a_log_that_is_being_written_is_not_archived(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, b"one\n")

    with pytest.raises(Conflict):
        await BucketLogs(MemoryStore()).archive(log.files, log.place)


async def test_what_is_removed_is_not_found_and_may_be_removed_again(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.close()
    bucket = BucketLogs(MemoryStore())
    await bucket.archive(log.files, log.place)
    await bucket.remove(log.place)
    await bucket.remove(log.place)

    with pytest.raises(NotFound):
        await bucket.state(log.place)
