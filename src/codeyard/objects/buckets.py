"""Buckets for builds: the embedded ones without a server between, and any with leave asked first."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from codeyard.artifacts import chunks
from codeyard.artifacts.buckets import Bucket, Download, Facts, Listed, Note, OpenBucket
from codeyard.aws import Refused
from codeyard.errors import CodeyardError, Denied, Fault, Invalid, NotFound
from codeyard.objects import NULL, About, Encryption, Stored
from codeyard.objects.directory import ObjectDirectory
from codeyard.objects.versions import Marked

Permit = Callable[[str, str], None]  # of an action, such as s3:GetObject, and an ARN; Denied


def embedded(objects: ObjectDirectory, account: str) -> OpenBucket:
    """Opens the buckets of an account, straight in their directory."""

    def open_bucket(url: str) -> Bucket:
        bucket, prefix = split_url(url)
        return EmbeddedBucket(objects, account, bucket, prefix)

    return open_bucket


def permitted(open_bucket: OpenBucket, permit: Permit) -> OpenBucket:
    """The same buckets, of which nothing is read, written or listed before `permit` allows it."""

    def open_asking(url: str) -> Bucket:
        return PermittedBucket(open_bucket(url), permit, *split_url(url))

    return open_asking


def split_url(url: str) -> tuple[str, str]:
    """Bucket and prefix, which is "" or ends with a slash. Invalid."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket:
        raise Invalid(f"address {url!r}", "it names no bucket.", "Write s3://bucket/prefix.")
    return bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""


class EmbeddedBucket:
    """A Bucket of an ObjectDirectory; see `codeyard.artifacts.buckets`. `prefix` is "" or ends with a slash."""

    def __init__(self, objects: ObjectDirectory, account: str, bucket: str, prefix: str = "") -> None:
        self._objects, self._account, self._bucket, self._prefix = objects, account, bucket, prefix

    @contextmanager
    def read(self, key: str, version: str | None = None) -> Iterator[Download]:
        with _told(f"reading object {key!r}"):
            opened = self._objects.open(self._account, self._bucket, self._prefix + key, version)
        with opened:
            yield Download(opened.stored.size, opened.read(), _facts(opened.stored))

    def facts(self, key: str, version: str | None = None) -> Facts:
        with _told(f"asking for object {key!r}"):
            return _facts(self._objects.head(self._account, self._bucket, self._prefix + key, version))

    def write(self, key: str, content: BinaryIO | Iterator[bytes] | bytes, note: Note) -> None:
        # An ACL changes nothing here: what may be done with an object, policies alone say.
        told = {"content-type": note.content_type, "cache-control": note.cache_control}
        headers = {name: value for name, value in told.items() if value}
        encryption = Encryption(key=note.key) if note.key is not None else None
        about = About(headers, note.metadata, encryption)
        with (
            _told(f"writing object {key!r}"),
            self._objects.draft(self._account, self._bucket, about) as draft,
        ):
            for piece in _pieces(content):
                draft.write(piece)
            self._objects.put(self._account, self._bucket, self._prefix + key, draft)

    def list(self, prefix: str) -> Iterator[Listed]:
        folder = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        after: str | None = ""
        with _told(f"listing {prefix!r}"):
            while after is not None:
                objects, page = self._objects.list(self._account, self._bucket, self._prefix + folder, after=after)
                for one in objects:
                    yield Listed(one.key.removeprefix(self._prefix), one.size)
                after = page.last


class PermittedBucket:
    """A Bucket that asks first, for the keys below its prefix."""

    def __init__(self, bucket: Bucket, permit: Permit, name: str, prefix: str) -> None:
        self._inner, self._permit, self._arn, self._prefix = bucket, permit, f"arn:aws:s3:::{name}", prefix

    @contextmanager
    def read(self, key: str, version: str | None = None) -> Iterator[Download]:
        self._permit("s3:GetObjectVersion" if version else "s3:GetObject", f"{self._arn}/{self._prefix}{key}")
        with self._inner.read(key, version) as found:
            yield found

    def facts(self, key: str, version: str | None = None) -> Facts:
        self._permit("s3:GetObjectVersion" if version else "s3:GetObject", f"{self._arn}/{self._prefix}{key}")
        return self._inner.facts(key, version)

    def write(self, key: str, content: BinaryIO | Iterator[bytes] | bytes, note: Note) -> None:
        self._permit("s3:PutObject", f"{self._arn}/{self._prefix}{key}")
        if note.acl is not None:
            self._permit("s3:PutObjectAcl", f"{self._arn}/{self._prefix}{key}")
        self._inner.write(key, content, note)

    def list(self, prefix: str) -> Iterator[Listed]:
        self._permit("s3:ListBucket", self._arn)
        yield from self._inner.list(prefix)


def _facts(stored: Stored) -> Facts:
    version = stored.version_id if stored.version_id != NULL else None  # which tells nothing: it may be any
    return Facts(stored.size, stored.etag, version, stored.modified, stored.about.metadata)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """S3's refusals in the words of a Bucket."""
    try:
        yield
    except Refused as error:
        raise _in_words(what, error) from None


def _in_words(what: str, error: Refused) -> CodeyardError:
    why = f"{error.code}: {error.message.rstrip('.')}."
    if error.status == 404 or isinstance(error, Marked):
        return NotFound(what, why, "Check the name of the bucket and the key.")
    if error.status == 403:
        return Denied(what, why, "Check the policy.")
    if error.status < 500:
        return Invalid(what, why, "Use another name.")
    return Fault(what, why, "Look after the disk, then try again.")


def _pieces(content: BinaryIO | Iterator[bytes] | bytes) -> Iterator[bytes]:
    if isinstance(content, bytes):
        return iter((content,))
    return chunks(cast(BinaryIO, content)) if hasattr(content, "read") else content
