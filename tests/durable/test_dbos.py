"""Workflows on DBOS: a step that finished is not done again, whatever was killed; and by both databases."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.databases import DIALECTS, postgresql_schema

# DBOS is one for a process, so each part of a story is a process: what to do, a URL, and a file to tell in.
STORY = """
import asyncio, os, sys
from sqlalchemy import create_engine, text
from codeyard.durable.dbos import DbosWorkflows

what, url, told, id = sys.argv[1:]


async def main():
    def tell(text):
        with open(told, "a") as file:
            file.write(text + "\\n")

    over = asyncio.Event()

    async def body(id, steps):
        names = ("two", "four") if what == "find one left out" else ("one", "two", "three")
        for name in () if what == "find all done" else names:

            async def work():
                tell(f"{name} begins")
                if what == f"die in {name}":
                    os.kill(os.getpid(), 9)
                return {"said": name, "list": (1, 2)}

            answer = await steps.step(name, work)
            tell(f"{name} gave {answer['said']} {answer['list']}")
            if what == f"die after {name}":
                os.kill(os.getpid(), 9)
        tell("end")
        over.set()

    workflows = DbosWorkflows(url, os.environ["WHO"], {"story": body}, look=0.5)
    await workflows.launch()
    if what.startswith(("begin", "die")):
        await workflows.start("story", id)
        await workflows.start("story", id)
    try:
        await asyncio.wait_for(over.wait(), 20 if what == "begin" else 8)
        await asyncio.sleep(1 if what.startswith(("find", "mend")) else 0)  # what comes after the body
        if what.startswith("mend "):
            with create_engine(url).begin() as journal:
                journal.execute(text(what.removeprefix("mend ")))
            tell("mended")
            over.clear()
            await asyncio.wait_for(over.wait(), 20)
            await asyncio.sleep(1)
    except TimeoutError:
        tell("nothing to do")
    os._exit(0)


asyncio.run(main())
"""


@pytest.fixture(params=DIALECTS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'journal.sqlite'}"
        return
    yield from postgresql_schema()


def tell(tmp_path: Path, url: str, what: str, **environment: str) -> list[str]:
    """Play this part; all that was told so far."""
    told = tmp_path / "told"
    src = str(Path(__file__).parents[2] / "src")
    subprocess.run(
        [sys.executable, "-c", STORY, what, url, str(told), f"story of {tmp_path}"],
        env={**os.environ, "PYTHONPATH": src, "WHO": f"me of {tmp_path}", **environment},
        check=False, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return told.read_text().splitlines() if told.exists() else []


# What keeps the end of a workflow from being written down, as a full disk does; and what lets it be again.
REFUSE = {
    "sqlite": (
        "CREATE TRIGGER refuse BEFORE UPDATE ON workflow_status WHEN NEW.status IN ('SUCCESS', 'ERROR') "
        "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device'; END $$",
        "CREATE TRIGGER {schema} BEFORE UPDATE ON dbos.workflow_status FOR EACH ROW "
        "WHEN (NEW.status IN ('SUCCESS', 'ERROR') AND NEW.workflow_uuid = '{id}') EXECUTE FUNCTION {schema}.refuse()",
    ),
}
ALLOW = {"sqlite": "DROP TRIGGER refuse", "postgresql": "DROP TRIGGER {schema} ON dbos.workflow_status"}


WHOLE = [
    line for name in ("one", "two", "three") for line in (f"{name} begins", f"{name} gave {name} [1, 2]")
] + ["end"]  # fmt: skip


def test_no_step_is_done_twice_however_often_the_workflow_is_started(tmp_path: Path, url: str) -> None:
    """A body may be gone through again, by the answers of its steps."""
    first = tell(tmp_path, url, "begin")
    told = tell(tmp_path, url, "begin again")

    assert first == WHOLE
    assert [line for line in told if line.endswith("begins")] == ["one begins", "two begins", "three begins"]


def test_the_step_that_was_interrupted_is_done_again_and_no_other(tmp_path: Path, url: str) -> None:
    tell(tmp_path, url, "die in two")

    told = tell(tmp_path, url, "go on")

    assert [line for line in told if line.endswith("begins")] == [
        "one begins",
        "two begins",
        "two begins",
        "three begins",
    ]
    assert told[-1] == "end"


def test_what_finished_before_the_death_is_answered_from_the_journal(tmp_path: Path, url: str) -> None:
    tell(tmp_path, url, "die after two")

    told = tell(tmp_path, url, "go on")

    assert [line for line in told if line.endswith("begins")] == ["one begins", "two begins", "three begins"]
    assert told.count("two gave two [1, 2]") == 2
    assert told[-1] == "end"


@pytest.mark.parametrize(("found", "begun"), [("find all done", []), ("find one left out", ["four"])])
def test_a_body_that_finds_its_work_done_ends_without_those_steps(
    tmp_path: Path, url: str, found: str, begun: list[str]
) -> None:
    """DBOS refuses another step of a number that is taken: such a workflow began again for ever."""
    before = tell(tmp_path, url, "die after two")

    ended = tell(tmp_path, url, found)
    told = tell(tmp_path, url, "go on")

    new = ended[len(before) :]
    assert [line for line in new if line.endswith("begins")] == [f"{name} begins" for name in begun]
    assert new[-1] == "end"
    assert told[len(ended) :] == ["nothing to do"]


def test_a_workflow_whose_end_could_not_be_written_down_is_over_once_it_can(tmp_path: Path, url: str) -> None:
    """DBOS tries that no more than twice, and a disk may be full for longer."""
    tell(tmp_path, url, "die in two")
    engine = create_engine(url)
    names = {"schema": url.rpartition("%3D")[2], "id": f"story of {tmp_path}"}
    table = "workflow_status" if engine.name == "sqlite" else "dbos.workflow_status"
    status = text(f"SELECT status FROM {table} WHERE workflow_uuid = :id")
    with engine.begin() as journal:
        for statement in REFUSE[engine.name]:
            journal.execute(text(statement.format(**names)))

    told = tell(tmp_path, url, "mend " + ALLOW[engine.name].format(**names))

    with engine.connect() as journal:
        assert journal.execute(status, names).scalars().all() == ["SUCCESS"]
    engine.dispose()
    assert told[told.index("mended") - 1] == told[-1] == "end"
    assert told.count("three begins") == 1


def test_nobody_takes_up_what_another_began(tmp_path: Path, url: str) -> None:
    tell(tmp_path, url, "die in two")

    told = tell(tmp_path, url, "go on", WHO="somebody else")

    assert told[-1] == "nothing to do"


def test_what_a_step_answers_is_plain_in_the_database(tmp_path: Path) -> None:
    """No pickle: whoever can write a row must not be able to run code here."""
    path = tmp_path / "journal.sqlite"
    tell(tmp_path, f"sqlite:///{path}", "begin")

    content = b"".join(each.read_bytes() for each in tmp_path.glob("journal.sqlite*"))
    assert b'{"said": "one", "list": [1, 2]}' in content
