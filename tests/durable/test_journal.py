import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeyard.durable import Answer
from codeyard.durable.journal import Journal
from codeyard.errors import Fault


def counted(calls: list[str], name: str) -> Callable[[], Awaitable[Answer]]:
    async def work() -> Answer:
        calls.append(name)
        return {"name": name, "number": len(calls)}

    return work


async def test_a_step_is_done_once(tmp_path: Path) -> None:
    journal, calls = Journal(tmp_path / "journal"), list[str]()
    first = await journal.step("one", counted(calls, "one"))
    again = await journal.step("one", counted(calls, "one"))

    assert (first, again, calls) == ({"name": "one", "number": 1}, {"name": "one", "number": 1}, ["one"])


@pytest.mark.parametrize("crash_after", [0, 1, 2, 3])
async def test_a_workflow_survives_death_after_any_step(tmp_path: Path, crash_after: int) -> None:
    names, calls = ("a", "b", "c"), list[str]()
    before = Journal(tmp_path / "journal")
    [await before.step(name, counted(calls, name)) for name in names[:crash_after]]
    after = Journal(tmp_path / "journal")
    [await after.step(name, counted(calls, name)) for name in names]

    assert calls == ["a", "b", "c"]


async def test_a_step_that_raises_is_not_remembered(tmp_path: Path) -> None:
    async def broken() -> Answer:
        raise ValueError("no")

    journal, calls = Journal(tmp_path / "journal"), list[str]()
    with pytest.raises(ValueError, match="no"):
        await journal.step("one", broken)
    await journal.step("one", counted(calls, "one"))

    assert calls == ["one"]


async def test_an_answer_is_the_same_for_the_next_process(tmp_path: Path) -> None:
    async def work() -> Answer:
        return {"tuple": (1, 2), "text": "ä\n"}

    told = await Journal(tmp_path / "journal").step("one", work)
    read = await Journal(tmp_path / "journal").step("one", work)

    assert told == {"tuple": (1, 2), "text": "ä\n"}
    assert read == {"tuple": [1, 2], "text": "ä\n"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(cut=st.integers(min_value=0, max_value=200))
async def test_whatever_was_half_written_is_cut_off(tmp_path: Path, cut: int) -> None:
    """However much of the file reached the disk, the steps that are whole count and the others are done again."""
    path, calls = tmp_path / "journal", list[str]()
    path.unlink(missing_ok=True)
    journal = Journal(path)
    await journal.step("a", counted(calls, "a"))
    await journal.step("b", counted(calls, "b"))
    content = path.read_bytes()
    path.write_bytes(content[: min(cut, len(content))])
    whole = path.read_bytes().count(b"\n")
    after = Journal(path)
    calls.clear()
    [await after.step(name, counted(calls, name)) for name in ("a", "b")]

    assert calls == ["a", "b"][whole:]
    assert [json.loads(line)[0] for line in path.read_text().splitlines()] == ["a", "b"]


def test_a_file_that_is_no_journal_is_told(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("garbage\n")

    with pytest.raises(Fault, match="this is no step"):
        Journal(tmp_path / "journal")


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    import asyncio

    async def work() -> Answer:
        return {}

    asyncio.run(Journal(tmp_path / "journal").step("one", work))

    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o600
