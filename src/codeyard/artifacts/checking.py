"""Readers that check what they read: the promise of every BlobStore about what comes out."""

import hashlib
import io
from typing import Any, Protocol

from codeyard.artifacts import Digest
from codeyard.errors import Fault


class Readable(Protocol):
    def readinto(self, buffer: Any, /) -> int | None: ...


class Checked(io.RawIOBase):
    """The bytes of `source`; the read that finds its end raises Fault unless they were those of `digest`."""

    def __init__(self, source: Readable, digest: Digest) -> None:
        self._source, self._digest, self._hash = source, digest, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        size = self._source.readinto(buffer) or 0
        if size:
            self._hash.update(memoryview(buffer)[:size])
        elif len(buffer) and self._hash.hexdigest() != self._digest:
            raise damaged(self._digest)
        return size


def damaged(digest: Digest) -> Fault:
    return Fault(f"blob {digest}", "the bytes in the store are not those of this digest.", "Build it again.")
