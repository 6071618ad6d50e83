"""Invoke/Custom/Codeyard-HTTP, ours: a request to a URL, whose answer decides.

The body is `Body`, or else JSON that says which action of which execution asks, and where its inputs lie. A process
that takes the action up after a crash may send the request again: `Idempotency-Key` is the action execution's id, the
same both times, and another one when the stage is retried. A redirect is an answer like any other, and never followed.

Who may define a pipeline may have this server ask any host that it reaches, in its own network as well: that is what
the action is for. Link-local addresses are always refused, and so are those where clouds hand out a machine's
credentials; names are looked up once, and what was checked is what is connected to.
"""

import asyncio
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httptools

from codeyard.durable import Answer
from codeyard.pipelines import our_keys
from codeyard.pipelines.actions import ActionFailed, ErrorCode, Outcome, Work
from codeyard.pipelines.actions.addresses import checked_addresses

_ANSWER = 64 * 1024  # bytes of a body that are read
_HEAD = 64 * 1024  # bytes of status and headers
_PATIENCE = 60  # seconds, unless TimeoutSeconds says otherwise
_WITHOUT_BODY = ("GET", "HEAD")
_OURS = frozenset("host connection content-length transfer-encoding te upgrade expect idempotency-key".split())
_NAME = re.compile(r"[A-Za-z0-9@\-_]{1,128}")
_CONTROL = re.compile("[\0-\x1f\x7f]")
_SHOWN = 300  # characters of a body that errors have


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. Headers by their names in lower case; one of them has the secret, if there is any."""

    url: SplitResult
    method: str
    headers: Mapping[str, str]
    body: bytes
    secret: str

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url.hostname})"


class HttpAction:
    """See the module."""

    async def run(self, work: Work) -> Outcome:
        given = work.declared.configuration
        expected = our_keys.statuses(given.get("Expect") or "200-299")
        seconds = given.get("TimeoutSeconds") or str(_PATIENCE)
        if expected is None or not our_keys.HTTP["TimeoutSeconds"][0](seconds):
            raise ActionFailed(ErrorCode.CONFIGURATION, "Expect or TimeoutSeconds is not of its form")
        request = await _request(work)

        async def ask() -> Answer:
            try:
                async with asyncio.timeout(int(seconds)):
                    return await _answer(request)
            except TimeoutError:
                text = f"{request.url.hostname} did not answer within {seconds} seconds"
                raise ActionFailed(ErrorCode.JOB_FAILED, text) from None

        found = await work.step("request", ask)
        if not any(found["status"] in each for each in expected):
            text = f"{request.url.hostname} answered {found['status']}"
            raise ActionFailed(ErrorCode.JOB_FAILED, f"{text}: {found['text']}" if found["text"] else text, text)
        summary = f"{request.url.hostname} answered {found['status']}"
        return Outcome(variables=found["variables"], summary=summary)


def variables(body: bytes) -> dict[str, str]:
    """The strings of a JSON object whose names variables can have; none of anything else."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str) and _NAME.fullmatch(name)}


async def _request(work: Work) -> Request:
    given = work.declared.configuration
    url, method = given.get("Url", ""), given.get("Method") or "POST"
    if not our_keys.is_url(url):
        raise ActionFailed(ErrorCode.CONFIGURATION, f"Url must be {our_keys.HTTP['Url'][1]}")
    named = our_keys.headers(given.get("Headers") or "{}")
    if named is None:
        raise ActionFailed(ErrorCode.CONFIGURATION, f"Headers must be {our_keys.HTTP['Headers'][1]}")
    headers = {"accept": "application/json", "user-agent": "Codeyard"}
    body = b""
    if method not in _WITHOUT_BODY:
        headers["content-type"] = "application/json"
        body = given["Body"].encode() if "Body" in given else json.dumps(await _about(work)).encode()
    headers |= {name.lower(): value for name, value in named.items() if name.lower() not in _OURS}
    secret = given.get("Secret", "")
    if secret:
        if _CONTROL.search(secret) or not secret.isascii():
            raise ActionFailed(ErrorCode.CONFIGURATION, "Secret has characters that no header can have")
        headers["authorization"] = f"Bearer {secret}"
    headers["idempotency-key"] = work.run
    return Request(urlsplit(url), method, headers, body, secret)


