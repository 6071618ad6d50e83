"""A Bucket, and a BlobStore in one: S3 and its kin at any endpoint, another cloud's, or a directory or the memory.

A blob is one object, `blobs/<2 digits>/<62 digits>` below the prefix; an upload is visible only once it is complete.
A call waits for the network: several at once, from threads, are what makes it quick.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from importlib.util import find_spec
from io import BufferedReader
from typing import Any, BinaryIO

import obstore
from obstore import exceptions
from obstore.store import ObjectStore, S3Store, from_url

from codeyard.artifacts import Blob, Digest, Holder, Kind, Swept
from codeyard.artifacts.buckets import Download, Facts, Listed, Note
from codeyard.artifacts.checking import Checked, damaged
from codeyard.artifacts.failures import explained
from codeyard.errors import Conflict, Denied, Fault, Invalid, NotFound

SMALL = 8 << 20  # up to this, one request
_MACHINE_ROLE = "169.254.169.254"  # where a machine in the cloud asks for its role's keys; the last place looked at
_TOLD = re.compile(r"<Code>([^<]*)</Code>.*?<Message>([^<]*)</Message>", re.DOTALL)
_DAY = 86_400.0  # seconds; a blob that is put again is uploaded again if it is older, so that no sweep takes it
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ATTRIBUTES = frozenset("Content-Disposition Content-Encoding Content-Language Content-Type Cache-Control".split())
_RETRY = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}


class RemoteBucket:
    """A Bucket at an endpoint that speaks S3, or another cloud's. What it encrypts by, it decides itself."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @contextmanager
    def read(self, key: str, version: str | None = None) -> Iterator[Download]:
        with _answered(f"reading object {key!r}"):
            answer = obstore.get(self._store, key, options={"version": version} if version else None)
            pieces = (bytes(piece) for piece in answer.stream(min_chunk_size=4 << 20))
            yield Download(answer.meta["size"], pieces, _facts(answer))

    def facts(self, key: str, version: str | None = None) -> Facts:
        with _answered(f"asking for object {key!r}"):
            options: Any = {"head": True, **({"version": version} if version else {})}
            return _facts(obstore.get(self._store, key, options=options))

    def write(self, key: str, content: BinaryIO | Iterator[bytes] | bytes, note: Note) -> None:
        if note.acl not in (None, "private"):
            why = f"it can be given no ACL {note.acl}: there is no way to send one to this bucket."
            raise Invalid(f"object {key!r}", why, "Use the bucket's policy instead.")
        told = {"Content-Type": note.content_type, "Cache-Control": note.cache_control}
        attributes = {**note.metadata, **{name: value for name, value in told.items() if value}}
        upload(self._store, key, content, attributes)

    def list(self, prefix: str) -> Iterator[Listed]:
        with _answered(f"listing {prefix!r}"):
            for page in obstore.list(self._store, prefix=prefix or None, chunk_size=1000):
                for found in page:
                    yield Listed(found["path"], found["size"])


