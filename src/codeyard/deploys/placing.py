"""Making a tree's files on this machine, moving only what is not here yet, and finding out what was altered since.

What a **donor**, an earlier tree that lies here, has already becomes the new file by a second name (a hard link), or
by a copy where files must not be shared. A file is trusted for its content when it was hashed here, and nothing of its
inode, size, modification time and change time has changed since (`Stamps`); else it is hashed again. So whoever
writes to a shared file, in any release, is found out before it is placed or made live again.
"""

import errno
import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from codeyard.artifacts import Blob, BlobStore, Digest, Entry, Holder, Kind, Swept, Tree
from codeyard.artifacts.copying import CANNOT, SMALL, write_all
from codeyard.artifacts.failures import explained
from codeyard.artifacts.patterns import Stamp
from codeyard.artifacts.removal import remove_tree
from codeyard.artifacts.scan import Workspace, stamp
from codeyard.artifacts.stamps import Stamps
from codeyard.artifacts.transfer import place_tree, verify_tree
from codeyard.errors import CodeyardError

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_EXTRA = " does not belong to it"  # how `verify_tree` ends such a sentence
# A write within the same tick of the file system's clock leaves the same times behind: 10 ms on Linux, but seconds
# where the file system keeps no fractions.
_TICK_NS, _COARSE_TICK_NS = 50_000_000, 2_500_000_000
_MODES = {Kind.FILE: 0o444, Kind.EXECUTABLE: 0o555}
_OWN_MODES = {Kind.FILE: 0o644, Kind.EXECUTABLE: 0o755}


class Share(Enum):
    """Whose files a placed tree may have under a second name. Those that are shared are read-only."""

    NOTHING = 0  # its files are like those of any program, and may be written to
    WITH_DONORS = 1
    WITH_STORE = 2  # and with donors


class Placed(NamedTuple):
    """A tree, and the directory where it was placed."""

    directory: Path
    tree: Tree


