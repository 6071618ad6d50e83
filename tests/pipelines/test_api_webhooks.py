"""The operations on webhooks, as a client sees them."""

import os
from datetime import UTC, datetime
from typing import Any

import pytest

from codeyard.aws import Refused, Shape
from codeyard.aws.paging import Pages
from codeyard.ident import Owner
from codeyard.pipelines.api_webhooks import Target, WebhookOperations
from codeyard.pipelines.stored_webhooks import StoredWebhooks
from codeyard.secrets.sealing import Key
from codeyard.store.engine import SqlDatabase
from tests.calls import call
from tests.databases import database

__all__ = ["database"]
ARN = "arn:aws:codepipeline:us-east-1:000000000000:webhook:site"


async def target_exists(_owner: Owner, pipeline: str, action: str) -> Target:
    if pipeline != "site":
        return "no pipeline"
    return "exists" if action == "Source" else "no action"


@pytest.fixture
def webhooks(database: SqlDatabase) -> StoredWebhooks:
    return StoredWebhooks(database, Key(os.urandom(32)))


@pytest.fixture
def api(webhooks: StoredWebhooks) -> WebhookOperations:
    return WebhookOperations(webhooks, target_exists, Pages(os.urandom(32)), "https://ci.example.com/")


def definition(name: str = "site", **given: Any) -> dict[str, Any]:
    return {
        "name": name,
        "targetPipeline": "site",
        "targetAction": "Source",
        "filters": [{"jsonPath": "$.ref", "matchEquals": "refs/heads/{Branch}"}],
        "authentication": "GITHUB_HMAC",
        "authenticationConfiguration": {"SecretToken": "hunter2"},
    } | given


async def put(api: WebhookOperations, webhook: dict[str, Any], **given: Any) -> Shape:
    item: Shape = (await api.put_webhook(call("codepipeline", "PutWebhook", webhook=webhook, **given)))["webhook"]
    return item


async def listed(api: WebhookOperations, **given: Any) -> Shape:
    return await api.list_webhooks(call("codepipeline", "ListWebhooks", **given))


async def test_a_webhook_that_was_put_is_listed_without_its_secret(api: WebhookOperations) -> None:
    item = await put(api, definition(), tags=[{"key": "team", "value": "a"}])

    assert (await listed(api))["webhooks"] == [item]
    assert item["arn"] == ARN
    assert item["url"].startswith("https://ci.example.com/webhooks/codepipeline?t=")
    assert item["tags"] == [{"key": "team", "value": "a"}]
    assert item["definition"] == definition(authenticationConfiguration={"SecretToken": "****"})


async def test_what_came_of_the_last_request_is_listed(api: WebhookOperations, webhooks: StoredWebhooks) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    await put(api, definition())
    row = await webhooks.find(Owner(), "site")
    assert row is not None

    await webhooks.triggered(row, now)
    await webhooks.failed(row, "PipelineNotFoundException", "why")

    (item,) = (await listed(api))["webhooks"]
    assert (item["lastTriggered"], item["errorCode"]) == (now, "PipelineNotFoundException")
    assert item["errorMessage"] == "why"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (definition(targetPipeline="other"), "PipelineNotFoundException"),
        (definition(targetAction="Build"), "ValidationException"),
        (definition(authenticationConfiguration={}), "InvalidWebhookAuthenticationParametersException"),
        (definition(filters=[{"jsonPath": "$["}]), "InvalidWebhookFilterPatternException"),
    ],
)
async def test_a_webhook_that_may_not_be_is_refused(api: WebhookOperations, given: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as refused:
        await put(api, given)

    assert refused.value.code == code
    assert (await listed(api))["webhooks"] == []


async def test_webhooks_are_listed_in_pages(api: WebhookOperations) -> None:
    for name in ("c", "a", "b"):
        await put(api, definition(name))

    first = await listed(api, MaxResults=2)
    rest = await listed(api, MaxResults=2, NextToken=first["NextToken"])
    with pytest.raises(Refused) as refused:
        await listed(api, NextToken="x")

    assert [item["definition"]["name"] for item in (*first["webhooks"], *rest["webhooks"])] == ["a", "b", "c"]
    assert rest["NextToken"] is None
    assert refused.value.code == "InvalidNextTokenException"


async def test_a_webhook_is_deleted_and_may_be_gone_already(api: WebhookOperations) -> None:
    await put(api, definition())
    asked = call("codepipeline", "DeleteWebhook", name="site")

    answers = [await api.delete_webhook(asked), await api.delete_webhook(asked)]

    assert answers == [{}, {}]
    assert (await listed(api))["webhooks"] == []


async def test_nothing_is_registered_with_a_third_party(api: WebhookOperations) -> None:
    await put(api, definition())
    register = call("codepipeline", "RegisterWebhookWithThirdParty", webhookName="site")
    deregister = call("codepipeline", "DeregisterWebhookWithThirdParty", webhookName="site")

    with pytest.raises(Refused, match="add its url to the repository's webhooks"):
        await api.register_webhook_with_third_party(register)
    assert await api.deregister_webhook_with_third_party(deregister) == {}


@pytest.mark.parametrize("given", [{"webhookName": "other"}, {}])
async def test_a_webhook_that_is_not_there_is_told(api: WebhookOperations, given: dict[str, Any]) -> None:
    with pytest.raises(Refused) as registering:
        await api.register_webhook_with_third_party(call("codepipeline", "RegisterWebhookWithThirdParty", **given))
    with pytest.raises(Refused) as deregistering:
        await api.deregister_webhook_with_third_party(call("codepipeline", "DeregisterWebhookWithThirdParty", **given))

    assert registering.value.code == deregistering.value.code == "WebhookNotFoundException"
