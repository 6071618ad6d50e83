"""Rows of machines and of what they have, on both kinds of database."""

from dataclasses import replace
from datetime import timedelta

import pytest

from codeyard.deploys import targets_table as table
from codeyard.deploys.model import Target
from codeyard.deploys.targets_table import Enrolled
from codeyard.deploys.waves import Revision
from codeyard.ident import Owner
from codeyard.store import Duplicate
from codeyard.store.engine import SqlDatabase
from tests.databases import database
from tests.deploys.deployments import NOW, OWNER, WEB

__all__ = ["database"]
LATER = NOW + timedelta(seconds=9)


def machine(id: str = "m1", name: str = "web-1", owner: Owner = OWNER) -> Enrolled:
    return Enrolled(Target(id, owner, name, WEB, NOW, NOW), "a" * 64)


async def test_a_machine_is_read_as_it_was_written_and_its_name_is_taken_until_it_is_removed(
    database: SqlDatabase,
) -> None:
    await database.write(lambda tx: table.put(tx, machine()))
    await database.write(lambda tx: table.put(tx, machine("m2", owner=Owner("111111111111"))))

    found = await database.read(lambda tx: table.find(tx, "m1"))
    with pytest.raises(Duplicate):
        await database.write(lambda tx: table.put(tx, machine("m3")))
    removed = [await database.write(lambda tx: table.remove(tx, OWNER, "web-1", LATER)) for _ in range(2)]
    gone = await database.read(lambda tx: table.named(tx, OWNER, "web-1"))
    await database.write(lambda tx: table.put(tx, machine("m3")))

    assert (found, removed) == (machine(), [True, False])
    assert gone == Enrolled(replace(machine().target, removed=LATER), "")
    assert [each.id for each in await database.read(lambda tx: table.enrolled(tx, OWNER))] == ["m3"]
    assert await database.read(lambda tx: table.find(tx, "m1")) is None


async def test_machines_are_listed_by_name_in_pages(database: SqlDatabase) -> None:
    def many(tx):  # type: ignore[no-untyped-def]
        for number in range(table.PAGE + 2):
            table.put(tx, machine(f"m{number}", f"web-{number:04}"))

    await database.write(many)

    first = await database.read(lambda tx: table.listed(tx, OWNER, None))
    rest = await database.read(lambda tx: table.listed(tx, OWNER, first.next))

    assert (len(first.items), first.next, len(rest.items), rest.next) == (table.PAGE, "web-0099", 2, None)


async def test_what_a_machine_has_is_current_old_or_unknown(database: SqlDatabase) -> None:
    await database.write(lambda tx: table.put_health(tx, "g", "m1", False, None))
    await database.write(lambda tx: table.put_health(tx, "g", "m1", True, "new"))
    await database.write(lambda tx: table.put_health(tx, "g", "m2", True, "old"))
    await database.write(lambda tx: table.put_health(tx, "g", "m3", False, None))
    await database.write(lambda tx: table.put_health(tx, "other", "m4", True, "new"))

    found = await database.read(lambda tx: table.health_of(tx, "g", "new"))
    await database.write(lambda tx: table.forget_health(tx, "g"))

    assert found == {
        "m1": (True, Revision.CURRENT),
        "m2": (True, Revision.OLD),
        "m3": (False, Revision.UNKNOWN),
    }
    assert await database.read(lambda tx: table.health_of(tx, "g", "new")) == {}


async def test_when_a_machine_was_heard_is_kept(database: SqlDatabase) -> None:
    await database.write(lambda tx: table.put(tx, machine()))
    await database.write(lambda tx: table.heard(tx, "m1", LATER))

    found = await database.read(lambda tx: table.of_ids(tx, ["m1", "m9"]))

    assert {id: target.heard for id, target in found.items()} == {"m1": LATER}
