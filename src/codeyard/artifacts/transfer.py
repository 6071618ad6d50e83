"""Moving trees between directories and a BlobStore: in, out, over, onward; and checking that what lies there is right.

Files are worked on by a few threads: hashing, reading and writing let the others run.
"""

import errno
import hashlib
import io
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from codeyard.artifacts import Blob, BlobStore, Digest, Entry, Holder, Kind, Tree, read
from codeyard.artifacts import tree as trees
from codeyard.artifacts.failures import explain, explained
from codeyard.artifacts.patterns import Pick
from codeyard.artifacts.scan import USUAL, Limits, Root, Workspace, listing, stamp, unchanging
from codeyard.artifacts.stamps import Stamps
from codeyard.errors import Conflict, Invalid

_SMALL = 1 << 20
_TRIES = 3
_BATCH = 128  # files that one thread takes at once: enough that handing them out costs nothing
_THREADS = max(2, min(8, os.cpu_count() or 2))
_Item = TypeVar("_Item", Pick, Entry)
_Result = TypeVar("_Result")


def store_tree(
    root: Root,
    picks: Iterable[Pick],
    store: BlobStore,
    *,
    memory: Stamps | None = None,
    adopt: Callable[[int], Blob] | None = None,
    limits: Limits = USUAL,
) -> Tree:
    """Put the picked files of `root` into the store. Safe on a directory that a build owned.

    `memory` spares reading files that have not changed since it was saved: only for directories that no build has
    written to. `adopt` is a store's way to take a file over as it is (`DiskStore.adopt`): only for a directory that
    nobody will ever write to again. Conflict if a file keeps changing; Invalid over the limits or for what is no
    regular file."""
    entries: list[Entry] = []
    wanted: list[Pick] = []
    total = 0
    for pick in picks:
        path, found = pick
        if found.kind is Kind.FILE or found.kind is Kind.EXECUTABLE:
            total += found.size
            digest = memory.get(found.stamp) if memory else None
            if digest is not None and store.has(digest):
                entries.append(Entry(path, found.kind, found.size, digest))
            else:
                wanted.append(pick)
        elif found.kind is not None:
            entries.append(Entry(path, found.kind, target=found.target))
    if total > limits.size:
        raise Invalid("these files", f"they have {total} bytes, over {limits.size}.", "Select fewer.")

    def put(batch: Sequence[Pick]) -> list[Entry]:
        with Workspace(root) as workspace:
            return [_put(workspace, pick, store, memory, adopt) for pick in batch]

    for done in _by_threads(put, _batches(wanted)):
        entries += done
    return trees.make(entries)


def everything(root: Root, limits: Limits = USUAL) -> list[Pick]:
    """All of a directory: its files, its links as links, its empty directories. Pipes and the like are left out."""
    found = listing(root, limits)
    full = set(trees.directories(item.path for item in found))
    return [Pick(item.path, item) for item in found if item.kind is not None and item.path not in full]


def save_manifest(tree: Tree, store: BlobStore) -> Digest:
    """Put the manifest itself into the store, under the tree's own digest."""
    return store.put(io.BytesIO(trees.render(tree)), tree.digest).digest


def load_manifest(digest: Digest, store: BlobStore) -> Tree:
    """The tree that `save_manifest` saved. NotFound if the store does not have it; Fault if it is damaged."""
    return trees.parse(read(store, digest, trees.LIMIT))


def place_tree(
    tree: Tree,
    store: BlobStore,
    destination: Path,
    *,
    holder: Holder = Holder.WRITER,
    link: Callable[[Entry, int], bool] | None = None,
) -> None:
    """Make `destination`, a new directory, with the files of `tree`, each checked. It appears whole or not at all:
    it is made under another name beside its place, and renamed. Conflict if something is there already.

    `link` is asked first to make a file in the open directory that is given; where it answers False, the store is."""
    with explained(f"making {destination}"):
        destination.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(destination) and not _is_empty_directory(destination):
            raise Conflict(f"directory {destination}", "something is there already.", "Choose a new one.")
        staging = destination.parent / f".{destination.name[:100]}.{os.urandom(4).hex()}.part"
        staging.mkdir()
    try:
        _fill(tree.entries, store, staging, holder, link)
        with explained(f"making {destination}"):
            try:
                staging.rename(destination)  # over an empty directory too
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):  # somebody else was quicker
                    raise Conflict(
                        f"directory {destination}", "something is there already.", "Choose a new one."
                    ) from error
                raise
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def lay_over(tree: Tree, store: BlobStore, destination: Root) -> None:
    """Put the files of `tree` into a directory that may have files already: a file of the same path is replaced,
    others stay. Never goes through a link: Conflict if a link or a file is where a directory must be.

    For a writer; not atomic. Nobody else may be at work in there."""
    places = trees.directories(entry.path for entry in tree.entries)
    with Workspace(destination) as workspace:
        for place in ["", *places]:
            _make_directory(workspace, place)
    _spread(tree.entries, destination, lambda entry, place: _replace(entry, place, store))


