"""Bytes that came from outside, as trees: a zip that was found or put, a directory that was filled.

What blocks does so for files: from a coroutine, call it through `asyncio.to_thread`.
"""

import fcntl
import os
import shutil
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from operator import attrgetter
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from codeyard.artifacts import Blob, BlobStore, Digest, Kind, Tree, chunks
from codeyard.artifacts.buckets import Download, OpenBucket
from codeyard.artifacts.removal import remove_tree
from codeyard.artifacts.transfer import everything, load_manifest, save_manifest, store_tree
from codeyard.artifacts.zips import Bounds, extract_zip
from codeyard.durable import Answer
from codeyard.errors import CodeyardError, Denied, Invalid, NotFound
from codeyard.pipelines.actions import ActionFailed, Artifact, ErrorCode, Work
from codeyard.sources.copying import Cancelled, in_thread

OBJECT_LIMIT = 7 << 30  # bytes of an object that is a source (CodePipeline's quotas: 7 GB)
ZIP_BOUNDS = Bounds(entries=100_000)  # as many files as a zipped source may have
_SCRATCH = "codeyard-pipeline-"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


@runtime_checkable
class _Adopting(Protocol):
    """A store that takes files over as they are: `artifacts.disk.DiskStore`."""

    def adopt(self, descriptor: int) -> Blob: ...


@contextmanager
def scratch(beside: Path | None = None) -> Iterator[Path]:
    """A new directory, which is gone afterwards; on the disk of `beside`, from where a store on the same disk takes
    files over without copying them. What processes that were killed have left there is removed first."""
    above = beside if beside is not None else Path(tempfile.gettempdir())
    above.mkdir(mode=0o700, parents=True, exist_ok=True)
    _clear(above)
    place, held = _made(above)
    try:
        yield place
    finally:
        remove_tree(place)
        os.close(held)


def _made(above: Path) -> tuple[Path, int]:
    """A new directory, and the lock by which others see that somebody is at work in it: whoever dies lets go of it."""
    while True:
        place = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=above))
        with suppress(FileNotFoundError):
            held = os.open(place, _DIRECTORY)
            fcntl.flock(held, fcntl.LOCK_EX)
            if place.exists():
                return place, held
            os.close(held)  # somebody took it for left over, in the moment before it was locked


def _clear(above: Path) -> None:
    for left in above.glob(f"{_SCRATCH}*"):
        with suppress(OSError, CodeyardError):  # it is another user's, or somebody else removes it, or is in it
            held = os.open(left, _DIRECTORY)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_tree(left)
            finally:
                os.close(held)


def import_directory(directory: Path, blobs: BlobStore) -> Tree:
    """The tree of a directory that nobody will ever use again: its files may become the store's own. Invalid."""
    tree = store_tree(directory, everything(directory), blobs, adopt=_adopt(blobs))
    save_manifest(tree, blobs)
    return tree


def import_zip(packed: Path, blobs: BlobStore) -> Tree:
    """The tree of a zip, whose files are unpacked beside it on the way. Invalid: it is no sound zip, or too large."""
    inside = packed.with_name(f"{packed.name}.unpacked")
    try:
        extract_zip(packed, inside, ZIP_BOUNDS)
        return import_directory(inside, blobs)
    finally:
        remove_tree(inside)


def is_zip(file: Path) -> bool:
    """Whether it begins as one does."""
    with file.open("rb") as content:
        return content.read(4) in _ZIP


def download(found: Download, target: Path, what: str, stopped: Callable[[], bool]) -> None:
    """Write an object to a new file. ActionFailed: it is too large for a source; Cancelled once it is `stopped`."""
    if found.size > OBJECT_LIMIT:
        text = f"{what} has {found.size} bytes. A source can have at most {OBJECT_LIMIT >> 30} GB."
        raise ActionFailed(ErrorCode.CONFIGURATION, text)
    with target.open("xb") as file:
        for piece in found.pieces:
            file.write(piece)
            if stopped():
                raise Cancelled


