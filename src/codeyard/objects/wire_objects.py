"""Objects by S3's operations: put, got, copied, removed."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from urllib.parse import unquote_to_bytes

from codeyard.aws import Refused
from codeyard.objects import About, Encryption, Stored
from codeyard.objects.body import PUT_AT_MOST, XML_AT_MOST, Body, told_checksums, too_large
from codeyard.objects.conditions import Fate, fate, part_of
from codeyard.objects.directory import Condition, ObjectDirectory
from codeyard.objects.exchange import Answer, Content, Exchange, about, http_date, iso_date, sealed, shown
from codeyard.objects.files import Draft, Opened
from codeyard.objects.names import key_name
from codeyard.objects.wire_buckets import full_control, keys_to_delete
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
            opened = stack.enter_context(await self.found(exchange, exchange.asked.bucket, exchange.asked.key))
            answer = _read(exchange, opened)
            if isinstance(answer.content, Content):
                stack.pop_all()  # whoever sends it closes it
            return answer

    async def head_object(self, exchange: Exchange) -> Answer:
        with await self.found(exchange, exchange.asked.bucket, exchange.asked.key) as opened:
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
        return Answer(200, {"etag": f'"{stored.etag}"', **summed(stored), **sealed(stored.about)})

    async def copy_object(self, exchange: Exchange) -> Answer:
        asked = exchange.asked
        key_name(asked.key)
        await exchange.allow("PutObject", asked.key)
        told = about(asked.headers, self._usual)
        directive = asked.headers.get("x-amz-metadata-directive", "COPY")
        if directive not in ("COPY", "REPLACE"):
            raise Refused("InvalidArgument", "Unknown metadata directive.")
        bucket, key = source_of(asked.headers)
        if (bucket, key) == (asked.bucket, asked.key) and directive == "COPY" and told.encryption == self._usual:
            raise Refused(
                "InvalidRequest",
                "This copy request is illegal because it is trying to copy an object to itself without changing the "
                "object's metadata, storage class, website redirect location or encryption attributes.",
            )
        with await self.copied(exchange, bucket, key) as source:
            if source.stored.size > PUT_AT_MOST:
                raise too_large(source.stored.size, PUT_AT_MOST)
            if directive == "COPY":
                told = About(source.stored.about.headers, source.stored.about.metadata, told.encryption)
            with await asyncio.to_thread(self._objects.draft, exchange.account, asked.bucket, told) as draft:
                await pour(source.read(), draft.write)
                whole = not source.stored.etag.count("-")
                sums = dict(source.stored.checksums) if whole else {}
                stored = await asyncio.to_thread(
                    lambda: self._objects.put(exchange.account, asked.bucket, asked.key, draft, checksums=sums)
                )
        tags: list[Tag] = [("LastModified", iso_date(stored.modified)), ("ETag", f'"{stored.etag}"')]
        return Answer(200, {**_XML, **sealed(stored.about)}, document("CopyObjectResult", tags))

    async def delete_object(self, exchange: Exchange) -> Answer:
        asked = exchange.asked
        _no_version(asked.query.get("versionId"))
        await exchange.allow("DeleteObject", asked.key)
        await asyncio.to_thread(self._objects.delete, exchange.account, asked.bucket, key_name(asked.key))
        return Answer(204)

    async def delete_objects(self, exchange: Exchange) -> Answer:
        asked = exchange.asked
        headers = asked.headers
        if "content-md5" not in headers and not told_checksums(headers) and "x-amz-trailer" not in headers:
            raise Refused("InvalidRequest", "Missing required header for this request: Content-MD5")
        keys, quiet = keys_to_delete(await exchange.xml(XML_AT_MOST))
        await asyncio.to_thread(self._objects.bucket, exchange.account, asked.bucket)
        tags: list[Tag] = []
        for key in keys:
            try:
                await exchange.allow("DeleteObject", key)
                await asyncio.to_thread(self._objects.delete, exchange.account, asked.bucket, key_name(key))
            except Refused as error:
                code = "AccessDenied" if error.code == "AccessDeniedException" else error.code
                tags.append(("Error", [("Key", key), ("Code", code), ("Message", error.message)]))
            else:
                tags += [] if quiet else [("Deleted", [("Key", key)])]
        return Answer(200, _XML, document("DeleteResult", tags))

    async def get_object_acl(self, exchange: Exchange) -> Answer:
        await exchange.allow("GetObjectAcl", exchange.asked.key)
        await asyncio.to_thread(self._objects.head, exchange.account, exchange.asked.bucket, exchange.asked.key)
        return Answer(200, _XML, full_control(exchange))

    async def get_object_tagging(self, exchange: Exchange) -> Answer:
        await exchange.allow("GetObjectTagging", exchange.asked.key)
        await asyncio.to_thread(self._objects.head, exchange.account, exchange.asked.bucket, exchange.asked.key)
        return Answer(200, _XML, document("Tagging", [("TagSet", [])]))

    async def copied(self, exchange: Exchange, bucket: str, key: str) -> Opened:
        """The object that a copy is made of, if the request's conditions for it hold."""
        opened = await self.found(exchange, bucket, key)
        if fate(exchange.asked.headers, opened.stored, "x-amz-copy-source-") is not Fate.SEND:
            opened.close()
            raise _failed()
        return opened

    async def found(self, exchange: Exchange, bucket: str, key: str) -> Opened:
        """The object. Who may not list the bucket is not told that it is not there: AccessDenied, as of S3."""
        _no_version(exchange.asked.query.get("versionId"))
        await exchange.allow("GetObject", key, bucket)
        try:
            return await self._opened(exchange.account, bucket, key_name(key))
        except Refused as error:
            if error.code == "NoSuchKey":
                await exchange.allow("ListBucket", None, bucket)
            raise

    async def _opened(self, account: str, bucket: str, key: str) -> Opened:
        try:
            return await asyncio.to_thread(self._objects.open, account, bucket, key)
        except Refused as error:
            if error.code != "NoSuchKey" or not await self._absent(account, bucket, key):
                raise
        return await asyncio.to_thread(self._objects.open, account, bucket, key)


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


def source_of(headers: Mapping[str, str]) -> tuple[str, str]:
    """Bucket and key of x-amz-copy-source. InvalidArgument."""
    path, _, version = headers["x-amz-copy-source"].partition("?")
    _no_version(version.removeprefix("versionId=") or None)
    with suppress(UnicodeDecodeError):
        bucket, _, key = unquote_to_bytes(path).decode().removeprefix("/").partition("/")
        if bucket and key:
            return bucket, key
    raise Refused("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")


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
    headers = {**shown(stored.about), **overrides, **tags, "accept-ranges": "bytes", **_INERT}
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


def _no_version(version: str | None) -> None:
    if version not in (None, "", "null"):
        raise Refused("NoSuchVersion", "The specified version does not exist.", 404)


def _failed() -> Refused:
    return Refused("PreconditionFailed", "At least one of the pre-conditions you specified did not hold", 412)
