"""Which pipelines are looked at: each version's definition is read once to know, and again when somebody looks."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event

from codeyard.pipelines import pipelines_table
from codeyard.pipelines.model import ExecutionMode
from codeyard.pipelines.state import begin
from codeyard.pipelines.stored import StoredPipeline, StoredVersion
from codeyard.pipelines.watching import Watching
from codeyard.store import Tx
from codeyard.store.engine import SqlDatabase
from tests.databases import database
from tests.pipelines.documents import OWNER, ROLE, action
from tests.pipelines.works import NOON

__all__ = ["database"]


def shape(name: str, **configuration: str) -> dict[str, Any]:
    given = {"S3Bucket": "bucket", "S3ObjectKey": "app.zip", **configuration}
    source = action("Fetch", "Source/AWS/S3", "", "Out", configuration=given)
    return {"name": name, "roleArn": ROLE, "stages": [{"name": "Source", "actions": [source]}]}


async def put(db: SqlDatabase, definition: dict[str, Any]) -> StoredPipeline:
    line = begin(1, ExecutionMode.SUPERSEDED, ("Source",))
    stored = StoredPipeline(OWNER, definition["name"], NOON, NOON, line, {})
    version = StoredVersion(1, NOON, definition, b"sealed")
    await db.write(lambda tx: pipelines_table.insert(tx, stored, version))
    return stored


async def update(db: SqlDatabase, stored: StoredPipeline, definition: dict[str, Any]) -> None:
    def work(tx: Tx) -> None:
        pipelines_table.add_version(tx, OWNER, stored.name, StoredVersion(2, NOON, definition))
        pipelines_table.save(tx, replace(stored, line=replace(stored.line, version=2)))

    await db.write(work)


@pytest.fixture
def watching(database: SqlDatabase) -> Watching:
    return Watching(database, lambda _owner, _pipeline, _sealed: {})


async def names(watching: Watching) -> list[str]:
    return sorted(each.pipeline for each in await watching.names())


async def test_who_has_a_source_that_is_looked_at_is_named_until_that_changes(
    database: SqlDatabase, watching: Watching
) -> None:
    stored = await put(database, shape("heard"))
    await put(database, shape("deaf", PollForSourceChanges="false"))
    before = await names(watching)

    await update(database, stored, shape("heard", PollForSourceChanges="false"))

    assert (before, await names(watching)) == (["heard"], [])


async def test_a_definition_is_read_again_only_for_who_looks(database: SqlDatabase, watching: Watching) -> None:
    await put(database, shape("heard"))
    first = await watching.names()
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        asked.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    again = await watching.names()
    event.remove(database.engine, "before_cursor_execute", note)
    watched = await watching.watched(first[0])

    assert again == first
    assert [each for each in asked if "pipeline_versions" in each or "pipelines.line" in each] == []
    assert watched is not None
    assert watched.declaration.stages[0].actions[0].configuration["S3ObjectKey"] == "app.zip"


async def test_a_pipeline_that_is_gone_is_not_looked_at(database: SqlDatabase, watching: Watching) -> None:
    await put(database, shape("heard"))
    first = await watching.names()
    await database.write(lambda tx: pipelines_table.remove(tx, OWNER, "heard"))

    assert await watching.watched(first[0]) is None
    assert await watching.names() == []