async def _about(work: Work) -> dict[str, Any]:
    place = work.place
    inputs = []
    for each in work.inputs:
        one: dict[str, Any] = {"name": each.name, "revision": each.revision}
        if each.clone is None:
            there = await work.zipped(each)
            location = {"bucketName": there.bucket, "objectKey": there.key}
            one["location"] = {"type": "S3", "s3Location": location}
        inputs.append(one)
    return {
        "pipeline": place.pipeline,
        "pipelineArn": place.pipeline_arn,
        "execution": place.execution,
        "stage": place.stage,
        "action": place.action,
        "actionExecution": work.run,
        "inputs": inputs,
    }


async def _answer(request: Request) -> Answer:
    """Its status, the variables of its body, and how its text begins. ActionFailed: there is none."""
    url = request.url
    secure = url.scheme == "https"
    port = url.port or (443 if secure else 80)
    host = url.hostname or ""
    addresses = await checked_addresses(host, port)
    context = ssl.create_default_context() if secure else None
    try:
        reader, writer = await _connected(addresses, port, context, host if secure else None)
        try:
            writer.write(_head(request) + request.body)
            await writer.drain()
            heard = await _heard(reader, request.method)
        finally:
            writer.transport.abort()
    except (OSError, httptools.HttpParserError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        raise ActionFailed(ErrorCode.JOB_FAILED, f"{host} could not be asked: {why}") from None
    body = bytes(heard.body)
    whole = len(body) <= _ANSWER
    if request.secret:  # it is not shown, even if it comes back
        for form in (request.secret, json.dumps(request.secret)[1:-1]):
            body = body.replace(form.encode(), b"***")
    shown = "".join(each if each.isprintable() else " " for each in body[:_SHOWN].decode("utf-8", "replace"))
    told = variables(body) if whole else {}
    if request.secret:  # JSON has more ways to write a text than one
        told = {name: value.replace(request.secret, "***") for name, value in told.items()}
    return {"status": heard.status, "variables": told, "text": shown.strip()}


async def _connected(
    addresses: list[str], port: int, context: ssl.SSLContext | None, name: str | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To the first of the addresses that takes the connection. OSError: none does."""
    for address in addresses[:-1]:
        try:
            return await asyncio.open_connection(address, port, ssl=context, server_hostname=name)
        except OSError:
            continue
    return await asyncio.open_connection(addresses[-1], port, ssl=context, server_hostname=name)


def _head(request: Request) -> bytes:
    url = request.url
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    lines = [f"{request.method} {target} HTTP/1.1", f"host: {url.netloc}", "connection: close"]
    if request.method not in _WITHOUT_BODY:
        lines.append(f"content-length: {len(request.body)}")
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


class _Heard:
    """An answer, as the parser tells of it."""

    def __init__(self, method: str) -> None:
        self.status, self.body, self.done = 0, bytearray(), False
        self.framed = False  # it says where it ends; else it ends when the connection does
        self._method, self._parser = method, httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, _value: bytes) -> None:
        self.framed |= name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:  # before them come those that only say that it goes on
            self.status = status
            self.done = self._method == "HEAD" or status in (204, 304)

    def on_body(self, data: bytes) -> None:
        if len(self.body) <= _ANSWER:
            self.body += data

    def on_message_complete(self) -> None:
        self.done = self.status != 0


async def _heard(reader: asyncio.StreamReader, method: str) -> _Heard:
    """An answer of which no more than it may have was read. ConnectionError: it ended too early."""
    heard, size = _Heard(method), 0
    while not heard.done and len(heard.body) <= _ANSWER:
        data = await reader.read(16_384)
        if not data:
            break
        size += len(data)
        heard.feed(data)
        if size > _HEAD and heard.status == 0:
            raise ConnectionError("its headers are too long")
    if heard.status == 0:
        raise ConnectionError("it closed the connection without an answer")
    if heard.framed and not heard.done and len(heard.body) <= _ANSWER:
        raise ConnectionError("it closed the connection in the middle of its answer")
    return heard
