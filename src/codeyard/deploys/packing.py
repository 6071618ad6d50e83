"""Several blobs in one stream: for each its digest (32 bytes), its size (8, big-endian), and so many bytes.

A size of all ones says that the sender has not got the blob. Whoever reads checks each digest: a sender whose store was
altered still sends as many bytes as it said.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Protocol

from codeyard.artifacts import BlobStore, Digest
from codeyard.errors import Fault, NotFound

_HEAD = struct.Struct(">32sQ")
_MISSING = 2**64 - 1
_PIECE = 1 << 18


class Broken(Fault):
    """The stream ended in the middle."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def packed(blobs: BlobStore, wanted: Iterable[tuple[Digest, int]]) -> Iterator[bytes]:
    """The stream, in pieces that are worth a packet. `wanted` has each blob's size as its tree says it. It blocks."""
    waiting: list[bytes] = []
    size = 0
    for digest, length in wanted:
        for piece in _one(blobs, digest, length):
            waiting.append(piece)
            size += len(piece)
            if size >= _PIECE:
                yield b"".join(waiting)
                waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def unpacked(stream: Readable) -> Iterator[tuple[Digest, int | None]]:
    """Each blob's digest and size, None if the sender has it not; the size's bytes are to be read from `stream` before
    the next is asked for. Broken."""
    while head := _exactly(stream, _HEAD.size):
        raw, size = _HEAD.unpack(head)
        yield Digest(raw.hex()), None if size == _MISSING else size


def _one(blobs: BlobStore, digest: Digest, length: int) -> Iterator[bytes]:
    left = length
    head = _HEAD.pack(bytes.fromhex(digest), length)
    try:
        with blobs.open(digest) as file:
            while left and (piece := file.read(min(left, _PIECE))):
                yield head + piece
                head = b""
                left -= len(piece)
            file.read(1)  # reaches the end, where the check is: one that was altered is set aside
    except NotFound:
        if head:
            yield _HEAD.pack(bytes.fromhex(digest), _MISSING)
            return
    except Fault:
        pass  # the reader finds out by the digest
    yield head
    while left:
        yield bytes(min(left, _PIECE))
        left -= min(left, _PIECE)


def _exactly(stream: Readable, size: int) -> bytes:
    """So many bytes, or none at the end of the stream. Broken."""
    found = b""
    while len(found) < size:
        piece = stream.read(size - len(found))
        if not piece:
            if found:
                raise Broken("the server's answer", "it ended in the middle.", "Try again.")
            return b""
        found += piece
    return found
