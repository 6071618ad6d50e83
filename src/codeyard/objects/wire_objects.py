"""Objects by S3's operations: put, got, copied, removed."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from urllib.parse import unquote, unquote_to_bytes

from codeyard.aws import Refused
from codeyard.objects import About, Encryption, Stored
from codeyard.objects.body import PUT_AT_MOST, XML_AT_MOST, Body, told_checksums, too_large
from codeyard.objects.conditions import Fate, fate, part_of
from codeyard.objects.directory import Condition, ObjectDirectory
from codeyard.objects.exchange import Answer, Content, Exchange, about, http_date, iso_date, sealed, shown, versioned
from codeyard.objects.files import Draft, Opened
from codeyard.objects.names import key_name
from codeyard.objects.versions import Marked
from codeyard.objects.wire_buckets import full_control
from codeyard.objects.wire_versions import deleted, keys_to_delete, removed
from codeyard.objects.xml import Tag, document

_XML = {"content-type": "application/xml"}
# The console is served from the same origin: no page or script that a build put may do anything there.
_INERT = {"content-security-policy": "sandbox", "x-content-type-options": "nosniff"}
_OVERRIDES = ("cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires")


Absent = Callable[[str, str, str], Awaitable[bool]]


async def nothing(_account: str, _bucket: str, _key: str) -> bool:
    """What is absent stays so."""
    return False


class ObjectOperations:
    """See the module. `usual` is how objects are encrypted whose put does not say. `absent` is asked, with account,
    bucket and key, to make an object that is not there; it says whether it did."""

    def __init__(self, objects: ObjectDirectory, usual: Encryption | None, absent: Absent = nothing) -> None:
        self._objects, self._usual, self._absent = objects, usual, absent

    def by_name(self) -> dict[str, Callable[[Exchange], Awaitable[Answer]]]:
        return {
            "GetObject": self.get_object,
            "HeadObject": self.head_object,
            "PutObject": self.put_object,
            "CopyObject": self.copy_object,
            "DeleteObject": self.delete_object,
            "DeleteObjects": self.delete_objects,
            "GetObjectAcl": self.get_object_acl,
            "GetObjectTagging": self.get_object_tagging,
        }

    async def get_object(self, exchange: Exchange) -> Answer:
        with ExitStack() as stack:
            opened = stack.enter_context(await self._asked_for(exchange))
            answer = _read(exchange, opened)
            if isinstance(answer.content, Content):
                stack.pop_all()  # whoever sends it closes it
            return answer

    async def head_object(self, exchange: Exchange) -> Answer:
        with await self._asked_for(exchange) as opened:
            answer = _read(exchange, opened)
            return Answer(answer.status, answer.headers)

    async def put_object(self, exchange: Exchange) -> Answer:
        asked = exchange.asked
        key_name(asked.key)
        await exchange.allow("PutObject", asked.key)
        told, condition = about(asked.headers, self._usual), precondition(asked.headers)
        body = exchange.body(PUT_AT_MOST)
        with await asyncio.to_thread(self._objects.draft, exchange.account, asked.bucket, told) as draft:
            sums = await fill(draft, body)
            stored = await asyncio.to_thread(
                lambda: self._objects.put(
                    exchange.account, asked.bucket, asked.key, draft, checksums=sums, condition=condition
                )
            )
        headers = {"etag": f'"{stored.etag}"', **versioned(stored), **summed(stored), **sealed(stored.about)}
        return Answer(200, headers)

    async def copy_object(self, exchange: Exchange) -> Answer:
        asked = exchange.asked
        key_name(asked.key)
        await exchange.allow("PutObject", asked.key)
        told = about(asked.headers, self._usual)
        directive = asked.headers.get("x-amz-metadata-directive", "COPY")
        if directive not in ("COPY", "REPLACE"):
            raise Refused("InvalidArgument", "Unknown metadata directive.")
        bucket, key, version = source = source_of(asked.headers)
        if source == (asked.bucket, asked.key, None) and directive == "COPY" and told.encryption == self._usual:
            raise Refused(
                "InvalidRequest",
                "This copy request is illegal because it is trying to copy an object to itself without changing the "
                "object's metadata, storage class, website redirect location or encryption attributes.",
            )
        with await self.copied(exchange, bucket, key, version) as opened:
            of = opened.stored
            if of.size > PUT_AT_MOST:
                raise too_large(of.size, PUT_AT_MOST)
            if directive == "COPY":
                told = About(of.about.headers, of.about.metadata, told.encryption)
            with await asyncio.to_thread(self._objects.draft, exchange.account, asked.bucket, told) as draft:
                await pour(opened.read(), draft.write)
                sums = {} if "-" in of.etag else dict(of.checksums)
                stored = await asyncio.to_thread(
                    lambda: self._objects.put(exchange.account, asked.bucket, asked.key, draft, checksums=sums)
                )
        tags: list[Tag] = [("LastModified", iso_date(stored.modified)), ("ETag", f'"{stored.etag}"')]
        headers = {**_XML, **copied_version(of), **versioned(stored), **sealed(stored.about)}
        return Answer(200, headers, document("CopyObjectResult", tags))

    async def delete_object(self, exchange: Exchange) -> Answer:
        version = exchange.asked.version
        return Answer(204, removed(version, await self._delete(exchange, exchange.asked.key, version)))

    async def delete_objects(self, exchange: Exchange) -> Answer:
        asked = exchange.asked
        headers = asked.headers
        if "content-md5" not in headers and not told_checksums(headers) and "x-amz-trailer" not in headers:
            raise Refused("InvalidRequest", "Missing required header for this request: Content-MD5")
        keys, quiet = keys_to_delete(await exchange.xml(XML_AT_MOST))
        await asyncio.to_thread(self._objects.bucket, exchange.account, asked.bucket)
        tags: list[Tag] = []
        for key, version in keys:
            try:
                result = await self._delete(exchange, key, version)
            except Refused as error:
                code = "AccessDenied" if error.code == "AccessDeniedException" else error.code
                told: list[Tag] = [("Key", key), ("VersionId", version), ("Code", code), ("Message", error.message)]
                tags.append(("Error", told))
            else:
                tags += [] if quiet else [deleted(key, version, result)]
        return Answer(200, _XML, document("DeleteResult", tags))

    async def get_object_acl(self, exchange: Exchange) -> Answer:
        await self._check(exchange, "Acl")
        return Answer(200, _XML, full_control(exchange))

    async def get_object_tagging(self, exchange: Exchange) -> Answer:
        await self._check(exchange, "Tagging")
        return Answer(200, _XML, document("Tagging", [("TagSet", [])]))

    async def copied(self, exchange: Exchange, bucket: str, key: str, version: str | None) -> Opened:
        """The object that a copy is made of, if the request's conditions for it hold."""
        try:
            opened = await self.found(exchange, bucket, key, version)
        except Marked as error:
            if not error.named:
                raise
            text = "The source of a copy request may not specifically refer to a delete marker by version id."
            raise Refused("InvalidRequest", text) from None
        if fate(exchange.asked.headers, opened.stored, "x-amz-copy-source-") is not Fate.SEND:
            opened.close()
            raise _failed()
        return opened

    async def found(self, exchange: Exchange, bucket: str, key: str, version: str | None) -> Opened:
        """The object. Who may not list the bucket is not told that it is not there: AccessDenied, as of S3."""
        await exchange.allow("GetObject" if version is None else "GetObjectVersion", key, bucket)
        try:
            return await self._opened(exchange.account, bucket, key_name(key), version)
        except Refused as error:
            if error.code in ("NoSuchKey", "NoSuchVersion"):
                await exchange.allow("ListBucket", None, bucket)
            raise

    async def _asked_for(self, exchange: Exchange) -> Opened:
        asked = exchange.asked
        return await self.found(exchange, asked.bucket, asked.key, asked.version)

    async def _opened(self, account: str, bucket: str, key: str, version: str | None) -> Opened:
        try:
            return await asyncio.to_thread(self._objects.open, account, bucket, key, version)
        except Refused as error:
            if error.code != "NoSuchKey" or version is not None or not await self._absent(account, bucket, key):
                raise
        return await asyncio.to_thread(self._objects.open, account, bucket, key)

    async def _delete(self, exchange: Exchange, key: str, version: str | None) -> Stored | None:
        await exchange.allow("DeleteObject" if version is None else "DeleteObjectVersion", key)
        bucket = exchange.asked.bucket
        return await asyncio.to_thread(self._objects.delete, exchange.account, bucket, key, version)

    async def _check(self, exchange: Exchange, what: str) -> None:
        asked = exchange.asked
        version = asked.version
        await exchange.allow(f"GetObject{what}" if version is None else f"GetObjectVersion{what}", asked.key)
        await asyncio.to_thread(self._objects.head, exchange.account, asked.bucket, asked.key, version)


