"""Which part of a server answers which request, and what operators are told."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeyard.app.api import Server, console_of, control_of, gateway
from codeyard.app.deploying import deploys_of
from codeyard.app.parts import Parts, opened
from codeyard.app.pipelining import pipelines_of
from codeyard.config import Config

HOST = "127.0.0.1:4599"
BASE = f"http://{HOST}"
JSON_CALL = {
    "content-type": "application/x-amz-json-1.1",
    "x-amz-target": "CodeBuild_20161006.ListProjects",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and who it must be from, by what only they say."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def part(self) -> str:
        kind = self.headers.get("content-type", "")
        if "x-amzn-requestid" in self.headers:
            return "gateway"
        if "x-amz-request-id" in self.headers:
            return "s3"
        if self.headers.get("cache-control") == "no-store" and kind == "application/json":
            return "credentials"
        if "content-security-policy" in self.headers or "/console" in self.headers.get("location", ""):
            return "console"
        return "operations" if kind.startswith("text/plain") else "nobody"


class Asker:
    """Asks a server without a socket between."""

    def __init__(self, runner: asyncio.Runner, parts: Parts, server: Server) -> None:
        self._runner, self.parts, self.server = runner, parts, server

    def __call__(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
        bare, _, query = path.partition("?")
        named = {"host": HOST, "content-length": str(len(body))} | (headers or {})
        listed = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]
        return self.scope(
            {
                "type": "http", "method": method, "path": bare, "raw_path": bare.encode(), "headers": listed,
                "query_string": query.encode(), "scheme": "http", "http_version": "1.1", "root_path": "",
                "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 4599),
            },
            body,
        )  # fmt: skip

    def scope(self, scope: dict[str, Any], body: bytes = b"") -> Answer:
        sent: list[Any] = []
        given = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            if not given:
                await asyncio.Event().wait()  # whoever asked is still there
            return given.pop()

        async def send(message: Any) -> None:
            sent.append(message)

        self._runner.run(_within(self.server(scope, receive, send)))
        if not sent:
            return Answer(0, {}, b"")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], headers, b"".join(each.get("body", b"") for each in sent[1:]))

    def signed(self, service: str, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """The same, signed by the root key."""
        named = {name.replace("_", "-"): value for name, value in headers.items()} | {"host": HOST}
        request = botocore.awsrequest.AWSRequest(method, BASE + path, named, body)
        auth = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
        auth(self._keys, service, "us-east-1").add_auth(request)
        return self(method, path, dict(request.headers.items()), body)

    def link(self, method: str, path: str, old: bool = False) -> Answer:
        """Asked by a link that anybody may use."""
        request = botocore.awsrequest.AWSRequest(method, BASE + path, {"host": HOST})
        if old:
            botocore.auth.HmacV1QueryAuth(self._keys).add_auth(request)
        else:
            botocore.auth.S3SigV4QueryAuth(self._keys, "s3", "us-east-1", expires=60).add_auth(request)
        return self(method, request.url.removeprefix(BASE))

    @property
    def _keys(self) -> Any:
        return botocore.credentials.Credentials(self.parts.root.id, self.parts.root.secret)


async def _within(answering: Any) -> None:
    async with asyncio.timeout(20):
        await answering


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bool], Asker]]:
    """Asks a server with a console, or one without; both have the same things."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        parts = runner.run(stack.enter_async_context(opened(_config(tmp_path_factory.mktemp("data")))))
        control, deploys = control_of(parts, lambda: None), deploys_of(parts)
        pipelines = pipelines_of(parts, control, deploys)
        calls = gateway(parts, control, pipelines, deploys)
        console = console_of(parts, calls)
        yield lambda shown: Asker(runner, parts, Server(parts, calls, console if shown else None, pipelines, deploys))
        runner.run(stack.aclose())


def _config(data: Path) -> Config:
    return Config(data=data, listen=HOST)


@pytest.fixture(scope="module")
def ask(asker: Callable[[bool], Asker]) -> Asker:
    found = asker(True)
    found.signed("s3", "PUT", "/code")
    found.signed("s3", "PUT", "/code/a.txt", b"content")
    return found


