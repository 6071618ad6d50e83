"""Requests to a server on this machine, and what its answers come to."""

import asyncio
import json
import re
import ssl
import threading
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as generated
from hypothesis import strategies as st

from codeyard.pipelines.actions import ActionFailed, Artifact, CloneRef, ErrorCode
from codeyard.pipelines.actions.http import HttpAction, variables
from tests.pipelines.actions.services import forget
from tests.pipelines.works import BUCKET, EXECUTION, RUN, Bench, a_tree, action, bench_at
from tests.sources.servers import self_signed

SECRET = "s3cr3t-token"


class Asked:
    """A server that answers with `status`, `headers` and `body`, and keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.status, self.body, self.headers = 200, b"", dict[str, str]()
        self.whole = True  # it says how long its body is
        self.url = ""


@pytest.fixture
def asked() -> Iterator[Asked]:
    found = Asked()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.requests.append((self.command, self.path, headers, content))
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            if found.whole:
                self.send_header("Content-Length", str(len(found.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(found.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the names that the server calls

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def a_bench(home: Path, **given: str) -> Bench:
    declared = action("Invoke/Custom/Codeyard-HTTP/1", given, inputs=["In", "Clone"])
    clone = Artifact("Clone", BUCKET, "c", clone=CloneRef("https://x", "c" * 40, "main"), revision="c" * 40)
    return bench_at(home, declared, [a_tree(home, "In", {"a": b"1"}), clone])


@asynccontextmanager
async def saying(answer: bytes, *, stays: bool = False, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The URL of a server that says this to one request, and hangs up, or stays until the other side does."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            await reader.read(-1 if stays else 0)
        with suppress(OSError):
            writer.close()
            await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as server:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await ended.wait()


async def test_it_says_who_asks_and_takes_variables(asked: Asked, tmp_path: Path) -> None:
    asked.body = b'{"Ticket": "T-1", "count": 3, "bad name": "x"}'
    bench = a_bench(tmp_path, Url=f"{asked.url}/hook?a=b", Secret=SECRET, Headers='{"X-Team": "web", "Host": "evil"}')
    outcome = await HttpAction().run(bench)
    method, path, headers, content = asked.requests[0]

    assert (method, path, outcome.variables) == ("POST", "/hook?a=b", {"Ticket": "T-1"})
    assert headers["host"] == urllib.parse.urlsplit(asked.url).netloc
    assert (headers["idempotency-key"], headers["authorization"]) == (RUN, f"Bearer {SECRET}")
    assert (headers["x-team"], headers["content-type"]) == ("web", "application/json")
    assert json.loads(content) == {
        "pipeline": "Pipeline",
        "pipelineArn": "arn:aws:codepipeline:us-east-1:111122223333:Pipeline",
        "execution": EXECUTION,
        "stage": "Stage",
        "action": "Act",
        "actionExecution": RUN,
        "inputs": [
            {
                "name": "In",
                "revision": None,
                "location": {
                    "type": "S3",
                    "s3Location": {"bucketName": BUCKET, "objectKey": "Pipeline/In/abcdefg"},
                },
            },
            {"name": "Clone", "revision": "c" * 40},
        ],
    }
    assert bench.keys() == ["Pipeline/In/abcdefg"]


@pytest.mark.parametrize(
    ("given", "method", "body"),
    [
        ({"Body": "text", "Headers": '{"Content-Type": "text/plain"}'}, "POST", b"text"),
        ({"Body": "", "Method": "PUT"}, "PUT", b""),
        ({"Body": "not sent", "Method": "GET"}, "GET", b""),
        ({"Method": "HEAD"}, "HEAD", b""),
    ],
)
async def test_a_body_is_sent_as_it_is(
    asked: Asked, tmp_path: Path, given: dict[str, str], method: str, body: bytes
) -> None:
    asked.body = b"{}"
    bench = a_bench(tmp_path, Url=asked.url, **given)
    await HttpAction().run(bench)

    assert [(each[0], each[3]) for each in asked.requests] == [(method, body)]
    assert bench.keys() == []


@pytest.mark.parametrize(
    ("status", "expect", "good"),
    [
        (204, None, True), (302, None, False), (404, None, False), (500, "2xx", False), (302, "3xx", True),
        (404, "200-299,404", True), (200, "201", False),
    ],
)  # fmt: skip
async def test_the_status_decides_and_no_redirect_is_followed(
    asked: Asked, tmp_path: Path, status: int, expect: str | None, good: bool
) -> None:
    asked.status, asked.headers = status, {"Location": f"{asked.url}/elsewhere"}
    bench = a_bench(tmp_path, Url=asked.url, **({} if expect is None else {"Expect": expect}))
    try:
        summary = (await HttpAction().run(bench)).summary
    except ActionFailed as failed:
        summary = failed.summary

    assert (summary, len(asked.requests)) == (f"127.0.0.1 answered {status}", 1)
    assert good is (await passes(bench.again()))


async def passes(bench: Bench) -> bool:
    try:
        await HttpAction().run(bench)
    except ActionFailed:
        return False
    return True


async def test_what_it_answers_is_told_without_the_secret(asked: Asked, tmp_path: Path) -> None:
    asked.status, asked.body = 400, f"wrong token {SECRET}\n\x1b[1m".encode() + b"x" * 1000

    with pytest.raises(ActionFailed, match=r"answered 400: wrong token \*\*\*") as failed:
        await HttpAction().run(a_bench(tmp_path, Url=asked.url, Secret=SECRET))
    assert SECRET not in str(failed.value)
    assert len(str(failed.value)) < 400
    assert SECRET not in (tmp_path / "journal").read_text()


async def test_a_secret_that_comes_back_in_other_letters_is_no_variable(asked: Asked, tmp_path: Path) -> None:
    secret = 'quo"te/and-more'
    asked.body = json.dumps({"a": secret}).replace("/", "\\/").encode()

    outcome = await HttpAction().run(a_bench(tmp_path, Url=asked.url, Secret=secret))

    assert outcome.variables == {"a": "***"}
    assert secret not in json.dumps(dict(outcome.variables))


@pytest.mark.parametrize(("size", "names"), [(60_000, ["a"]), (70_000, [])])
@pytest.mark.parametrize("whole", [True, False])
async def test_of_a_large_answer_nothing_is_taken(
    asked: Asked, tmp_path: Path, size: int, names: list[str], whole: bool
) -> None:
    asked.body, asked.whole = json.dumps({"a": "x" * size}).encode(), whole
    outcome = await HttpAction().run(a_bench(tmp_path, Url=asked.url))

    assert list(outcome.variables) == names


async def test_a_dead_process_s_request_is_repeated_with_the_same_key(asked: Asked, tmp_path: Path) -> None:
    bench = a_bench(tmp_path, Url=asked.url)
    await HttpAction().run(bench)
    await HttpAction().run(bench.again())
    forget(tmp_path, "request")
    await HttpAction().run(bench.again())

    assert [each[2]["idempotency-key"] for each in asked.requests] == [RUN, RUN]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"", "without an answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", "in the middle of its answer"),
        (b"SSH-2.0-OpenSSH\r\n", "could not be asked"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000, "headers are too long"),
    ],
)
async def test_what_is_no_answer_fails_it(tmp_path: Path, answer: bytes, text: str) -> None:
    async with saying(answer) as url:
        with pytest.raises(ActionFailed, match=text) as failed:
            await HttpAction().run(a_bench(tmp_path, Url=url, Method="GET"))

    assert failed.value.code is ErrorCode.JOB_FAILED


async def test_an_interim_answer_is_passed_over(tmp_path: Path) -> None:
    head = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 201 Made\r\ntransfer-encoding: chunked\r\n\r\n"
    async with saying(head + b'5\r\n{"a":\r\n4\r\n"1"}\r\n0\r\n\r\n', stays=True) as url:
        outcome = await HttpAction().run(a_bench(tmp_path, Url=url, Method="GET"))

    assert (outcome.summary, outcome.variables) == ("127.0.0.1 answered 201", {"a": "1"})


async def test_a_certificate_must_be_one_that_this_machine_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = self_signed(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with saying(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", tls=tls) as url:
        with pytest.raises(ActionFailed, match=r"(?i)certificate"):
            await HttpAction().run(a_bench(tmp_path / "1", Url=url, Method="GET"))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        outcome = await HttpAction().run(a_bench(tmp_path / "2", Url=url, Method="GET"))

    assert outcome.summary == "127.0.0.1 answered 200"


@pytest.mark.slow
async def test_a_server_that_says_nothing_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    async with saying(b"", stays=True) as url:
        with pytest.raises(ActionFailed, match="did not answer within 1 seconds"):
            await HttpAction().run(a_bench(tmp_path, Url=url, Method="GET", TimeoutSeconds="1"))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"Url": "ftp://x"}, "Url must be"),
        ({"Url": "http://169.254.169.254/latest/meta-data"}, "link-local"),
        ({"Url": "http://x", "Headers": '{"a": "b\\r\\nc: d"}'}, "Headers must be"),
        ({"Url": "http://x", "Secret": "a\r\nb"}, "Secret has characters"),
        ({"Url": "http://x", "Expect": "good"}, "not of its form"),
        ({"Url": "http://x", "TimeoutSeconds": "0"}, "not of its form"),
    ],
)
async def test_a_wrong_configuration_asks_nobody(tmp_path: Path, given: dict[str, str], text: str) -> None:
    with pytest.raises(ActionFailed, match=text) as failed:
        await HttpAction().run(a_bench(tmp_path, **given))
    assert failed.value.code is ErrorCode.CONFIGURATION


async def test_nobody_at_the_address_fails_it(tmp_path: Path) -> None:
    with pytest.raises(ActionFailed, match="could not be asked") as failed:
        await HttpAction().run(a_bench(tmp_path, Url="http://127.0.0.1:1"))
    assert failed.value.code is ErrorCode.JOB_FAILED


objects = st.dictionaries(st.text(), st.text() | st.integers()).map(lambda each: json.dumps(each).encode())


@generated(st.binary() | objects)
def test_whatever_is_answered_variables_are_named_as_they_may_be(body: bytes) -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9@\-_]+", name) for name in variables(body))
