import asyncio
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeyard.errors import NotFound
from codeyard.logs import Framing, Place
from codeyard.logs.cutting import LONGEST
from codeyard.logs.files import LocalLogs
from codeyard.logs.reading import LogEvent, LogReader, open_log
from codeyard.logs.records import Record
from tests.logs.written import START, BuildLog, messages

RUN = "6d3f5a3e-6d0b-4d0e-9a44-0123456789ab"
FILE = Place(Framing.RECORDS, RUN)


async def test_each_line_has_the_time_at_which_it_was_written(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, b"one\n")
    log.prints(100, b"two\nthree\n")
    page = await (await log.reader()).forward(0)

    assert [(event.message, event.timestamp - START) for event in page.events] == [
        ("one\n", 0),
        ("two\n", 100),
        ("three\n", 100),
    ]


async def test_an_unfinished_line_is_held_back(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, b"one\n50%")
    reader = await log.reader()

    assert messages(await reader.forward(0)) == ["one\n"]
    assert await reader.end() == 4
    assert await reader.held() == START


async def test_an_unfinished_line_is_shown_after_a_while_and_stays_so(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, b"50%")
    log.idle(1600)
    shown = await (await log.reader()).forward(0)
    log.prints(1600, b" 100%\n")
    reader = await log.reader()

    assert messages(shown) == ["50%"]
    assert messages(await reader.forward(shown.end)) == [" 100%\n"]
    assert messages(await reader.forward(0)) == ["50%", " 100%\n"]
    assert messages(await reader.backward(9)) == ["50%", " 100%\n"]


async def test_an_unfinished_line_is_shown_when_the_log_is_closed(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, b"one\nlast")
    log.close()
    reader = await log.reader()

    assert reader.state.closed
    assert messages(await reader.forward(0)) == ["one\n", "last"]


async def test_a_log_that_is_written_on_is_open_again(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, b"one\n")
    log.close()
    log.open()

    assert not (await log.reader()).state.closed


async def test_what_is_written_again_after_a_crash_keeps_its_times(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.writer.say("a", "begin")
    log.prints(100, b"one\n")
    log.prints(200, b"two\n")
    before = (await (await log.reader()).forward(0)).events
    log.clock.after(5000)
    log.writer = log.open()
    log.prints(6000, b"three\n")
    after = (await (await log.reader()).forward(0)).events

    assert after[:3] == before
    assert after[3].timestamp == START + 6000


async def test_a_page_has_its_bounds_and_says_where_to_go_on(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, b"".join(b"%d\n" % number for number in range(100_000)))
    reader = await log.reader()
    first = await reader.forward(0)
    second = await reader.forward(first.end)
    last = await reader.backward(await reader.end(), limit=3)

    assert messages(first)[-1] == "9999\n"
    assert messages(second)[0] == "10000\n"
    assert messages(last) == ["99997\n", "99998\n", "99999\n"]
    assert messages(await reader.backward(last.start, limit=1)) == ["99996\n"]


async def test_a_page_of_large_events_has_at_most_a_mebibyte(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, (b"x" * 400_000 + b"\n") * 5)
    reader = await log.reader()

    assert len((await reader.forward(0)).events) == 2
    assert len((await reader.backward(await reader.end())).events) == 2


async def test_a_line_without_an_end_is_read_in_pieces(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, b"x" * (3 * LONGEST + 7))
    reader = await log.reader()

    assert await reader.end() == 3 * LONGEST
    assert len((await reader.forward(0)).events) == 1


async def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, b"\xff\xfe ok\r\n")
    page = await (await log.reader()).forward(0)

    assert page.events[0].text == "\ufffd\ufffd ok"


async def test_a_time_is_found_in_a_long_index(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, b"".join(b"%05d\n" % number for number in range(20_000)))
    index = b"".join((number * 6).to_bytes(8, "big") + (number * 20).to_bytes(8, "big") for number in range(20_000))
    (log.home / "log.times").write_bytes(index)
    reader = await log.reader()
    page = await reader.forward(await reader.since(15_001 * 20 - 5), limit=1)

    assert messages(page) == ["15001\n"]
    assert page.events[0].timestamp == 15_001 * 20


async def test_a_time_within_a_line_is_that_line_s(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, b"one\nbegun")
    log.prints(500, b" and ended\n")
    reader = await log.reader()

    assert messages(await reader.forward(await reader.since(START + 400))) == ["begun and ended\n"]
    assert await reader.since(START + 501) == await reader.end()


