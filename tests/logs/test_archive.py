import re
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeyard.logs import LogPiece, agent_line
from codeyard.logs.archive import ArchivedLog

NOON = datetime(2026, 11, 20, 12, 0, 0, 1234, tzinfo=UTC)
STAMP = re.compile(rb"\[Container\] [\d/]{10} [\d:]{8}\.\d{6} ")


class Machine:
    """A spool, a log beside it, and what a listener heard."""

    def __init__(self, directory: Path) -> None:
        self.spool, self.path = directory / "spool", directory / "log"
        self.spool.write_bytes(b"")
        self.heard: list[LogPiece] = []

    def open(self) -> ArchivedLog:
        return ArchivedLog(self.spool, self.path, lambda: NOON, self.heard.append)

    def prints(self, content: bytes) -> None:
        with self.spool.open("ab") as spool:
            spool.write(content)

    @property
    def log(self) -> bytes:
        return STAMP.sub(b"> ", self.path.read_bytes())


def test_a_line_is_as_aws_prints_it() -> None:
    """Reference 10.3: six decimals, UTC."""
    assert agent_line(NOON, "Entering phase BUILD") == "[Container] 2026/11/20 12:00:00.001234 Entering phase BUILD\n"


def test_output_and_lines_stand_in_their_order(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    log = machine.open()
    log.say("a", "Running command one")
    machine.prints(b"out\n")
    log.end_output("a-end", 4)
    log.say("b", "Running command two")
    log.close()

    assert machine.log == b"> Running command one\nout\n\n> Running command two\n"
    assert b"".join(piece.content for piece in machine.heard) == machine.path.read_bytes()


def test_output_without_a_last_newline_gets_one(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    log = machine.open()
    machine.prints(b"progress 100 %")
    log.end_output("end", 14)
    log.say("b", "next")
    log.close()

    assert machine.log == b"progress 100 %\n\n> next\n"


def test_what_is_said_twice_is_written_once(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    log = machine.open()
    log.say("a", "once")
    log.say("a", "once")
    log.close()
    again = machine.open()
    again.say("a", "once")
    again.close()

    assert machine.log == b"> once\n"


def test_secrets_are_hidden_in_output_and_in_lines(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    log = machine.open()
    log.mask(("hunter2-hunter2",))
    log.say("a", "Running command echo hunter2-hunter2")
    machine.prints(b"hunter2-")
    log.pump()
    machine.prints(b"hunter2\n")
    log.close()

    assert machine.log == b"> Running command echo ***\n***\n"


def test_what_is_held_back_stays_when_more_is_to_be_hidden(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    log = machine.open()
    log.mask(("hunter2-hunter2",))
    machine.prints(b"hunter2-")
    log.pump()
    log.mask(("another-secret",))
    machine.prints(b"x\n")
    log.close()

    assert machine.log == b"hunter2-x\n"


def test_a_log_that_lost_its_end_gets_it_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    log = machine.open()
    log.say("a", "one")
    log.say("b", "two")
    cut(machine.path, 3)
    again = machine.open()
    again.say("b", "two")
    again.close()

    assert machine.log == b"> one\n> two\n"


def test_half_a_line_of_the_index_is_in_nobody_s_way(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    log = machine.open()
    log.say("a", "one")
    log.say("b", "two")
    cut(machine.path.with_name("log.index"), 3)
    machine.open().say("b", "two")
    machine.open().close()

    assert machine.log == b"> one\n> two\n"


def test_a_build_that_cuts_its_own_output_takes_nothing_back(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    log = machine.open()
    machine.prints(b"kept\n")
    log.pump()
    machine.spool.write_bytes(b"")
    log.pump()
    machine.prints(b"more\n")
    log.pump()
    log.close()

    assert machine.log == b"kept\nmore\n"


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.open().close()

    assert machine.path.stat().st_mode & 0o777 == 0o600


PRINTED = st.binary(min_size=1, max_size=12)
STORY = st.lists(st.one_of(PRINTED, st.integers(0, 3)), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=120, deadline=None)
@given(story=STORY, killed_at=st.integers(0, 8), lost=st.integers(0, 30), index_lost=st.integers(0, 20))
def test_a_log_that_was_killed_is_whole_in_the_end(
    tmp_path: Path, story: list[bytes | int], killed_at: int, lost: int, index_lost: int
) -> None:
    """Whenever the writer dies, and however much of its files reached the disk, the next one ends with the same log."""
    expected = tell(tmp_path, "whole", story, None, 0, 0)
    actual = tell(tmp_path, "killed", story, killed_at, lost, index_lost)

    assert actual == expected


def tell(
    directory: Path, name: str, story: list[bytes | int], killed_at: int | None, lost: int, index_lost: int
) -> bytes:
    """Play the story: bytes are printed, and a number says a line, after which all of it is told again if killed."""
    home = directory / name
    home.mkdir(exist_ok=True)
    for leftover in home.iterdir():
        leftover.unlink()
    machine = Machine(home)
    log = machine.open()
    # A line stands after what had been printed when it was said for the first time: a workflow knows that number.
    sizes: list[int] = []
    for number, part in enumerate(story):
        if number == killed_at:
            cut(machine.path, lost)
            cut(machine.path.with_name("log.index"), index_lost)
            log = machine.open()
            retell(log, story[:number], sizes)
        play(machine, log, number, part)
        sizes.append(machine.spool.stat().st_size)
    log.close()
    return machine.log


def play(machine: Machine, log: ArchivedLog, number: int, part: bytes | int) -> None:
    if isinstance(part, bytes):
        machine.prints(part)
        log.pump()
    else:
        log.say(f"line-{number}", f"line {part}")


def retell(log: ArchivedLog, story: list[bytes | int], sizes: list[int]) -> None:
    for number, part in enumerate(story):
        if isinstance(part, int):
            log.say(f"line-{number}", f"line {part}", upto=sizes[number])


def cut(path: Path, count: int) -> None:
    """What a machine that lost its last writes has: a file that is shorter."""
    if path.exists():
        content = path.read_bytes()
        path.write_bytes(content[: max(0, len(content) - count)])
