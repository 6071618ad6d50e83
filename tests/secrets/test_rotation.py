from dataclasses import replace

import pytest

from codeyard.secrets.rotation import change_key
from codeyard.secrets.sealed import DoesNotOpen
from codeyard.secrets.sealing import Key
from codeyard.store.engine import SqlDatabase
from tests.secrets.asking import KEY, Asked

NEW = Key(b"n" * 32)


async def fill(asked: Asked) -> None:
    for value in ("one", "two"):
        await asked.ssm("PutParameter", Name="name", Value=value, Type="String", Overwrite=True)
    await asked.secrets("CreateSecret", Name="name", SecretString="three")


async def test_every_value_opens_by_the_new_key_and_by_no_other(asked: Asked, database: SqlDatabase) -> None:
    await fill(asked)

    count = await change_key(database, (KEY,), NEW)

    anew = replace(asked, key=NEW)
    assert count == 3
    assert (await anew.ssm("GetParameter", Name="name:1"))["Parameter"]["Value"] == "one"
    assert (await anew.secrets("GetSecretValue", SecretId="name"))["SecretString"] == "three"
    with pytest.raises(DoesNotOpen):
        await asked.ssm("GetParameter", Name="name")


async def test_done_again_it_changes_what_is_left(asked: Asked, database: SqlDatabase) -> None:
    await fill(asked)
    await change_key(database, (KEY,), NEW)
    await asked.ssm("PutParameter", Name="late", Value="four", Type="String")

    assert await change_key(database, (KEY, NEW), NEW) == 1
    assert await change_key(database, (), NEW) == 0


async def test_all_change_or_none(asked: Asked, database: SqlDatabase) -> None:
    await fill(asked)
    await replace(asked, key=Key(b"l" * 32)).secrets("CreateSecret", Name="lost", SecretString="x")

    with pytest.raises(DoesNotOpen, match="another key"):
        await change_key(database, (KEY,), NEW)

    assert (await asked.ssm("GetParameter", Name="name"))["Parameter"]["Value"] == "two"
