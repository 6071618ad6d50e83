"""The streams that clients put events into: a file of records each, appended to, with the time index of any log.

A batch is one write, and on the disk when it was acknowledged. What a dead process left half written is cut off before
the next batch. Several processes of one machine may put into one stream.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from codeyard.errors import Fault, NotFound
from codeyard.logs.records import Record, packed, records
from codeyard.logs.time_index import index_of
from codeyard.logs.times import ENTRY

_BATCH = 3 << 20  # bytes; more than a batch can have, so that one that is whole is read whole


class PutStreams:
    """The files below one directory, which is made when it is needed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, name: str) -> Path:
        """The file of the stream of this name (a uuid of ours)."""
        return self._root / name

    def put(self, name: str, batch: Sequence[Record]) -> int:
        """Append the batch, whole or not at all; how many bytes that took. Blocks until it is on the disk. Fault."""
        if not batch:
            return 0
        content = b"".join(map(packed, batch))
        try:
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _locked(self.path(name)) as (log, index):
                size, order = _whole(log, index)
                try:
                    _append(index, ENTRY.pack(size, max(order, batch[0].timestamp)))
                    _append(log, content)
                    os.fdatasync(index)  # without it, who reads backwards would have to begin far in front
                    os.fdatasync(log)
                except OSError:
                    os.ftruncate(log, size)
                    raise
        except OSError as error:
            raise Fault(
                "putting events into a stream", f"{error.strerror}.", "See that the disk has room, and put them again."
            ) from error
        return len(content)


@contextmanager
def _locked(path: Path) -> Iterator[tuple[int, int]]:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    log = os.open(path, flags, 0o600)
    try:
        fcntl.flock(log, fcntl.LOCK_EX)
        if os.fstat(log).st_nlink == 0:
            raise NotFound("the stream", "it was deleted.", "Create it again.")
        index = os.open(index_of(path), flags, 0o600)
        try:
            yield log, index
        finally:
            os.close(index)
    finally:
        os.close(log)


def _whole(log: int, index: int) -> tuple[int, int]:
    """Cut both files to what is whole; the log's size then, and the latest time in it."""
    there = os.fstat(log).st_size
    entries = os.fstat(index).st_size // ENTRY.size
    offset = order = 0
    while entries:
        offset, order = ENTRY.unpack(os.pread(index, ENTRY.size, (entries - 1) * ENTRY.size))
        if offset < there:
            break
        entries, offset, order = entries - 1, 0, 0
    os.ftruncate(index, entries * ENTRY.size)
    while piece := os.pread(log, _BATCH, offset):
        after = 0
        for after, record in records(piece):  # noqa: B007 - the last one's end is what is wanted
            order = max(order, record.timestamp)
        if not after:
            os.ftruncate(log, offset)
            break
        offset += after
    return offset, order


def _append(handle: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]
