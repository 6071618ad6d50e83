"""Brings a tree of the blob store: an artifact that an earlier action of a pipeline made. No zip, no bucket."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from codeyard.artifacts import Blob, BlobStore, Digest, Holder, Kind, Swept
from codeyard.artifacts.transfer import load_manifest, place_tree
from codeyard.errors import CodeyardError, Invalid
from codeyard.sources import Fetched, SourceError, SourceKind, SourceSpec
from codeyard.sources.copying import Cancelled, clear, in_thread


class TreeSource:
    """Places trees of `blobs`, every file checked against its digest and the build's own."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    async def fetch(self, spec: SourceSpec, destination: Path, progress: Callable[[str], None]) -> Fetched:
        """Place the tree that `spec.location` names. SourceError: it, or a blob of it, is not there or is damaged."""
        if spec.kind is not SourceKind.TREE:
            raise Invalid(f"source of kind {spec.kind}", "it is no tree.", "Give it to another.")
        digest = Digest.parse(spec.location)

        def work(stopped: Callable[[], bool]) -> tuple[int, int]:
            clear(destination)
            tree = load_manifest(digest, self._blobs)
            place_tree(tree, _Stoppable(self._blobs, stopped), destination, holder=Holder.WRITER)
            return tree.files, tree.size

        name = "the artifact" if spec.identifier is None else f"the artifact {spec.identifier}"
        try:
            files, size = await in_thread(work)
        except SourceError:
            raise
        except CodeyardError as error:
            what = f"Unable to bring {name}: {error.what}: {error.why.rstrip('.')}"
            raise SourceError(what, f"it is the tree {digest}.", "Make it again: release the change.") from None
        return Fetched(None, "", "", "", f"artifact {digest[:12]}", files, size)


class _Stoppable:
    """A BlobStore that places nothing more once `stopped` says so."""

    def __init__(self, blobs: BlobStore, stopped: Callable[[], bool]) -> None:
        self._blobs, self._stopped = blobs, stopped

    def has(self, digest: Digest) -> bool:
        return self._blobs.has(digest)

    def put(self, source: BinaryIO, expected: Digest | None = None) -> Blob:
        return self._blobs.put(source, expected)

    def open(self, digest: Digest) -> AbstractContextManager[BinaryIO]:
        return self._blobs.open(digest)

    def place(
        self, digest: Digest, name: str, *, directory: int, kind: Kind = Kind.FILE, holder: Holder = Holder.WRITER
    ) -> None:
        if self._stopped():
            raise Cancelled
        self._blobs.place(digest, name, directory=directory, kind=kind, holder=holder)

    def sweep(self, keep: Callable[[Digest], bool], *, older_than: float, dry_run: bool = False) -> Swept:
        return self._blobs.sweep(keep, older_than=older_than, dry_run=dry_run)
