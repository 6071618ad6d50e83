"""HTTP that no client of AWS's sends, to a real server: each gets an error that is ours, in time, and opens nothing."""

import json
import socket
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from botocore.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.servers import Server

pytestmark = pytest.mark.slow

LIST = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "CodeBuild_20161006.ListProjects"}


@pytest.fixture
def root(server: Server) -> dict[str, str]:
    told: dict[str, str] = json.loads((server.data / "keys" / "root").read_text())
    return told


def _said(url: str, request: bytes, seconds: float = 15) -> bytes:
    """All that the server says to these bytes until it hangs up, or says nothing for a while."""
    host, _, port = urlsplit(url).netloc.partition(":")
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        said = b""
        try:
            connection.sendall(request)
            connection.settimeout(2)
            while piece := connection.recv(1 << 16):
                said += piece
        except (TimeoutError, ConnectionError):
            pass
        return said


def _statuses(said: bytes) -> list[int]:
    return [int(part.split(b" ")[0]) for part in said.split(b"HTTP/1.1 ")[1:]]


def _signed(
    server: Server, root: dict[str, str], body: bytes = b"{}", *, path: str = "/", region: str = "us-east-1",
    service: str = "codebuild", at: datetime | None = None, method: str = "POST", headers: dict[str, str] = LIST,
) -> bytes:  # fmt: skip
    """The bytes of a request, signed by the root's key for that moment."""
    request = botocore.awsrequest.AWSRequest(method, server.url + path, dict(headers), body)
    auth = botocore.auth.SigV4Auth(botocore.credentials.Credentials(root["id"], root["secret"]), service, region)
    moment = (at or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    request.context["timestamp"] = moment
    request.headers["X-Amz-Date"] = moment
    request.headers["Host"] = urlsplit(server.url).netloc
    canonical = auth.canonical_request(request)
    auth._inject_signature_to_request(request, auth.signature(auth.string_to_sign(request, canonical), request))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "Connection: close", "", ""]).encode() + body


def _code(said: bytes) -> str:
    """The AWS error's type in a JSON answer; "" if there is none."""
    body = said.partition(b"\r\n\r\n")[2]
    return str(json.loads(body).get("__type", "")).rpartition("#")[2]


# ── signatures ──


def test_a_request_as_it_should_be_is_answered(server: Server, root: dict[str, str]) -> None:
    assert _statuses(_said(server.url, _signed(server, root))) == [200]


@pytest.mark.parametrize("age", [timedelta(minutes=16), timedelta(minutes=-16), timedelta(days=400)])
def test_a_request_of_another_time_is_refused(server: Server, root: dict[str, str], age: timedelta) -> None:
    said = _said(server.url, _signed(server, root, at=datetime.now(UTC) - age))

    assert _code(said) in ("InvalidSignatureException", "RequestExpired")


def test_a_signature_holds_for_nothing_else_than_what_was_signed(server: Server, root: dict[str, str]) -> None:
    good = _signed(server, root, b'{"sortOrder":"ASCENDING"}')
    changed = [
        good.replace(b"ListProjects", b"ListBuilds"),
        good.replace(b"ASCENDING", b"DESCENDIN"),
        good.replace(b"POST / ", b"POST /x "),
        good.replace(b"POST / ", b"POST /?x=y "),
        good.replace(b"POST / ", b"PUT / "),
        good.replace(b"us-east-1", b"us-west-2"),
        good.replace(b"/codebuild/", b"/logs/"),
        good.replace(b"Host: 127", b"Host: 128"),
        good.replace(b"Signature=", b"Signature=0"),
        good.replace(b"SignedHeaders=content-type;host;", b"SignedHeaders=content-type;"),
        good.replace(b"aws4_request", b"aws5_request"),
    ]

    statuses = [_statuses(_said(server.url, each)) for each in changed]

    assert good not in changed
    assert {status for each in statuses for status in each} <= {400, 403, 405}
    assert all(statuses)


@pytest.mark.parametrize("service", ["s3", "sts", "iam", "execute-api", ""])
def test_a_scope_of_another_service_is_refused(server: Server, root: dict[str, str], service: str) -> None:
    assert _statuses(_said(server.url, _signed(server, root, service=service)))[0] in range(400, 500)


@pytest.mark.parametrize("region", ["us-west-2", "eu-central-1"])
def test_another_region_is_another_state(server: Server, root: dict[str, str], region: str) -> None:
    said = _said(server.url, _signed(server, root, region=region))

    assert json.loads(said.partition(b"\r\n\r\n")[2]) == {"projects": []}


@pytest.mark.parametrize("region", ["", "../..", "us east", "é", "x" * 300, "us-east-1/codebuild"])
def test_what_is_no_region_is_refused(server: Server, root: dict[str, str], region: str) -> None:
    assert _statuses(_said(server.url, _signed(server, root, region=region)))[0] in range(400, 500)


