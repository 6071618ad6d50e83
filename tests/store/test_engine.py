"""The database keeps what it answered, on both dialects, and says clearly what went wrong."""

import asyncio

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, select

from codeyard.errors import Conflict, Fault, Invalid
from codeyard.store import Duplicate, Tx
from codeyard.store.engine import SqlDatabase
from tests.databases import database

__all__ = ["database"]
PLANTS = Table("plants", MetaData(), Column("name", Text, primary_key=True), Column("size", Integer, nullable=False))


@pytest.fixture
def plants(database: SqlDatabase) -> SqlDatabase:
    PLANTS.metadata.create_all(database.engine)
    return database


def plant(tx: Tx, name: str) -> None:
    tx.execute(PLANTS.insert().values(name=name, size=1))


def names(tx: Tx) -> list[str]:
    return [row.name for row in tx.execute(select(PLANTS.c.name).order_by(PLANTS.c.name))]


async def test_what_was_written_can_be_read(plants: SqlDatabase) -> None:
    await plants.write(lambda tx: plant(tx, "fern"))

    assert await plants.read(names) == ["fern"]


async def test_a_write_that_raises_leaves_nothing(plants: SqlDatabase) -> None:
    def half(tx: Tx) -> None:
        plant(tx, "fern")
        raise Conflict("the fern", "it wilted.", "Water it.")

    with pytest.raises(Conflict):
        await plants.write(half)

    assert await plants.read(names) == []


async def test_writes_at_once_are_each_whole_or_not_at_all(plants: SqlDatabase) -> None:
    """Those that clash do not take with them what is committed in the same breath."""

    async def try_to_plant(number: int) -> str:
        try:
            await plants.write(lambda tx: plant(tx, f"p{number % 50:02}"))
        except Duplicate:
            return "taken"
        return "planted"

    answers = await asyncio.gather(*(try_to_plant(number) for number in range(100)))

    assert sorted(answers) == ["planted"] * 50 + ["taken"] * 50
    assert len(await plants.read(names)) == 50


async def test_a_missing_table_is_our_fault(plants: SqlDatabase) -> None:
    stranger = Table("weeds", MetaData(), Column("name", Text))

    with pytest.raises(Fault, match="weeds"):
        await plants.read(lambda tx: tx.execute(select(stranger)).all())


async def test_what_no_column_can_hold_is_refused_as_the_caller_s_mistake(plants: SqlDatabase) -> None:
    if plants.dialect == "sqlite":
        pytest.skip("SQLite keeps it")

    with pytest.raises(Invalid, match="NUL"):
        await plants.write(lambda tx: plant(tx, "fe\0rn"))


@pytest.mark.parametrize("url", ["mysql://a@b/c", "sqlite://", "nonsense", ""])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="sqlite:////absolute"):
        SqlDatabase(url)


def test_a_password_is_not_in_the_error() -> None:
    with pytest.raises(Invalid) as refused:
        SqlDatabase("mysql://ann:hunter2@host/name")

    assert "hunter2" not in str(refused.value)
