"""What builds keep for later builds: which cache a build gets, and what becomes of it afterwards.

The rules are those of the buildspec's `cache` block and of AWS's S3 cache: with a key a cache is immutable, fallback
keys are prefixes of which the newest wins, without a key there is one for each scope, which every build replaces;
and other paths are another cache. A cache is a record (a small JSON file) that names a tree in a BlobStore, so many
that are nearly the same take little more room than one.

`records/<scope>/<version>/<key>.json`, each part a hash; its modification time says when it was last used. Records
appear whole or not at all. Restoring and saving hold `lock` shared; removing blobs needs it alone.
"""

import fcntl
import hashlib
import io
import json
import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from codeyard.artifacts import BlobStore, Digest, Entry, Swept, Tree, read
from codeyard.artifacts import tree as trees
from codeyard.artifacts.failures import explained
from codeyard.artifacts.patterns import Pick, check_effort, compile_pattern
from codeyard.artifacts.scan import Root, Workspace
from codeyard.artifacts.transfer import everything, lay_over, load_manifest, save_manifest, store_tree
from codeyard.errors import Fault, Invalid, NotFound

_RECORD_LIMIT = 1 << 20
_TIMES_LIMIT = 8 * 1_000_001


class Action(StrEnum):
    """The buildspec's `action`; absent means both."""

    RESTORE = "restore"
    SAVE = "save"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A build's `cache` block, evaluated. `scope` is the project's own name or its cacheNamespace: see `scope_of`."""

    scope: str
    paths: tuple[str, ...]  # as the buildspec has them: other paths are another cache
    key: str | None = None
    fallback_keys: tuple[str, ...] = ()  # ignored without a key
    action: Action | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A cache that was found."""

    key: str | None  # its own key, which differs from the wanted one if not `exact`
    exact: bool
    files: int
    size: int  # bytes
    created: float  # seconds since 1970
    tree: Digest
    times: Digest
    record: Path


@dataclass(frozen=True, slots=True)
class Restored:
    files: int
    size: int  # bytes


class Outcome(StrEnum):
    """How an attempt to save ended."""

    SAVED = "saved"
    KEPT = "kept"  # a cache with this key is there already, and is immutable
    EMPTY = "empty"  # nothing matches the paths
    TOO_LARGE = "too large"  # larger than the whole quota
    NOT_ASKED = "not asked"  # action: restore


@dataclass(frozen=True, slots=True)
class Evicted:
    """A cache that had to go, because it was used least recently and the quota was reached."""

    scope: str
    key: str | None
    size: int


