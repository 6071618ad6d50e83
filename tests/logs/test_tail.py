import asyncio
import time
import uuid
from pathlib import Path

import pytest

from codeyard.logs import Framing, Place
from codeyard.logs.tail import Tail
from tests.logs.written import BuildLog


async def followed(tail: Tail, place: Place) -> bytes:
    """All that a follower is shown until the log is closed."""
    found = b""
    async for page in tail.follow(place, 0):
        found += b"".join(event.content for event in page.events)
    return found


@pytest.mark.parametrize("within", [True, False], ids=["one process", "two processes"])
async def test_a_follower_sees_every_line_and_ends_with_the_log(tmp_path: Path, within: bool) -> None:
    log = BuildLog(tmp_path)
    tail = Tail(log.files)
    follower = asyncio.create_task(followed(tail, log.place))
    for number in range(20):
        log.prints(number, b"line %d\n" % number)
        tell(tail, log, within)
        await asyncio.sleep(0.005)
    log.close()
    tell(tail, log, within)

    assert await asyncio.wait_for(follower, 5) == log.path.read_bytes()


def tell(tail: Tail, log: BuildLog, within: bool) -> None:
    if within:
        tail.grew(log.run)


async def test_a_write_of_this_process_is_seen_at_once(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    tail = Tail(log.files)
    log.prints(0, b"one\n")
    tail.grew(log.run)
    waiting = asyncio.create_task(tail.changed(log.place, 4, 5))
    await asyncio.sleep(0.3)
    began = time.monotonic()
    log.prints(1, b"two\n")
    tail.grew(log.run)

    assert await waiting
    assert time.monotonic() - began < 0.05


async def test_nothing_new_is_told_after_a_while(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, b"one\n")
    pages = [page async for page in first_two(Tail(log.files), log.place)]

    assert [len(page) for page in pages] == [1, 0]


async def first_two(tail: Tail, place: Place):  # type: ignore[no-untyped-def]
    count = 0
    async for page in tail.follow(place, 0, patience=0.05):
        yield page.events
        count += 1
        if count == 2:
            return


async def test_an_unfinished_line_is_shown_after_a_while(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, b"50%")
    log.idle(1400)
    began = time.monotonic()
    page = await anext(Tail(log.files).follow(log.place, 0))

    assert page.events[0].content == b"50%"
    assert time.monotonic() - began < 1


async def test_a_log_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    run = str(uuid.uuid4())
    tail = Tail(BuildLog(tmp_path).files)
    follower = asyncio.create_task(followed(tail, Place(Framing.LINES, run)))
    await asyncio.sleep(0.05)
    log = BuildLog(tmp_path, run)
    log.prints(0, b"one\n")
    log.close()

    assert await asyncio.wait_for(follower, 5) == b"one\n"


async def test_who_does_not_read_holds_up_nobody(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    tail = Tail(log.files)
    log.prints(0, b"one\n")
    slow = tail.follow(log.place, 0)
    await anext(slow)
    began = time.monotonic()
    for number in range(1000):
        log.prints(number, b"x" * 1000 + b"\n")
        tail.grew(log.run)

    assert time.monotonic() - began < 3
    assert tail._waiting == {}
