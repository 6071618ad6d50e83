"""One request of a known caller, and what is answered to it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime

from codeyard.aws import Caller, Identities, Refused
from codeyard.aws.sigv4 import Verified
from codeyard.objects import About, Encryption, Stored
from codeyard.objects.asked import Asked, not_implemented
from codeyard.objects.body import PATIENCE, Body, Receive
from codeyard.objects.files import Opened

_KEPT = ("cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires")
_META = "x-amz-meta-"
VERSION = "x-amz-version-id"
_METADATA_AT_MOST = 2048  # bytes
_SSE = "x-amz-server-side-encryption"
_ALGORITHMS = {"AES256": "AES256", "aws:kms": "aws:kms", "aws:kms:dsse": "aws:kms:dsse"}
# What changes the meaning of a put, and is not here: to take it and forget it would be a lie.
_ABSENT = (
    f"{_SSE}-customer-algorithm",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-object-lock-legal-hold",
    "x-amz-tagging",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
)


@dataclass(frozen=True, slots=True)
class Content:
    """A part of an object, to be sent; whoever sends it closes it."""

    source: Opened
    start: int
    length: int

    def pieces(self) -> Iterator[bytes]:
        return self.source.read(self.start, self.length)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. Headers by lower-case name."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | Content = b""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request whose signature was right."""

    asked: Asked
    verified: Verified
    identities: Identities
    receive: Receive = field(repr=False)
    context: Mapping[str, str] = field(default_factory=dict)  # what conditions may ask of the request
    patience: float = PATIENCE  # seconds without a byte of the body

    @property
    def caller(self) -> Caller:
        return self.verified.key.caller

    @property
    def account(self) -> str:
        return self.caller.account

    async def allow(self, action: str, key: str | None = None, bucket: str | None = None, **context: str) -> None:
        """AccessDenied, unless the caller may do it on the bucket, or with `key` on that object of it."""
        name = self.asked.bucket if bucket is None else bucket
        arn = f"arn:aws:s3:::{name or '*'}" + (f"/{key}" if key is not None else "")
        told = {f"s3:{name.replace('_', '-')}": value for name, value in context.items()}
        await self.identities.authorise(self.caller, f"s3:{action}", (arn,), {**self.context, **told})

    def body(self, limit: int) -> Body:
        return Body(self.receive, self.asked.headers, self.verified, limit, self.patience)

    async def xml(self, limit: int, *, summed: bool = True) -> bytes:
        """A small body; b"" if there is none. `summed`: checksums in the headers are the body's."""
        headers = dict(self.asked.headers)
        if "content-length" not in headers and "x-amz-decoded-content-length" not in headers:
            headers["content-length"] = "0"
        if not summed:
            headers = {name: value for name, value in headers.items() if not name.startswith("x-amz-checksum-")}
        return await Body(self.receive, headers, self.verified, limit, self.patience).whole()


def about(headers: Mapping[str, str], usual: Encryption | None) -> About:
    """What a put tells of its object. MetadataTooLarge, InvalidArgument, NotImplemented."""
    if any(headers.get(name) for name in _ABSENT):
        raise not_implemented()
    metadata = {name.removeprefix(_META): value for name, value in headers.items() if name.startswith(_META)}
    if sum(len(name) + len(value) for name, value in metadata.items()) > _METADATA_AT_MOST:
        text = "Your metadata headers exceed the maximum allowed metadata size"
        raise Refused("MetadataTooLarge", text)
    kept = {name: headers[name] for name in _KEPT if name in headers}
    if "content-encoding" in kept:  # aws-chunked is how it came, and no part of what it is
        codings = [part.strip() for part in kept["content-encoding"].split(",")]
        kept["content-encoding"] = ",".join(part for part in codings if part.lower() != "aws-chunked")
        if not kept["content-encoding"]:
            del kept["content-encoding"]
    return About(kept, metadata, _encryption(headers, usual))


def shown(told: About) -> dict[str, str]:
    """What was told at the put, as headers of an answer."""
    metadata = {f"{_META}{name}": value for name, value in told.metadata.items()}
    return {"content-type": "binary/octet-stream", **told.headers, **metadata, **sealed(told)}


def versioned(stored: Stored) -> dict[str, str]:
    """Its version id, as a header, if its bucket keeps versions."""
    return {VERSION: stored.version_id} if stored.version is not None else {}


def sealed(told: About) -> dict[str, str]:
    """How it is encrypted, as headers."""
    if told.encryption is None:
        return {}
    found = {_SSE: told.encryption.algorithm}
    if told.encryption.algorithm != "AES256":
        found[f"{_SSE}-aws-kms-key-id"] = told.encryption.key
    return found


def http_date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC).replace(microsecond=0), usegmt=True)


def iso_date(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def _encryption(headers: Mapping[str, str], usual: Encryption | None) -> Encryption | None:
    algorithm = headers.get(_SSE)
    if algorithm is None:
        return usual
    if algorithm not in _ALGORITHMS:
        raise Refused("InvalidArgument", "The encryption method specified is not supported")
    return Encryption(algorithm, headers.get(f"{_SSE}-aws-kms-key-id", "alias/aws/s3"))
