"""Projects in rows: each owner's apart, no change lost, no number given twice."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from codeyard.builds import projects_table as table
from codeyard.builds.projects_table import Place
from codeyard.errors import Conflict
from codeyard.ident import Owner
from codeyard.store import Duplicate, Tx
from codeyard.store.engine import SqlDatabase
from tests.builds.projects import LATER, NOW, OWNER, project
from tests.databases import database

__all__ = ["database"]
ELSEWHERE = Owner(OWNER.account, "eu-west-1")


async def test_a_project_is_its_owners_alone(database: SqlDatabase) -> None:
    await database.write(lambda tx: table.insert_project(tx, OWNER, project()))

    assert await database.read(lambda tx: table.find_project(tx, OWNER, "site")) == project()
    assert await database.read(lambda tx: table.find_project(tx, ELSEWHERE, "site")) is None
    assert await database.read(lambda tx: table.find_projects(tx, OWNER, ("site", "x"))) == {"site": project()}
    assert await database.read(lambda tx: table.count_projects(tx, ELSEWHERE)) == 0
    await database.write(lambda tx: table.insert_project(tx, ELSEWHERE, project()))


async def test_a_name_is_taken_once(database: SqlDatabase) -> None:
    await database.write(lambda tx: table.insert_project(tx, OWNER, project()))

    with pytest.raises(Duplicate):
        await database.write(lambda tx: table.insert_project(tx, OWNER, project()))


async def test_a_change_to_what_someone_else_changed_is_refused(database: SqlDatabase) -> None:
    await database.write(lambda tx: table.insert_project(tx, OWNER, project()))
    was = await database.write(lambda tx: table.lock_project(tx, OWNER, "site"))
    assert was is not None

    await database.write(lambda tx: table.save_project(tx, OWNER, was, project(description="first")))

    with pytest.raises(Conflict):
        await database.write(lambda tx: table.save_project(tx, OWNER, was, project(description="second")))
    found = await database.read(lambda tx: table.find_project(tx, OWNER, "site"))
    assert found is not None
    assert found.description == "first"


async def test_builds_are_counted_from_one_and_on_after_the_project_is_gone(database: SqlDatabase) -> None:
    def following(tx: Tx) -> int:
        return table.next_build_number(tx, OWNER, "site")

    assert [await database.write(following), await database.write(following)] == [1, 2]
    await database.write(lambda tx: table.remove_project(tx, OWNER, "site"))
    assert await database.write(following) == 3
    assert await database.write(lambda tx: table.next_build_number(tx, ELSEWHERE, "site")) == 1
    assert await database.write(lambda tx: table.next_build_number(tx, OWNER, "other")) == 1


async def test_no_two_builds_that_start_at_once_have_one_number(database: SqlDatabase) -> None:
    starts = [database.write(lambda tx: table.next_build_number(tx, OWNER, "site")) for _ in range(30)]

    assert sorted(await asyncio.gather(*starts)) == list(range(1, 31))


NAMES = ("B", "a", "a-1", "a_1", "a1")  # as bytes sort them
SORTS = [(None, False), (None, True), ("created", False), ("created", True), ("last_modified", True)]


@pytest.mark.parametrize(("sort", "descending"), SORTS)
async def test_pages_hold_every_project_once_in_order(
    database: SqlDatabase, sort: str | None, descending: bool
) -> None:
    made = [replace(project(name=f"{name}x"), created=NOW + timedelta(days=at % 2)) for at, name in enumerate(NAMES)]
    for each in made:
        await database.write(lambda tx, each=each: table.insert_project(tx, OWNER, each))  # type: ignore[misc]
    await database.write(lambda tx: table.insert_project(tx, ELSEWHERE, project()))

    found: list[Place] = []
    for _ in range(4):
        after = found[-1] if found else None
        found += await database.read(
            lambda tx, after=after: table.list_projects(tx, OWNER, sort, descending, after, 2)  # type: ignore[misc]
        )

    by_name = sorted(made, key=lambda each: (getattr(each, sort) if sort else 0, each.name), reverse=descending)
    assert [place.name for place in found] == [each.name for each in by_name]


async def test_a_policy_is_kept_replaced_and_removed(database: SqlDatabase) -> None:
    await database.write(lambda tx: table.put_policy(tx, "arn", "one"))
    await database.write(lambda tx: table.put_policy(tx, "arn", "two"))

    assert await database.read(lambda tx: table.find_policy(tx, "arn")) == "two"
    await database.write(lambda tx: table.remove_policy(tx, "arn"))
    assert await database.read(lambda tx: table.find_policy(tx, "arn")) is None


async def test_times_keep_their_order_to_the_microsecond(database: SqlDatabase) -> None:
    for name, moment in (("later", LATER), ("last", LATER + timedelta(microseconds=1))):
        made = replace(project(name=name), last_modified=moment)
        await database.write(lambda tx, made=made: table.insert_project(tx, OWNER, made))  # type: ignore[misc]

    found = await database.read(lambda tx: table.list_projects(tx, OWNER, "last_modified", True, None, 9))

    assert [place.name for place in found] == ["last", "later"]