@dataclass(frozen=True, slots=True)
class Saved:
    outcome: Outcome
    files: int = 0
    size: int = 0  # bytes
    evicted: tuple[Evicted, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """Files to save: what `patterns` match below `root`, kept below `prefix` in the cache.

    Two parts of one cache need prefixes that are not below each other, such as `workspace` and `machine`."""

    root: Root
    patterns: tuple[str, ...] = ("**/*",)
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class _Record:
    scope: str
    key: str | None
    created: float
    tree: Digest
    times: Digest
    files: int
    size: int
    path: Path
    used: float


def scope_of(project: str, namespace: str | None = None) -> str:
    """Who shares a cache: all projects with one cacheNamespace, else the project alone."""
    return f"namespace:{namespace}" if namespace else f"project:{project}"


class CacheStore:
    """Caches below `root`, their contents in `blobs`, which must be for caches alone: what no cache names is removed.

    `quota` is in bytes of contents, each different file counted once."""

    def __init__(self, root: Path, blobs: BlobStore, *, quota: int = 20 << 30, now: Callable[[], float] = time.time):
        self._records, self._lock = root / "records", root / "lock"
        self._blobs, self._quota, self._now = blobs, quota, now
        with explained(f"cache {root}"):
            self._records.mkdir(parents=True, exist_ok=True)

    def lookup(self, wanted: Wanted) -> Hit | None:
        """The cache for a build: the one of its key, else the newest whose key starts with the first fallback key that
        has one. None if there is none, or the build only saves."""
        if wanted.action is Action.SAVE:
            return None
        record = _load(self._path(wanted))
        if record is None and wanted.key is not None:
            others = [found for path in self._path(wanted).parent.glob("*.json") if (found := _load(path))]
            for prefix in wanted.fallback_keys:
                matching = [found for found in others if found.key is not None and found.key.startswith(prefix)]
                if matching:
                    record = max(matching, key=lambda found: (found.created, found.key))
                    break
        if record is None:
            return None
        with suppress(OSError):
            os.utime(record.path, (self._now(), self._now()))
        exact = record.key == wanted.key
        return Hit(record.key, exact, record.files, record.size, record.created, record.tree, record.times, record.path)

    def restore(self, hit: Hit, destination: Root, prefix: str = "") -> Restored:
        """Put the cache's files, or those below `prefix`, into a directory, over what is there, with their old times.

        Conflict if a link or a directory is in the way. NotFound or Fault if the contents are gone or damaged: then
        the cache is forgotten, so that the next build makes it anew."""
        with self._locked(fcntl.LOCK_SH):
            try:
                whole = load_manifest(hit.tree, self._blobs)
                tree = trees.under(whole, prefix)
                lay_over(tree, self._blobs, destination)
                moments = _unpack_times(read(self._blobs, hit.times, _TIMES_LIMIT))
            except (NotFound, Fault, Invalid):
                hit.record.unlink(missing_ok=True)
                raise
            _set_times(destination, prefix, whole, moments)
        return Restored(tree.files, tree.size)

    def save(self, wanted: Wanted, parts: Sequence[Part]) -> Saved:
        """Keep what the parts hold. The directories may be a build's own; links are kept as links.

        Conflict if files change meanwhile; Fault if the disk is full: then nothing is kept."""
        if wanted.action is Action.RESTORE:
            return Saved(Outcome.NOT_ASKED)
        place = self._path(wanted)
        if wanted.key is not None and _load(place) is not None:
            return Saved(Outcome.KEPT)
        chosen = [(part, _chosen(part)) for part in parts]
        size = sum(pick.found.size for _, picks in chosen for pick in picks)
        if not any(picks for _, picks in chosen):
            return Saved(Outcome.EMPTY)
        if size > self._quota:
            return Saved(Outcome.TOO_LARGE, sum(len(picks) for _, picks in chosen), size)
        with self._locked(fcntl.LOCK_SH), explained("saving a cache"):
            tree, moments = self._store(chosen)
            save_manifest(tree, self._blobs)
            times = self._blobs.put(io.BytesIO(_pack_times(tree, moments))).digest
            if not self._write(wanted, place, tree, times):
                return Saved(Outcome.KEPT)
        return Saved(Outcome.SAVED, tree.files, tree.size, self._make_room(place))

    def invalidate(self, scope: str) -> int:
        """Forget every cache of a scope; how many there were. A build that is restoring one is not disturbed."""
        records = [record for record in self._all() if record.scope == scope]
        for record in records:
            record.path.unlink(missing_ok=True)
        return len(records)

    def sweep(self, *, dry_run: bool = False) -> Swept:
        """Remove contents that no cache names any more, or only tell how much that is. While a build is restoring or
        saving, nothing is removed: the next sweep will."""
        with self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB) as alone:
            if not alone:
                return Swept(0, 0)
            for draft in [] if dry_run else list(self._records.glob("*/*/.*.part")):
                draft.unlink(missing_ok=True)
            named = {digest for record in self._all() for digest in self._contents(record)}
            return self._blobs.sweep(named.__contains__, older_than=-1.0, dry_run=dry_run)

    def _store(self, chosen: list[tuple[Part, list[Pick]]]) -> tuple[Tree, dict[str, int]]:
        entries: list[Entry] = []
        moments: dict[str, int] = {}
        for part, picks in chosen:
            start = part.prefix.rstrip("/") + "/" if part.prefix else ""
            entries += [
                entry._replace(path=start + entry.path) for entry in store_tree(part.root, picks, self._blobs).entries
            ]
            moments |= {start + pick.path: pick.found.stamp.modified for pick in picks}
        return trees.make(entries), moments

    def _write(self, wanted: Wanted, place: Path, tree: Tree, times: Digest) -> bool:
        """Write the record. False if somebody was first, and the key makes theirs immutable."""
        content = {
            "format": 1,
            "scope": wanted.scope,
            "key": wanted.key,
            "paths": wanted.paths,
            "created": self._now(),
            "tree": tree.digest,
            "times": times,
            "files": tree.files,
            "size": tree.size,
        }
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.parent / f".{os.urandom(8).hex()}.part"
        try:
            draft.write_text(json.dumps(content, indent=1))
            os.utime(draft, (self._now(), self._now()))
            if wanted.key is None:
                draft.replace(place)
            else:
                os.link(draft, place)
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
        return True

    def _make_room(self, newest: Path) -> tuple[Evicted, ...]:
        """Drop caches, the least recently used first, until the quota is kept; never the one just saved."""
        records = sorted(self._all(), key=lambda record: (record.path == newest, record.used))
        if sum(record.size for record in records) <= self._quota:  # even if they had nothing in common
            return ()
        contents = [self._contents(record) for record in records]
        uses: dict[Digest, int] = {}
        total = 0
        for content in contents:
            for digest, size in content.items():
                total += 0 if digest in uses else size
                uses[digest] = uses.get(digest, 0) + 1
        evicted = []
        for record, content in zip(records[:-1], contents, strict=False):
            if total <= self._quota:
                break
            record.path.unlink(missing_ok=True)
            evicted.append(Evicted(record.scope, record.key, record.size))
            for digest, size in content.items():
                uses[digest] -= 1
                total -= 0 if uses[digest] else size
        if evicted:
            self.sweep()
        return tuple(evicted)

    def _contents(self, record: _Record) -> dict[Digest, int]:
        """Every blob that a record needs, with its size. A record whose manifest is gone is forgotten."""
        try:
            tree = load_manifest(record.tree, self._blobs)
        except (NotFound, Fault, Invalid):
            record.path.unlink(missing_ok=True)
            return {}
        sizes = {entry.digest: entry.size for entry in tree.entries if entry.digest is not None}
        return sizes | {record.tree: 0, record.times: 0}

    def _all(self) -> list[_Record]:
        return [record for path in self._records.glob("*/*/*.json") if (record := _load(path))]

    def _path(self, wanted: Wanted) -> Path:
        name = "any" if wanted.key is None else "key " + wanted.key
        return self._records / _hash(wanted.scope) / _hash(json.dumps(wanted.paths)) / f"{_hash(name)}.json"

    @contextmanager
    def _locked(self, how: int) -> Iterator[bool]:
        """Hold the lock; False if it was not to be waited for and others hold it. Dies with the process."""
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, how)
            except BlockingIOError:
                yield False
                return
            yield True
        finally:
            os.close(descriptor)


