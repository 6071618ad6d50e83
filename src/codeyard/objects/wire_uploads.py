"""Objects in parts, by S3's operations."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import islice
from xml.etree.ElementTree import Element

from codeyard.aws import Refused
from codeyard.objects import About, Encryption, Stored
from codeyard.objects.body import PUT_AT_MOST, XML_AT_MOST, told_checksums, too_large
from codeyard.objects.checksums import ALGORITHMS, WHOLE_OF_PARTS
from codeyard.objects.conditions import part_of
from codeyard.objects.directory import ObjectDirectory
from codeyard.objects.exchange import Answer, Exchange, about, iso_date, sealed, versioned
from codeyard.objects.names import key_name
from codeyard.objects.uploads import PARTS_AT_MOST, Chosen, Upload, Uploads
from codeyard.objects.wire_buckets import encoding
from codeyard.objects.wire_objects import ObjectOperations, copied_version, fill, pour, precondition, source_of, summed
from codeyard.objects.xml import Tag, children, document, malformed, parse, text

_XML = {"content-type": "application/xml"}
_PAGE = 1000


class UploadOperations:
    """See the module."""

    def __init__(self, objects: ObjectDirectory, sources: ObjectOperations, usual: Encryption | None) -> None:
        self._objects, self._sources, self._usual = objects, sources, usual
        self._uploads = Uploads(objects)

    def by_name(self) -> dict[str, Callable[[Exchange], Awaitable[Answer]]]:
        return {
            "CreateMultipartUpload": self.create,
            "UploadPart": self.upload_part,
            "UploadPartCopy": self.upload_part_copy,
            "CompleteMultipartUpload": self.complete,
            "AbortMultipartUpload": self.abort,
            "ListParts": self.list_parts,
            "ListMultipartUploads": self.list_uploads,
        }

    async def create(self, exchange: Exchange) -> Answer:
        asked = exchange.asked
        key_name(asked.key)
        await exchange.allow("PutObject", asked.key)
        algorithm, whole = _checksum(exchange)
        told = about(asked.headers, self._usual)
        upload = await asyncio.to_thread(
            lambda: self._uploads.create(exchange.account, asked.bucket, asked.key, told, algorithm, whole=whole)
        )
        headers = {**_XML, **sealed(told)}
        if algorithm is not None:
            headers["x-amz-checksum-algorithm"] = algorithm
            headers["x-amz-checksum-type"] = "FULL_OBJECT" if whole else "COMPOSITE"
        tags: list[Tag] = [("Bucket", asked.bucket), ("Key", asked.key), ("UploadId", upload.id)]
        return Answer(200, headers, document("InitiateMultipartUploadResult", tags))

    async def upload_part(self, exchange: Exchange) -> Answer:
        asked = exchange.asked
        await exchange.allow("PutObject", asked.key)
        number, upload = await self._part(exchange)
        body = exchange.body(PUT_AT_MOST)
        told = About(encryption=upload.about.encryption)
        with await asyncio.to_thread(self._objects.draft, exchange.account, asked.bucket, told) as draft:
            sums = await fill(draft, body)
            stored = await asyncio.to_thread(
                self._uploads.put, exchange.account, asked.bucket, upload, number, draft, sums
            )
        headers = {name: value for name, value in summed(stored).items() if name != "x-amz-checksum-type"}
        return Answer(200, {"etag": f'"{stored.etag}"', **headers, **sealed(stored.about)})

    async def upload_part_copy(self, exchange: Exchange) -> Answer:
        asked = exchange.asked
        await exchange.allow("PutObject", asked.key)
        number, upload = await self._part(exchange)
        told = About(encryption=upload.about.encryption)
        with await self._sources.copied(exchange, *source_of(asked.headers)) as source:
            wanted = asked.headers.get("x-amz-copy-source-range")
            start, length = part_of(wanted, source.stored.size) or (0, source.stored.size)
            if length > PUT_AT_MOST:
                raise too_large(length, PUT_AT_MOST)
            with await asyncio.to_thread(self._objects.draft, exchange.account, asked.bucket, told) as draft:
                await pour(source.read(start, length), draft.write)
                stored = await asyncio.to_thread(
                    self._uploads.put, exchange.account, asked.bucket, upload, number, draft, {}
                )
        tags: list[Tag] = [("LastModified", iso_date(stored.modified)), ("ETag", f'"{stored.etag}"')]
        headers = {**_XML, **copied_version(source.stored), **sealed(stored.about)}
        return Answer(200, headers, document("CopyPartResult", tags))

    async def complete(self, exchange: Exchange) -> Answer:
        asked = exchange.asked
        await exchange.allow("PutObject", asked.key)
        upload = await self._upload(exchange)
        root = parse(await exchange.xml(XML_AT_MOST, summed=False), "CompleteMultipartUpload")
        chosen = tuple(_chosen(part) for part in children(root, "Part"))
        if not 1 <= len(chosen) <= PARTS_AT_MOST:
            raise malformed()
        wanted, condition = told_checksums(asked.headers), precondition(asked.headers)
        stored = await asyncio.to_thread(
            self._uploads.complete, exchange.account, asked.bucket, upload, chosen, wanted, condition
        )
        host = asked.headers.get("host", "")
        tags: list[Tag] = [
            ("Location", f"http://{host}/{asked.bucket}/{asked.key}"),
            ("Bucket", asked.bucket),
            ("Key", asked.key),
            ("ETag", f'"{stored.etag}"'),
            *((f"Checksum{name}", value) for name, value in stored.checksums.items()),
            ("ChecksumType", summed(stored).get("x-amz-checksum-type")),
        ]
        headers = {**_XML, **versioned(stored), **sealed(stored.about)}
        return Answer(200, headers, document("CompleteMultipartUploadResult", tags))

    async def abort(self, exchange: Exchange) -> Answer:
        await exchange.allow("AbortMultipartUpload", exchange.asked.key)
        upload = await self._upload(exchange)
        await asyncio.to_thread(self._uploads.abort, exchange.account, exchange.asked.bucket, upload)
        return Answer(204)

    async def list_parts(self, exchange: Exchange) -> Answer:
        asked = exchange.asked
        await exchange.allow("ListMultipartUploadParts", asked.key)
        upload = await self._upload(exchange)
        encoded = encoding(asked.query.get("encoding-type"))
        after = asked.number("part-number-marker", 0, 0, 2**31 - 1)
        limit = min(asked.number("max-parts", _PAGE, 0, 2**31 - 1), _PAGE)
        found = await asyncio.to_thread(
            lambda: list(
                islice(
                    (
                        one
                        for one in self._uploads.parts(exchange.account, asked.bucket, upload)
                        if int(one.key) > after
                    ),
                    limit + 1,
                )
            )
        )
        parts, more = found[:limit], len(found) > limit > 0
        tags: list[Tag] = [
            ("Bucket", asked.bucket),
            ("Key", encoded(asked.key)),
            ("UploadId", upload.id),
            ("PartNumberMarker", after),
            ("NextPartNumberMarker", parts[-1].key if parts else None),
            ("MaxParts", limit),
            ("EncodingType", asked.query.get("encoding-type")),
            ("IsTruncated", more),
            ("StorageClass", "STANDARD"),
            *(("Part", _shown(part)) for part in parts),
        ]
        return Answer(200, _XML, document("ListPartsResult", tags))

    async def list_uploads(self, exchange: Exchange) -> Answer:
        asked = exchange.asked
        await exchange.allow("ListBucketMultipartUploads")
        encoded = encoding(asked.query.get("encoding-type"))
        prefix, delimiter = asked.query.get("prefix", ""), asked.query.get("delimiter", "")
        marker = (asked.query.get("key-marker", ""), asked.query.get("upload-id-marker", ""))
        limit = min(asked.number("max-uploads", _PAGE, 0, 2**31 - 1), _PAGE)
        if delimiter:
            raise Refused("NotImplemented", "Uploads are not rolled up by a delimiter here.", 501)
        every = await asyncio.to_thread(self._uploads.all, exchange.account, asked.bucket)
        ordered = sorted(every, key=lambda one: (one.key.encode(), one.id))
        wanted = [one for one in ordered if one.key.startswith(prefix) and _after(one, marker)]
        shown, more = wanted[:limit], len(wanted) > limit > 0
        tags: list[Tag] = [
            ("Bucket", asked.bucket),
            ("KeyMarker", encoded(marker[0])),
            ("UploadIdMarker", marker[1]),
            ("NextKeyMarker", encoded(shown[-1].key) if more else None),
            ("NextUploadIdMarker", shown[-1].id if more else None),
            ("Prefix", encoded(prefix)),
            ("MaxUploads", limit),
            ("EncodingType", asked.query.get("encoding-type")),
            ("IsTruncated", more),
            *(("Upload", _under_way(one, encoded)) for one in shown),
        ]
        return Answer(200, _XML, document("ListMultipartUploadsResult", tags))

    async def _upload(self, exchange: Exchange) -> Upload:
        asked = exchange.asked
        return await asyncio.to_thread(
            self._uploads.get, exchange.account, asked.bucket, asked.key, asked.query["uploadId"]
        )

    async def _part(self, exchange: Exchange) -> tuple[int, Upload]:
        number = exchange.asked.number("partNumber", 0, 1, PARTS_AT_MOST)
        if not number:
            text = f"Part number must be an integer between 1 and {PARTS_AT_MOST}, inclusive"
            raise Refused("InvalidArgument", text)
        return number, await self._upload(exchange)


def _checksum(exchange: Exchange) -> tuple[str | None, bool]:
    """The algorithm, and whether it is of the whole object. InvalidRequest."""
    headers = exchange.asked.headers
    algorithm, kind = headers.get("x-amz-checksum-algorithm"), headers.get("x-amz-checksum-type")
    if algorithm is None:
        return None, False
    if algorithm not in ALGORITHMS:
        raise Refused("InvalidRequest", "Checksum algorithm provided is unsupported. Please try again with another.")
    usual = "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE"
    whole = (kind or usual) == "FULL_OBJECT"
    if kind not in (None, "FULL_OBJECT", "COMPOSITE") or (whole and algorithm not in WHOLE_OF_PARTS):
        raise Refused("InvalidRequest", f"The {kind} checksum type cannot be used with the {algorithm} algorithm.")
    return algorithm, whole


def _chosen(part: Element) -> Chosen:
    number, etag = text(part, "PartNumber"), text(part, "ETag")
    if number is None or etag is None or not (number.isascii() and number.isdigit() and len(number) <= 5):
        raise malformed()
    sums = {name: value for name in ALGORITHMS if (value := text(part, f"Checksum{name}"))}
    return Chosen(int(number), etag.strip('"'), sums)


def _after(upload: Upload, marker: tuple[str, str]) -> bool:
    key, id = marker
    if upload.key == key:
        return bool(id) and upload.id > id
    return upload.key.encode() > key.encode()


def _shown(part: Stored) -> list[Tag]:
    return [
        ("PartNumber", part.key),
        ("LastModified", iso_date(part.modified)),
        ("ETag", f'"{part.etag}"'),
        ("Size", part.size),
        *((f"Checksum{name}", value) for name, value in part.checksums.items()),
    ]


def _under_way(upload: Upload, encoded: Callable[[str], str]) -> list[Tag]:
    return [("Key", encoded(upload.key)), ("UploadId", upload.id), ("Initiated", iso_date(upload.started))]
