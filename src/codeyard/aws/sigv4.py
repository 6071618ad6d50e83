"""Is the signature right? Signature Version 4 in headers and in presigned URLs, verified.

The order of the checks: is it whole, for this service and region, of this day and hour, by a key that we know, and
right. A key is looked up only for what passed the first ones.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from codeyard.aws import Key, Refused
from codeyard.aws.signature_errors import Problem, refused
from codeyard.aws.signing import (
    ALGORITHM,
    LONGEST,
    STAMP,
    TERMINATOR,
    UNSIGNED,
    Dialect,
    Request,
    Scope,
    canonical_request,
    chunk_signature,
    parameters,
    presign,
    request_signature,
    sign,
    signing_key,
    trailer_signature,
)

__all__ = [
    "Chunks",
    "Dialect",
    "Request",
    "Scope",
    "Verified",
    "chunk_signature",
    "presign",
    "scope_of",
    "sign",
    "trailer_signature",
    "verify",
]

KeyOf = Callable[[str, str | None], Awaitable[Key]]
STREAMING = "STREAMING-"  # how the payload's "digest" of a body in chunks begins
_SKEW = {Dialect.JSON: timedelta(minutes=5), Dialect.QUERY: timedelta(minutes=5), Dialect.S3: timedelta(minutes=15)}
_LINK = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders")
_PARTS = ("Credential", "Signature", "SignedHeaders")


@dataclass(frozen=True, slots=True)
class Verified:
    """A request whose signature was right, and what is needed for the rest of its body."""

    key: Key
    scope: Scope
    stamp: str  # when it was signed, YYYYMMDDTHHMMSSZ
    payload: str  # SHA-256 of the body (hex), UNSIGNED-PAYLOAD or STREAMING-…: for S3, hold the body to it
    signature: str
    signing_key: bytes = field(repr=False)

    @property
    def region(self) -> str:
        return self.scope.region

    @property
    def service(self) -> str:
        return self.scope.service


@dataclass(frozen=True, slots=True)
class _Proof:
    """The parts of a signature, wherever in the request they stood."""

    key_id: str
    scope: Scope
    stamp: str
    signed: tuple[str, ...]
    signature: str
    token: str | None
    link: bool
    lasts: timedelta | None = None  # a presigned URL that says how long it is good for


async def verify(
    request: Request, key_of: KeyOf, service: str | None, region: str | None, now: datetime,
    dialect: Dialect = Dialect.JSON,
) -> Verified:  # fmt: skip
    """Who signed it. Service and region are those that it must be signed for; None: any.

    `key_of(id, token)` gives the key, or raises Refused: InvalidClientTokenId, ExpiredToken. What the body has to be is
    in the answer; for others than S3 it was compared already. Refused, in the dialect's words.
    """
    proof = _proof(request, dialect)
    _check_scope(proof, service, region, dialect)
    _check_time(proof, now, dialect)
    _check_headers(proof, request, dialect)
    payload = _payload(proof, request, dialect)
    key = await _key(proof, key_of, dialect)
    of_scope = signing_key(key.secret, proof.scope)
    canonical = canonical_request(request, proof.signed, payload, dialect)
    right = request_signature(of_scope, proof.stamp, proof.scope, canonical)
    if not _same(right, proof.signature):
        raise refused(dialect, Problem.MISMATCH)
    if dialect is Dialect.S3 and _is_digest(payload) and request.body_sha256 not in ("", payload):
        raise refused(dialect, Problem.BODY)
    return Verified(key, proof.scope, proof.stamp, payload, right, of_scope)


def scope_of(request: Request) -> Scope | None:
    """The scope that a request claims to be signed for, unproved: by it a gateway can tell whose request it is."""
    header = request.header("authorization")
    if header is not None:
        credential = _fields(header.partition(" ")[2]).get("Credential", "")
    else:
        credential = parameters(request.query).get("X-Amz-Credential", "")
    parts = credential.rsplit("/", 4)
    return Scope(*parts[1:4]) if len(parts) == 5 else None


class Chunks:
    """The signatures of an S3 body that comes in signed chunks, each of which vouches for those before it."""

    def __init__(self, verified: Verified) -> None:
        self._verified = verified
        self._previous = verified.signature

    def chunk(self, sha256: str, signature: str) -> None:
        """The next chunk has this digest (hex), and came with this signature; the last one is empty. Refused."""
        own = self._verified
        self._take(chunk_signature(own.signing_key, own.stamp, own.scope, self._previous, sha256), signature)

    def trailer(self, lines: bytes, signature: str) -> None:
        """The trailing headers, each as `name:value` and a line feed, without that of the signature. Refused."""
        own = self._verified
        self._take(trailer_signature(own.signing_key, own.stamp, own.scope, self._previous, lines), signature)

    def _take(self, right: str, given: str) -> None:
        if not _same(right, given):
            raise refused(Dialect.S3, Problem.MISMATCH)
        self._previous = right


def _proof(request: Request, dialect: Dialect) -> _Proof:
    header, query = request.header("authorization"), parameters(request.query)
    link = "X-Amz-Signature" in query or "X-Amz-Algorithm" in query
    if link and header is not None:
        mixed = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the Authorization header"
        raise Refused("InvalidArgument", f"{mixed} should be specified", 400)
    if link:
        return _in_query(request, query, dialect)
    if header is None:
        raise refused(dialect, Problem.MISSING)
    return _in_header(request, header, dialect)


def _in_header(request: Request, header: str, dialect: Dialect) -> _Proof:
    algorithm, _, rest = header.strip().partition(" ")
    if algorithm != ALGORITHM:
        shown = _shown(algorithm)
        raise refused(dialect, Problem.INCOMPLETE, f"Unsupported AWS 'algorithm': '{shown}'. {_hashed(header)}")
    fields = _fields(rest)
    lacking = [f"Authorization header requires '{name}' parameter." for name in _PARTS if not fields.get(name)]
    date = request.header("x-amz-date") or request.header("date")
    if date is None:
        wanted = "existence of either a 'X-Amz-Date' or a 'Date' header."
        lacking.append(f"Authorization header requires {wanted}")
    if lacking or date is None:
        raise refused(dialect, Problem.INCOMPLETE, " ".join([*lacking, _hashed(header)]))
    key_id, scope = _credential(fields["Credential"], dialect, Problem.INCOMPLETE)
    stamp = _stamp(date, dialect, Problem.INCOMPLETE)
    signed = tuple(fields["SignedHeaders"].lower().split(";"))
    return _Proof(key_id, scope, stamp, signed, fields["Signature"], request.header("x-amz-security-token"), link=False)


def _in_query(request: Request, query: dict[str, str], dialect: Dialect) -> _Proof:
    lacking = [name for name in _LINK if not query.get(name)]
    if lacking or (dialect is Dialect.S3 and "X-Amz-Expires" not in query):
        text = (
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
            "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
        raise refused(dialect, Problem.BAD_LINK, text)
    if query["X-Amz-Algorithm"] != ALGORITHM:
        raise refused(dialect, Problem.BAD_LINK, f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    key_id, scope = _credential(query["X-Amz-Credential"], dialect, Problem.BAD_LINK)
    stamp = _stamp(query["X-Amz-Date"], dialect, Problem.BAD_LINK)
    signed = tuple(query["X-Amz-SignedHeaders"].lower().split(";"))
    token = query.get("X-Amz-Security-Token") or request.header("x-amz-security-token")
    lasts = _lasts(query["X-Amz-Expires"], dialect) if "X-Amz-Expires" in query else None
    return _Proof(key_id, scope, stamp, signed, query["X-Amz-Signature"], token, link=True, lasts=lasts)


def _lasts(text: str, dialect: Dialect) -> timedelta:
    if re.fullmatch(r"-?[0-9]{1,18}", text) is None:
        raise refused(dialect, Problem.BAD_LINK, "X-Amz-Expires should be a number")
    seconds = int(text)
    if seconds < 0:
        raise refused(dialect, Problem.BAD_LINK, "X-Amz-Expires must be non-negative")
    if seconds > LONGEST.total_seconds():
        text = "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than"
        raise refused(dialect, Problem.BAD_LINK, f"{text} 604800 seconds")
    return timedelta(seconds=seconds)


def _credential(text: str, dialect: Dialect, problem: Problem) -> tuple[str, Scope]:
    parts = text.rsplit("/", 4)
    if len(parts) != 5 or not all(parts):
        what = "Credential must have at least 5 slash-delimited elements, e.g. keyid/date/region/service/term"
        raise refused(dialect, problem, f"{what}, got '{_shown(text)}'")
    if parts[4] != TERMINATOR:
        what = f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{_shown(parts[4])}'."
        raise refused(dialect, Problem.SCOPE, what)
    return parts[0], Scope(*parts[1:4])


def _stamp(text: str, dialect: Dialect, problem: Problem) -> str:
    """The time of signing in ISO 8601's basic form; a Date header may have it as HTTP does."""
    if re.fullmatch(r"[0-9]{8}T[0-9]{6}Z", text) is not None:
        return text
    try:
        return parsedate_to_datetime(text).astimezone(UTC).strftime(STAMP)
    except (ValueError, OverflowError, TypeError, IndexError):
        what = f"Date must be in ISO-8601 'basic format'. Got '{_shown(text)}'."
        raise refused(dialect, problem, what) from None


