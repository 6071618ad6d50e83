"""What a build made, and what it keeps for the next one.

A **blob** is content named by its SHA-256. A **tree** is a sorted list of paths, each naming a blob, a symbolic link
or an empty directory; its own digest names it, so that to hand an artifact on is to hand on 64 letters.

A BlobStore keeps blobs. Every leaf keeps these promises:
  - a blob is stored once, whatever puts it, and however many do at the same time;
  - what goes in is hashed as it goes, and named by what was stored, not by what was asked for;
  - what comes out is checked: bytes that are not those of the digest end in a Fault, never in a caller's hands as good;
  - a process that dies at any moment leaves the blob either there, whole, or not there;
  - several threads and processes may use one store at once.
All calls block; from a coroutine, call them through `asyncio.to_thread`.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, NamedTuple, Protocol, Self

from codeyard.errors import Invalid

_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files of a source tree are meant, as a buildspec's `artifacts` and `reports` blocks say it (1.8)."""

    files: tuple[str, ...]
    base_directory: str | None = None
    exclude_paths: tuple[str, ...] = ()
    discard_paths: bool = False
    enable_symlinks: bool = False


class Digest(str):
    """A SHA-256 as 64 lower-case hex digits: `str(digest)` is those, and holding one made by `parse` proves the form.

    A string underneath, and not a dataclass around one, because a tree has tens of thousands of them.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        if _HEX.fullmatch(text) is None:
            raise Invalid(f"digest {text[:80]!r}", "it is not 64 lower-case hex digits.", "Copy it from `codeyard`.")
        return cls(text)

    def __repr__(self) -> str:
        return f"Digest({str(self)!r})"


class Kind(StrEnum):
    """What is at a path. The value is the letter that manifests use."""

    FILE = "f"
    EXECUTABLE = "x"  # a file that its owner may run; no other permission is kept
    LINK = "l"
    DIRECTORY = "d"  # only an empty one: others follow from the files in them


class Entry(NamedTuple):
    """One line of a manifest. A tuple, and not a dataclass, because reading 12,000 of them must take milliseconds."""

    path: str  # relative, `/` between parts, no empty part, no `.` or `..`; bytes that are no UTF-8 as surrogates
    kind: Kind
    size: int = 0  # bytes of a FILE or EXECUTABLE, else 0
    digest: Digest | None = None  # of a FILE or EXECUTABLE, else None
    target: str = ""  # of a LINK, as the link has it


@dataclass(frozen=True, slots=True)
class Tree:
    """Files under one root, and the digest of their canonical manifest. Made by `codeyard.artifacts.tree.make`."""

    entries: tuple[Entry, ...]  # by path, each once
    digest: Digest

    @property
    def files(self) -> int:
        return sum(entry.digest is not None for entry in self.entries)

    @property
    def size(self) -> int:
        """Bytes of all files, each counted as often as it occurs."""
        return sum(entry.size for entry in self.entries)


@dataclass(frozen=True, slots=True)
class Blob:
    """What a store says it has now: the digest and the size in bytes of what was put."""

    digest: Digest
    size: int


class Holder(StrEnum):
    """Who will hold a placed file, which decides how it may be placed."""

    WRITER = "writer"  # a build may write to it: it gets bytes of its own, cloned where the file system can
    READER = "reader"  # nobody ever writes to it: it may be the store's own file under a second name


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep removed, or would: how many blobs, and their bytes."""

    blobs: int
    size: int


class BlobStore(Protocol):
    """Content by digest; the module's docstring has the promises."""

    def has(self, digest: Digest) -> bool:
        """Whether the blob is stored and need not be put: for the next hour, no sweep takes it for old."""

    def put(self, source: BinaryIO, expected: Digest | None = None) -> Blob:
        """Store the rest of `source`, a seekable file. Invalid if it is not what was `expected`; Fault if it cannot."""

    def open(self, digest: Digest) -> AbstractContextManager[BinaryIO]:
        """The blob's bytes, to read in order. The read that reaches the end raises Fault if they were not those of
        `digest`; NotFound if there is no such blob."""

    def place(
        self, digest: Digest, name: str, *, directory: int, kind: Kind = Kind.FILE, holder: Holder = Holder.WRITER
    ) -> None:
        """Make the new file `name` (one part, no slash) in the open `directory` with the blob's bytes, checked.

        Conflict if the name is taken, whatever by. When it returns, the file is whole; if it raises, there is no
        file. A process that dies on the way may leave a part: place into a directory that is renamed when complete."""

    def sweep(self, keep: Callable[[Digest], bool], *, older_than: float, dry_run: bool = False) -> Swept:
        """Remove the blobs that `keep` refuses and that nobody has put or asked for in the last `older_than` seconds,
        give or take the hour that `has` promises (in a bucket, a day). Where others may be at work, that must be more
        than twice as much, and more than they take from putting a blob to writing down that it is needed."""


def read(store: BlobStore, digest: Digest, limit: int) -> bytes:
    """A whole blob, checked. Invalid if it is of more than `limit` bytes."""
    with store.open(digest) as file:
        content = file.read(limit + 1)
        if len(content) > limit:
            raise Invalid(f"blob {digest}", f"it has more than {limit} bytes.", "Use a smaller one.")
        file.read(1)  # reaches the end, where the check is
    return content


def chunks(file: BinaryIO, size: int = 1 << 20) -> Iterator[bytes]:
    """The rest of `file`, in pieces of at most `size` bytes."""
    while piece := file.read(size):
        yield piece