@dataclass(slots=True)
class Moved:
    """What a placement took."""

    here: int = 0  # files that were on this machine
    fetched: int = 0  # files that were not
    size: int = 0  # bytes of those


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a placed tree has changed: a sentence for each file."""

    altered: tuple[str, ...]  # of its own files: other content, kind or target, or gone
    extra: tuple[str, ...]  # files that were added to it


def place(
    tree: Tree, blobs: BlobStore, destination: Path, donors: Sequence[Placed], memory: Stamps, *, share: Share
) -> Moved:
    """Make `destination`, a new directory, with the tree's files, each checked as it comes. Whole or not at all.

    Fault if a blob is damaged or there is no room; Conflict if something is there."""
    with Nearby(blobs, donors, memory, share) as nearby:
        place_tree(tree, nearby, destination, link=nearby.link)
        nearby.remember()
    return nearby.moved


def verify(placed: Placed, memory: Stamps) -> Verdict:
    """What is wrong with a placed tree. Files that are provably as they were are not read."""
    wrong = verify_tree(placed.tree, placed.directory, memory=memory)
    extra = tuple(sentence for sentence in wrong if sentence.endswith(_EXTRA))
    return Verdict(tuple(sentence for sentence in wrong if not sentence.endswith(_EXTRA)), extra)


def remove(directory: Path, keeper: Placed | None, memory: Stamps) -> None:
    """Remove a placed tree. It loses its name first, so that it is never half there.

    Files that `keeper` shares with it get a new change time by that, and are known afterwards as they were before."""
    doomed = directory.parent / f".{directory.name[:100]}.{os.urandom(4).hex()}.gone"
    with suppress(FileNotFoundError):
        before = dict(_known(keeper, memory)) if keeper else {}
        directory.rename(doomed)
        remove_tree(doomed)
        if keeper:
            _know_again(keeper, before, memory)


def tidy(directory: Path) -> None:
    """Remove what killed placements and removals have left in `directory`. Nobody else may be at work there."""
    with suppress(FileNotFoundError):
        for path in directory.iterdir():
            if path.name.startswith(".") and path.suffix in (".part", ".gone"):
                remove_tree(path)


class Nearby:
    """A BlobStore whose `place` looks among donors before it asks the store behind. Use it with `with`.

    `link` does so for files that need not even be read, and is for one thread."""

    def __init__(self, blobs: BlobStore, donors: Sequence[Placed], memory: Stamps, share: Share) -> None:
        self._blobs, self._memory = blobs, memory
        self._shared = share is not Share.NOTHING
        self._holder = Holder.READER if share is Share.WITH_STORE else Holder.WRITER
        self._found: dict[tuple[Digest, Kind], tuple[Path, str]] = {}
        for donor in reversed(donors):  # the first wins
            for entry in donor.tree.entries:
                if entry.digest is not None:
                    self._found[entry.digest, entry.kind] = (donor.directory, entry.path)
        self._open = threading.local()
        self._closing = ExitStack()
        self._fresh: list[tuple[Stamp, Digest]] = []
        self._counting = threading.Lock()
        self.moved = Moved()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def has(self, digest: Digest) -> bool:
        return self._blobs.has(digest)

    def put(self, source: BinaryIO, expected: Digest | None = None) -> Blob:
        return self._blobs.put(source, expected)

    def open(self, digest: Digest) -> AbstractContextManager[BinaryIO]:
        return self._blobs.open(digest)

    def sweep(self, keep: Callable[[Digest], bool], *, older_than: float, dry_run: bool = False) -> Swept:
        return self._blobs.sweep(keep, older_than=older_than, dry_run=dry_run)

    def place(
        self, digest: Digest, name: str, *, directory: int, kind: Kind = Kind.FILE, holder: Holder = Holder.WRITER
    ) -> None:
        if (found := self._found.get((digest, kind))) is not None and self._from(found, digest, kind, name, directory):
            with self._counting:
                self.moved.here += 1
            return
        self._blobs.place(digest, name, directory=directory, kind=kind, holder=self._holder)
        with explained(f"placing {name!r}"):
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if self._shared and stat.S_IMODE(status.st_mode) != _MODES[kind]:
                os.chmod(name, _MODES[kind], dir_fd=directory)
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        self._fresh.append((stamp(status), digest))
        with self._counting:
            self.moved.fetched += 1
            self.moved.size += status.st_size

    def remember(self) -> None:
        """Trust the files that were fetched, but for the youngest: a later write could leave the same times."""
        now = time.time_ns()
        for found, digest in self._fresh:
            coarse = found.changed % 1_000_000_000 == 0
            if found.changed + (_COARSE_TICK_NS if coarse else _TICK_NS) < now:
                self._memory.note_ours(found, digest)

    def link(self, entry: Entry, directory: int) -> bool:
        """Give a donor's file that is known to be sound its second name; whether it was done."""
        if not self._shared or entry.digest is None:
            return False
        found = self._found.get((entry.digest, entry.kind))
        if found is None or not self._linked(*found, entry.digest, entry.kind, entry.path, directory, read=False):
            return False
        self.moved.here += 1
        return True

    def _from(self, found: tuple[Path, str], digest: Digest, kind: Kind, name: str, directory: int) -> bool:
        """Make the file of a donor's, if that is sound; whether it was made."""
        if self._shared and self._linked(*found, digest, kind, name, directory, read=True):
            return True
        root, path = found
        try:
            return self._copied(self._workspace(root), path, digest, kind, name, directory)
        except CodeyardError:  # the donor has changed: it is no donor
            return False
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            with explained(f"placing {name!r}"):
                raise

    def _linked(
        self, root: Path, path: str, digest: Digest, kind: Kind, name: str, directory: int, *, read: bool
    ) -> bool:
        """Of `name` the last part counts. `read`: a file that is not known is read, to find out."""
        parent, _, donor = path.rpartition("/")
        name = name.rpartition("/")[2]
        try:
            workspace = self._workspace(root)
            place = workspace.directory(parent)
            status = os.stat(donor, dir_fd=place, follow_symlinks=False)
            was = stamp(status)
            if not stat.S_ISREG(status.st_mode) or stat.S_IMODE(status.st_mode) != _MODES[kind]:
                return False
            if self._memory.get(was) != digest and not (read and _is(workspace, path, digest, was)):
                return False
            os.link(donor, name, src_dir_fd=place, dst_dir_fd=directory, follow_symlinks=False)
        except CodeyardError:
            return False
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EMLINK, errno.EACCES, *CANNOT):
                return False
            with explained(f"placing {name!r}"):
                raise
        now = stamp(os.stat(name, dir_fd=directory, follow_symlinks=False))
        if now[:4] != was[:4]:  # only the change time may be another, by the new name
            os.unlink(name, dir_fd=directory)
            return False
        self._memory.renew(was, now, digest)
        return True

    def _copied(self, workspace: Workspace, path: str, digest: Digest, kind: Kind, name: str, directory: int) -> bool:
        source = workspace.open(path)
        try:
            target = os.open(name, _NEW, 0o600, dir_fd=directory)
            try:
                hashed = hashlib.sha256()
                while piece := os.read(source, SMALL):
                    hashed.update(piece)
                    write_all(target, piece)
                if hashed.hexdigest() != digest:
                    os.unlink(name, dir_fd=directory)
                    return False
                os.fchmod(target, (_MODES if self._shared else _OWN_MODES)[kind])
                self._fresh.append((stamp(os.fstat(target)), digest))
            except BaseException:
                with suppress(OSError):
                    os.unlink(name, dir_fd=directory)
                raise
            finally:
                os.close(target)
        finally:
            os.close(source)
        return True

    def _workspace(self, root: Path) -> Workspace:
        """This thread's open directory of a donor."""
        mine: dict[Path, Workspace] = self._open.__dict__.setdefault("roots", {})
        if root not in mine:
            with self._counting:
                mine[root] = self._closing.enter_context(Workspace(root))
        return mine[root]


def _is(workspace: Workspace, path: str, digest: Digest, expected: Stamp) -> bool:
    """Whether the file, still of that stamp, has the content of `digest`."""
    descriptor = workspace.open(path)
    try:
        hashed = hashlib.sha256()
        while piece := os.read(descriptor, SMALL):
            hashed.update(piece)
        return stamp(os.fstat(descriptor)) == expected and hashed.hexdigest() == digest
    finally:
        os.close(descriptor)


def _statuses(placed: Placed) -> Iterable[tuple[Entry, Stamp]]:
    with Workspace(placed.directory) as workspace:
        for entry in placed.tree.entries:
            if entry.digest is not None:
                parent, _, name = entry.path.rpartition("/")
                with suppress(OSError, CodeyardError):
                    place = workspace.directory(parent)
                    yield entry, stamp(os.stat(name, dir_fd=place, follow_symlinks=False))


def _known(placed: Placed, memory: Stamps) -> Iterable[tuple[tuple[int, ...], Stamp]]:
    for entry, found in _statuses(placed):
        if memory.get(found) == entry.digest:
            yield found[:4], found


def _know_again(placed: Placed, before: dict[tuple[int, ...], Stamp], memory: Stamps) -> None:
    for entry, now in _statuses(placed):
        was = before.get(now[:4])
        if was is not None and was != now and entry.digest is not None:
            memory.renew(was, now, entry.digest)
