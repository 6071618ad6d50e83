"""How what clients put lies in a file: whole records, one after another, each with a sum. This module does no I/O."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_HEAD = struct.Struct(">IIQQ")  # the sum of all that follows, the message's length, its time, when it was taken in
LARGEST = 1 << 20  # bytes of a message


@dataclass(frozen=True, slots=True)
class Record:
    """An event as a client put it; times are in milliseconds."""

    timestamp: int
    ingested: int
    message: bytes


def packed(record: Record) -> bytes:
    head = _HEAD.pack(0, len(record.message), record.timestamp, record.ingested)[4:]
    return zlib.crc32(record.message, zlib.crc32(head)).to_bytes(4, "big") + head + record.message


def records(content: bytes) -> Iterator[tuple[int, Record]]:
    """Each whole record with the offset after it. Stops at the first that is not whole, or not as it was written."""
    at = 0
    while at + _HEAD.size <= len(content):
        total, length, timestamp, ingested = _HEAD.unpack_from(content, at)
        end = at + _HEAD.size + length
        if length > LARGEST or end > len(content) or zlib.crc32(memoryview(content)[at + 4 : end]) != total:
            return
        yield end, Record(timestamp, ingested, content[at + _HEAD.size : end])
        at = end
