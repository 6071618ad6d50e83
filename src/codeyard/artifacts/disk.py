"""A BlobStore in a directory: `blobs/<2 digits>/<62 digits>`, each file 0444, whole from the moment it has its name.

A blob is written under a name of its own in `new/`, then renamed; what a killed writer leaves there is swept later.
Nothing is flushed blob by blob: 12,000 flushes take minutes. `settle` flushes them all at once, for whoever must
know that a power cut loses nothing, and a blob that a power cut did tear is found out by its digest, moved to
`damaged/`, and can be put again.
"""

import errno
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from io import BufferedReader
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from codeyard.artifacts import Blob, Digest, Holder, Kind, Swept
from codeyard.artifacts.checking import Checked, damaged
from codeyard.artifacts.copying import CANNOT, SMALL, clone, flush, hash_of, pour, write_all
from codeyard.artifacts.failures import explained
from codeyard.artifacts.scan import stamp
from codeyard.artifacts.stamps import Stamps
from codeyard.errors import Conflict, Fault, Invalid, NotFound

_REFRESH = 3600.0  # seconds; a blob that is put again gets a new time if its time is older
_MOST_SEEN = 500_000
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DRAFT = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_MODES = {
    (Holder.WRITER, Kind.FILE): 0o644,
    (Holder.WRITER, Kind.EXECUTABLE): 0o755,
    (Holder.READER, Kind.FILE): 0o444,
    (Holder.READER, Kind.EXECUTABLE): 0o555,
}


