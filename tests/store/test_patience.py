"""What waits for a database that is away, and what is asked of one that was closed."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from codeyard.errors import Invalid
from codeyard.store import Away, patiently
from codeyard.store.engine import SqlDatabase


async def test_what_finds_the_database_away_is_tried_until_it_is_there() -> None:
    tries = []

    async def work() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise Away("the database", "it is away.", "Wait.")
        return "here"

    assert await patiently(work, pause=0.001) == "here"
    assert len(tries) == 3


async def test_another_error_is_told_at_once() -> None:
    async def work() -> str:
        raise Invalid("this", "it is wrong.", "Correct it.")

    with pytest.raises(Invalid):
        await patiently(work)


async def test_who_asks_a_closed_database_gets_no_answer_and_no_error(tmp_path: Path) -> None:
    database = SqlDatabase(f"sqlite:///{tmp_path / 'test.sqlite'}")
    await database.read(lambda tx: tx.execute(text("SELECT 1")).scalar())
    database.close()

    for ask in (database.read, database.write):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(lambda tx: None), 0.05)


async def test_an_error_that_nobody_foresaw_ends_no_writing(tmp_path: Path) -> None:
    database = SqlDatabase(f"sqlite:///{tmp_path / 'test.sqlite'}")

    with pytest.raises(Away):
        await database.write(lambda tx: tx.connection.driver_connection.close())  # type: ignore[union-attr]
    assert await database.write(lambda tx: tx.execute(text("SELECT 1")).scalar()) == 1
    database.close()
