"""Webhooks are kept sealed, keep their URL, and are found by nothing but the token in it."""

import asyncio
import os
from dataclasses import replace

import pytest
from sqlalchemy import text

from codeyard.aws import Refused
from codeyard.errors import Fault
from codeyard.ident import Owner
from codeyard.pipelines.stored_webhooks import StoredWebhooks
from codeyard.pipelines.webhooks import Authentication, Filter, Webhook
from codeyard.secrets import Secret
from codeyard.secrets.sealing import Key
from codeyard.store.engine import SqlDatabase
from tests.databases import database

__all__ = ["database"]
OWNER, ELSEWHERE = Owner(), Owner("111111111111", "eu-west-1")
HOOK = Webhook("site", "site", "Source", Authentication.GITHUB_HMAC, (Filter("$.ref"),), None, Secret("hunter2"))


@pytest.fixture
def webhooks(database: SqlDatabase) -> StoredWebhooks:
    return StoredWebhooks(database, Key(os.urandom(32)))


async def test_neither_the_secret_nor_the_token_is_in_the_database(
    database: SqlDatabase, webhooks: StoredWebhooks
) -> None:
    opened = await webhooks.put(OWNER, HOOK, None)
    rows = await database.read(lambda tx: repr(tx.execute(text("SELECT * FROM pipeline_webhooks")).all()))

    assert "hunter2" not in rows
    assert opened.url_token not in rows
    assert opened.url_token not in repr(opened)
    assert (await webhooks.by_token(opened.url_token)) == opened


async def test_a_webhook_that_is_put_again_keeps_its_url_and_one_made_anew_does_not(webhooks: StoredWebhooks) -> None:
    first = await webhooks.put(OWNER, HOOK, {"a": "b"})
    changed = replace(HOOK, token=Secret("hunter3"))
    again = await webhooks.put(OWNER, changed, None)
    await webhooks.delete(OWNER, "site")
    anew = await webhooks.put(OWNER, HOOK, None)

    assert (again.url_token, again.webhook, again.row.tags) == (first.url_token, changed, {"a": "b"})
    assert anew.url_token != first.url_token
    assert await webhooks.by_token(first.url_token) is None


@pytest.mark.parametrize("token", ["", "x", "x" * 300, "\ud800", "é"])
async def test_what_is_no_token_finds_nothing(webhooks: StoredWebhooks, token: str) -> None:
    await webhooks.put(OWNER, HOOK, None)

    assert await webhooks.by_token(token) is None


async def test_sealed_bytes_open_in_no_other_row_and_by_no_other_key(
    database: SqlDatabase, webhooks: StoredWebhooks
) -> None:
    opened = await webhooks.put(OWNER, HOOK, None)

    with pytest.raises(Fault):
        webhooks.opened(replace(opened.row, owner=ELSEWHERE))
    with pytest.raises(Fault):
        await StoredWebhooks(database, Key(os.urandom(32))).by_token(opened.url_token)


async def test_to_put_it_anew_mends_a_webhook_whose_key_is_lost(
    database: SqlDatabase, webhooks: StoredWebhooks
) -> None:
    lost = await webhooks.put(OWNER, HOOK, None)
    others = StoredWebhooks(database, Key(os.urandom(32)))

    found = await others.put(OWNER, HOOK, None)

    assert found.url_token != lost.url_token
    assert await others.by_token(found.url_token) == found


async def test_two_who_put_the_same_name_at_once_share_one_webhook(webhooks: StoredWebhooks) -> None:
    answers = await asyncio.gather(*(webhooks.put(OWNER, HOOK, None) for _ in range(4)), return_exceptions=True)
    codes = {answer.code for answer in answers if isinstance(answer, Refused)}
    tokens = {answer.url_token for answer in answers if not isinstance(answer, BaseException)}

    assert codes <= {"ConcurrentModificationException"}
    assert len(tokens) == 1


async def test_an_owner_has_no_more_webhooks_than_are_allowed(database: SqlDatabase) -> None:
    webhooks = StoredWebhooks(database, Key(os.urandom(32)), most=1)
    await webhooks.put(OWNER, HOOK, None)
    await webhooks.put(OWNER, HOOK, None)
    await webhooks.put(ELSEWHERE, HOOK, None)

    with pytest.raises(Refused) as refused:
        await webhooks.put(OWNER, replace(HOOK, name="more"), None)

    assert refused.value.code == "LimitExceededException"
