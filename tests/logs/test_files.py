from pathlib import Path

import pytest

from codeyard.errors import NotFound
from codeyard.logs import Framing, Place
from codeyard.logs.files import LocalLogs
from codeyard.logs.records import Record
from codeyard.logs.time_index import index_of
from tests.logs.written import BuildLog, messages

NAME = "6d3f5a3e-6d0b-4d0e-9a44-0123456789ab"


async def test_what_is_there_has_its_times(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, b"one\n")
    log.prints(500, b"two\n")
    state = await log.files.state(log.place)

    assert (state.size, state.times, state.closed) == (8, 32, False)
    assert await log.files.read(log.place, 4, 100) == b"two\n"
    assert len(await log.files.times(log.place, 0, 16)) == 16


async def test_the_log_of_a_writer_that_died_is_closed_by_another_hand_once(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, b"one\nunfin")
    log.files.close(log.place)
    size = index_of(log.path).stat().st_size
    log.files.close(log.place)
    reader = await log.reader()

    assert index_of(log.path).stat().st_size == size
    assert reader.state.closed
    assert messages(await reader.forward(0)) == ["one\n", "unfin"]


async def test_a_log_without_times_is_read_all_the_same(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, b"one\n")
    index_of(log.path).unlink()
    page = await (await log.reader()).forward(0)

    assert [(event.message, event.timestamp) for event in page.events] == [("one\n", 0)]


async def test_what_is_removed_is_gone_and_may_be_removed_again(tmp_path: Path) -> None:
    files, place = LocalLogs(tmp_path), Place(Framing.RECORDS, NAME)
    files.streams.put(NAME, [Record(1, 2, b"x")])
    await files.remove(place)
    await files.remove(place)

    assert list((tmp_path / "streams").iterdir()) == []
    with pytest.raises(NotFound):
        await files.state(place)