def test_a_signed_call_is_answered_by_its_service(ask: Asker) -> None:
    answer = ask.signed("codebuild", "POST", "/", b"{}", **JSON_CALL)

    assert (answer.status, answer.body, answer.part) == (200, b'{"projects":[]}', "gateway")


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("POST", "/", JSON_CALL, b"{}"),
        ("POST", "/", {"content-type": "application/x-www-form-urlencoded"}, b"Action=GetCallerIdentity"),
        ("GET", "/?Action=GetCallerIdentity&Version=2011-06-15", {}, b""),
        ("POST", "/service/CodeBuild_20161006/operation/ListProjects", {"smithy-protocol": "rpc-v2-cbor"}, b""),
        ("POST", "/anything", JSON_CALL, b"{}"),
        ("POST", "/", {}, b""),
        ("POST", "/somewhere", {}, b""),
    ],
)
def test_a_call_that_nobody_signed_is_refused_by_the_gateway(
    ask: Asker, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    answer = ask(method, path, headers, body)

    assert answer.part == "gateway"
    assert answer.status in (400, 403, 404)


def test_buckets_are_asked_by_who_signs_for_s3(ask: Asker) -> None:
    assert ask.signed("s3", "GET", "/").part == "s3"
    assert ask.signed("s3", "GET", "/code/a.txt").body == b"content"
    assert ask.signed("s3", "HEAD", "/code").status == 200
    assert ask.signed("s3", "POST", "/code?delete", b"<Delete></Delete>").part == "s3"


def test_what_is_put_into_a_bucket_is_sealed_as_in_s3_though_nobody_asks_for_it(ask: Asker) -> None:
    kept = [path for path in (ask.parts.config.data / "objects").rglob("*") if path.is_file()]

    assert ask.signed("s3", "HEAD", "/code/a.txt").headers["x-amz-server-side-encryption"] == "AES256"
    assert kept
    assert all(b"content" not in path.read_bytes() for path in kept)


@pytest.mark.parametrize("old", [False, True])
def test_a_link_is_good_without_a_signature_of_ones_own(ask: Asker, old: bool) -> None:
    assert ask.link("GET", "/code/a.txt", old).body == b"content"
    assert ask.link("HEAD", "/code/a.txt", old).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_an_object_that_nobody_signs_for_is_refused_in_s3s_words(ask: Asker, method: str) -> None:
    answer = ask(method, "/code/a.txt")

    assert (answer.status, answer.part) == (403, "s3")


@pytest.mark.parametrize("bucket", ["metrics", "healthz", "readyz", "console", "internal", "container-credentials"])
def test_a_bucket_may_have_the_name_of_a_page_of_ours(ask: Asker, bucket: str) -> None:
    """S3 allows those names; a request that is signed for S3 is for no page."""
    made = ask.signed("s3", "PUT", f"/{bucket}")
    ask.signed("s3", "PUT", f"/{bucket}/logs/x", b"1")

    assert (made.status, made.part) == (200, "s3")
    assert b"<Key>logs/x</Key>" in ask.signed("s3", "GET", f"/{bucket}?list-type=2").body
    assert ask.signed("s3", "GET", f"/{bucket}/logs/x").body == b"1"


@pytest.mark.parametrize("path", ["/", "/console", "/console/", "/console/builds", "/console/x/y"])
def test_people_are_shown_the_console(ask: Asker, path: str) -> None:
    assert ask("GET", path).part == "console"


@pytest.mark.parametrize("path", ["/", "/console", "/console/builds"])
def test_without_one_it_is_not_there(asker: Callable[[bool], Asker], path: str) -> None:
    assert asker(False)("GET", path).part == "s3"


@pytest.mark.parametrize("path", ["/consoles", "/console.html"])
def test_what_only_begins_like_it_is_a_bucket(ask: Asker, path: str) -> None:
    assert ask("GET", path).part == "s3"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_operators_ask_without_a_key(ask: Asker, method: str, path: str) -> None:
    answer = ask(method, path)

    assert (answer.status, answer.part) == (200, "operations")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_but_only_ask(ask: Asker, path: str) -> None:
    assert ask("POST", path).status == 405
    assert ask("DELETE", path).status == 405


def test_a_server_that_ends_is_alive_and_not_ready(asker: Callable[[bool], Asker]) -> None:
    ask = asker(True)
    ask.server.operations.draining = True

    assert ask("GET", "/healthz").status == 200
    assert (ask("GET", "/readyz").status, ask("GET", "/readyz").body) == (503, b"ending\n")


def test_calls_are_counted(ask: Asker) -> None:
    ask.signed("codebuild", "POST", "/", b"{}", **JSON_CALL)

    assert b'operation="ListProjects"' in ask("GET", "/metrics").body


@pytest.mark.parametrize("authorization", [{}, {"authorization": "wrong"}, {"authorization": "Bearer "}])
def test_a_builds_credentials_are_for_who_has_its_token(ask: Asker, authorization: dict[str, str]) -> None:
    answer = ask("GET", "/container-credentials/00000000-0000-0000-0000-000000000000", authorization)

    assert (answer.status, answer.part) == (401, "credentials")


def test_a_token_of_a_build_that_there_is_not_gives_nothing(ask: Asker) -> None:
    run = "00000000-0000-0000-0000-000000000000"
    token = ask.parts.container_credentials.token(run)

    answer = ask("GET", f"/container-credentials/{run}", {"authorization": token})

    assert (answer.status, answer.part) == (404, "credentials")


@pytest.mark.parametrize("authorization", [{}, {"authorization": "Bearer wrong"}])
def test_logs_of_a_machine_are_for_other_machines(ask: Asker, authorization: dict[str, str]) -> None:
    answer = ask("GET", "/internal/logs/lines/00000000-0000-0000-0000-000000000000?part=state", authorization)

    assert (answer.status, answer.body) == (401, b"The token is missing or wrong.\n")


@pytest.mark.parametrize("kind", ["websocket", "lifespan", "something"])
def test_what_is_no_http_is_not_answered(ask: Asker, kind: str) -> None:
    assert ask.scope({"type": kind, "path": "/"}).status == 0


_WORDS = st.sampled_from(
    [
        "/", "console", "healthz", "internal/logs/lines/", "container-credentials", "service", "code", "a.txt", "..",
        "%2e%2e", "%00", "%ff", "%", "//", "?", "&", "=", "Action=", "X-Amz-Credential=", "X-Amz-Date=", "Expires=9",
        "a/b/us-east-1/s3/aws4_request", "X-Amz-Algorithm=AWS4-HMAC-SHA256", "AWSAccessKeyId=", "Signature=",
        "list-type=2",
    ]
)  # fmt: skip
_PATHS = st.lists(_WORDS | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=5), max_size=8)
_VALUES = st.sampled_from(
    [
        "", "AWS4-HMAC-SHA256 Credential=a/b/us-east-1/s3/aws4_request", "AWS4-HMAC-SHA256", "AWS x:y", "Basic =",
        "AWS4-HMAC-SHA256 Credential=a/20260102/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0", "\xff",
        "application/cbor", "application/x-amz-json-1.1", "CodeBuild_20161006.ListProjects", "rpc-v2-cbor", "-1",
        "9" * 30, ",=,",
    ]
) | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20)  # fmt: skip
_NAMES = st.sampled_from(
    [
        "authorization", "content-type", "x-amz-target", "x-amz-date", "smithy-protocol", "host", "cookie", "accept",
        "content-length", "transfer-encoding", "x-amz-content-sha256", "range", "expect", "x-amz-security-token",
    ]
)  # fmt: skip
_METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"])


@settings(max_examples=300, deadline=None)
@given(_METHODS, _PATHS, st.dictionaries(_NAMES, _VALUES, max_size=5), st.binary(max_size=20))
def test_whatever_is_asked_somebody_answers_and_nobody_breaks(
    ask: Asker, method: str, path: list[str], headers: dict[str, str], body: bytes
) -> None:
    answer = ask(method, f"/{''.join(path)}", headers, body)

    assert 200 <= answer.status < 500 or answer.status == 501, answer
    assert b"Traceback" not in answer.body
