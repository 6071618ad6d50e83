"""S3 from clients that mean no good, or do not do well: bytes that boto3 would never send."""

import hashlib
import socket
import time
import zlib
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeyard.aws.signing import (
    STAMP,
    UNSIGNED,
    Dialect,
    Request,
    Scope,
    canonical_request,
    chunk_signature,
    request_signature,
    signing_key,
    trailer_signature,
)
from tests.objects.serving import ROOT, client, served


class Signer:
    """Signs one request by hand."""

    def __init__(self, method: str, target: str, headers: dict[str, str], payload: str) -> None:
        now = datetime.now(UTC)
        self.stamp, self.scope = now.strftime(STAMP), Scope(now.strftime("%Y%m%d"), "us-east-1", "s3")
        path, _, query = target.partition("?")
        self.headers = {"host": "test", "x-amz-date": self.stamp, "x-amz-content-sha256": payload, **headers}
        self.key = signing_key(ROOT.secret, self.scope)
        request = Request(method, path, query, tuple(self.headers.items()), "")
        canonical = canonical_request(request, sorted(self.headers), payload, Dialect.S3)
        self.signature = request_signature(self.key, self.stamp, self.scope, canonical)
        self.headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={ROOT.id}/{self.scope}, "
            f"SignedHeaders={';'.join(sorted(self.headers))}, Signature={self.signature}"
        )
        self.head = f"{method} {target} HTTP/1.1\r\n".encode()


def send(address: str, head: bytes, headers: dict[str, str], body: bytes, *, whole: bool = True) -> tuple[int, bytes]:
    """Status and body of the answer to these very bytes."""
    where = urlsplit(address)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=20) as connection:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.sendall(head + lines.encode("latin-1") + b"connection: close\r\n\r\n" + body)
        if not whole:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    status = int(answer.split(b" ", 2)[1]) if answer else 0
    return status, answer.partition(b"\r\n\r\n")[2]


def asked(
    address: str, method: str, target: str, body: bytes = b"", payload: str = UNSIGNED, **headers: str
) -> tuple[int, bytes]:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    signer = Signer(method, target, told, payload)
    return send(address, signer.head, signer.headers | {"content-length": str(len(body))}, body)


# ── bodies in signed chunks ──


def in_chunks(signer: Signer, chunks: list[bytes], trailers: dict[str, str]) -> bytes:
    previous, body = signer.signature, b""
    for chunk in [*chunks, b""]:
        digest = hashlib.sha256(chunk).hexdigest()
        previous = chunk_signature(signer.key, signer.stamp, signer.scope, previous, digest)
        body += b"%x;chunk-signature=%b\r\n%b" % (len(chunk), previous.encode(), chunk + b"\r\n" if chunk else b"")
    lines = "".join(f"{name}:{value}\n" for name, value in trailers.items()).encode()
    if lines:
        last = trailer_signature(signer.key, signer.stamp, signer.scope, previous, lines)
        body += lines.replace(b"\n", b"\r\n") + f"x-amz-trailer-signature:{last}\r\n".encode()
    return body + b"\r\n"


@pytest.mark.parametrize("trailing", [False, True])
@pytest.mark.parametrize("harm", [None, b"66666", b"77777"])
def test_a_body_in_signed_chunks(address: str, s3: Any, bucket: str, trailing: bool, harm: bytes | None) -> None:
    chunks = [b"66666" * 3000, b"77777" * 5]
    content = b"".join(chunks)
    told = {"x-amz-decoded-content-length": str(len(content)), "content-encoding": "aws-chunked"}
    trailers = {"x-amz-checksum-crc32": b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()} if trailing else {}
    if trailing:
        told["x-amz-trailer"] = "x-amz-checksum-crc32"
    payload = f"STREAMING-AWS4-HMAC-SHA256-PAYLOAD{'-TRAILER' if trailing else ''}"
    signer = Signer("PUT", f"/{bucket}/k", told, payload)
    body = in_chunks(signer, chunks, trailers)
    if harm is not None:
        body = body.replace(harm, b"88888", 1)
    status, answer = send(address, signer.head, signer.headers | {"content-length": str(len(body))}, body)

    if harm is None:
        found = s3.get_object(Bucket=bucket, Key="k")
        assert (status, found["Body"].read(), "ContentEncoding" in found) == (200, content, False)
    else:
        assert (status, b"<Code>SignatureDoesNotMatch</Code>" in answer) == (403, True)
        assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_wrong_sum_after_an_unsigned_body_is_refused(address: str, s3: Any, bucket: str) -> None:
    body = b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    status, answer = asked(
        address, "PUT", f"/{bucket}/k", body, "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        x_amz_decoded_content_length="3", x_amz_trailer="x-amz-checksum-crc32",
    )  # fmt: skip

    assert (status, b"<Code>BadDigest</Code>" in answer) == (400, True)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.fixture(scope="module")