class ObjectBlobStore:
    """Blobs in `bucket`, which `open_store` gives. Sweep only what is at least two days old where others may put."""

    def __init__(self, bucket: ObjectStore) -> None:
        self._bucket = bucket

    def has(self, digest: Digest) -> bool:
        with _answered("asking for a blob"):
            return self._recent(digest) is not None

    def put(self, source: BinaryIO, expected: Digest | None = None) -> Blob:
        """What is larger than one request is read twice: once to know its name, once to upload it. If it changes
        between, the upload is given up before it is complete: Conflict."""
        head = source.read(SMALL)
        start = source.tell() - len(head)
        hashed, size = hashlib.sha256(head), len(head)
        if len(head) == SMALL:
            while piece := source.read(1 << 20):
                hashed.update(piece)
                size += len(piece)
        blob = Blob(Digest(hashed.hexdigest()), size)
        if expected is not None and blob.digest != expected:
            raise Invalid("what was to be stored", f"it is {blob.digest}, not {expected}.", "Fetch it again.")
        with _answered("putting a blob into the bucket"):
            if self._recent(blob.digest) == blob.size:
                return blob
            if len(head) < SMALL:
                obstore.put(self._bucket, _key(blob.digest), head, use_multipart=False)
            else:
                source.seek(start)
                obstore.put(self._bucket, _key(blob.digest), _same(source, blob), chunk_size=SMALL, max_concurrency=4)
        return blob

    @contextmanager
    def open(self, digest: Digest) -> Iterator[BinaryIO]:
        with _answered(f"reading blob {digest}"), BufferedReader(Checked(_Stream(self._get(digest)), digest)) as file:
            try:
                yield file
            except Fault:
                self._set_aside(digest)
                raise

    def place(
        self, digest: Digest, name: str, *, directory: int, kind: Kind = Kind.FILE, holder: Holder = Holder.WRITER
    ) -> None:
        mode = (0o555 if kind is Kind.EXECUTABLE else 0o444) | (0o200 if holder is Holder.WRITER else 0)
        with explained(f"placing {name!r}"), _answered(f"fetching blob {digest}"):
            pieces = self._get(digest)
            try:
                target = os.open(name, _NEW, 0o600, dir_fd=directory)
            except FileExistsError:
                raise Conflict(f"name {name!r}", "something is there already.", "Choose a new directory.") from None
            try:
                with os.fdopen(target, "wb") as file:
                    hashed = hashlib.sha256()
                    for piece in pieces:
                        hashed.update(piece)
                        file.write(piece)
                    if hashed.hexdigest() != digest:
                        self._set_aside(digest)
                        raise damaged(digest)
                    os.fchmod(target, mode)
            except BaseException:
                with suppress(OSError):
                    os.unlink(name, dir_fd=directory)
                raise

    def sweep(self, keep: Callable[[Digest], bool], *, older_than: float, dry_run: bool = False) -> Swept:
        latest = time.time() - older_than
        blobs = size = 0
        with _answered("sweeping the bucket"):
            for page in obstore.list(self._bucket, "blobs", chunk_size=1000):
                for found in page:
                    digest = "".join(found["path"].rsplit("/", 2)[1:])
                    if found["last_modified"].timestamp() >= latest or keep(Digest.parse(digest)):
                        continue
                    if not dry_run:
                        obstore.delete(self._bucket, found["path"])
                    blobs, size = blobs + 1, size + found["size"]
        return Swept(blobs, size)

    def _recent(self, digest: Digest) -> int | None:
        """The size of a blob that is here, and young enough that no sweep takes it soon. A bucket cannot make an
        object young but by uploading it again."""
        try:
            found = obstore.head(self._bucket, _key(digest))
        except FileNotFoundError:
            return None
        return found["size"] if found["last_modified"].timestamp() > time.time() - _DAY else None

    def _set_aside(self, digest: Digest) -> None:
        """Move a blob that is not what its name says out of the way, so that it can be put again."""
        with suppress(FileNotFoundError, exceptions.BaseError):
            obstore.rename(self._bucket, _key(digest), f"damaged/{digest}")

    def _get(self, digest: Digest) -> Iterator[bytes]:
        try:
            answer = obstore.get(self._bucket, _key(digest))
        except FileNotFoundError:
            raise NotFound(f"blob {digest}", "the store does not have it.", "Build it again.") from None
        return (bytes(piece) for piece in answer.stream(min_chunk_size=1 << 20))


def open_bucket(url: str, *, endpoint: str | None = None) -> RemoteBucket:
    """The bucket at a URL as `open_store` takes it."""
    return RemoteBucket(open_store(url, endpoint=endpoint))


