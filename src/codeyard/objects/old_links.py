"""Links signed in the way before Version 4, which boto3 still makes for us-east-1 unless it is told otherwise.

https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html, "Query string request authentication
alternative". Only links: requests with such headers are refused, as S3 does for new buckets.
"""

import base64
import hmac
from datetime import UTC, datetime
from urllib.parse import unquote_to_bytes

from codeyard.aws import Refused
from codeyard.aws.sigv4 import Dialect, KeyOf, Scope, Verified
from codeyard.objects.asked import Asked

# Those that clients sign (botocore's HmacV1Auth): each decides what is asked for.
_SIGNED = frozenset(
    """accelerate acl analytics cors defaultObjectAcl delete inventory lifecycle location logging metrics notification
    object-lock partNumber policy replication requestPayment restore select select-type storageClass tagging torrent
    uploadId uploads versionId versioning versions website response-cache-control response-content-disposition
    response-content-encoding response-content-language response-content-type response-expires""".split()
)
_MISMATCH = "The request signature we calculated does not match the signature you provided. Check your key and signing"


def is_old_link(asked: Asked) -> bool:
    return "AWSAccessKeyId" in asked.query and "Signature" in asked.query


async def verify_old_link(asked: Asked, key_of: KeyOf, now: datetime) -> Verified:
    """Who signed it. AccessDenied, InvalidAccessKeyId, SignatureDoesNotMatch."""
    expires = asked.query.get("Expires", "")
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
        raise Refused("AccessDenied", "Invalid date (should be seconds since epoch)", 403)
    if now.timestamp() > int(expires):
        raise Refused("AccessDenied", "Request has expired", 403)
    try:
        key = await key_of(asked.query["AWSAccessKeyId"], asked.query.get("x-amz-security-token"))
    except Refused:
        text = "The AWS Access Key Id you provided does not exist in our records."
        raise Refused("InvalidAccessKeyId", text, 403) from None
    right = base64.b64encode(hmac.digest(key.secret.encode(), _text(asked, expires), "sha1")).decode()
    given = asked.query["Signature"]
    if not hmac.compare_digest(right.encode(), given.encode()):
        raise Refused("SignatureDoesNotMatch", f"{_MISMATCH} method.", 403)
    at = now.astimezone(UTC)
    scope = Scope(at.strftime("%Y%m%d"), "us-east-1", Dialect.S3)
    return Verified(key, scope, at.strftime("%Y%m%dT%H%M%SZ"), "UNSIGNED-PAYLOAD", right, b"")


def _text(asked: Asked, expires: str) -> bytes:
    """What is signed."""
    headers = asked.headers
    amz = {name: value for name, value in headers.items() if name.startswith("x-amz-")}
    if "x-amz-security-token" in asked.query:
        amz["x-amz-security-token"] = asked.query["x-amz-security-token"]
    named = sorted(name for name in asked.query if name in _SIGNED)
    bare = set(asked.request.query.split("&"))  # `acl` is signed as `acl`, and `acl=` as `acl=`
    resources = "&".join(name if name in bare else f"{name}={asked.query[name]}" for name in named)
    text = "\n".join(
        (
            asked.request.method,
            headers.get("content-md5", ""),
            headers.get("content-type", ""),
            expires,
            *(f"{name}:{value.strip()}" for name, value in sorted(amz.items())),
            _path(asked) + (f"?{resources}" if resources else ""),
        )
    )
    return text.encode("utf-8", "surrogateescape")


def _path(asked: Asked) -> str:
    """As it was sent, for clients quote differently; with the bucket before it if that stood in the host's name."""
    sent = asked.request.path
    by_host = unquote_to_bytes(sent.encode("utf-8", "surrogateescape")) == f"/{asked.key}".encode()
    return f"/{asked.bucket}{sent}" if asked.bucket and by_host else sent
