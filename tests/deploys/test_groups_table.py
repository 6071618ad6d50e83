"""Rows of applications and groups, on both kinds of database."""

from dataclasses import replace

import pytest

from codeyard.deploys import groups_table as table
from codeyard.deploys.model import Application, Group
from codeyard.errors import Conflict
from codeyard.ident import Owner
from codeyard.store import Duplicate
from codeyard.store.engine import SqlDatabase
from tests.databases import database
from tests.deploys.deployments import NOW, OWNER

__all__ = ["database"]
SITE = Application("a1", "site", "Server", ({"Key": "team", "Value": "web"},), NOW)
LIVE = Group("g1", "site", "live", {"deploymentConfigName": "CodeDeployDefault.OneAtATime"})


async def test_an_application_is_read_as_it_was_written_once_for_each_owner(database: SqlDatabase) -> None:
    other = Owner("111111111111")
    await database.write(lambda tx: table.insert_application(tx, OWNER, SITE))
    await database.write(lambda tx: table.insert_application(tx, other, SITE))
    with pytest.raises(Duplicate):
        await database.write(lambda tx: table.insert_application(tx, OWNER, SITE))

    assert await database.read(lambda tx: table.find_application(tx, OWNER, "site")) == SITE
    assert await database.read(lambda tx: table.find_application(tx, OWNER, "Site")) is None
    assert await database.read(lambda tx: table.count_applications(tx, other)) == 1
    assert (await database.read(lambda tx: table.list_applications(tx, OWNER, None))).items == ("site",)


async def test_a_group_is_changed_by_one_at_a_time(database: SqlDatabase) -> None:
    await database.write(lambda tx: table.insert_group(tx, OWNER, LIVE))
    await database.write(lambda tx: table.insert_group(tx, OWNER, replace(LIVE, id="g2", name="test")))
    prod = replace(LIVE, name="prod", settings={"deploymentConfigName": "x"})

    with pytest.raises(Duplicate):
        await database.write(lambda tx: table.save_group(tx, LIVE, replace(LIVE, name="test")))
    await database.write(lambda tx: table.save_group(tx, LIVE, prod))
    with pytest.raises(Conflict):
        await database.write(lambda tx: table.save_group(tx, LIVE, replace(LIVE, name="late")))

    found = await database.read(lambda tx: table.find_group(tx, OWNER, "site", "prod"))
    assert found == replace(prod, version=1)
    assert (await database.read(lambda tx: table.list_groups(tx, OWNER, "site", "prod"))).items == ("test",)


async def test_with_an_application_go_its_groups(database: SqlDatabase) -> None:
    await database.write(lambda tx: table.insert_application(tx, OWNER, SITE))
    await database.write(lambda tx: table.insert_group(tx, OWNER, LIVE))

    gone = await database.write(lambda tx: table.delete_application(tx, OWNER, "site"))

    assert gone == ("g1",)
    assert await database.read(lambda tx: table.find_group(tx, OWNER, "site", "live")) is None
    assert await database.read(lambda tx: table.count_groups(tx, OWNER, "site")) == 0