async def fill(draft: Draft, body: Body) -> dict[str, str]:
    """Write a body down; its checksums, once it is all there and right."""

    def take(piece: bytes) -> None:
        body.take(piece)
        draft.write(piece)

    async for piece in body.pieces():
        await asyncio.to_thread(take, piece)
    return body.checked()


async def pour(pieces: Iterator[bytes], write: Callable[[bytes], None]) -> None:
    """All pieces to where they go, a few megabytes at a time, so that others have their turn on the threads."""

    def some() -> bool:
        done = 0
        for piece in pieces:
            write(piece)
            done += len(piece)
            if done >= 8 << 20:
                return True
        return False

    while await asyncio.to_thread(some):
        pass


def source_of(headers: Mapping[str, str]) -> tuple[str, str, str | None]:
    """Bucket, key and version id of x-amz-copy-source. InvalidArgument."""
    path, _, query = headers["x-amz-copy-source"].partition("?")
    name, _, version = query.partition("=")
    with suppress(UnicodeDecodeError):
        bucket, _, key = unquote_to_bytes(path).decode().removeprefix("/").partition("/")
        if bucket and key and (not query or (name == "versionId" and version)):
            return bucket, key, unquote(version) if query else None
    raise Refused("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")


def copied_version(stored: Stored) -> dict[str, str]:
    """The version id of what a copy was made of, as a header."""
    return {f"x-amz-copy-source-{name.removeprefix('x-amz-')}": value for name, value in versioned(stored).items()}


