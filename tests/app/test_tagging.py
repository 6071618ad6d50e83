"""Tags of what belongs to pipelines: two who tag at once both do."""

import asyncio
from functools import partial

import pytest

from codeyard.app.tagging import TypeTags, WebhookTags
from codeyard.pipelines import custom_types_table, webhooks_table
from codeyard.pipelines.api_pipelines import Tagged
from codeyard.store import Tx
from codeyard.store.engine import SqlDatabase
from tests.databases import database
from tests.pipelines.test_custom_types_table import MADE
from tests.pipelines.test_webhooks_table import OWNER, a_webhook

__all__ = ["database"]
KINDS: list[tuple[Tagged, str]] = [(WebhookTags(), "site"), (TypeTags(), "Custom/Build/Jenkins/1")]


@pytest.mark.parametrize(("kind", "name"), KINDS)
async def test_two_who_tag_at_once_both_do(database: SqlDatabase, kind: Tagged, name: str) -> None:
    def tag(tx: Tx, key: str) -> None:
        kind.put_tags(tx, OWNER, name, {**(kind.held_tags(tx, OWNER, name) or {}), key: "here"})

    def make(tx: Tx) -> None:
        webhooks_table.insert_webhook(tx, a_webhook())
        custom_types_table.insert(tx, OWNER, MADE)

    await database.write(make)
    if database.dialect == "sqlite":  # one writer at a time
        await asyncio.gather(*(database.write(partial(tag, key=key)) for key in ("one", "two")))
    else:
        with database.engine.begin() as tx:
            tag(tx, "one")
            other = asyncio.create_task(database.write(lambda tx: tag(tx, "two")))
            await asyncio.sleep(0.3)
        await other

    tags = await database.read(lambda tx: kind.tags(tx, OWNER, name))
    assert tags is not None
    assert {key for key in tags if tags[key] == "here"} == {"one", "two"}
