"""Versions by S3's operations: kept or not, listed, removed; what answers say of them."""

import asyncio
from collections.abc import Awaitable, Callable

from codeyard.aws import Refused
from codeyard.objects import Stored
from codeyard.objects.body import XML_AT_MOST
from codeyard.objects.directory import ObjectDirectory
from codeyard.objects.exchange import VERSION, Answer, Exchange, iso_date, versioned
from codeyard.objects.versions import Versioning
from codeyard.objects.wire_buckets import contents, encoding, owner, prefixes
from codeyard.objects.xml import Tag, children, document, malformed, parse, text

_PAGE = 1000
_XML = {"content-type": "application/xml"}


class VersionOperations:
    """See the module."""

    def __init__(self, objects: ObjectDirectory) -> None:
        self._objects = objects

    def by_name(self) -> dict[str, Callable[[Exchange], Awaitable[Answer]]]:
        return {
            "GetBucketVersioning": self.get_bucket_versioning,
            "PutBucketVersioning": self.put_bucket_versioning,
            "ListObjectVersions": self.list_object_versions,
        }

    async def get_bucket_versioning(self, exchange: Exchange) -> Answer:
        await exchange.allow("GetBucketVersioning")
        await asyncio.to_thread(self._objects.bucket, exchange.account, exchange.asked.bucket)
        found = await asyncio.to_thread(self._objects.versioning, exchange.account, exchange.asked.bucket)
        return Answer(200, _XML, document("VersioningConfiguration", [("Status", found)]))

    async def put_bucket_versioning(self, exchange: Exchange) -> Answer:
        await exchange.allow("PutBucketVersioning")
        root = parse(await exchange.xml(XML_AT_MOST), "VersioningConfiguration")
        status = text(root, "Status")
        if status is None:
            raise Refused("IllegalVersioningConfigurationException", "The Versioning element must be specified")
        if status not in list(Versioning):
            raise malformed()
        if text(root, "MfaDelete") == "Enabled":
            raise Refused("NotImplemented", "Removing versions by a second factor is not implemented.", 501)
        await asyncio.to_thread(
            self._objects.set_versioning, exchange.account, exchange.asked.bucket, Versioning(status)
        )
        return Answer(200)

    async def list_object_versions(self, exchange: Exchange) -> Answer:
        asked = exchange.asked
        prefix, delimiter = asked.query.get("prefix", ""), asked.query.get("delimiter", "")
        limit = asked.number("max-keys", _PAGE, 0, 2**31 - 1)
        encoded = encoding(asked.query.get("encoding-type"))
        key, version = asked.query.get("key-marker", ""), asked.query.get("version-id-marker", "")
        if version and not key:
            raise Refused("InvalidArgument", "A version-id marker cannot be specified without a key marker.")
        await exchange.allow("ListBucketVersions", prefix=prefix, delimiter=delimiter, max_keys=str(limit))
        after = (key, version or None)
        found = await asyncio.to_thread(
            self._objects.list_versions, exchange.account, asked.bucket, prefix, delimiter, after, min(limit, _PAGE)
        )
        last, last_version = found.last or (None, None)
        tags: list[Tag] = [
            ("Name", asked.bucket),
            ("Prefix", encoded(prefix)),
            ("KeyMarker", encoded(key)),
            ("VersionIdMarker", version),
            ("NextKeyMarker", encoded(last) if last else None),
            ("NextVersionIdMarker", last_version),
            ("MaxKeys", limit),
            ("Delimiter", encoded(delimiter) if delimiter else None),
            ("EncodingType", asked.query.get("encoding-type")),
            ("IsTruncated", last is not None),
            *(_shown(one, encoded, exchange, latest=latest) for one, latest in found.versions),
            *prefixes(found.prefixes, encoded),
        ]
        return Answer(200, _XML, document("ListVersionsResult", tags))


def marked(marker: Stored) -> dict[str, str]:
    """A mark of deletion, as headers."""
    return {"x-amz-delete-marker": "true", **versioned(marker)}


def removed(version: str | None, result: Stored | None) -> dict[str, str]:
    """The answer to a removal, as headers: of this version, if one was asked for, with what is told of it."""
    asked = {VERSION: version} if version is not None else {}
    return {**asked, **(marked(result) if result is not None and result.marker else {})}


def deleted(key: str, version: str | None, result: Stored | None) -> Tag:
    """The same in the answer to a removal of several."""
    marker = result if result is not None and result.marker else None
    tags: list[Tag] = [
        ("Key", key),
        ("VersionId", version),
        ("DeleteMarker", True if marker else None),
        ("DeleteMarkerVersionId", marker.version_id if marker else None),
    ]
    return ("Deleted", tags)


def keys_to_delete(content: bytes) -> tuple[list[tuple[str, str | None]], bool]:
    """The keys of a DeleteObjects with their versions, and whether it wants to hear of errors only. MalformedXML."""
    root = parse(content, "Delete")
    keys = []
    for named in children(root, "Object"):
        key = text(named, "Key")
        if not key:
            raise Refused("MalformedXML", "An Object needs a Key.")
        keys.append((key, text(named, "VersionId") or None))
    if not 1 <= len(keys) <= _PAGE:
        raise Refused("MalformedXML", f"There must be 1 to {_PAGE} objects.")
    return keys, (text(root, "Quiet") or "").lower() == "true"


def _shown(one: Stored, encoded: Callable[[str], str], exchange: Exchange, *, latest: bool) -> Tag:
    which: list[Tag] = [("VersionId", one.version_id), ("IsLatest", latest), owner(exchange)]
    if one.marker:
        return ("DeleteMarker", [("Key", encoded(one.key)), ("LastModified", iso_date(one.modified)), *which])
    return ("Version", [*contents(one, encoded), *which])
