"""The blobs of what a machine is told to place: those it has, and the server's, fetched when first asked for.

Whatever comes is named by what it is: bytes that are not those of their digest are refused, whoever altered them and
wherever. When one blob of a tree is missing, all that are missing of that tree are fetched, many to a request; each is
kept as soon as it is whole, so that a connection that breaks costs no more than one. Where the server's own store can
be read, as on its own machine, nothing is fetched that is sound there.
"""

import http.client
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from codeyard.artifacts import Blob, BlobStore, Digest, Holder, Kind, Swept, read
from codeyard.artifacts.failures import explained
from codeyard.artifacts.tree import LIMIT, parse
from codeyard.deploys.door import Door, Unreachable
from codeyard.deploys.packing import Broken, Readable, unpacked
from codeyard.errors import Denied, Fault, Invalid, NotFound

_TOGETHER = 1000  # blobs of one request
_SIZE = 256 << 20  # their bytes, if it is more than one
_SMALL = 1 << 20
_PIECE = 1 << 20
_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds


class FetchedBlobs:
    """A BlobStore over one on this machine. `scratch`: a directory for what is half here, on the same disk best.
    `patience`: seconds without a new blob until a fetch is given up. `near`: the server's store, if it is here."""

    def __init__(
        self,
        local: BlobStore,
        door: Door,
        *,
        scratch: Path | None = None,
        patience: float = 120.0,
        near: BlobStore | None = None,
    ) -> None:
        self._local, self._door, self._scratch, self._patience, self._near = local, door, scratch, patience, near
        self._fetching = threading.Lock()
        self._trees: dict[str, Digest] = {}  # by deployment
        self._sizes: dict[Digest, dict[Digest, int]] = {}
        self.fetched = 0  # bytes, since the start
        self._kept = 0  # blobs, likewise

    @contextmanager
    def of(self, deployment: str, tree: Digest) -> Iterator[None]:
        """While it lasts, the blobs of this tree can be had, in the name of this deployment."""
        self._trees[deployment] = tree
        try:
            yield
        finally:
            del self._trees[deployment]
            self._sizes.pop(tree, None)

    def has(self, digest: Digest) -> bool:
        return self._local.has(digest)

    def put(self, source: BinaryIO, expected: Digest | None = None) -> Blob:
        return self._local.put(source, expected)

    def open(self, digest: Digest) -> AbstractContextManager[BinaryIO]:
        return self._opened(digest)

    @contextmanager
    def _opened(self, digest: Digest) -> Iterator[BinaryIO]:
        if not self._is_near(digest):
            self._need(digest)
        with self._holding(digest).open(digest) as file:
            yield file

    def place(
        self, digest: Digest, name: str, *, directory: int, kind: Kind = Kind.FILE, holder: Holder = Holder.WRITER
    ) -> None:
        if self._near is not None and self._is_near(digest):
            try:
                return self._near.place(digest, name, directory=directory, kind=kind, holder=holder)
            except (Fault, NotFound):
                if self._near.has(digest):
                    raise  # else it was damaged, and set aside: the server may have it anew
        self._need(digest)
        try:
            self._local.place(digest, name, directory=directory, kind=kind, holder=holder)
        except (Fault, NotFound):
            if self._local.has(digest):
                raise
            self._need(digest)  # damaged here, and set aside, or swept this moment: the server's may be sound
            self._local.place(digest, name, directory=directory, kind=kind, holder=holder)
        return None

    def sweep(self, keep: Callable[[Digest], bool], *, older_than: float, dry_run: bool = False) -> Swept:
        return self._local.sweep(keep, older_than=older_than, dry_run=dry_run)

    def close(self) -> None:
        """End what is being fetched."""
        self._door.close()

    def _is_near(self, digest: Digest) -> bool:
        """Whether it is not ours, and can be had without the server."""
        return self._near is not None and not self._local.has(digest) and self._near.has(digest)

    def _holding(self, digest: Digest) -> BlobStore:
        return self._near if self._near is not None and self._is_near(digest) else self._local

    # ── fetching ──

    def _need(self, digest: Digest) -> None:
        """Have it here, if it is of a tree that may be fetched."""
        if self._local.has(digest):
            return
        with self._fetching:  # of those who ask at once one fetches, and for all of them
            refused: Denied | None = None
            for deployment, tree in reversed(tuple(self._trees.items())):
                if self._local.has(digest):
                    return
                try:
                    self._bring(digest, deployment, tree)
                except Denied as error:  # that deployment is over; another may be of the same tree
                    refused = error
            if refused is not None and not self._local.has(digest):
                raise refused

    def _bring(self, digest: Digest, deployment: str, tree: Digest) -> None:
        """Fetch it, if it is of this tree."""
        if digest == tree:
            self._patiently(lambda: self._manifest(deployment, tree))
        elif digest in self._blobs_of(deployment, tree):
            self._fetch(deployment, tree)

    def _blobs_of(self, deployment: str, tree: Digest) -> dict[Digest, int]:
        sizes = self._sizes.get(tree)
        if sizes is None:
            if not self._local.has(tree) and not self._is_near(tree):
                self._patiently(lambda: self._manifest(deployment, tree))
            entries = parse(read(self._holding(tree), tree, LIMIT)).entries
            sizes = {entry.digest: entry.size for entry in entries if entry.digest is not None}
            self._sizes[tree] = sizes
        return sizes

    def _manifest(self, deployment: str, tree: Digest) -> bool:
        with self._door.asked("GET", f"deployments/{deployment}/manifest") as answer:
            content = answer.read(LIMIT + 1)
        self._keep(BytesIO(content), tree, len(content))
        return True

    def _fetch(self, deployment: str, tree: Digest) -> None:
        """All that is missing of a tree."""
        sizes = self._blobs_of(deployment, tree)

        def some() -> bool:
            missing = [digest for digest in sizes if not self._local.has(digest) and not self._is_near(digest)]
            if missing:
                self._batch(deployment, _first(missing, sizes), sizes)
            return not missing

        self._patiently(some)

    def _batch(self, deployment: str, wanted: list[Digest], sizes: dict[Digest, int]) -> None:
        path, before = f"deployments/{deployment}/blobs", self._kept
        with self._door.asked("POST", path, {"digests": wanted}) as answer:
            for digest, size in unpacked(answer):
                if size is None:
                    raise Fault(f"blob {digest}", "the server has lost it.", "Build it again.")
                if digest not in sizes or size != sizes[digest]:
                    raise Fault(f"blob {digest}", "the server sent what was not asked for.", "Try again.")
                self._take(answer, digest, size)
        if self._kept == before:
            raise Broken("the server's answer", "it is empty.", "Try again.")

    def _take(self, stream: Readable, digest: Digest, size: int) -> None:
        if size <= _SMALL:
            self._keep(BytesIO(_whole(stream, size)), digest, size)
            return
        with explained("keeping a blob"):  # an OSError would be taken for one of the connection
            file = tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115 - it is closed below
        with file:
            left = size
            while left:
                piece = _whole(stream, min(left, _PIECE))
                with explained("keeping a blob"):
                    left -= file.write(piece)
            with explained("keeping a blob"):
                file.seek(0)
            self._keep(file, digest, size)

    def _keep(self, file: BinaryIO, digest: Digest, size: int) -> None:
        try:
            self._local.put(file, expected=digest)
        except Invalid:
            why = "the bytes that the server sent are not those of this digest."
            raise Fault(f"blob {digest}", why, "Build it again; somebody has changed it in the store.") from None
        self.fetched += size
        self._kept += 1

    def _patiently(self, work: Callable[[], bool]) -> None:
        """Until it is done; again and again where the server is away, for as long as anything comes."""
        until, pause, before = time.monotonic() + self._patience, _PAUSE, self._kept
        while True:
            try:
                if work():
                    return
                continue
            except (Unreachable, Broken, http.client.HTTPException):
                if self._kept > before:
                    until, pause, before = time.monotonic() + self._patience, _PAUSE, self._kept
                if self._door.closed or time.monotonic() > until:
                    raise
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


def _first(missing: list[Digest], sizes: dict[Digest, int]) -> list[Digest]:
    """As many as go into one request."""
    found, size = [missing[0]], sizes[missing[0]]
    for digest in missing[1:_TOGETHER]:
        size += sizes[digest]
        if size > _SIZE:
            break
        found.append(digest)
    return found


def _whole(stream: Readable, size: int) -> bytes:
    pieces = []
    while size:
        piece = stream.read(size)
        if not piece:
            raise Broken("the server's answer", "it ended in the middle of a blob.", "Try again.")
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