def test_a_link_is_good_for_its_time_its_key_and_its_method_alone(server: Server, root: dict[str, str]) -> None:
    s3 = boto3.client(
        "s3", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id=root["id"],
        aws_secret_access_key=root["secret"], config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )  # fmt: skip
    s3.create_bucket(Bucket="links")
    s3.put_object(Bucket="links", Key="one", Body=b"first")
    s3.put_object(Bucket="links", Key="two", Body=b"second")
    link = s3.generate_presigned_url("get_object", Params={"Bucket": "links", "Key": "one"}, ExpiresIn=2)

    answers = [_get(link), _get(link.replace("one", "two")), _get(link, method="PUT"), _get(link, method="DELETE"),
               _get(link.replace("Expires=2", "Expires=600"))]  # fmt: skip
    time.sleep(3)

    assert answers == [200, 403, 403, 403, 403]
    assert _get(link) == 403


def _get(url: str, method: str = "GET") -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


# ── targets, methods, hosts ──


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "CONNECT", "PATCH", "PROPFIND", "DELETE", "PUT", "GET"])
@pytest.mark.parametrize("target", ["/", "/x", "*", "/service/CodeBuild_20161006/operation/ListProjects"])
def test_no_method_does_anything_unsigned(server: Server, method: str, target: str) -> None:
    said = _said(server.url, f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

    assert all(400 <= status < 500 for status in _statuses(said)) or (method, target) in _OF_PEOPLE, said[:300]
    assert b"TRACE" not in said.partition(b"\r\n\r\n")[2] or method != "TRACE"  # nothing is sent back


_OF_PEOPLE = {("GET", "/"), ("HEAD", "/")}  # the console's front


@pytest.mark.parametrize(
    "target",
    ["http://elsewhere/metrics", "//metrics", "/%2e%2e/%2e%2e/keys/root", "/../../keys/root", "/metrics/../keys/root",
     "/container-credentials/../../keys/root", "/container-credentials/%2e%2e%2f", "/internal/logs/lines/..%2f..%2fx",
     "/%00", "/%", "/%zz", "/\xe9", "/" + "a" * 9000, "/" + "a/" * 4000, "/console/../metrics", "/x/../../keys/root",
     "/x//../..%5c..%5ckeys", "/?" + "x=y&" * 4000, "/?%", "/?X-Amz-Signature=x", "/?X-Amz-Credential=" + "/" * 300],
)  # fmt: skip
def test_no_target_leads_to_a_file_or_breaks_anything(server: Server, root: dict[str, str], target: str) -> None:
    said = _said(server.url, b"GET " + target.encode("latin-1") + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    statuses = _statuses(said)
    assert statuses
    assert all(status < 500 for status in statuses), said[:300]
    assert root["secret"].encode() not in said


@pytest.mark.parametrize(
    "lines",
    ["Host: a\r\nHost: b", "Host: localhost:99999999", "Host: bucket.localhost", "Host: ../x", "Host: ", "X: y",
     "Host: x\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Host: evil\r\nX-Original-URL: /metrics",
     "Host: x\r\nX-HTTP-Method-Override: DELETE", "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade",
     "Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
     "Host: x\r\nAuthorization: AWS4-HMAC-SHA256 Credential=" + "/" * 3000,
     "Host: x\r\nAuthorization: \xff\xfe", "Host: x\r\nContent-Type: \xff", "Host: x\r\nX-Amz-Target: \x00"],
)  # fmt: skip
def test_no_header_breaks_anything(server: Server, lines: str) -> None:
    said = _said(server.url, b"POST / HTTP/1.1\r\n" + lines.encode("latin-1") + b"\r\nContent-Length: 0\r\n\r\n")

    assert _statuses(said)
    assert all(400 <= status < 500 for status in _statuses(said)), said[:300]


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
     b"Content-Length: 5\r\nContent-Length: 6\r\n", b"Content-Length: +5\r\n", b"Content-Length: 5,5\r\n",
     b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n", b"Content-Length: 0x5\r\n",
     b"Transfer-Encoding: chunked, identity\r\n", b"Transfer-Encoding: xchunked\r\n",
     b"Transfer-Encoding : chunked\r\n",
     b"Transfer-Encoding:\x0bchunked\r\n", b"X: a\nContent-Length: 5\r\n", b" folded: x\r\nContent-Length: 5\r\n"],
)  # fmt: skip
def test_a_request_of_two_meanings_is_one_answer_and_an_error(server: Server, head: bytes) -> None:
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

    said = _said(server.url, b"POST / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n0\r\n\r\n" + smuggled)

    assert 200 not in _statuses(said), said[:600]
    assert all(status < 500 for status in _statuses(said))


# ── bodies ──


BODIES = [
    b"", b"\x00", b"[]", b"null", b'"x"', b"{", b"{" * 100_000, b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe{}",
    b'{"sortBy": NaN}', b'{"nextToken": "' + b"a" * 100_000 + b'"}', b'{"sortBy":1e999}',
    b'{"a":' + b"9" * 10_000 + b"}",
    b'{"sortBy":"NAME","sortBy":"CREATED_TIME"}', b'{"\\ud800": 1}', b'{"nextToken": "\\ud800"}',
]  # fmt: skip