class DiskStore:
    """Blobs below `root`, which is made if need be and is for us alone.

    It may be used with `with`: then the next process knows which blobs were found sound, and links them unread."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._blobs, self._new = root / "blobs", root / "new"
        with explained(f"artifact store {root}"):
            self._blobs.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._new.mkdir(exist_ok=True, mode=0o700)
        self._prefix = f"{self._blobs}/"
        self._ids = count()
        self._seen: dict[Digest, float] = {}  # when a blob was known to be here and recent
        self._clones = True  # until the file system has refused once
        self._fans: set[str] = set()

    def has(self, digest: Digest) -> bool:
        now = time.monotonic()
        if self._seen.get(digest, -_REFRESH) + _REFRESH / 4 > now:
            return True
        if not self._touched(self._path(digest)):
            return False
        if len(self._seen) > _MOST_SEEN:
            self._seen.clear()
        self._seen[digest] = now
        return True

    def put(self, source: BinaryIO, expected: Digest | None = None) -> Blob:
        head = source.read(SMALL)
        with explained("putting a blob into the store"):
            if len(head) < SMALL:
                return self._put_small(head, expected)
            return self._put_large(source, head, expected)

    def adopt(self, descriptor: int) -> Blob:
        """Put an open regular file by making it the store's own under a second name: not a byte is copied.

        Only for files that nobody can write to any more: of a build whose processes are gone, in a directory that is
        about to be removed. The file becomes read-only and of this user, and gets a new time. It is copied after all
        if it has other names, is on another disk, or may not be linked. Conflict if it changes meanwhile."""
        with explained("putting a blob into the store"):
            before = os.fstat(descriptor)
            blob = Blob(Digest(hash_of(descriptor)), before.st_size)
            if not self._present(blob) and (before.st_nlink != 1 or not self._take(descriptor, blob, before)):
                os.lseek(descriptor, 0, os.SEEK_SET)
                with os.fdopen(os.dup(descriptor), "rb", buffering=0) as file:
                    return self.put(file, blob.digest)
        return blob

    @contextmanager
    def open(self, digest: Digest) -> Iterator[BinaryIO]:
        descriptor = self._open(digest)
        with os.fdopen(descriptor, "rb", buffering=0) as raw, BufferedReader(Checked(raw, digest)) as file:
            try:
                yield file
            except Fault:
                self._set_aside(digest)
                raise

    def place(
        self, digest: Digest, name: str, *, directory: int, kind: Kind = Kind.FILE, holder: Holder = Holder.WRITER
    ) -> None:
        with explained(f"placing {name!r}"):
            if holder is Holder.READER and kind is Kind.FILE and self._link(digest, name, directory):
                return
            self._copy(digest, name, directory, _MODES[holder, kind])

    def sweep(self, keep: Callable[[Digest], bool], *, older_than: float, dry_run: bool = False) -> Swept:
        """Also removes what killed writers left. A blob is moved aside, looked at again, and only then removed: so
        one that somebody put in between is kept."""
        latest = time.time() - older_than
        blobs = size = 0
        for fan in sorted(entry.name for entry in os.scandir(self._blobs)):
            for entry in list(os.scandir(self._blobs / fan)):
                status = entry.stat(follow_symlinks=False)
                if status.st_mtime >= latest or keep(Digest(fan + entry.name)):
                    continue
                self._seen.pop(Digest(fan + entry.name), None)
                if dry_run or self._remove(Path(entry.path), latest):
                    blobs, size = blobs + 1, size + status.st_size
        if not dry_run:
            self._tidy(time.time() - max(older_than, _REFRESH))
        return Swept(blobs, size)

    def settle(self) -> None:
        """Return once everything that was put survives a power cut. Takes as long as the disk does."""
        with explained("flushing the artifact store"):
            flush(self._blobs)

    @cached_property
    def _known(self) -> Stamps:
        """Which blobs were found sound: loaded when first asked for, and saved when the store is left."""
        return Stamps(self.root / "checked")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "_known" in self.__dict__:
            self._known.save_all()

    # ── putting ──

    def _put_small(self, content: bytes, expected: Digest | None) -> Blob:
        digest = Digest(hashlib.sha256(content).hexdigest())
        _expect(digest, expected)
        blob = Blob(digest, len(content))
        if not self._present(blob):
            with self._writing() as (descriptor, name):
                write_all(descriptor, content)
                self._publish(descriptor, name, digest)
        return blob

    def _put_large(self, source: BinaryIO, head: bytes, expected: Digest | None) -> Blob:
        """Hashed first, for most often it is here already; then copied by the kernel, and the copy hashed."""
        start = source.tell() - len(head)
        hashed = hashlib.sha256(head)
        size = len(head)
        while piece := source.read(SMALL):
            hashed.update(piece)
            size += len(piece)
        blob = Blob(Digest(hashed.hexdigest()), size)
        _expect(blob.digest, expected)
        if not self._present(blob):
            with self._writing() as (descriptor, name):
                source.seek(start)
                pour(source, descriptor, size)
                if hash_of(descriptor) != blob.digest:
                    raise Conflict("a file", "it changed while it was being stored.", "Stop what writes to it first.")
                self._publish(descriptor, name, blob.digest)
        return blob

    def _take(self, descriptor: int, blob: Blob, before: os.stat_result) -> bool:
        """Link the file into the store. False if the system will not have it."""
        name = self._draft()
        new = os.open(self._new, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # The descriptor and not a path: a path could be another file by now. With the descriptor of a directory
            # Python calls linkat, the one way to follow the link in /proc.
            os.link(f"/proc/self/fd/{descriptor}", Path(name).name, dst_dir_fd=new, follow_symlinks=True)
        except OSError as error:
            if error.errno in (errno.EMLINK, errno.EACCES, errno.ENOENT, *CANNOT):
                return False
            raise
        finally:
            os.close(new)
        try:
            after = os.fstat(descriptor)
            if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                raise Conflict("a file", "it changed while it was being stored.", "Stop what writes to it first.")
            if after.st_uid != os.geteuid():
                os.fchown(descriptor, os.geteuid(), os.getegid())
            os.utime(descriptor)
            self._publish(descriptor, name, blob.digest)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
        return True

    def _present(self, blob: Blob) -> bool:
        """Whether the store has it, of the right size; if so, it counts as put just now."""
        status = self._touched(self._path(blob.digest))
        return status is not None and status.st_size == blob.size  # else torn by a power cut: to be written over

    def _touched(self, path: str) -> os.stat_result | None:
        """The status of a blob, whose time is now recent; None if there is none."""
        try:
            status = _status(path)
            if status.st_mtime < time.time() - _REFRESH:
                os.utime(path)
        except FileNotFoundError:  # or swept this moment
            return None
        return status

    @contextmanager
    def _writing(self) -> Iterator[tuple[int, str]]:
        """A new file in `new/`, gone when the block ends unless it was published."""
        name = self._draft()
        descriptor = os.open(name, _DRAFT, 0o600)
        try:
            yield descriptor, name
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
        finally:
            os.close(descriptor)

    def _draft(self) -> str:
        """A name in `new/` that nobody else has."""
        return f"{self._new}/{os.getpid()}-{threading.get_ident()}-{next(self._ids)}-{time.monotonic_ns()}"

    def _publish(self, descriptor: int, name: str, digest: Digest) -> None:
        os.fchmod(descriptor, 0o444)
        fan = digest[:2]
        if fan not in self._fans:
            (self._blobs / fan).mkdir(exist_ok=True, mode=0o700)
            self._fans.add(fan)
        Path(name).rename(self._path(digest))
        self._known.note_ours(stamp(os.fstat(descriptor)), digest)

    # ── placing ──

    def _path(self, digest: Digest) -> str:
        return f"{self._prefix}{digest[:2]}/{digest[2:]}"

    def _open(self, digest: Digest) -> int:
        try:
            return os.open(self._path(digest), _READ)
        except FileNotFoundError:
            raise NotFound(f"blob {digest}", "the store does not have it.", "Build it again.") from None

    def _link(self, digest: Digest, name: str, directory: int) -> bool:
        """Give the store's own file a second name. False where the file system cannot, or has no name left to give."""
        place = self._path(digest)
        try:
            status = _status(place)
        except FileNotFoundError:
            raise NotFound(f"blob {digest}", "the store does not have it.", "Build it again.") from None
        was = stamp(status)
        if self._known.get(was) != digest:
            descriptor = self._open(digest)
            try:
                if hash_of(descriptor) != digest:
                    raise self._set_aside(digest)
            finally:
                os.close(descriptor)
        try:
            os.link(place, name, dst_dir_fd=directory, follow_symlinks=False)
        except FileExistsError:
            raise _taken(name) from None
        except OSError as error:
            if error.errno in (errno.EMLINK, *CANNOT):
                return False
            raise
        now = stamp(_status(place))
        if (now.size, now.modified) == (was.size, was.modified):  # only the new name has changed the change time
            self._known.renew(was, now, digest)
        return True

    def _copy(self, digest: Digest, name: str, directory: int, mode: int) -> None:
        source = self._open(digest)
        try:
            try:
                target = os.open(name, _NEW, 0o600, dir_fd=directory)
            except FileExistsError:
                raise _taken(name) from None
            try:
                if not self._fill(source, target, digest):
                    raise self._set_aside(digest)
                os.fchmod(target, mode)
            except BaseException:
                with suppress(OSError):
                    os.unlink(name, dir_fd=directory)
                raise
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _fill(self, source: int, target: int, digest: Digest) -> bool:
        """Bring the bytes over; whether they were those of `digest`."""
        if self._clones and self._cloned(source, target):
            status = stamp(os.fstat(source))
            if self._known.get(status) == digest:
                return True
            sound = hash_of(source) == digest
            if sound:
                self._known.note_ours(status, digest)
            return sound
        hashed = hashlib.sha256()
        while piece := os.read(source, SMALL):  # what is hashed is what is written: no second look at the disk
            hashed.update(piece)
            write_all(target, piece)
        return hashed.hexdigest() == digest

    def _cloned(self, source: int, target: int) -> bool:
        refused = clone(source, target)
        self._clones = refused in (0, errno.EXDEV)  # another file system: this place cannot, the next may
        return refused == 0

    def _set_aside(self, digest: Digest) -> Fault:
        """Move a blob that is not what its name says out of the way, so that it can be put again."""
        aside = self.root / "damaged"
        self._seen.pop(digest, None)
        with suppress(OSError):
            aside.mkdir(exist_ok=True)
            Path(self._path(digest)).rename(aside / digest)
        return damaged(digest)

    # ── sweeping ──

    def _remove(self, path: Path, latest: float) -> bool:
        aside = self._new / f"swept-{os.getpid()}-{next(self._ids)}"
        try:
            path.rename(aside)
        except FileNotFoundError:
            return False
        if aside.stat().st_mtime >= latest:
            aside.rename(path)
            return False
        aside.unlink()
        return True

    def _tidy(self, latest: float) -> None:
        for entry in os.scandir(self._new):
            with suppress(FileNotFoundError):
                if entry.stat(follow_symlinks=False).st_mtime < latest:
                    Path(entry.path).unlink()


def _status(path: str) -> os.stat_result:
    return os.stat(path)  # noqa: PTH116 - asked of every file; a Path costs more than the answer


def _taken(name: str) -> Conflict:
    return Conflict(f"name {name!r}", "something is there already.", "Choose a new directory.")


def _expect(digest: Digest, expected: Digest | None) -> None:
    if expected is not None and digest != expected:
        raise Invalid("what was to be stored", f"it is {digest}, not {expected}.", "Fetch it again.")