def open_store(url: str, *, endpoint: str | None = None) -> ObjectStore:
    """The place at `s3://bucket/prefix`, `gs://…`, `az://…`, `file:///…` or `memory:///`.

    For S3, keys, region and endpoint come from the environment as for any AWS client (`AWS_ACCESS_KEY_ID`,
    `AWS_REGION`, `AWS_ENDPOINT_URL_S3`, …), then from where boto3 finds them, if it is installed. Invalid if the
    address is none of these."""
    try:
        if not url.startswith("s3://"):
            return from_url(url)
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if not bucket:
            raise Invalid(f"address {url!r}", "it names no bucket.", "Write s3://bucket/prefix.")
        surroundings = os.environ
        endpoint = endpoint or surroundings.get("AWS_ENDPOINT_URL_S3") or surroundings.get("AWS_ENDPOINT_URL")
        options: dict[str, Any] = {
            "region": surroundings.get("AWS_REGION") or surroundings.get("AWS_DEFAULT_REGION") or "us-east-1",
            "client_options": {"allow_http": bool(endpoint and endpoint.startswith("http://"))},
            "retry_config": _RETRY,
        }
        if endpoint:
            options["endpoint"] = endpoint
        if not surroundings.get("AWS_ACCESS_KEY_ID") and (provider := _from_boto3()) is not None:
            options["credential_provider"] = provider
        return S3Store(bucket, prefix=prefix.strip("/") or None, **options)
    except (ValueError, exceptions.BaseError) as error:
        raise Invalid(f"address {url!r}", f"{_first_line(error)}.", "Write s3://bucket/prefix.") from error


def upload(bucket: ObjectStore, key: str, pieces: BinaryIO | Iterator[bytes] | bytes, metadata: dict[str, str]) -> None:
    """Put one object, replacing what has the key, with user metadata beside it. A file must be seekable; an iterator
    that raises ends the upload before anything is visible."""
    with _answered(f"writing object {key!r}"):
        try:
            obstore.put(bucket, key, pieces, attributes=metadata, chunk_size=SMALL, max_concurrency=4)
        except ValueError as error:
            raise Invalid(f"object {key!r}", f"it cannot have this name: {error}.", "Rename it.") from error


def _facts(answer: Any) -> Facts:
    """S3 says the version "null" for an object that was put while its bucket kept none."""
    meta, version = answer.meta, answer.meta.get("version")
    metadata = {name.lower(): value for name, value in answer.attributes.items() if name not in _ATTRIBUTES}
    return Facts(
        size=meta["size"],
        etag=(meta.get("e_tag") or "").strip('"'),
        version=None if version in (None, "null") else version,
        modified=meta["last_modified"],
        metadata=metadata,
    )


def _from_boto3() -> Any:
    if find_spec("boto3") is None:
        return None
    from obstore.auth.boto3 import Boto3CredentialProvider

    with suppress(ValueError):  # it has none either; the machine's own role may serve
        return Boto3CredentialProvider()
    return None


class _Stream:
    """Pieces of any size, read into buffers of any size."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def readinto(self, buffer: Any, /) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _same(source: BinaryIO, blob: Blob) -> Iterator[bytes]:
    """The content of `blob`, again; Conflict at its end, before the upload is complete, if it is another now."""
    hashed = hashlib.sha256()
    while piece := source.read(1 << 20):
        hashed.update(piece)
        yield piece
    if hashed.hexdigest() != blob.digest:
        raise Conflict("a file", "it changed while it was being stored.", "Stop what writes to it first.")


def _key(digest: Digest) -> str:
    return f"blobs/{digest[:2]}/{digest[2:]}"


@contextmanager
def _answered(what: str) -> Iterator[None]:
    """Turn what the bucket says into our errors."""
    try:
        yield
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise Denied(what, f"the bucket refuses: {_first_line(error)}.", "Check the keys and the policy.") from error
    except FileNotFoundError as error:
        raise NotFound(what, f"{_first_line(error)}.", "Check the name of the bucket.") from error
    except (exceptions.BaseError, ConnectionError, TimeoutError) as error:
        if _MACHINE_ROLE in str(error):
            raise Denied(
                what,
                "there are no credentials here, and this machine has no role of its own to ask for.",
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in with the AWS CLI.",
            ) from None
        if _first_line(error).startswith("NoSuch"):  # a list does not say it by the kind of its error
            raise NotFound(what, f"{_first_line(error)}.", "Check the name of the bucket.") from error
        raise Fault(what, f"the bucket cannot be used: {_first_line(error)}.", "Check the endpoint.") from error


def _first_line(error: Exception) -> str:
    """What the bucket said: of an XML answer its code and message."""
    if (told := _TOLD.search(str(error))) is not None:
        return f"{told[1]}: {told[2]}"[:300].rstrip(". ")
    return (str(error).splitlines() or ["no reason given"])[0][:300].rstrip(". ")
