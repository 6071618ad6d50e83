"""Signature Version 4, computed: what is signed, by which key, and what comes of it. It decides nothing.

The rules: "Create a signed AWS API request" in the IAM user guide, and for S3 "Authenticating Requests (AWS Signature
Version 4)" in its API reference, which differs: a path is encoded once, and a payload need not be signed.
"""

import hashlib
import hmac
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from urllib.parse import quote, unquote_to_bytes, urlsplit

from codeyard.aws import Key

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY = hashlib.sha256(b"").hexdigest()
STAMP = "%Y%m%dT%H%M%SZ"
LONGEST = timedelta(days=7)  # that a presigned URL may be good for
_PORTS = {"http": ":80", "https": ":443"}


class Dialect(StrEnum):
    """In whose way a request is canonicalised, and a refusal worded."""

    JSON = "json"  # and rpc-v2-cbor
    QUERY = "query"
    S3 = "s3"


@dataclass(frozen=True, slots=True)
class Request:
    """What was signed of a request. Names of headers are lower-case, in the order in which they came.

    Header values are the wire's bytes as Latin-1, as ASGI servers give them; clients sign those bytes.
    """

    method: str
    path: str  # raw, as on the wire
    query: str  # raw, without the question mark
    headers: tuple[tuple[str, str], ...]
    body_sha256: str  # hex; for S3 it may be empty: the body is still to come, and is held to Verified.payload then

    def header(self, name: str) -> str | None:
        """The first of this name."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a signature is good for: a day, a region and a service."""

    date: str  # YYYYMMDD
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/{TERMINATOR}"


def signing_key(secret: str, scope: Scope) -> bytes:
    """The key of one scope: whoever has it cannot tell the secret."""
    key = f"AWS4{secret}".encode()
    for part in (scope.date, scope.region, scope.service, TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def canonical_request(request: Request, signed: Iterable[str], payload: str, dialect: Dialect) -> str:
    """The text whose digest is signed. `signed` names headers; `payload` stands for the body: its digest, mostly."""
    names = sorted(set(signed))
    values = {name: ",".join(_trimmed(v) for k, v in request.headers if k == name) for name in names}
    return "\n".join(
        (
            request.method,
            _path(request.path, dialect),
            _query(request.query),
            *(f"{name}:{value}" for name, value in values.items()),
            "",
            ";".join(names),
            payload,
        )
    )


def request_signature(key: bytes, stamp: str, scope: Scope, canonical: str) -> str:
    """Hex. `stamp` is the time as YYYYMMDDTHHMMSSZ; `key` that of the scope."""
    digest = hashlib.sha256(_octets(canonical)).hexdigest()
    return _signature(key, (ALGORITHM, stamp, str(scope), digest))


def chunk_signature(key: bytes, stamp: str, scope: Scope, previous: str, chunk_sha256: str) -> str:
    """Hex, of one chunk of a STREAMING-AWS4-HMAC-SHA256-PAYLOAD body.

    `previous` is the signature of the chunk before; for the first, that of the request.
    """
    return _signature(key, (f"{ALGORITHM}-PAYLOAD", stamp, str(scope), previous, EMPTY, chunk_sha256))


def trailer_signature(key: bytes, stamp: str, scope: Scope, previous: str, trailer: bytes) -> str:
    """Hex, of the headers after the last chunk: each as `name:value` and a line feed."""
    digest = hashlib.sha256(trailer).hexdigest()
    return _signature(key, (f"{ALGORITHM}-TRAILER", stamp, str(scope), previous, digest))


def sign(
    request: Request, key: Key, region: str, service: str, now: datetime, token: str | None = None
) -> tuple[tuple[str, str], ...]:
    """The headers of the request, with those that sign it. It has its host already."""
    dialect = Dialect.S3 if service == "s3" else Dialect.JSON
    stamp, scope = now.astimezone(UTC).strftime(STAMP), Scope(now.astimezone(UTC).strftime("%Y%m%d"), region, service)
    added = [("x-amz-date", stamp)]
    if dialect is Dialect.S3:
        added.append(("x-amz-content-sha256", request.body_sha256))
    if token is not None:
        added.append(("x-amz-security-token", token))
    headers = (*request.headers, *added)
    whole = Request(request.method, request.path, request.query, headers, request.body_sha256)
    signed = sorted({name for name, _ in headers})
    canonical = canonical_request(whole, signed, request.body_sha256, dialect)
    signature = request_signature(signing_key(key.secret, scope), stamp, scope, canonical)
    proof = f"{ALGORITHM} Credential={key.id}/{scope}, SignedHeaders={';'.join(signed)}, Signature={signature}"
    return (*headers, ("authorization", proof))


def presign(
    method: str, url: str, key: Key, region: str, service: str, now: datetime, expires: timedelta,
    token: str | None = None,
) -> str:  # fmt: skip
    """The URL, good for this method until it expires (7 days at the most) for whoever has it."""
    assert timedelta(seconds=1) <= expires <= LONGEST, "AWS takes a second to seven days"
    parts = urlsplit(url)
    dialect = Dialect.S3 if service == "s3" else Dialect.JSON
    stamp, scope = now.astimezone(UTC).strftime(STAMP), Scope(now.astimezone(UTC).strftime("%Y%m%d"), region, service)
    asked = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{key.id}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(int(expires.total_seconds())),
        "X-Amz-SignedHeaders": "host",
        **({"X-Amz-Security-Token": token} if token is not None else {}),
    }
    query = "&".join(
        [*([parts.query] if parts.query else []), *(f"{name}={_encoded(value)}" for name, value in asked.items())]
    )
    host = parts.netloc.removesuffix(_PORTS.get(parts.scheme, "\0"))
    request = Request(method, parts.path or "/", query, (("host", host),), EMPTY)
    payload = UNSIGNED if dialect is Dialect.S3 else EMPTY
    canonical = canonical_request(request, ("host",), payload, dialect)
    signature = request_signature(signing_key(key.secret, scope), stamp, scope, canonical)
    return f"{parts.scheme}://{parts.netloc}{request.path}?{query}&X-Amz-Signature={signature}"


def parameters(query: str) -> dict[str, str]:
    """The parameters of a raw query, decoded; of several of one name the first."""
    found: dict[str, str] = {}
    for name, value in _pairs(query):
        found.setdefault(name.decode(errors="replace"), value.decode(errors="replace"))
    return found


def _signature(key: bytes, lines: tuple[str, ...]) -> str:
    return hmac.digest(key, _octets("\n".join(lines)), "sha256").hex()


def _path(path: str, dialect: Dialect) -> str:
    if dialect is Dialect.S3:  # as it is, encoded once: dots and double slashes are part of an object's name
        return _encoded(unquote_to_bytes(_octets(path or "/")), "/")
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[-1:]
        elif part not in ("", "."):
            kept.append(part)
    return _encoded(_octets("/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")), "/")


def _query(query: str) -> str:
    encoded = ((_encoded(name), _encoded(value)) for name, value in _pairs(query) if name != b"X-Amz-Signature")
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def _pairs(query: str) -> list[tuple[bytes, bytes]]:
    split = (part.replace(b"+", b" ").partition(b"=") for part in _octets(query).split(b"&") if part)
    return [(unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in split]


def _trimmed(value: str) -> str:
    with suppress(UnicodeEncodeError):  # else it is text already, of one who makes a request
        value = value.encode("latin-1").decode("utf-8", "surrogateescape")
    return " ".join(value.split())


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _encoded(text: str | bytes, safe: str = "") -> str:
    return quote(text, safe=f"{safe}-._~")
