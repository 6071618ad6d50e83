"""Buckets in a directory, of which several processes may use one at the same time. All of it blocks.

ROOT/<account>/<bucket>/bucket.json       what the bucket is; whoever adds to the bucket holds its lock, shared
                       /objects/<path>    an object's file; names.py says where, files.py what is in it
                       /uploads/<id>/     an object that comes in parts; see uploads.py
                       /versioning        whether objects keep what they were before; see versions.py
                       /versions/         what they were before
                       /drafts/           where a file has a name for the moment before it replaces another
"""

import errno
import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from codeyard.artifacts.failures import explain, explained
from codeyard.artifacts.removal import remove_tree
from codeyard.aws import Refused
from codeyard.errors import Fault
from codeyard.objects import NULL, About, Keys, Stored
from codeyard.objects.files import Draft, Opened
from codeyard.objects.listing import Page, keys_from, page
from codeyard.objects.names import Name, bucket_name, key_name, parse, path_of
from codeyard.objects.placing import place as placed
from codeyard.objects.placing import settle, unplace
from codeyard.objects.versions import History, Marked, Versioning, VersionPage, fresh, version_page

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
            settle(place)
        return bucket

    def remove(self, account: str, name: str) -> None:
        """NoSuchBucket, BucketNotEmpty. What was being put in parts goes with it."""
        self.bucket(account, name)
        place = self._place(account, name)
        with self._holding(account, name, fcntl.LOCK_EX):
            if next(keys_from(_Reader(place / "objects").names, b"", b""), None) is not None or any(
                not History(place, key.decode()).empty()
                for key in keys_from(_Reader(place / "versions").names, b"", b"")
            ):
                raise Refused("BucketNotEmpty", "The bucket you tried to delete is not empty", 409)
            gone = place.with_name(f".{os.urandom(8).hex()}")
            place.rename(gone)
        remove_tree(gone)

    def versioning(self, account: str, bucket: str) -> Versioning | None:
        """None also if there is no such bucket."""
        try:
            return Versioning((self._place(account, bucket) / "versioning").read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def set_versioning(self, account: str, bucket: str, versioning: Versioning) -> None:
        """From now on. NoSuchBucket."""
        place = self._place(account, bucket)
        with self._holding(account, bucket, fcntl.LOCK_EX), explained("changing a bucket"):
            (place / "drafts").mkdir(mode=0o700, exist_ok=True)
            draft = place / "drafts" / os.urandom(16).hex()
            with draft.open("x") as file:
                file.write(versioning)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(place / "versioning")
            settle(place)

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
        whole, sums = etag or draft.md5.hex(), checksums or {}
        with explained("writing an object"):
            while True:
                versioning = self.versioning(account, bucket)
                stored = Stored(
                    key_name(key), draft.size, whole, self._now(), draft.about, sums, parts, fresh(versioning)
                )  # fmt: skip
                draft.finish(stored, _bound(account, bucket, key))
                with self._changing(account, bucket, versioning, alone=condition is not None) as unchanged:
                    if not unchanged:
                        continue
                    if condition is not None:
                        self._check(account, bucket, key, condition)
                    if versioning is None:
                        placed(draft, self._object(account, bucket, key))
                    else:
                        self._history(account, bucket, key).put(draft, stored)
                    return stored

    def open(self, account: str, bucket: str, key: str, version: str | None = None) -> Opened:
        """An object, or a version of it. NoSuchBucket, NoSuchKey, NoSuchVersion, Marked."""
        try:
            if version is not None:
                return self._open_version(account, bucket, key, version)
            found = Opened(self._object(account, bucket, key), _bound(account, bucket, key), self._keys)
        except FileNotFoundError:
            self.bucket(account, bucket)
            if self.versioning(account, bucket) is not None:
                self._check_mark(account, bucket, key)
            raise _no_key() from None
        except OSError as error:
            raise explain("reading an object", error) from error
        return self._named(found, account, bucket)

    def head(self, account: str, bucket: str, key: str, version: str | None = None) -> Stored:
        """As `open`."""
        with self.open(account, bucket, key, version) as found:
            return found.stored

    def delete(self, account: str, bucket: str, key: str, version: str | None = None) -> Stored | None:
        """Remove an object or, of a bucket with versions, mark it deleted; or remove a version of it. Nothing if it is
        not there. The mark that was made, or the version that was removed. NoSuchBucket."""
        key_name(key)
        while True:
            versioning = self.versioning(account, bucket)
            with (
                self._changing(account, bucket, versioning) as unchanged,
                explained("removing an object"),
            ):
                if not unchanged:
                    continue
                if versioning is None:
                    if version in (None, NULL):
                        top = str(self._place(account, bucket) / "objects")
                        unplace(self._object(account, bucket, key), top)
                    return None
                if version is not None:
                    return self._history(account, bucket, key).remove(version)
                return self._mark(account, bucket, key, versioning)

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

    def list_versions(
        self,
        account: str,
        bucket: str,
        prefix: str = "",
        delimiter: str = "",
        after: tuple[str, str | None] = ("", None),
        limit: int = 1000,
    ) -> VersionPage:
        """See `version_page`. NoSuchBucket."""
        place = self._place(account, bucket)
        with self._holding(account, bucket, fcntl.LOCK_SH):
            read = _Reader(place / "objects", place / "versions").names
            return version_page(read, lambda key: History(place, key).all(), prefix, delimiter, after, limit)

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

    def _history(self, account: str, bucket: str, key: str) -> History:
        return History(self._place(account, bucket), key_name(key))

    def _open_version(self, account: str, bucket: str, key: str, version: str) -> Opened:
        with self._holding(account, bucket, fcntl.LOCK_SH):
            path = self._history(account, bucket, key).find(version)
            if path is None:
                raise Refused("NoSuchVersion", "The specified version does not exist.", 404)
            found = Opened(path, _bound(account, bucket, key), self._keys)
        if found.stored.marker or found.stored.version_id != version:
            found.close()
            if found.stored.marker:
                raise Marked(found.stored, True)
            raise Fault(f"object file {path}", "it is another version's.", "Restore it from a backup.")
        return self._named(found, account, bucket)

    def _named(self, found: Opened, account: str, bucket: str) -> Opened:
        """What was put before the bucket kept versions has one since."""
        if found.stored.version is None and self.versioning(account, bucket) is not None:
            found.stored = replace(found.stored, version=NULL)
        return found

    def _check_mark(self, account: str, bucket: str, key: str) -> None:
        with self._holding(account, bucket, fcntl.LOCK_SH):
            newest = next(self._history(account, bucket, key).all(), None)
        if newest is not None and newest.marker:
            raise Marked(newest, False)

    def _mark(self, account: str, bucket: str, key: str, versioning: Versioning) -> Stored:
        marker = Stored(key, 0, "", self._now(), version=fresh(versioning), marker=True)
        with Draft(self._place(account, bucket) / "drafts", About(), None) as draft:
            draft.finish(marker, _bound(account, bucket, key))
            self._history(account, bucket, key).mark(draft, marker)
        return marker

    def _read(self, account: str, name: str) -> Bucket | None:
        try:
            known = json.loads((self._account(account) / name / "bucket.json").read_bytes())
            return Bucket(name, known["region"], datetime.fromisoformat(known["created"]))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _check(self, account: str, bucket: str, key: str, condition: Condition) -> None:
        try:  # and not `head`, which may want to hold the bucket, as who called this does
            with Opened(self._object(account, bucket, key), _bound(account, bucket, key), self._keys) as found:
                etag = found.stored.etag
        except FileNotFoundError:
            if condition.etag is not None:
                raise _no_key() from None
            return
        if condition.absent or condition.etag != etag:
            raise Refused(
                "PreconditionFailed", "At least one of the pre-conditions you specified did not hold", 412
            )  # fmt: skip

    @contextmanager
    def _changing(
        self, account: str, bucket: str, versioning: Versioning | None, *, alone: bool = False
    ) -> Iterator[bool]:
        """Hold the bucket as a change of objects has to, and say whether it is still as it was seen. NoSuchBucket."""
        how = fcntl.LOCK_EX if alone or versioning is not None else fcntl.LOCK_SH
        with self._holding(account, bucket, how):
            yield self.versioning(account, bucket) is versioning

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


def _no_key() -> Refused:
    return Refused("NoSuchKey", "The specified key does not exist.", 404)


class _Reader:
    """Directories of a bucket, each read once for one list; where there are several trees, as if they were one."""

    def __init__(self, *trees: Path) -> None:
        self._trees, self._known = trees, dict[str, list[Name]]()

    def names(self, place: str) -> list[Name]:
        if place not in self._known:
            found = {name for tree in self._trees for text in _listed(f"{tree}/{place}") if (name := parse(text))}
            self._known[place] = sorted(found)
        return self._known[place]


def _listed(place: str) -> list[str]:
    try:
        return os.listdir(place)
    except FileNotFoundError:  # it was emptied meanwhile
        return []


def _bound(account: str, bucket: str, key: str) -> bytes:
    return f"{account}/{bucket}/{key}".encode()


def _same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
