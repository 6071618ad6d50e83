import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeyard.console.build_logs import BuildLogs
from codeyard.logs.files import LocalLogs
from codeyard.logs.tail import Tail
from tests.logs.written import BuildLog

LINES = st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), min_size=1, max_size=60)


def written(data: Path, content: bytes) -> tuple[BuildLogs, str]:
    log = BuildLog(data)
    log.prints(0, content)
    log.close()
    return BuildLogs(log.files, Tail(log.files)), log.run


@settings(max_examples=40, deadline=None)
@given(LINES, st.integers(1, 70), st.integers(1, 70))
async def test_a_part_has_the_lines_that_were_asked_for(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], first: int, count: int
) -> None:
    ended = [line + b"\n" for line in lines]
    logs, run = written(tmp_path_factory.mktemp("log"), b"".join(ended))
    part = await logs.from_line(run, first, count)

    assert part.text == b"".join(ended[first - 1 : first - 1 + count]).decode(errors="replace")
    assert part.line == min(first, len(ended) + 1)
    assert part.over == (first + count > len(ended))


async def test_the_last_lines_know_their_numbers(tmp_path: Path) -> None:
    logs, run = written(tmp_path, b"".join(b"line %d\n" % number for number in range(1, 300_001)))
    part = await logs.last(run, 10)
    middle = await logs.from_line(run, 123_456, 2)

    assert part.line == 299_991
    assert part.text.startswith("line 299991\n")
    assert part.last
    assert part.over
    assert (middle.line, middle.text, middle.last) == (123_456, "line 123456\nline 123457\n", False)


async def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    files = LocalLogs(tmp_path)
    logs, run = BuildLogs(files, Tail(files)), str(uuid.uuid4())

    assert (await logs.last(run)).text == ""
    assert (await logs.from_line(run, 7)).text == ""
    assert await logs.line_of_phase(run, "BUILD") is None
    assert [piece async for piece in logs.bytes_of(run)] == []


@pytest.mark.parametrize(
    ("phase", "line"), [("DOWNLOAD_SOURCE", 40_001), ("BUILD", 80_003), ("UPLOAD_ARTIFACTS", 80_006), ("INSTALL", None)]
)
async def test_a_phase_is_found_by_what_the_agent_says(tmp_path: Path, phase: str, line: int | None) -> None:
    filler = b"[Container] is what the agent's lines begin with\n" * 40_000
    agent = b"[Container] 2026/11/20 12:00:00.000000 "
    logs, run = written(
        tmp_path,
        filler + agent + b"Phase is DOWNLOAD_SOURCE\n" + filler + b"echo [Container] x y Entering phase BUILD\n"
        + agent + b"Entering phase BUILD\n" + agent + b"Entering phase POST_BUILD\n\n"
        + agent + b"Phase complete: POST_BUILD State: SUCCEEDED\n",
    )  # fmt: skip

    assert await logs.line_of_phase(run, phase) == line


async def test_an_unfinished_line_is_not_among_the_last(tmp_path: Path) -> None:
    log = BuildLog(tmp_path)
    log.prints(0, b"one\ntwo\nthr")
    part = await BuildLogs(log.files, Tail(log.files)).last(log.run)

    assert (part.text, part.end, part.last, part.over) == ("one\ntwo\n", 8, True, False)
