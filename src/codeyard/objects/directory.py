"""Buckets in a directory, of which several processes may use one at the same time. All of it blocks.

ROOT/<account>/<bucket>/bucket.json       what the bucket is; whoever adds to the bucket holds its lock, shared
                       /objects/<path>    an object's file; names.py says where, files.py what is in it
                       /uploads/<id>/     an object that comes in parts; see uploads.py
                       /drafts/           where a file has a name for the moment before it replaces another
"""

import errno
import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from codeyard.artifacts.failures import explain, explained
from codeyard.artifacts.removal import remove_tree
from codeyard.aws import Refused
from codeyard.objects import About, Keys, Stored
from codeyard.objects.files import Draft, Opened
from codeyard.objects.listing import Page, keys_from, page
from codeyard.objects.names import Name, bucket_name, key_name, parse, path_of

_TRIES = 100
_ACCOUNT = re.compile(r"[0-9]{12}")


@dataclass(frozen=True, slots=True)
class Bucket:
    name: str
    region: str
    created: datetime


@dataclass(frozen=True, slots=True)
class Condition:
    """What must be so when an object is put: PreconditionFailed if not."""

    absent: bool = False  # If-None-Match: *
    etag: str | None = None  # If-Match


class ObjectDirectory:
    """See the module. `keys` are the vault's; without them nothing encrypted is put or read."""

    def __init__(self, root: Path, keys: Keys | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._root, self._keys, self._now = root, keys, now

    # ── buckets ──

    def buckets(self, account: str) -> tuple[Bucket, ...]:
        """All of the account's, by name."""
        try:
            names = sorted(name for name in os.listdir(self._account(account)) if not name.startswith("."))
        except FileNotFoundError:
            return ()
        return tuple(found for name in names if (found := self._read(account, name)) is not None)

    def bucket(self, account: str, name: str) -> Bucket:
        """NoSuchBucket."""
        found = self._read(account, bucket_name(name))
        if found is None:
            raise _no_bucket()
        return found

    def create(self, account: str, name: str, region: str) -> Bucket:
        """A new bucket. BucketAlreadyOwnedByYou; BucketAlreadyExists cannot be, for accounts share no names."""
        bucket = Bucket(bucket_name(name), region, self._now())
        place = self._account(account)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = place / f".{os.urandom(8).hex()}"
        with explained("making a bucket"):
            (draft / "objects").mkdir(mode=0o700, parents=True)
            text = json.dumps({"region": region, "created": bucket.created.isoformat()})
            (draft / "bucket.json").write_text(text)
            try:
                draft.rename(place / name)
            except OSError as error:
                remove_tree(draft)
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                text = "Your previous request to create the named bucket succeeded and you already own it."
                raise Refused("BucketAlreadyOwnedByYou", text, 409) from None
            _settle(place)
        return bucket

    def remove(self, account: str, name: str) -> None:
        """NoSuchBucket, BucketNotEmpty. What was being put in parts goes with it."""
        self.bucket(account, name)
        place = self._place(account, name)
        with self._holding(account, name, fcntl.LOCK_EX):
            if next(keys_from(_Reader(place / "objects").names, b"", b""), None) is not None:
                raise Refused("BucketNotEmpty", "The bucket you tried to delete is not empty", 409)
            gone = place.with_name(f".{os.urandom(8).hex()}")
            place.rename(gone)
        remove_tree(gone)

    # ── objects ──

    def draft(self, account: str, bucket: str, about: About) -> Draft:
        """What an object is written to, in order, before it is put. NoSuchBucket."""
        self.bucket(account, bucket)
        try:
            return Draft(self._place(account, bucket) / "drafts", about, self._keys)
        except FileNotFoundError:  # it was deleted in between
            raise _no_bucket() from None
        except OSError as error:
            raise explain("writing an object", error) from error

    def put(
        self,
        account: str,
        bucket: str,
        key: str,
        draft: Draft,
        *,
        checksums: dict[str, str] | None = None,
        etag: str | None = None,
        parts: tuple[int, ...] = (),
        condition: Condition | None = None,
    ) -> Stored:
        """The draft becomes the object, replacing what had the key. NoSuchBucket, PreconditionFailed."""
        target = self._object(account, bucket, key)
        stored = Stored(
            key_name(key), draft.size, etag or draft.md5.hex(), self._now(), draft.about, checksums or {}, parts
        )
        with explained("writing an object"):
            draft.finish(stored, _bound(account, bucket, key))
            with self._holding(account, bucket, fcntl.LOCK_EX if condition else fcntl.LOCK_SH):
                if condition is not None:
                    self._check(account, bucket, key, condition)
                _place(draft, target)
        return stored

    def open(self, account: str, bucket: str, key: str) -> Opened:
        """NoSuchBucket, NoSuchKey."""
        target = self._object(account, bucket, key)
        try:
            return Opened(target, _bound(account, bucket, key), self._keys)
        except FileNotFoundError:
            self.bucket(account, bucket)
            raise Refused("NoSuchKey", "The specified key does not exist.", 404) from None
        except OSError as error:
            raise explain("reading an object", error) from error

    def head(self, account: str, bucket: str, key: str) -> Stored:
        """NoSuchBucket, NoSuchKey."""
        with self.open(account, bucket, key) as found:
            return found.stored

    def delete(self, account: str, bucket: str, key: str) -> None:
        """Nothing if there is no such object. NoSuchBucket."""
        self.bucket(account, bucket)
        target = self._object(account, bucket, key)
        top = str(self._place(account, bucket) / "objects")
        with explained("removing an object"), suppress(FileNotFoundError):
            os.unlink(target)  # noqa: PTH108
            place = os.path.dirname(target)  # noqa: PTH120
            _settle(place)
            with suppress(OSError):  # not empty
                while place != top:
                    os.rmdir(place)  # noqa: PTH106
                    place = os.path.dirname(place)  # noqa: PTH120

    def list(
        self, account: str, bucket: str, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000
    ) -> tuple[tuple[Stored, ...], Page]:
        """The objects of a page of the list, and the page. What went meanwhile is left out. NoSuchBucket."""
        self.bucket(account, bucket)
        found = page(_Reader(self._place(account, bucket) / "objects").names, prefix, delimiter, after, limit)
        shown = []
        for key in found.keys:
            with suppress(Refused):
                shown.append(self.head(account, bucket, key))
        return tuple(shown), found

    # ── places ──

    def uploads(self, account: str, bucket: str) -> Path:
        """Where objects are that come in parts. NoSuchBucket."""
        self.bucket(account, bucket)
        return self._place(account, bucket) / "uploads"

    def part(self, path: Path, place: bytes) -> Opened:
        """A file of an upload. FileNotFoundError."""
        return Opened(str(path), place, self._keys)

    def tidy(self, older_than: float = 3600.0) -> None:
        """Remove what processes left that died while they replaced an object, gave up an upload or removed a bucket.
        For the start of a server; what is younger, in seconds, may be at work."""
        begun = [place for place in self._root.glob("*/*/uploads/*") if not (place / "upload.json").exists()]
        for left in (*begun, *self._root.glob("*/*/drafts/*"), *self._root.glob("*/.*")):
            with suppress(OSError):
                if left.stat().st_mtime < self._now().timestamp() - older_than:
                    remove_tree(left)

    @property
    def now(self) -> datetime:
        return self._now()

    def _account(self, account: str) -> Path:
        assert _ACCOUNT.fullmatch(account), "whoever called proved who they are"
        return self._root / account

    def _place(self, account: str, bucket: str) -> Path:
        return self._account(account) / bucket_name(bucket)

    def _object(self, account: str, bucket: str, key: str) -> str:
        return f"{self._place(account, bucket)}/objects/{path_of(key_name(key))}"

    def _read(self, account: str, name: str) -> Bucket | None:
        try:
            known = json.loads((self._account(account) / name / "bucket.json").read_bytes())
            return Bucket(name, known["region"], datetime.fromisoformat(known["created"]))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _check(self, account: str, bucket: str, key: str, condition: Condition) -> None:
        try:
            etag = self.head(account, bucket, key).etag
        except Refused:
            if condition.etag is not None:
                raise
            return
        if condition.absent or condition.etag != etag:
            raise Refused(
                "PreconditionFailed", "At least one of the pre-conditions you specified did not hold", 412
            )  # fmt: skip

    @contextmanager
    def _holding(self, account: str, bucket: str, how: int) -> Iterator[None]:
        """So long, the bucket is not deleted; with LOCK_EX, nothing is added to it either. NoSuchBucket."""
        path = self._place(account, bucket) / "bucket.json"
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise _no_bucket() from None
        try:
            fcntl.flock(descriptor, how)
            if not _same(descriptor, path):  # it was deleted while we waited
                raise _no_bucket()
            yield
        finally:
            os.close(descriptor)


def _no_bucket() -> Refused:
    return Refused("NoSuchBucket", "The specified bucket does not exist", 404)


class _Reader:
    """Directories of a bucket, each read once for one list."""

    def __init__(self, objects: Path) -> None:
        self._objects, self._known = str(objects), dict[str, list[Name]]()

    def names(self, place: str) -> list[Name]:
        if place not in self._known:
            try:
                found = [name for text in os.listdir(f"{self._objects}/{place}") if (name := parse(text)) is not None]
            except FileNotFoundError:  # it was emptied meanwhile
                found = []
            self._known[place] = sorted(found)
        return self._known[place]


def _bound(account: str, bucket: str, key: str) -> bytes:
    return f"{account}/{bucket}/{key}".encode()


def _place(draft: Draft, target: str) -> None:
    """Give the draft its name, in directories that others may remove at any moment, because they became empty."""
    place = os.path.dirname(target)  # noqa: PTH120
    for left in range(_TRIES, 0, -1):
        try:
            draft.replace(target)
            _settle(place)
            return
        except FileNotFoundError:
            if left == 1:
                raise
            _make_directories(place)


def _make_directories(place: str) -> None:
    """As `mkdir -p`, and without recursion: there may be a thousand."""
    missing = []
    while True:
        try:
            os.mkdir(place, 0o700)  # noqa: PTH102
            break
        except FileExistsError:
            break
        except FileNotFoundError:
            missing.append(place)
            place = os.path.dirname(place)  # noqa: PTH120
    for inner in reversed(missing):
        try:
            os.mkdir(inner, 0o700)  # noqa: PTH102
        except FileExistsError:
            pass
        except FileNotFoundError:  # removed again: the next try makes it
            return


def _settle(place: str | Path) -> None:
    """Have the names in a directory on the disk."""
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