async def test_a_log_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await open_log(LocalLogs(tmp_path), Place(Framing.LINES, RUN))


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "", "6d3f5a3e-6d0b-4d0e-9a44-0123456789ab/x"])
async def test_a_name_that_is_none_of_ours_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound):
        await LocalLogs(tmp_path).state(Place(Framing.LINES, name))


async def test_a_million_lines_are_opened_at_their_end_at_once(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, b"a line of the usual length, more or less\n" * 1_000_000)
    began = time.monotonic()
    reader = await log.reader()
    page = await reader.backward(await reader.end(), limit=10)

    assert len(page.events) == 10
    assert time.monotonic() - began < 0.5


WRITES = st.lists(
    st.tuples(st.integers(0, 1200), st.sampled_from([b"a", b"b\n", b"cc\ndd", b"\n", b"e\xc3\xa9", b"ff\n\n"])),
    max_size=12,
)


@settings(deadline=None)
@given(writes=WRITES, moment=st.integers(0, 6000))
def test_a_time_is_found_exactly(writes: list[tuple[int, bytes]], moment: int) -> None:
    """What stands before it is older, and nothing behind it is."""
    with tempfile.TemporaryDirectory() as directory:
        log = BuildLog(Path(directory))
        at = 0
        for pause, content in writes:
            at += pause
            log.prints(at, content)
        ahead, since = asyncio.run(by_time(log, START + moment))

    assert [event for event in ahead if event.offset >= since] == [
        event for event in ahead if event.timestamp >= START + moment
    ]


async def by_time(log: BuildLog, moment: int) -> tuple[list[LogEvent], int]:
    reader = await log.reader()
    return await all_forward(reader, 100), await reader.since(moment)


@settings(deadline=None)
@given(writes=WRITES, limit=st.integers(1, 5), closed=st.booleans())
def test_pages_hold_every_byte_once_either_way(writes: list[tuple[int, bytes]], limit: int, closed: bool) -> None:
    """However it is paged, all that may be shown is read once and in order; and it is the same backwards."""
    with tempfile.TemporaryDirectory() as directory:
        log = BuildLog(Path(directory))
        at = 0
        for pause, content in writes:
            at += pause
            log.prints(at, content)
        if closed:
            log.close()
        ahead, back, end = asyncio.run(both_ways(log, limit))
        content = log.path.read_bytes() if writes else b""

    assert ahead == back
    assert b"".join(event.content for event in ahead) == content[:end]
    assert [event.timestamp for event in ahead] == sorted(event.timestamp for event in ahead)
    assert not closed or end == len(content)


async def both_ways(log: BuildLog, limit: int) -> tuple[list[LogEvent], list[LogEvent], int]:
    reader = await log.reader()
    end = await reader.end()
    return await all_forward(reader, limit), await all_backward(reader, end, limit), end


async def all_forward(reader: LogReader, limit: int) -> list[LogEvent]:
    found: list[LogEvent] = []
    page = await reader.forward(0, limit)
    while page.events:
        found += page.events
        page = await reader.forward(page.end, limit)
    return found


async def all_backward(reader: LogReader, end: int, limit: int) -> list[LogEvent]:
    found: list[LogEvent] = []
    page = await reader.backward(end, limit)
    while page.events:
        found = [*page.events, *found]
        page = await reader.backward(page.start, limit)
    return found


BATCHES = st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=4).map(sorted), max_size=6)


@settings(deadline=None)
@given(batches=BATCHES, limit=st.integers(1, 5), moment=st.integers(0, 60))
def test_what_clients_put_is_read_the_same_either_way(batches: list[list[int]], limit: int, moment: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        files = LocalLogs(Path(directory))
        for batch in batches:
            files.streams.put(RUN, [Record(at, 99, b"%d\nline" % at) for at in batch])
        given_ = [at for batch in batches for at in batch]
        ahead, back, since = asyncio.run(read_put(files, limit, moment)) if batches else ([], [], 0)

    assert ahead == back
    assert [event.timestamp for event in ahead] == given_
    assert [event.order for event in ahead] == [max(given_[: number + 1]) for number in range(len(given_))]
    assert all(event.timestamp < moment for event in ahead if event.offset < since)


async def read_put(files: LocalLogs, limit: int, moment: int) -> tuple[list[LogEvent], list[LogEvent], int]:
    reader = await open_log(files, FILE)
    end = await reader.end()
    return await all_forward(reader, limit), await all_backward(reader, end, limit), await reader.since(moment)
