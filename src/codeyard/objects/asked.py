"""What a request to S3 asks for: the bucket, the key, the operation. Pure; nothing is proved or looked up yet.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from codeyard.aws import Refused
from codeyard.aws.sigv4 import Request

_SUBRESOURCES = frozenset(
    """accelerate acl analytics attributes cors delete encryption intelligent-tiering inventory legal-hold lifecycle
    list-type location logging metadataConfiguration metadataTable metrics notification object-lock ownershipControls
    partNumber policy policyStatus publicAccessBlock renameObject replication requestPayment restore retention select
    session tagging torrent uploadId uploads versioning versions website""".split()
)
_OF_BUCKET = {
    ("PUT", ""): "CreateBucket",
    ("HEAD", ""): "HeadBucket",
    ("DELETE", ""): "DeleteBucket",
    ("GET", ""): "ListObjects",
    ("GET", "list-type"): "ListObjectsV2",
    ("GET", "location"): "GetBucketLocation",
    ("GET", "acl"): "GetBucketAcl",
    ("GET", "versioning"): "GetBucketVersioning",
    ("PUT", "versioning"): "PutBucketVersioning",
    ("GET", "versions"): "ListObjectVersions",
    ("GET", "uploads"): "ListMultipartUploads",
    ("POST", "delete"): "DeleteObjects",
    ("GET", "policy"): "GetBucketPolicy",
    ("GET", "encryption"): "GetBucketEncryption",
    ("GET", "tagging"): "GetBucketTagging",
    ("GET", "lifecycle"): "GetBucketLifecycleConfiguration",
    ("GET", "cors"): "GetBucketCors",
    ("GET", "website"): "GetBucketWebsite",
    ("GET", "publicAccessBlock"): "GetPublicAccessBlock",
}
_OF_OBJECT = {
    ("GET", ""): "GetObject",
    ("HEAD", ""): "HeadObject",
    ("GET", "partNumber"): "GetObject",
    ("HEAD", "partNumber"): "HeadObject",
    ("GET", "acl"): "GetObjectAcl",
    ("GET", "tagging"): "GetObjectTagging",
    ("PUT", ""): "PutObject",
    ("DELETE", ""): "DeleteObject",
    ("POST", "uploads"): "CreateMultipartUpload",
    ("PUT", "partNumber uploadId"): "UploadPart",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
    ("GET", "uploadId"): "ListParts",
}
_OF_COPY = {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request taken apart. "" for no bucket, or no key."""

    request: Request
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)  # by lower-case name, the first of each

    @property
    def operation(self) -> str:
        """By S3's name. NotImplemented, MethodNotAllowed."""
        method = self.request.method
        wanted = " ".join(sorted(_SUBRESOURCES & self.query.keys()))
        if not self.bucket:
            if method == "GET" and not wanted:
                return "ListBuckets"
            raise _not_allowed()
        table = _OF_OBJECT if self.key else _OF_BUCKET
        name = table.get((method, wanted))
        if name is None:
            if not wanted and method != "POST":
                raise _not_allowed()
            raise not_implemented()
        return _OF_COPY.get(name, name) if "x-amz-copy-source" in self.headers else name

    @property
    def version(self) -> str | None:
        """The version id that is asked for. InvalidArgument."""
        version = self.query.get("versionId")
        if version == "":
            raise Refused("InvalidArgument", "Version id cannot be the empty string")
        return version

    def number(self, name: str, otherwise: int, low: int, high: int) -> int:
        """A number of the query. InvalidArgument."""
        text = self.query.get(name, "")
        if not text:
            return otherwise
        try:
            value = int(text) if text.isascii() and len(text) <= 12 else low - 1
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise Refused("InvalidArgument", f"Argument {name} must be an integer between {low} and {high}")
        return value


def asked(request: Request, domains: tuple[str, ...]) -> Asked:
    """The request, taken apart: by its path, or by its host where that is `bucket.domain`. InvalidURI."""
    headers: dict[str, str] = {}
    for name, value in request.headers:
        headers.setdefault(name, value)
    path = _text(request.path.removeprefix("/"))
    bucket = _of_host(headers.get("host", ""), domains)
    if bucket is None:
        bucket, _, path = path.partition("/")
    return Asked(request, bucket, path, _parameters(request.query), headers)


def not_implemented(what: str = "A header you provided implies functionality that is not implemented") -> Refused:
    return Refused("NotImplemented", what, 501)


def _not_allowed() -> Refused:
    return Refused("MethodNotAllowed", "The specified method is not allowed against this resource.", 405)


def _of_host(host: str, domains: tuple[str, ...]) -> str | None:
    name = host.rpartition(":")[0] if ":" in host else host
    found = (name[: -len(domain) - 1] for domain in domains if name.endswith(f".{domain}"))
    return next(found, None)


def _parameters(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in query.split("&"):
        name, _, value = part.replace("+", " ").partition("=")
        if name:
            found.setdefault(_text(name), _text(value))
    return found


def _text(quoted: str) -> str:
    try:
        return unquote_to_bytes(quoted.encode("utf-8", "surrogateescape")).decode()
    except UnicodeDecodeError:
        raise Refused("InvalidURI", "Couldn't parse the specified URI.") from None