def move_over(tree: Tree, placed: Path, destination: Path) -> None:
    """Move the files of `tree` from where they were placed into a directory on the same disk that may have files: a
    file of the same path is replaced, each in one step, others stay. Never goes through a link.

    Conflict, before anything is moved, if a directory is where a file must go, or the reverse."""
    with Workspace(destination) as workspace, explained(f"writing into {destination}"):
        for path in trees.directories(entry.path for entry in tree.entries):
            _make_directory(workspace, path)
        for entry in tree.entries:
            parent, _, name = entry.path.rpartition("/")
            if entry.kind is not Kind.DIRECTORY and _is_directory(name, workspace.directory(parent)):
                raise Conflict(f"path {entry.path!r}", "a directory is in the way.", "Remove it first.")
        for entry in tree.entries:
            parent, _, name = entry.path.rpartition("/")
            if entry.kind is Kind.DIRECTORY:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=workspace.directory(parent))
            else:
                os.replace(f"{placed}/{entry.path}", name, dst_dir_fd=workspace.directory(parent))


def advance(was: Tree, now: Tree, store: BlobStore, directory: Path) -> None:
    """Turn a reader's `directory` from the tree `was`, which we placed there, into `now`, touching only what differs.

    For a directory that nobody reads meanwhile; if this is interrupted, `verify_tree` will tell."""
    change = trees.difference(was, now)
    gone = [*change.removed, *(before for before, _ in change.changed)]
    come = (*change.added, *(after for _, after in change.changed))
    kept = set(trees.directories(entry.path for entry in now.entries))
    emptied = set(trees.directories(entry.path for entry in gone)) - kept
    with Workspace(directory) as workspace, explained(f"updating {directory}"):
        for entry in gone:
            parent, _, name = entry.path.rpartition("/")
            with suppress(FileNotFoundError):
                if entry.kind is Kind.DIRECTORY:
                    os.rmdir(name, dir_fd=workspace.directory(parent))
                else:
                    os.unlink(name, dir_fd=workspace.directory(parent))
        for path in sorted(emptied, reverse=True):
            parent, _, name = path.rpartition("/")
            os.rmdir(name, dir_fd=workspace.directory(parent))
        for path in trees.directories(entry.path for entry in come):
            _make_directory(workspace, path)
    _spread(come, directory, lambda entry, place: _make(entry, place, store, Holder.READER))


def verify_tree(tree: Tree, root: Path, *, memory: Stamps | None = None) -> tuple[str, ...]:
    """What is wrong with the files at `root`, a sentence for each, none if they are exactly those of `tree`.

    Every byte is hashed, except of files that `memory` knows; only give one for a directory that no build can write."""
    wanted = {entry.path: entry for entry in tree.entries}
    picks = everything(root)
    wrong: list[str] = []
    unread: list[Pick] = []
    for path, found in picks:
        entry = wanted.pop(path, None)
        if entry is None:
            wrong.append(f"{path} does not belong to it")
        elif (entry.kind, entry.size, entry.target) != (found.kind, found.size, found.target):
            wrong.append(f"{path} is of another kind or size")
        elif entry.digest is not None and (memory is None or memory.get(found.stamp) != entry.digest):
            unread.append(Pick(path, found))
    wrong += [f"{path} is missing" for path in wanted]
    expected = {entry.path: entry.digest for entry in tree.entries}

    def check(batch: Sequence[Pick]) -> list[str]:
        with Workspace(root) as workspace:
            return [
                f"{pick.path} has other content"
                for pick in batch
                if _digest(workspace, pick, memory) != expected[pick.path]
            ]

    for done in _by_threads(check, _batches(unread)):
        wrong += done
    return tuple(sorted(wrong))


# ── in ──


def _put(
    workspace: Workspace,
    pick: Pick,
    store: BlobStore,
    memory: Stamps | None,
    adopt: Callable[[int], Blob] | None,
) -> Entry:
    """One file into the store; read again if it changes meanwhile."""
    source = pick.found.path
    for last in range(_TRIES, 0, -1):
        descriptor = workspace.open(source)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            try:
                # An executable would lose its mode, which another artifact of the same build still has to see.
                if adopt is not None and _kind(os.fstat(descriptor).st_mode) is Kind.FILE:
                    blob = adopt(descriptor)
                    return Entry(pick.path, Kind.FILE, blob.size, blob.digest)
                with unchanging(descriptor, source) as status:
                    if status.st_size < _SMALL:
                        blob = store.put(io.BytesIO(os.read(descriptor, status.st_size + 1)))
                    else:
                        blob = store.put(_Bounded(file, status.st_size))
                if blob.size != status.st_size:
                    raise Conflict(f"file {source!r}", "it changed while it was being read.", "Stop what writes to it.")
            except Conflict:
                if last == 1:
                    raise
                continue
        if memory:
            memory.note(stamp(status), blob.digest)
        return Entry(pick.path, _kind(status.st_mode), blob.size, blob.digest)
    raise AssertionError("the last try returns or raises")


