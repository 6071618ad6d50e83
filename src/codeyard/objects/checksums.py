"""The checksums that S3 knows, as bytes pass by; https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html

CRC-32C and CRC-64/NVME have no quick form in Python's own library. `awscrt` is used for them where it is installed;
else they are reckoned up to a bound, above which what the client says is kept as it is, for its own reader to check.
"""

import base64
import hashlib
import zlib
from collections.abc import Callable
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
WHOLE_OF_PARTS = ("CRC32", "CRC32C", "CRC64NVME")  # those that can be of a whole object put in parts
_SIZES = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}
_REFLECTED = {"CRC32C": (0x82F63B78, 32), "CRC64NVME": (0x9A6C9329AC4BC9B5, 64)}
_SLOWLY_AT_MOST = 8 << 20  # bytes, a usual part; it takes most of a second


class Checksum(Protocol):
    """A sum under way."""

    def update(self, piece: bytes) -> None: ...

    def value(self) -> str | None:
        """In base64; None if it was too much to reckon."""
        ...


class _Hash:
    def __init__(self, name: str) -> None:
        self._hash = hashlib.new(name, usedforsecurity=False)

    def update(self, piece: bytes) -> None:
        self._hash.update(piece)

    def value(self) -> str:
        return base64.b64encode(self._hash.digest()).decode()


class _Cyclic:
    def __init__(self, step: Callable[[bytes, int], int], size: int, limit: int | None = None) -> None:
        self._step, self._size, self._left = step, size, limit
        self._value = 0

    def update(self, piece: bytes) -> None:
        if self._left is not None:
            self._left -= len(piece)
            if self._left < 0:
                return
        self._value = self._step(piece, self._value)

    def value(self) -> str | None:
        if self._left is not None and self._left < 0:
            return None
        return base64.b64encode(self._value.to_bytes(self._size, "big")).decode()


def start(algorithm: str) -> Checksum:
    """A new sum by one of ALGORITHMS."""
    if algorithm in ("SHA1", "SHA256"):
        return _Hash(algorithm.lower())
    if algorithm == "CRC32":
        return _Cyclic(zlib.crc32, 4)
    native = _native(algorithm)
    if native is not None:
        return _Cyclic(native, _SIZES[algorithm])
    polynomial, bits = _REFLECTED[algorithm]
    return _Cyclic(lambda piece, value: _crc(piece, value, polynomial, bits), bits // 8, _SLOWLY_AT_MOST)


def is_value(algorithm: str, text: str) -> bool:
    """Whether the text can be a sum by this algorithm."""
    try:
        return len(base64.b64decode(text, validate=True)) == _SIZES[algorithm]
    except ValueError:
        return False


def of_parts(algorithm: str, values: tuple[str, ...]) -> str | None:
    """The composite sum of an object of several parts: that of their sums, `-`, and how many."""
    total = start(algorithm)
    total.update(b"".join(base64.b64decode(value) for value in values))
    value = total.value()
    return None if value is None else f"{value}-{len(values)}"


@cache
def _native(algorithm: str) -> Callable[[bytes, int], int] | None:
    if find_spec("awscrt") is None:
        return None
    found: Callable[[bytes, int], int] | None = getattr(import_module("awscrt.checksums"), algorithm.lower(), None)
    return found


def _crc(piece: bytes, value: int, polynomial: int, bits: int) -> int:
    table, ones = _table(polynomial), (1 << bits) - 1
    value ^= ones
    for byte in piece:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ ones


@lru_cache
def _table(polynomial: int) -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
        table.append(value)
    return tuple(table)
