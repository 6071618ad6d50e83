import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from codeyard.errors import Fault
from codeyard.executors.pump import AHEAD, Pump


class Printer:
    """Stands for the sandbox: holds the FIFO open, for reading too."""

    def __init__(self, top: Path) -> None:
        self.fifo, self.spool, self.mark = top / "out", top / "spool", top / "mark"
        os.mkfifo(self.fifo)
        self.handle = os.open(self.fifo, os.O_RDWR)

    def pump(self) -> Pump:
        return Pump(self.fifo, self.spool, self.mark)

    def print(self, text: bytes) -> None:
        os.write(self.handle, text)

    def end(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
        self.handle = -1

    def carrier(self) -> int:
        return int(self.mark.read_text())


@pytest.fixture
async def printer(tmp_path: Path) -> AsyncIterator[Printer]:
    made = Printer(tmp_path)
    yield made
    made.end()
    await made.pump().finish()


async def test_what_is_printed_is_in_the_spool_once_drained(printer: Printer) -> None:
    pump = printer.pump()
    pump.start()
    printer.print(b"one\n")
    first = await pump.drain()
    printer.print(b"two\n")

    assert (first, await pump.drain(), printer.spool.read_bytes()) == (4, 8, b"one\ntwo\n")


async def test_it_adds_to_what_is_there(printer: Printer) -> None:
    printer.spool.write_text("before\n")
    pump = printer.pump()
    pump.start()
    printer.print(b"after\n")

    assert await pump.drain() == 13


async def test_a_second_one_lets_the_first_carry(printer: Printer) -> None:
    first, second = printer.pump(), printer.pump()
    first.start()
    carrier = printer.carrier()
    second.start()
    printer.print(b"one\n")

    assert (await second.drain(), printer.carrier()) == (4, carrier)


async def test_what_nobody_carried_waits_for_the_next(printer: Printer) -> None:
    pump = printer.pump()
    pump.start()
    pump.release()
    os.kill(printer.carrier(), signal.SIGKILL)
    os.waitpid(printer.carrier(), 0)
    printer.print(b"kept\n")
    stuck = pump.stuck()
    pump.start()

    assert (stuck, await pump.drain(), printer.spool.read_bytes()) == (True, 5, b"kept\n")


async def test_signals_that_stop_a_service_do_not_stop_it(printer: Printer) -> None:
    pump = printer.pump()
    pump.start()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(printer.carrier(), number)
    printer.print(b"kept\n")

    assert await pump.drain() == 5
    assert not pump.stuck()


async def test_it_ends_with_what_it_carried_and_all_is_there(printer: Printer) -> None:
    pump = printer.pump()
    pump.start()
    printer.print(b"x" * 60_000)
    printer.end()
    await pump.finish()

    assert printer.spool.stat().st_size == 60_000
    with pytest.raises(ProcessLookupError):
        os.kill(printer.carrier(), 0)


async def test_who_prints_faster_than_is_read_waits(printer: Printer) -> None:
    read = 0
    pump = Pump(printer.fifo, printer.spool, printer.mark, lambda: read)
    pump.start()
    with printer.spool.open("ab") as spool:
        spool.truncate(AHEAD + 1)
    pump.regulate()
    printer.print(b"later\n")
    await asyncio.sleep(0.1)
    held = printer.spool.stat().st_size
    read = AHEAD
    pump.regulate()

    assert (held, await pump.drain()) == (AHEAD + 1, AHEAD + 7)


async def test_without_a_reader_nobody_waits(printer: Printer) -> None:
    pump = printer.pump()
    pump.start()
    with printer.spool.open("ab") as spool:
        spool.truncate(AHEAD + 1)
    pump.regulate()
    pump.hold()
    printer.print(b"later\n")

    assert await eventually(lambda: printer.spool.stat().st_size == AHEAD + 7)


@pytest.mark.parametrize("goes_on", ["start", "drain"])
async def test_what_a_reader_that_died_had_held_goes_on_with_the_next(printer: Printer, goes_on: str) -> None:
    dead = Pump(printer.fifo, printer.spool, printer.mark, lambda: 0)
    dead.start()
    dead.hold()
    printer.print(b"kept\n")
    pump = printer.pump()
    await {"start": starting, "drain": Pump.drain}[goes_on](pump)

    assert await eventually(lambda: printer.spool.read_bytes() == b"kept\n")


async def test_what_is_held_is_in_the_spool_once_it_is_finished(printer: Printer) -> None:
    pump = Pump(printer.fifo, printer.spool, printer.mark, lambda: 0)
    pump.start()
    pump.hold()
    printer.print(b"last words\n")
    printer.end()
    await pump.finish()

    assert printer.spool.read_bytes() == b"last words\n"


async def test_a_spool_that_cannot_be_written_is_told(printer: Printer) -> None:
    printer.spool.mkdir()
    with pytest.raises(Fault, match=r"Is a directory\. Make room"):
        printer.pump().start()


@pytest.mark.parametrize("look", [Pump.start, Pump.drain])
async def test_a_part_that_a_full_disk_lost_is_told(tiny_disk: Path, look: Callable[[Pump], object]) -> None:
    printer = Printer(tiny_disk)
    pump = printer.pump()
    pump.start()
    with (tiny_disk / "filler").open("wb") as filler, suppress(OSError):
        while True:
            os.write(filler.fileno(), bytes(4096))
    printer.print(b"lost\n")
    assert await eventually(lambda: not printer.mark.read_text().isdigit())

    with pytest.raises(Fault, match="a part of the log is lost: No space left on device"):
        await looked(look(pump))
    printer.end()


async def looked(found: object) -> None:
    if asyncio.iscoroutine(found):
        await found


async def test_one_that_always_ends_is_given_up(printer: Printer, monkeypatch: pytest.MonkeyPatch) -> None:
    (printer.fifo.parent / "cat").symlink_to("/bin/false")
    monkeypatch.setenv("PATH", str(printer.fifo.parent))
    pump = printer.pump()

    with pytest.raises(Fault, match="ends early"):
        await start_again_and_again(pump)


async def start_again_and_again(pump: Pump) -> None:
    for _ in range(30):
        pump.start()
        await pump.finish()


async def starting(pump: Pump) -> None:
    pump.start()


async def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        await asyncio.sleep(0.002)
    return condition()