def precondition(headers: Mapping[str, str]) -> Condition | None:
    """What a put asks to be so. NotImplemented."""
    absent, etag = headers.get("if-none-match"), headers.get("if-match")
    if absent is None and etag is None:
        return None
    if absent not in (None, "*"):
        raise Refused("NotImplemented", "A put takes If-None-Match only with the value *.", 501)
    return Condition(absent is not None, etag.strip('"') if etag is not None else None)


def summed(stored: Stored) -> dict[str, str]:
    """Its checksums, as headers."""
    found = {f"x-amz-checksum-{name.lower()}": value for name, value in stored.checksums.items()}
    if found:
        found["x-amz-checksum-type"] = "COMPOSITE" if any("-" in value for value in found.values()) else "FULL_OBJECT"
    return found


def _read(exchange: Exchange, opened: Opened) -> Answer:
    """The answer to a read, whose content is still to be sent."""
    asked, stored = exchange.asked, opened.stored
    tags = {"etag": f'"{stored.etag}"', "last-modified": http_date(stored.modified)}
    match fate(asked.headers, stored):
        case Fate.FAILED:
            raise _failed()
        case Fate.NOT_MODIFIED:
            return Answer(304, tags)
        case Fate.SEND:
            pass
    overrides = {
        name: asked.query[f"response-{name}"] for name in _OVERRIDES if asked.query.get(f"response-{name}")
    }  # fmt: skip
    headers = {**shown(stored.about), **overrides, **tags, **versioned(stored), "accept-ranges": "bytes", **_INERT}
    number = asked.number("partNumber", 0, 1, 10_000)
    part = _numbered(stored, number) if number else part_of(asked.headers.get("range"), stored.size)
    if number:
        headers["x-amz-mp-parts-count"] = str(max(1, len(stored.parts)))
    start, length = part if part is not None else (0, stored.size)
    if part is not None and stored.size:
        headers["content-range"] = f"bytes {start}-{start + length - 1}/{stored.size}"
    elif asked.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
        headers |= summed(stored)
    headers["content-length"] = str(length)
    return Answer(206 if "content-range" in headers else 200, headers, Content(opened, start, length))


def _numbered(stored: Stored, number: int) -> tuple[int, int]:
    sizes = stored.parts or (stored.size,)
    if number > len(sizes):
        raise Refused("InvalidPartNumber", "The requested partnumber is not satisfiable", 416)
    return sum(sizes[: number - 1]), sizes[number - 1]


def _failed() -> Refused:
    return Refused("PreconditionFailed", "At least one of the pre-conditions you specified did not hold", 412)