def encrypted_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server over TLS, where boto3 sends its sums after the body."""
    root: Path = tmp_path_factory.mktemp("tls")
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    dated = builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    (root / "cert").write_bytes(dated.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (root / "key").write_bytes(private)
    with served(root, ssl_keyfile=str(root / "key"), ssl_certfile=str(root / "cert")) as address:
        yield address


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_boto3_over_tls_sends_its_sums_after_the_body(encrypted_address: str) -> None:
    s3 = client(encrypted_address, verify=False)
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="k", Body=b"x" * 3_000_000)
    found = s3.get_object(Bucket="bucket", Key="k", ChecksumMode="ENABLED")

    assert found["Body"].read() == b"x" * 3_000_000
    assert found["ChecksumCRC32"] == b64encode(zlib.crc32(b"x" * 3_000_000).to_bytes(4, "big")).decode()


# ── what is not as it says ──


def test_a_body_that_is_not_what_was_signed_is_refused(address: str, s3: Any, bucket: str) -> None:
    status, answer = asked(address, "PUT", f"/{bucket}/k", b"other", hashlib.sha256(b"signed").hexdigest())

    assert (status, b"<Code>XAmzContentSHA256Mismatch</Code>" in answer) == (400, True)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize(
    ("length", "code", "status"),
    [
        (str(6 << 30), b"EntityTooLarge", 400),
        ("9" * 18, b"EntityTooLarge", 400),
    ],
)
def test_what_is_too_large_is_refused_before_it_comes(
    address: str, bucket: str, length: str, code: bytes, status: int
) -> None:
    signer = Signer("PUT", f"/{bucket}/k", {}, UNSIGNED)
    answer = send(address, signer.head, signer.headers | {"content-length": length}, b"")

    assert (answer[0], b"<Code>" + code in answer[1]) == (status, True)


def test_a_put_needs_its_length(address: str, bucket: str) -> None:
    signer = Signer("PUT", f"/{bucket}/k", {}, UNSIGNED)
    status, answer = send(
        address, signer.head, signer.headers | {"transfer-encoding": "chunked"}, b"1\r\na\r\n0\r\n\r\n"
    )

    assert (status, b"MissingContentLength" in answer) == (411, True)


def test_a_client_that_leaves_in_the_middle_leaves_nothing(address: str, s3: Any, bucket: str) -> None:
    signer = Signer("PUT", f"/{bucket}/k", {}, UNSIGNED)
    send(address, signer.head, signer.headers | {"content-length": "5000000"}, b"x" * 2_000_000, whole=False)

    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_client_that_sends_nothing_is_given_up(tmp_path: Path) -> None:
    signer = Signer("PUT", "/bucket/k", {}, UNSIGNED)
    with served(tmp_path, patience=0.3) as address:
        client(address).create_bucket(Bucket="bucket")
        begun = time.monotonic()
        status, answer = send(address, signer.head, signer.headers | {"content-length": "10"}, b"x")

    assert (status, b"<Code>RequestTimeout</Code>" in answer) == (400, True)
    assert time.monotonic() - begun < 10


def test_clients_that_read_nothing_do_not_stop_the_others(address: str, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="large", Body=bytes(30 << 20))
    where = urlsplit(s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "large"}))
    stuck = [socket.create_connection((where.hostname or "", where.port or 0)) for _ in range(20)]
    for connection in stuck:
        connection.sendall(f"GET {where.path}?{where.query} HTTP/1.1\r\nhost: {where.netloc}\r\n\r\n".encode())
    begun = time.monotonic()
    found = s3.get_object(Bucket=bucket, Key="large", Range="bytes=0-9")["Body"].read()

    assert found == bytes(10)
    assert time.monotonic() - begun < 5
    for connection in stuck:
        connection.close()


_BOMB = (
    '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>'
)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<Delete>",
        b"nonsense",
        b"\xff\xfe",
        b"<Other/>",
        b"<Delete/>",
        b"<Delete><Object/></Delete>",
        _BOMB.encode(),
        b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>",
        b"<Delete>" + b"<a>" * 100_000,
    ],
)
def test_what_is_no_list_of_keys_to_remove(address: str, bucket: str, content: bytes) -> None:
    digest = b64encode(hashlib.md5(content).digest()).decode()
    status, answer = asked(address, "POST", f"/{bucket}?delete", content, content_md5=digest)

    assert (status, b"<Code>MalformedXML</Code>" in answer) == (400, True)


def test_an_xml_body_has_a_limit(address: str, bucket: str) -> None:
    signer = Signer("POST", f"/{bucket}?delete", {"content-md5": "x"}, UNSIGNED)
    status, answer = send(address, signer.head, signer.headers | {"content-length": str(5 << 20)}, b"")

    assert (status, b"<Code>EntityTooLarge</Code>" in answer) == (400, True)


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("GET", "/bucket/%ff%fe", b"InvalidURI"),
        ("GET", "/..%2f..%2fetc/passwd", b"InvalidBucketName"),
        ("GET", "/..", b"InvalidBucketName"),
        ("PUT", "/", b"MethodNotAllowed"),
        ("PATCH", "/bucket/key", b"MethodNotAllowed"),
        ("POST", "/bucket", b"NotImplemented"),
        ("POST", "/bucket/key?select&select-type=2", b"NotImplemented"),
        ("PUT", "/bucket/key?acl", b"NotImplemented"),
        ("GET", "/bucket?list-type=3", b"InvalidArgument"),
        ("GET", "/bucket?list-type=2&max-keys=-1", b"InvalidArgument"),
        ("GET", "/bucket?list-type=2&max-keys=%D9%A1", b"InvalidArgument"),
        ("GET", "/bucket?list-type=2&encoding-type=x", b"InvalidArgument"),
        ("GET", "/bucket?uploads&delimiter=/", b"NotImplemented"),
        ("GET", "/bucket/key?uploadId=../../x", b"NoSuch"),
        ("GET", "/bucket/key?partNumber=0", b"NoSuch"),
    ],
)
def test_what_is_asked_wrongly_is_told(address: str, method: str, target: str, code: bytes) -> None:
    status, answer = asked(address, method, target)

    assert 400 <= status < 600
    assert b"<Code>" + code in answer


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    st.sampled_from(["/", "/{}", "/{}/k", "/{}/none", "/none/k"]),
    st.dictionaries(
        st.sampled_from("uploads uploadId partNumber list-type delete acl prefix delimiter max-keys versionId".split()),
        st.sampled_from(["", "1", "2", "0", "-1", "x", "%00", "%e2%82%ac", "9" * 30, "/"]),
        max_size=3,
    ),
    st.dictionaries(
        st.sampled_from(
            """range if-match if-none-match if-modified-since x-amz-copy-source x-amz-copy-source-range content-md5
            x-amz-checksum-crc32 x-amz-checksum-algorithm x-amz-server-side-encryption x-amz-metadata-directive
            x-amz-meta-a content-type x-amz-trailer x-amz-checksum-type""".split()
        ),
        st.sampled_from(["", "x", "bytes=0-0", "bytes=9-1", "*", '"', "AAAAAA==", "/a/b", "é", "CRC32", "a" * 3000]),
        max_size=3,
    ),
    st.sampled_from([b"", b"x", b"<a/>", b"<Delete><Object><Key>a</Key></Object></Delete>"]),
)
def test_nothing_that_is_asked_is_our_fault(
    address: str,
    s3: Any,
    bucket: str,
    method: str,
    path: str,
    query: dict[str, str],
    headers: dict[str, str],
    body: bytes,
) -> None:
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"content")
    target = path.format(bucket) + "?" + "&".join(f"{name}={value}" for name, value in query.items())
    encoded = {name: value.encode().decode("latin-1") for name, value in headers.items()}
    signer = Signer(method, target, encoded, UNSIGNED)
    status, answer = send(address, signer.head, signer.headers | {"content-length": str(len(body))}, body)

    assert 200 <= status < 500 or status == 501, answer