@pytest.mark.parametrize("kind", ["application/x-amz-json-1.1", "application/cbor", "application/x-www-form-urlencoded",
                                  "text/plain", "application/json", ""])  # fmt: skip
@pytest.mark.parametrize("number", range(len(BODIES)))
def test_no_body_in_no_dress_is_a_failure_of_ours(server: Server, root: dict[str, str], kind: str, number: int) -> None:
    said = _said(server.url, _signed(server, root, BODIES[number], headers={**LIST, "Content-Type": kind}))

    assert _statuses(said)
    assert _statuses(said)[0] < 500, said[:400]


def test_a_body_beyond_the_bound_is_refused_and_not_kept(server: Server, root: dict[str, str]) -> None:
    before = _memory(server)

    for _ in range(5):
        said = _said(server.url, _signed(server, root, b" " * (12 << 20)))
        assert not said or _statuses(said) == [413]

    assert _memory(server) - before < 100 << 20


def test_many_slow_bodies_at_once_keep_nobody_else_waiting(server: Server, root: dict[str, str]) -> None:
    host, _, port = urlsplit(server.url).netloc.partition(":")
    with ExitStack() as stack:
        for _ in range(300):
            slow = stack.enter_context(socket.create_connection((host, int(port)), timeout=5))
            slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{")
        began = time.monotonic()

        assert _statuses(_said(server.url, _signed(server, root))) == [200]
        assert time.monotonic() - began < 4


def test_large_bodies_that_never_end_shut_nobody_out(server: Server, root: dict[str, str]) -> None:
    host, _, port = urlsplit(server.url).netloc.partition(":")
    with ExitStack() as stack:
        for _ in range(30):
            large = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            with suppress(OSError):  # refused, as there are too many by now
                large.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n" + b" " * 9_900_000)

        assert _statuses(_said(server.url, _signed(server, root))) == [200]


def test_thousands_of_connections_that_say_nothing_keep_nobody_out(server: Server, root: dict[str, str]) -> None:
    host, _, port = urlsplit(server.url).netloc.partition(":")
    with ExitStack() as stack:
        for _ in range(3000):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=5))

        assert _statuses(_said(server.url, _signed(server, root))) == [200]


def _memory(server: Server) -> int:
    assert server.main.child is not None
    lines = Path(f"/proc/{server.main.child.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


# ── S3 ──


ODD = [
    "..",
    "../x",
    "a/../../b",
    "/",
    "//",
    "a//b",
    ".",
    "=x",
    "+x",
    "~x",
    "\0",
    "a" * 1024,
    "%2e%2e/",
    "\\..\\x",
    "💥",
]
KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60) | st.sampled_from(ODD)


@pytest.fixture(scope="module")
def bucket(server: Server) -> str:
    server.client("s3").create_bucket(Bucket="hostile")
    return "hostile"


def _files(server: Server) -> set[str]:
    return {str(each) for each in server.data.iterdir()} | {str(each) for each in (server.data / "keys").iterdir()}


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(key=KEYS, body=st.binary(max_size=20))
def test_any_key_keeps_its_own_object_and_no_file_of_another_place(
    server: Server, bucket: str, key: str, body: bytes
) -> None:
    s3, before = server.client("s3"), _files(server)
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=body)
        found = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        s3.delete_object(Bucket=bucket, Key=key)
    except s3.exceptions.ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] < 500, key  # noqa: PT017
        found = body

    assert found == body
    assert {each for each in _files(server) - before if "sqlite" not in each} == set()


@pytest.mark.parametrize(
    "headers",
    [{"Range": "bytes=99999999999999999999-"}, {"Range": "bytes=-0"}, {"Range": "bytes=" + "0-0," * 5000},
     {"If-Modified-Since": "x"}, {"x-amz-copy-source": "/../../keys/root"}, {"x-amz-copy-source": "%"},
     {"x-amz-decoded-content-length": "-1"}, {"x-amz-content-sha256": "x"}, {"Content-MD5": "x"},
     {"x-amz-checksum-crc32": "x"}, {"x-amz-meta-" + "a" * 300: "b" * 3000}, {"x-amz-acl": "public-read-write"},
     {"x-amz-server-side-encryption": "x"}, {"x-amz-tagging": "&&=="}, {"Expect": "100-continue"},
     {"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "x-amz-decoded-content-length": "5"}],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "HEAD"])
def test_no_header_of_s3_breaks_anything(
    server: Server, root: dict[str, str], bucket: str, method: str, headers: dict[str, str]
) -> None:
    for path in (f"/{bucket}/key", f"/{bucket}", f"/{bucket}?uploads", f"/{bucket}/key?uploadId=..%2f..&partNumber=1"):
        request = _signed(server, root, b"x", path=path, service="s3", method=method, headers=headers)

        assert all(status < 500 or status == 501 for status in _statuses(_said(server.url, request, 20)))


def test_nothing_of_all_this_was_a_mistake_of_the_servers(server: Server) -> None:
    assert "Traceback" not in server.main.said()
