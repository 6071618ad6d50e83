"""Rows of webhooks: pages, marks, and how the database finds what it is asked for."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from codeyard.ident import Owner
from codeyard.pipelines import webhooks_table as table
from codeyard.pipelines.webhooks import Authentication, Filter
from codeyard.pipelines.webhooks_table import StoredWebhook
from codeyard.store import Duplicate, Tx
from codeyard.store.engine import SqlDatabase
from tests.databases import database

__all__ = ["database"]
OWNER, ELSEWHERE = Owner(), Owner("111111111111", "eu-west-1")
NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def a_webhook(name: str = "site", owner: Owner = OWNER) -> StoredWebhook:
    return StoredWebhook(
        owner,
        name,
        "site",
        "Source",
        Authentication.IP,
        "10.0.0.0/8",
        (Filter("$.ref", "refs/heads/{Branch}"), Filter("$.é")),
        f"{owner.account}-{name}",
        "key",
        b"\0\xffsealed",
        {"team": "a"},
    )


async def put(database: SqlDatabase, *webhooks: StoredWebhook) -> None:
    def work(tx: Tx) -> None:
        for webhook in webhooks:
            table.insert_webhook(tx, webhook)

    await database.write(work)


async def test_a_webhook_is_read_as_it_was_written(database: SqlDatabase) -> None:
    webhook = replace(a_webhook(), last_triggered=NOW, error_code="a", error_message="b")

    await put(database, webhook)

    assert await database.read(lambda tx: table.find_webhook(tx, OWNER, "site")) == webhook
    assert await database.read(lambda tx: table.find_by_digest(tx, webhook.digest)) == webhook
    assert await database.read(lambda tx: table.find_by_digest(tx, "other")) is None
    assert await database.read(lambda tx: table.find_webhook(tx, ELSEWHERE, "site")) is None


async def test_there_is_one_webhook_of_a_name_and_of_a_token(database: SqlDatabase) -> None:
    await put(database, a_webhook(), a_webhook(owner=ELSEWHERE))

    with pytest.raises(Duplicate):
        await put(database, replace(a_webhook(), digest="another"))
    with pytest.raises(Duplicate):
        await put(database, replace(a_webhook(), name="another"))


async def test_webhooks_are_listed_by_name_in_pages_of_each_owner_apart(database: SqlDatabase) -> None:
    await put(database, *(a_webhook(name) for name in ("b", "B", "a-1", "_", "a")), a_webhook("a", ELSEWHERE))

    first = await database.read(lambda tx: table.list_webhooks(tx, OWNER, None, 3))
    rest = await database.read(lambda tx: table.list_webhooks(tx, OWNER, first[-1].name, 3))

    assert [each.name for each in first + rest] == ["B", "_", "a", "a-1", "b"]
    assert await database.read(lambda tx: table.count_webhooks(tx, OWNER)) == 5


async def test_one_that_started_forgets_its_error_and_one_that_failed_keeps_its_time(database: SqlDatabase) -> None:
    webhook = a_webhook()
    await put(database, webhook)

    await database.write(lambda tx: table.mark_failed(tx, OWNER, webhook.digest, "first", "why"))
    await database.write(lambda tx: table.mark_triggered(tx, OWNER, webhook.digest, NOW))
    started = await database.read(lambda tx: table.find_webhook(tx, OWNER, "site"))
    await database.write(lambda tx: table.mark_failed(tx, OWNER, webhook.digest, "second", "why"))
    failed = await database.read(lambda tx: table.find_webhook(tx, OWNER, "site"))

    assert started == replace(webhook, last_triggered=NOW)
    assert failed == replace(webhook, last_triggered=NOW, error_code="second", error_message="why")


async def test_a_webhook_is_changed_tagged_and_removed_alone(database: SqlDatabase) -> None:
    await put(database, a_webhook(), a_webhook("other"), a_webhook(owner=ELSEWHERE))
    changed = replace(a_webhook(), authentication=Authentication.UNAUTHENTICATED, addresses=None)

    await database.write(lambda tx: table.save_webhook(tx, changed))
    await database.write(lambda tx: table.set_webhook_tags(tx, OWNER, "site", {"é": ""}))
    await database.write(lambda tx: table.remove_webhook(tx, OWNER, "other"))
    await database.write(lambda tx: table.remove_webhook(tx, OWNER, "other"))

    listed = await database.read(lambda tx: table.list_webhooks(tx, OWNER, None, 9))
    assert listed == (replace(changed, tags={"é": ""}),)
    assert await database.read(lambda tx: table.find_webhook(tx, ELSEWHERE, "site")) == a_webhook(owner=ELSEWHERE)
