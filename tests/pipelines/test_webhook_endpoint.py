"""Requests to the URLs of webhooks: which start a pipeline, and what is told of those that do not."""

import hmac
import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from codeyard.aws import Refused
from codeyard.aws.bodies import Limits
from codeyard.errors import Fault, NotFound
from codeyard.ident import Owner
from codeyard.pipelines.stored_webhooks import StoredWebhooks
from codeyard.pipelines.webhook_endpoint import WebhookEndpoint
from codeyard.pipelines.webhooks import Authentication, Filter, Webhook
from codeyard.secrets import Secret
from codeyard.secrets.sealing import Key
from codeyard.store.engine import SqlDatabase
from tests.databases import opened

OWNER = Owner("111111111111", "eu-west-1")
NOW = datetime(2026, 1, 2, tzinfo=UTC)
PUSH = json.dumps({"ref": "refs/heads/main"}).encode()
ARN = "arn:aws:codepipeline:eu-west-1:111111111111:webhook:site"
HOOK = Webhook(
    "site", "site", "Source", Authentication.GITHUB_HMAC, (Filter("$.ref", "refs/heads/{Branch}"),), token=Secret("s")
)
OPEN = replace(HOOK, authentication=Authentication.UNAUTHENTICATED, token=None)


@dataclass
class Pipelines:
    """Starts what it is told to, or raises what it was given."""

    error: Exception | None = None
    started: list[tuple[Owner, str, str]] = field(default_factory=list)

    async def start(self, owner: Owner, pipeline: str, webhook: str) -> str:
        if self.error is not None:
            raise self.error
        self.started.append((owner, pipeline, webhook))
        return "11111111-1111-1111-1111-111111111111"

    async def config_of(self, _owner: Owner, _pipeline: str, _action: str) -> Mapping[str, str]:
        return {"Branch": "main"}


@pytest.fixture
def webhooks(tmp_path: Path) -> Iterator[StoredWebhooks]:
    for database in opened(f"sqlite:///{tmp_path / 'test.sqlite'}"):
        yield stored(database)


def stored(database: SqlDatabase) -> StoredWebhooks:
    return StoredWebhooks(database, Key(os.urandom(32)))


@pytest.fixture
def pipelines() -> Pipelines:
    return Pipelines()


@pytest.fixture
def endpoint(webhooks: StoredWebhooks, pipelines: Pipelines) -> WebhookEndpoint:
    return WebhookEndpoint(webhooks, pipelines.start, pipelines.config_of, lambda: NOW, Limits(body=1000))


def signature(body: bytes, key: str = "s") -> dict[str, str]:
    return {"X-Hub-Signature": "sha1=" + hmac.new(key.encode(), body, "sha1").hexdigest()}


async def ask(
    endpoint: WebhookEndpoint,
    query: str,
    body: bytes = PUSH,
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
) -> tuple[int, str, dict[str, str]]:
    """The answer's status, text and headers."""
    given = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": method, "query_string": query.encode(), "headers": given, "client": ("::1", 1)}
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await endpoint(scope, receive, send)
    start, text = sent
    return start["status"], text["body"].decode(), {name.decode(): value.decode() for name, value in start["headers"]}


async def test_a_request_that_is_signed_and_fits_starts_the_pipeline(
    endpoint: WebhookEndpoint, webhooks: StoredWebhooks, pipelines: Pipelines
) -> None:
    token = (await webhooks.put(OWNER, HOOK, None)).url_token

    status, _, _ = await ask(endpoint, f"t={token}", headers=signature(PUSH))

    row = await webhooks.find(OWNER, "site")
    assert status == 200
    assert pipelines.started == [(OWNER, "site", ARN)]
    assert row is not None
    assert (row.last_triggered, row.error_code) == (NOW, None)


@pytest.mark.parametrize(
    ("hook", "body", "headers", "status"),
    [
        (HOOK, PUSH, {}, 403),
        (HOOK, PUSH, signature(PUSH, "other"), 403),
        (HOOK, b"no JSON", {}, 403),
        (HOOK, b"no JSON", signature(b"no JSON"), 400),
        (replace(OPEN, authentication=Authentication.IP, addresses="10.0.0.0/8"), PUSH, {}, 403),
        (OPEN, b'{"ref": "refs/heads/dev"}', {}, 200),
        (OPEN, b"{}", {}, 200),
        (OPEN, b"[" * 900, {}, 400),
        (OPEN, b'{"ref": NaN}', {}, 400),
        (OPEN, b"\xff\xfe\xff", {}, 400),
        (OPEN, b"1" * 999, {}, 200),
        (OPEN, b"payload=%7B%7D", {}, 400),
        (OPEN, b"", {}, 400),
        (OPEN, b" " * 1001, {}, 413),
        (OPEN, PUSH, {"Content-Length": "1001"}, 413),
    ],
)
async def test_a_request_that_is_not_right_starts_nothing(
    endpoint: WebhookEndpoint,
    webhooks: StoredWebhooks,
    pipelines: Pipelines,
    hook: Webhook,
    body: bytes,
    headers: dict[str, str],
    status: int,
) -> None:
    token = (await webhooks.put(OWNER, hook, None)).url_token

    answered, _, _ = await ask(endpoint, f"t={token}", body, headers)

    assert answered == status
    assert pipelines.started == []


@pytest.mark.parametrize("query", ["", "t=", "t=other", "t=%00", "x=1", "t=" + "x" * 5000, "&" * 1000, "t=%ff"])
async def test_a_url_of_no_webhook_is_not_found(endpoint: WebhookEndpoint, query: str) -> None:
    status, _, headers = await ask(endpoint, query)

    assert (status, headers["connection"]) == (404, "close")


async def test_a_webhook_is_not_for_reading(endpoint: WebhookEndpoint, webhooks: StoredWebhooks) -> None:
    token = (await webhooks.put(OWNER, OPEN, None)).url_token

    status, _, headers = await ask(endpoint, f"t={token}", method="GET")

    assert (status, headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("PipelineNotFoundException", "secret of ours"), "PipelineNotFoundException"),
        (NotFound("pipeline site", "it is gone.", "secret of ours"), "NotFound"),
    ],
)
async def test_why_a_pipeline_could_not_start_is_told_to_its_owner_alone(
    endpoint: WebhookEndpoint, webhooks: StoredWebhooks, pipelines: Pipelines, error: Exception, code: str
) -> None:
    token = (await webhooks.put(OWNER, OPEN, None)).url_token
    pipelines.error = error

    status, text, _ = await ask(endpoint, f"t={token}")

    row = await webhooks.find(OWNER, "site")
    assert row is not None
    assert (status, row.error_code, row.last_triggered) == (400, code, None)
    assert "secret of ours" in (row.error_message or "")
    assert "ours" not in text


async def test_a_fault_of_ours_is_logged_and_not_told(
    endpoint: WebhookEndpoint, webhooks: StoredWebhooks, pipelines: Pipelines, caplog: pytest.LogCaptureFixture
) -> None:
    token = (await webhooks.put(OWNER, OPEN, None)).url_token
    pipelines.error = Fault("the store", "it is broken.", "Mend it.")

    with caplog.at_level(logging.ERROR):
        status, text, _ = await ask(endpoint, f"t={token}")

    assert status == 500
    assert "broken" not in text
    assert "broken" in caplog.text
    assert token not in caplog.text