def _kind(mode: int) -> Kind:
    return Kind.EXECUTABLE if mode & stat.S_IXUSR else Kind.FILE


class _Bounded(io.FileIO):
    """A file that ends where it ended when it was opened: one that grows as fast as it is read must end somewhere."""

    def __init__(self, file: io.FileIO, size: int) -> None:
        super().__init__(file.fileno(), "rb", closefd=False)
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self._size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left)) or b""


def _digest(workspace: Workspace, pick: Pick, memory: Stamps | None) -> str:
    descriptor = workspace.open(pick.found.path)
    try:
        with unchanging(descriptor, pick.path) as status:
            hashed = hashlib.sha256()
            left = status.st_size + 1  # one more, to notice growth; and no more, for it may grow as fast as we read
            while left > 0 and (piece := os.read(descriptor, min(left, _SMALL))):
                hashed.update(piece)
                left -= len(piece)
    finally:
        os.close(descriptor)
    digest = Digest(hashed.hexdigest())
    if memory:
        memory.note(stamp(status), digest)
    return digest


# ── out ──


def _fill(
    entries: Sequence[Entry], store: BlobStore, root: Path, holder: Holder, link: Callable[[Entry, int], bool] | None
) -> None:
    """Lay entries into a directory that we have just made."""
    with explained(f"writing into {root}"):
        for place in trees.directories(entry.path for entry in entries):
            os.mkdir(f"{root}/{place}")  # noqa: PTH102 - a thousand of them; parents come first
    if link is not None:
        # In this thread: a second name takes the kernel so little that threads would mostly wait for each other.
        with Workspace(root) as workspace:
            entries = [entry for entry in entries if entry.digest is None or not link(entry, _above(entry, workspace))]
    _spread(entries, root, lambda entry, place: _make(entry, place, store, holder))


def _above(entry: Entry, workspace: Workspace) -> int:
    return workspace.directory(entry.path.rpartition("/")[0])


def _is_directory(name: str, place: int) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=place, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _is_empty_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def _spread(entries: Iterable[Entry], root: Root, work: Callable[[Entry, int], None]) -> None:
    """Do `work` on every entry with its open directory, by threads."""

    def one(batch: Sequence[Entry]) -> None:
        with Workspace(root) as workspace:
            for entry in batch:
                work(entry, _above(entry, workspace))

    for _ in _by_threads(one, _batches(entries)):
        pass


def _make(entry: Entry, place: int, store: BlobStore, holder: Holder) -> None:
    """The file, link or empty directory that `entry` tells of, new, in the open directory `place`."""
    name = entry.path.rpartition("/")[2]
    if entry.digest is not None:
        store.place(entry.digest, name, directory=place, kind=entry.kind, holder=holder)
        return
    try:
        if entry.kind is Kind.LINK:
            os.symlink(entry.target, name, dir_fd=place)
        else:
            os.mkdir(name, dir_fd=place)
    except FileExistsError:
        raise Conflict(f"path {entry.path!r}", "something is there already.", "Choose a new directory.") from None
    except OSError as error:
        raise explain(f"making {entry.path!r}", error) from error


def _replace(entry: Entry, place: int, store: BlobStore) -> None:
    name = entry.path.rpartition("/")[2]
    if entry.kind is Kind.DIRECTORY:
        with suppress(Conflict):  # a directory is there already, or a file of the source that matters more
            _make(entry, place, store, Holder.WRITER)
        return
    try:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=place)
    except OSError as error:
        raise Conflict(f"path {entry.path!r}", "a directory is in the way.", "Remove it, or do not keep it.") from error
    _make(entry, place, store, Holder.WRITER)


def _make_directory(workspace: Workspace, path: str) -> None:
    """Make sure of one directory whose parent is there. Conflict if it is a link or a file."""
    parent, _, name = path.rpartition("/")
    try:
        if name:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=workspace.directory(parent))
        workspace.directory(path)
    except OSError as error:
        raise explain(f"making {path!r}", error) from error
    except Invalid as wrong:
        raise Conflict(f"directory {path!r}", "a link or a file is in its place.", "Remove it first.") from wrong


# ── threads ──


def _batches(items: Iterable[_Item]) -> list[list[_Item]]:
    """Items in the order of their paths, so that those of one directory come together, in handfuls."""
    ordered = sorted(items, key=itemgetter(0))
    return [ordered[start : start + _BATCH] for start in range(0, len(ordered), _BATCH)]


def _by_threads(work: Callable[[list[_Item]], _Result], batches: list[list[_Item]]) -> Iterator[_Result]:
    """What `work` gives for each batch, in their order; the first error ends it, once the running ones have ended."""
    if len(batches) <= 1:
        yield from map(work, batches)
        return
    from concurrent.futures import ThreadPoolExecutor  # takes 10 ms to import, and small trees need none

    with ThreadPoolExecutor(max_workers=min(len(batches), _THREADS), thread_name_prefix="artifacts") as pool:
        futures = [pool.submit(work, batch) for batch in batches]
        try:
            for future in futures:
                yield future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
