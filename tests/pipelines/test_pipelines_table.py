"""Rows of pipelines and their definitions."""

from codeyard.pipelines import pipelines_table
from codeyard.pipelines.model import parse
from codeyard.pipelines.stored import StoredVersion
from codeyard.store.engine import SqlDatabase
from tests.databases import database
from tests.pipelines.test_watching import put, shape
from tests.pipelines.works import NOON, OWNER

__all__ = ["database"]


async def test_a_definition_is_parsed_once_unless_it_is_long(database: SqlDatabase) -> None:
    short, long = shape("demo"), shape("demo", Long="x" * 100_000)
    await put(database, short)
    await database.write(lambda tx: pipelines_table.add_version(tx, OWNER, "demo", StoredVersion(2, NOON, long)))

    first, second = [await database.read(lambda tx: pipelines_table.plans_of(tx, OWNER, "demo", (1, 2))) for _ in "ab"]

    assert first == second == {1: parse(short), 2: parse(long)}
    assert (first[1] is second[1], first[2] is second[2]) == (True, False)
