"""Where the URLs of webhooks lead: POST /webhooks/codepipeline?t=TOKEN starts a pipeline, if the request is right.

Answers: 200, started or, where a filter does not fit, ignored; 400, no JSON, or a pipeline that cannot start now; 403,
not from whom it is for; 404, no such webhook; 413, too long. The caller may be anybody: an answer tells nothing more.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from datetime import datetime
from typing import Any, NoReturn
from urllib.parse import parse_qs

from codeyard.aws import Refused
from codeyard.aws.bodies import Bodies, Gone, Limits, Receive
from codeyard.errors import CodeyardError, Fault, NotFound
from codeyard.ident import Owner
from codeyard.pipelines.json_path import TooLarge
from codeyard.pipelines.stored_webhooks import Opened, StoredWebhooks
from codeyard.pipelines.webhooks import is_authentic, is_wanted, webhook_arn

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Start = Callable[[Owner, str, str], Awaitable[str]]
ConfigOf = Callable[[Owner, str, str], Awaitable[Mapping[str, str]]]

_log = logging.getLogger(__name__)
# GitHub sends up to 25 MB, and of a push seldom more than a few hundred KB. JSON takes many times its length in memory.
_LIMITS = Limits(body=5 * 1024 * 1024, held=64 * 1024 * 1024)
_AT_ONCE = 2  # bodies looked at
_PATIENCE = 2.0  # seconds for a body that is not wanted: a client that is cut off while it sends reads no answer
_LONGEST_QUERY = 2048
_ABSENT = 404, "There is no such webhook."


class WebhookEndpoint:
    """One ASGI application for the webhooks of all owners."""

    def __init__(
        self,
        webhooks: StoredWebhooks,
        start: Start,
        config_of: ConfigOf,
        now: Callable[[], datetime],
        limits: Limits | None = None,
    ) -> None:
        """`start` is given the owner, the pipeline's name and the webhook's ARN, and gives the execution's id.
        `config_of` gives the configuration of an action, without secrets. Both raise what is theirs; NotFound: the
        pipeline or the action is gone."""
        self._webhooks, self._start, self._config_of, self._now = webhooks, start, config_of, now
        self._bodies = Bodies(limits or _LIMITS)
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "only HTTP comes here"
        try:
            status, text, whole = await self._answer(scope, receive)
        except Gone:
            return
        except Refused as error:  # of the body
            status, text, whole = error.status, error.message, False
        except Fault as error:
            _log.error("webhook failed why=%s", error)
            status, text, whole = 500, "The webhook could not be looked at. Try again later.", False
        await _send(send, status, text, whole)

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, str, bool]:
        """The status, the text, and whether the request's body was read."""
        if scope["method"] != "POST":
            await _let_go(receive)
            return 405, "A webhook takes POST alone.", False
        opened = await self._webhooks.by_token(_token(scope))
        if opened is None:
            await _let_go(receive)
            return *_ABSENT, False
        names = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"])
        headers = dict(names)
        async with self._bodies.read(receive, headers.get("content-length")) as body:
            client = (scope.get("client") or ("",))[0]
            if not is_authentic(opened.webhook, body, headers, client):
                return 403, "The request is not from whom the webhook is for.", True
            return *await self._authentic(opened, body), True

    async def _authentic(self, opened: Opened, body: bytes) -> tuple[int, str]:
        """Of a request that may start the pipeline, if its filters fit."""
        row = opened.row
        try:
            configuration = await self._config_of(row.owner, row.pipeline, row.action)
            async with self._turns:  # by a thread: a body may be written to take its time
                wanted = await asyncio.to_thread(_is_wanted, opened, body, configuration)
            if not wanted:
                return 200, "The webhook's filters do not fit: nothing was started."
            execution = await self._start(row.owner, row.pipeline, webhook_arn(row.owner, row.name))
        except _Unreadable as error:
            return 400, str(error)
        except Fault:
            raise
        except CodeyardError as error:
            code = error.code if isinstance(error, Refused) else "NotFound" if isinstance(error, NotFound) else "Failed"
            _log.warning("webhook could not start webhook=%s code=%s", webhook_arn(row.owner, row.name), code)
            await self._webhooks.failed(row, code, str(error)[:1000])
            return 400, "The pipeline could not be started."
        _log.info("webhook started pipeline=%s execution=%s", row.pipeline, execution)
        await self._webhooks.triggered(row, self._now())
        return 200, "The pipeline was started."


class _Unreadable(ValueError):
    """The body is no JSON that can be looked at."""


def _is_wanted(opened: Opened, body: bytes, configuration: Mapping[str, str]) -> bool:
    """Whether the filters fit the body. _Unreadable."""
    try:
        document = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _Unreadable("The request's body is not JSON.") from None
    try:
        return is_wanted(opened.webhook.filters, document, configuration)
    except TooLarge:
        raise _Unreadable("The request's body is too large for the webhook's filters.") from None


async def _let_go(receive: Receive) -> None:
    """Of a body without looking at it, some of it and for a while."""
    left = _LIMITS.body
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            while left > 0:
                message = await receive()
                if not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _token(scope: Scope) -> str:
    query: bytes = scope.get("query_string", b"")
    if len(query) > _LONGEST_QUERY:
        return ""
    found = parse_qs(query.decode("latin-1"), max_num_fields=20) if query.count(b"&") < 20 else {}
    return found.get("t", [""])[0]


async def _send(send: Send, status: int, text: str, whole: bool) -> None:
    body = text.encode() + b"\n"
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    if status == 405:
        headers.append((b"allow", b"POST"))
    if not whole:  # some of the request may still be on its way
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
