"""Buckets by S3's operations: made, listed, removed, and what lists of objects look like."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from codeyard.aws import Refused
from codeyard.objects import Stored
from codeyard.objects.body import XML_AT_MOST
from codeyard.objects.directory import ObjectDirectory
from codeyard.objects.exchange import Answer, Exchange, iso_date
from codeyard.objects.listing import Page
from codeyard.objects.xml import Tag, document, parse, text

_PAGE = 1000
_XML = {"content-type": "application/xml"}
_LEGACY = "us-east-1"  # whose buckets say they are nowhere, and may be made twice
# Settings that no bucket here can have: what S3 says of one that has none. Code, text, the action that asks.
_UNSET = {
    "GetBucketPolicy": ("NoSuchBucketPolicy", "The bucket policy does not exist", "GetBucketPolicy"),
    "GetBucketEncryption": (
        "ServerSideEncryptionConfigurationNotFoundError",
        "The server side encryption configuration was not found",
        "GetEncryptionConfiguration",
    ),
    "GetBucketTagging": ("NoSuchTagSet", "The TagSet does not exist", "GetBucketTagging"),
    "GetBucketLifecycleConfiguration": (
        "NoSuchLifecycleConfiguration",
        "The lifecycle configuration does not exist",
        "GetLifecycleConfiguration",
    ),
    "GetBucketCors": ("NoSuchCORSConfiguration", "The CORS configuration does not exist", "GetBucketCORS"),
    "GetBucketWebsite": (
        "NoSuchWebsiteConfiguration",
        "The specified bucket does not have a website configuration",
        "GetBucketWebsite",
    ),
    "GetPublicAccessBlock": (
        "NoSuchPublicAccessBlockConfiguration",
        "The public access block configuration was not found",
        "GetBucketPublicAccessBlock",
    ),
}


class BucketOperations:
    """See the module."""

    def __init__(self, objects: ObjectDirectory) -> None:
        self._objects = objects

    def by_name(self) -> dict[str, Callable[[Exchange], Awaitable[Answer]]]:
        return {
            "ListBuckets": self.list_buckets,
            "CreateBucket": self.create_bucket,
            "HeadBucket": self.head_bucket,
            "DeleteBucket": self.delete_bucket,
            "GetBucketLocation": self.get_bucket_location,
            "GetBucketAcl": self.get_bucket_acl,
            "ListObjects": self.list_objects,
            "ListObjectsV2": self.list_objects_v2,
            **dict.fromkeys(_UNSET, self.get_what_is_unset),
        }

    async def list_buckets(self, exchange: Exchange) -> Answer:
        await exchange.allow("ListAllMyBuckets")
        asked = exchange.asked
        found = await asyncio.to_thread(self._objects.buckets, exchange.account)
        after = _opened(asked.query.get("continuation-token", ""))
        prefix = asked.query.get("prefix", "")
        limit = asked.number("max-buckets", 10_000, 1, 10_000)
        wanted = [bucket for bucket in found if bucket.name > after and bucket.name.startswith(prefix)]
        buckets: list[Tag] = [
            ("Bucket", [("Name", b.name), ("CreationDate", iso_date(b.created)), ("BucketRegion", b.region)])
            for b in wanted[:limit]
        ]
        more = _sealed(wanted[limit - 1].name) if len(wanted) > limit else None
        tags: list[Tag] = [
            owner(exchange),
            ("Buckets", buckets),
            ("ContinuationToken", more),
            ("Prefix", prefix or None),
        ]
        return Answer(200, _XML, document("ListAllMyBucketsResult", tags))

    async def create_bucket(self, exchange: Exchange) -> Answer:
        await exchange.allow("CreateBucket")
        region = exchange.verified.region
        content = await exchange.xml(XML_AT_MOST)
        if content:
            region = text(parse(content, "CreateBucketConfiguration"), "LocationConstraint") or region
        try:
            await asyncio.to_thread(self._objects.create, exchange.account, exchange.asked.bucket, region)
        except Refused as error:
            # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html: there it is no error.
            if error.code != "BucketAlreadyOwnedByYou" or region != _LEGACY:
                raise
        return Answer(200, {"location": f"/{exchange.asked.bucket}"})

    async def head_bucket(self, exchange: Exchange) -> Answer:
        await exchange.allow("ListBucket")
        bucket = await asyncio.to_thread(self._objects.bucket, exchange.account, exchange.asked.bucket)
        return Answer(200, {"x-amz-bucket-region": bucket.region})

    async def delete_bucket(self, exchange: Exchange) -> Answer:
        await exchange.allow("DeleteBucket")
        await asyncio.to_thread(self._objects.remove, exchange.account, exchange.asked.bucket)
        return Answer(204)

    async def get_bucket_location(self, exchange: Exchange) -> Answer:
        await exchange.allow("GetBucketLocation")
        bucket = await asyncio.to_thread(self._objects.bucket, exchange.account, exchange.asked.bucket)
        content = document("LocationConstraint", []).decode()
        if bucket.region != _LEGACY:
            content = content.replace("></", f">{bucket.region}</")
        return Answer(200, _XML, content.encode())

    async def get_bucket_acl(self, exchange: Exchange) -> Answer:
        await exchange.allow("GetBucketAcl")
        await asyncio.to_thread(self._objects.bucket, exchange.account, exchange.asked.bucket)
        return Answer(200, _XML, full_control(exchange))

    async def get_what_is_unset(self, exchange: Exchange) -> Answer:
        code, message, action = _UNSET[exchange.asked.operation]
        await exchange.allow(action)
        await asyncio.to_thread(self._objects.bucket, exchange.account, exchange.asked.bucket)
        raise Refused(code, message, 404)

    async def list_objects(self, exchange: Exchange) -> Answer:
        marker = exchange.asked.query.get("marker", "")
        encoded, tags, found = await self._list(exchange, marker)
        # S3 gives the next marker only where there is a delimiter; elsewhere the last key serves.
        last = found.last if exchange.asked.query.get("delimiter") else None
        head: list[Tag] = [("Marker", encoded(marker)), ("NextMarker", encoded(last) if last else None)]
        return Answer(200, _XML, document("ListBucketResult", head + tags))

    async def list_objects_v2(self, exchange: Exchange) -> Answer:
        query = exchange.asked.query
        if query["list-type"] != "2":
            raise Refused("InvalidArgument", "Invalid List Type")
        token, start = query.get("continuation-token"), query.get("start-after", "")
        if token == "":
            raise Refused("InvalidArgument", "The continuation token provided is incorrect")
        encoded, tags, found = await self._list(exchange, _opened(token) if token else start)
        head: list[Tag] = [
            ("KeyCount", found.count),
            ("ContinuationToken", token),
            ("NextContinuationToken", _sealed(found.last) if found.last else None),
            ("StartAfter", encoded(start) if start else None),
        ]
        return Answer(200, _XML, document("ListBucketResult", head + tags))

    async def _list(self, exchange: Exchange, after: str) -> tuple[Callable[[str], str], list[Tag], Page]:
        asked = exchange.asked
        prefix, delimiter = asked.query.get("prefix", ""), asked.query.get("delimiter", "")
        limit = asked.number("max-keys", _PAGE, 0, 2**31 - 1)
        encoded = encoding(asked.query.get("encoding-type"))
        await exchange.allow("ListBucket", prefix=prefix, delimiter=delimiter, max_keys=str(limit))
        objects, found = await asyncio.to_thread(
            self._objects.list, exchange.account, asked.bucket, prefix, delimiter, after, min(limit, _PAGE)
        )
        told = asked.query.get("list-type") != "2" or asked.query.get("fetch-owner") == "true"
        whose = [owner(exchange)] if told else []
        tags: list[Tag] = [
            ("Name", asked.bucket),
            ("Prefix", encoded(prefix)),
            ("Delimiter", encoded(delimiter) if delimiter else None),
            ("MaxKeys", limit),
            ("EncodingType", asked.query.get("encoding-type")),
            ("IsTruncated", found.last is not None),
            *(("Contents", [*contents(one, encoded), *whose]) for one in objects),
            *prefixes(found.prefixes, encoded),
        ]
        return encoded, tags, found


def encoding(wanted: str | None) -> Callable[[str], str]:
    """How keys are written. InvalidArgument."""
    if wanted is None:
        return str
    if wanted != "url":
        raise Refused("InvalidArgument", "Invalid Encoding Method specified in Request")
    return lambda text: quote(text, safe="/-_.~*")


def prefixes(found: tuple[str, ...], encoded: Callable[[str], str]) -> list[Tag]:
    return [("CommonPrefixes", [("Prefix", encoded(prefix))]) for prefix in found]


def full_control(exchange: Exchange) -> bytes:
    """The only access control list there is: the owner may do all; policies say the rest."""
    xsi = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"'
    content = document(
        "AccessControlPolicy",
        [
            owner(exchange),
            ("AccessControlList", [("Grant", [("Grantee", owner(exchange)[1]), ("Permission", "FULL_CONTROL")])]),
        ],
    )
    return content.replace(b"<Grantee>", f"<Grantee {xsi}>".encode())


def contents(one: Stored, encoded: Callable[[str], str]) -> list[Tag]:
    """An object in a list."""
    return [
        ("Key", encoded(one.key)),
        ("LastModified", iso_date(one.modified)),
        ("ETag", f'"{one.etag}"'),
        *(("ChecksumAlgorithm", name) for name in one.checksums),
        ("Size", one.size),
        ("StorageClass", "STANDARD"),
    ]


def owner(exchange: Exchange) -> Tag:
    return ("Owner", [("ID", exchange.account), ("DisplayName", exchange.account)])


def _sealed(text: str) -> str:
    """A token for the next page. It proves nothing: whoever changes it lists what they may list anyway."""
    return base64.urlsafe_b64encode(b"1" + text.encode()).decode()


def _opened(token: str) -> str:
    if not token:
        return ""
    try:
        content = base64.b64decode(token, b"-_", validate=True).decode()
    except ValueError:
        content = ""
    if not content.startswith("1"):
        raise Refused("InvalidArgument", "The continuation token provided is incorrect")
    return content[1:]
