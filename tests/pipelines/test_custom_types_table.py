"""Action types of an account's own, in rows of both kinds of database."""

from dataclasses import replace

import pytest

from codeyard.ident import Owner
from codeyard.pipelines import custom_types_table as table
from codeyard.pipelines.action_types import ActionTypeSpec, Counts, Executor, Kind, Property
from codeyard.pipelines.custom_types_table import Stored
from codeyard.pipelines.model import ActionType
from codeyard.store import Duplicate
from codeyard.store.engine import SqlDatabase
from tests.databases import database
from tests.pipelines.works import OWNER

__all__ = ["database"]
ELSEWHERE = Owner(OWNER.account, "eu-west-1")
JENKINS = ActionTypeSpec(
    ActionType("Build", "Custom", "Jenkins"),
    (Property("Project", required=True, queryable=True, kind=Kind.STRING), Property("Password", secret=True)),
    Counts(0, 5),
    Counts(0, 1),
    {"entityUrlTemplate": "https://ci/{Config:Project}"},
    Executor.JOB_WORKER,
)
MADE = Stored(JENKINS, {"b": "1", "a": "é"})


async def put(db: SqlDatabase, stored: Stored = MADE) -> None:
    await db.write(lambda tx: table.insert(tx, OWNER, stored))


async def test_a_type_comes_back_as_it_was_made(database: SqlDatabase) -> None:
    await put(database)

    assert await database.write(lambda tx: table.found(tx, OWNER, JENKINS.id)) == MADE
    assert await database.write(lambda tx: table.found(tx, ELSEWHERE, JENKINS.id)) is None
    assert await database.write(lambda tx: table.found(tx, OWNER, replace(JENKINS.id, owner="AWS"))) is None
    with pytest.raises(Duplicate):
        await put(database)


async def test_a_deleted_type_is_in_no_catalogue_until_it_is_restored(database: SqlDatabase) -> None:
    await put(database)
    await database.write(lambda tx: table.mark(tx, OWNER, JENKINS.id, deleted=True))
    gone = await database.read(lambda tx: table.catalogue(tx, OWNER).find(JENKINS.id))
    count = await database.read(lambda tx: table.count(tx, OWNER))
    tags = await database.read(lambda tx: table.tags_of(tx, OWNER, JENKINS.id))
    await database.write(lambda tx: table.mark(tx, OWNER, JENKINS.id, deleted=False))

    assert (gone, count, tags) == (None, 0, None)
    assert await database.read(lambda tx: table.catalogue(tx, OWNER).find(JENKINS.id)) == JENKINS
    assert await database.read(lambda tx: table.catalogue(tx, ELSEWHERE).find(JENKINS.id)) is None
    assert await database.read(lambda tx: table.count(tx, OWNER)) == 1


async def test_tags_are_added_replaced_and_removed(database: SqlDatabase) -> None:
    await put(database)
    added = await database.write(lambda tx: table.put_tags(tx, OWNER, JENKINS.id, {"a": "2", "c": "3"}))
    removed = await database.write(lambda tx: table.remove_tags(tx, OWNER, JENKINS.id, ["b", "none"]))
    elsewhere = await database.write(lambda tx: table.put_tags(tx, ELSEWHERE, JENKINS.id, {"a": "2"}))

    assert (added, removed, elsewhere) == (True, True, False)
    assert await database.read(lambda tx: table.tags_of(tx, OWNER, JENKINS.id)) == {"a": "2", "c": "3"}
