"""The trees that one machine is told to place, by their digests: read once, and kept for the next time."""

import os
import threading
from contextlib import suppress
from pathlib import Path

from codeyard.artifacts import BlobStore, Digest, Tree, read
from codeyard.artifacts import tree as trees
from codeyard.errors import CodeyardError, Invalid

_KEPT = 64  # in the folder; another can be had from the store
_ENTRIES = 200_000  # of all trees in memory together, a hundred megabytes


class Manifests:
    """Those in `folder`, and in `blobs` behind it. Several threads may use one."""

    def __init__(self, folder: Path, blobs: BlobStore) -> None:
        self._folder, self._blobs = folder, blobs
        for draft in folder.glob(".*"):  # of one that was killed
            draft.unlink(missing_ok=True)
        self._lock = threading.Lock()
        self._parsed: dict[Digest, Tree] = {}  # what was asked for last comes last

    def get(self, digest: Digest) -> Tree:
        """The tree of that digest. NotFound if the store does not have it; Fault or Invalid if it is damaged."""
        with self._lock:
            tree = self._parsed.pop(digest, None)
        if tree is None:
            tree = self._kept(digest) or self._fetched(digest)
        with self._lock:
            self._parsed[digest] = tree
            while len(self._parsed) > 1 and sum(len(each.entries) for each in self._parsed.values()) > _ENTRIES:
                del self._parsed[next(iter(self._parsed))]
        return tree

    def find(self, start: str) -> Tree | None:
        """The tree that was placed here once and whose digest begins so, if it is still known."""
        for path in self._folder.glob(f"{start}*"):
            with suppress(CodeyardError, OSError):
                return self.get(Digest.parse(path.name))
        return None

    def _kept(self, digest: Digest) -> Tree | None:
        kept = self._folder / digest
        with suppress(OSError, Invalid):
            tree = trees.parse(kept.read_bytes())
            if tree.digest == digest:
                os.utime(kept)
                return tree
        return None

    def _fetched(self, digest: Digest) -> Tree:
        content = read(self._blobs, digest, trees.LIMIT)
        tree = trees.parse(content)
        with suppress(OSError):  # a machine without room for it asks the store again
            self._folder.mkdir(parents=True, exist_ok=True)
            draft = self._folder / f".{os.urandom(8).hex()}"
            draft.write_bytes(content)
            draft.rename(self._folder / digest)
            for old in sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)[:-_KEPT]:
                old.unlink()
        return tree