def _check_scope(proof: _Proof, service: str | None, region: str | None, dialect: Dialect) -> None:
    scope = proof.scope
    malformed = "The authorization header is malformed; " if dialect is Dialect.S3 and not proof.link else ""
    problem = Problem.BAD_LINK if dialect is Dialect.S3 and proof.link else Problem.SCOPE
    if service is not None and scope.service != service:
        text = f"Credential should be scoped to correct service: '{service}'."
        if dialect is Dialect.S3:
            text = f'{malformed}incorrect service "{_shown(scope.service)}". This endpoint belongs to "{service}".'
        raise refused(dialect, problem, text)
    if region is not None and scope.region != region:
        text = f"Credential should be scoped to a valid region, not '{_shown(scope.region)}'."
        if dialect is Dialect.S3:
            text = f"{malformed}the region '{_shown(scope.region)}' is wrong; expecting '{region}'"
        raise refused(dialect, problem, text)
    if scope.date != proof.stamp[:8]:
        text = (
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{_shown(scope.date)}' != '{proof.stamp[:8]}', from '{proof.stamp}'."
        )
        raise refused(dialect, problem, text)


def _check_time(proof: _Proof, now: datetime, dialect: Dialect) -> None:
    try:
        at = datetime.strptime(proof.stamp, STAMP).replace(tzinfo=UTC)
    except ValueError:
        text = f"Date must be in ISO-8601 'basic format'. Got '{proof.stamp}'."
        raise refused(dialect, Problem.BAD_LINK if proof.link else Problem.INCOMPLETE, text) from None
    skew = _SKEW[dialect]
    problem = Problem.LINK_STALE if proof.link else Problem.STALE
    s3_link = proof.link and dialect is Dialect.S3
    minutes, current = int(skew.total_seconds() // 60), now.astimezone(UTC)
    if at - current > skew:
        late = f"{proof.stamp} is still later than {_basic(current + skew)} ({_basic(current)} + {minutes} min.)"
        raise refused(dialect, problem, "Request is not valid yet" if s3_link else f"Signature not yet current: {late}")
    lasts = skew if proof.lasts is None else proof.lasts
    if current - at > lasts:
        early = f"{proof.stamp} is now earlier than {_basic(current - lasts)} ({_basic(current)} - {minutes} min.)"
        if proof.lasts is not None:
            early = f"{proof.stamp} was good for {int(lasts.total_seconds())} seconds, and it is {_basic(current)}"
        raise refused(dialect, problem, "Request has expired" if s3_link else f"Signature expired: {early}")


def _check_headers(proof: _Proof, request: Request, dialect: Dialect) -> None:
    """What decides the meaning of a request must be signed: its host, and all that AWS reads."""
    if "host" not in proof.signed and ":authority" not in proof.signed:
        text = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
        raise refused(dialect, Problem.UNSIGNED_HEADER, text)
    for name, _ in request.headers:
        if name.startswith("x-amz-") and name not in proof.signed:
            text = f"'{_shown(name)}' must be a 'SignedHeader' in the AWS Authorization."
            raise refused(dialect, Problem.UNSIGNED_HEADER, text)


def _payload(proof: _Proof, request: Request, dialect: Dialect) -> str:
    """What stands for the body in the canonical request."""
    announced = request.header("x-amz-content-sha256")
    if dialect is not Dialect.S3:
        return request.body_sha256  # whatever was announced: what came is what must have been signed
    if proof.link:
        return announced or parameters(request.query).get("X-Amz-Content-Sha256") or UNSIGNED
    if announced is None:
        raise Refused("InvalidRequest", "Missing required header for this request: x-amz-content-sha256", 400)
    if announced != UNSIGNED and not announced.startswith(STREAMING) and not _is_digest(announced):
        text = (
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value."
        )
        raise Refused("InvalidArgument", text, 400)
    return announced


async def _key(proof: _Proof, key_of: KeyOf, dialect: Dialect) -> Key:
    try:
        return await key_of(proof.key_id, proof.token)
    except Refused as error:
        if error.code == "ExpiredToken":
            raise refused(dialect, Problem.EXPIRED_SESSION) from None
        problem = Problem.BAD_SESSION if proof.token is not None else Problem.UNKNOWN_KEY
        raise refused(dialect, problem) from None


def _fields(text: str) -> dict[str, str]:
    """`Credential=…, SignedHeaders=…, Signature=…`; the first of each name."""
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        if equals:
            found.setdefault(name, value)
    return found


def _same(right: str, given: str) -> bool:
    return hmac.compare_digest(right.encode(), given.encode("utf-8", "replace"))


def _is_digest(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def _basic(time: datetime) -> str:
    return time.strftime(STAMP)


def _shown(text: str) -> str:
    """A hostile text for an answer: printable, and short."""
    return "".join(c if c.isprintable() else "?" for c in text[:128])


def _hashed(header: str) -> str:
    """AWS gives the header's digest, to compare with what was sent, and not the header."""
    digest = hashlib.sha256(header.encode("utf-8", "replace")).digest()
    return f"(Hashed with SHA-256 and encoded with Base64) Authorization={base64.b64encode(digest).decode()}"