def read_file(artifact: Artifact, path: str, limit: int, blobs: BlobStore) -> bytes:
    """A file of an artifact, by its path in it. ActionFailed: it is not there, is no file, or is of more than `limit`
    bytes. Blocks."""
    if artifact.tree is None:
        text = f"The artifact {artifact.name} is not a zip file, so {path} cannot be read from it."
        raise ActionFailed(ErrorCode.CONFIGURATION, text)
    wanted = path.removeprefix("./").lstrip("/")
    entries = load_manifest(artifact.tree, blobs).entries
    at = bisect_left(entries, wanted, key=attrgetter("path"))
    entry = entries[at] if at < len(entries) and entries[at].path == wanted else None
    if entry is None or entry.digest is None:
        kind = "is a symbolic link" if entry is not None and entry.kind is Kind.LINK else "was not found"
        raise ActionFailed(ErrorCode.CONFIGURATION, f"File [{path}] {kind} in the artifact {artifact.name}.")
    if entry.size > limit:
        text = f"File [{path}] of the artifact {artifact.name} has {entry.size} bytes. At most {limit} are allowed."
        raise ActionFailed(ErrorCode.CONFIGURATION, text)
    with blobs.open(entry.digest) as file:
        return b"".join(chunks(file))


async def tree_of(artifact: Artifact, work: Work, beside: Path | None = None) -> Digest:
    """The digest of an artifact's tree, whose manifest is in the blob store: the one that it has, or, of an artifact
    that somebody put as an object, that of the zip. ActionFailed: there is none."""
    if artifact.tree is not None:
        return artifact.tree
    if not artifact.there and artifact.raw is None:
        text = f"The artifact {artifact.name} holds no files."
        if artifact.clone is not None:
            text = f"The artifact {artifact.name} is a reference to a repository, which only CodeBuild can use."
        raise ActionFailed(ErrorCode.CONFIGURATION, text)

    async def fetch() -> Answer:
        return {"tree": str(await in_thread(lambda stopped: _import(artifact, work, beside, stopped)))}

    answer = await work.step(f"import {artifact.name}", fetch)
    return Digest.parse(answer["tree"])


def _import(artifact: Artifact, work: Work, beside: Path | None, stopped: Callable[[], bool]) -> Digest:
    with scratch(beside) as place:
        packed = place / "object"
        if artifact.raw is not None:
            with work.blobs.open(artifact.raw) as source, packed.open("xb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        else:
            fetch_artifact(artifact, work.open_bucket, packed, stopped)
        try:
            return import_zip(packed, work.blobs).digest
        except Invalid as wrong:
            text = f"The artifact {artifact.name} is not a zip file that can be unpacked: {wrong.why.rstrip('.')}."
            raise ActionFailed(ErrorCode.CONFIGURATION, text) from None


def fetch_artifact(artifact: Artifact, open_bucket: OpenBucket, target: Path, stopped: Callable[[], bool]) -> None:
    """Write the object of an artifact to a new file. ActionFailed, in AWS's words."""
    try:
        with open_bucket(f"s3://{artifact.bucket}").read(artifact.key) as found:
            download(found, target, f"The artifact {artifact.name}", stopped)
    except NotFound:
        text = (
            "The action failed because either the artifact or the Amazon S3 bucket could not be found. "
            f"Name of artifact bucket: {artifact.bucket}. Verify that this bucket exists. If it exists, check the life "
            "cycle policy, then try releasing a change."
        )
        raise ActionFailed(ErrorCode.CONFIGURATION, text) from None
    except Denied as refused:
        text = f"Unable to access the artifact with Amazon S3 object key '{artifact.key}': {_plain(refused)}"
        raise ActionFailed(ErrorCode.PERMISSION, text) from None


def _plain(error: CodeyardError) -> str:
    return f"{error.why.rstrip('.')}."


def _adopt(blobs: BlobStore) -> Callable[[int], Blob] | None:
    return cast(_Adopting, blobs).adopt if isinstance(blobs, _Adopting) else None