def _chosen(part: Part) -> list[Pick]:
    try:
        picks = everything(part.root)
    except NotFound:
        return []
    tests = [compile_pattern(pattern) for pattern in part.patterns]
    check_effort(len(picks) * len(tests))
    return [pick for pick in picks if any(test(pick.path) for test in tests)]


def _load(path: Path) -> _Record | None:
    """The record in a file; None if there is none, or none that can be read."""
    try:
        with path.open("rb") as file:
            used = os.fstat(file.fileno()).st_mtime
            told = json.loads(file.read(_RECORD_LIMIT))
        return _Record(
            scope=str(told["scope"]),
            key=None if told["key"] is None else str(told["key"]),
            created=float(told["created"]),
            tree=Digest.parse(told["tree"]),
            times=Digest.parse(told["times"]),
            files=int(told["files"]),
            size=int(told["size"]),
            path=path,
            used=used,
        )
    except (OSError, ValueError, KeyError, TypeError, Invalid):
        return None


def _pack_times(tree: Tree, moments: dict[str, int]) -> bytes:
    """The modification time of each file, in the order of the manifest, as 8 bytes each."""
    times = [moments.get(entry.path, 0) for entry in tree.entries if entry.digest is not None]
    return struct.pack(f"<{len(times)}q", *times)


def _unpack_times(content: bytes) -> Iterable[int]:
    return (moment for (moment,) in struct.iter_unpack("<q", content))


def _set_times(destination: Root, prefix: str, tree: Tree, moments: Iterable[int]) -> None:
    """Give restored files the times they had: tools like make and cargo rebuild what looks new."""
    start = prefix.rstrip("/") + "/" if prefix else ""
    files = [entry.path for entry in tree.entries if entry.digest is not None]
    with Workspace(destination) as workspace:
        for path, moment in zip(files, moments, strict=False):
            if path.startswith(start):
                parent, _, name = path[len(start) :].rpartition("/")
                os.utime(name, ns=(moment, moment), dir_fd=workspace.directory(parent), follow_symlinks=False)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]
