"""Bytes of any length under one key, in chunks that open by themselves, so that a part can be read alone.

Each object has a key of its own, which a key of the vault seals, bound to what the object is and how long; so nonces
need only count the chunks, and a new key of the vault need not touch the bytes.
"""

import base64
import os
from collections.abc import Callable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from codeyard.errors import Fault
from codeyard.secrets.sealing import Key

CHUNK = 65_536  # bytes that are sealed together
_TAG = 16


class Sealer:
    """Seals what it is given, piece by piece."""

    def __init__(self) -> None:
        self._secret = os.urandom(32)
        self._cipher = AESGCM(self._secret)
        self._number = 0
        self._rest = bytearray()

    def update(self, piece: bytes) -> bytes:
        """What can be written now."""
        self._rest += piece
        whole = len(self._rest) - len(self._rest) % CHUNK
        sealed = b"".join(self._next(bytes(self._rest[at : at + CHUNK])) for at in range(0, whole, CHUNK))
        del self._rest[:whole]
        return sealed

    def finish(self) -> bytes:
        """The last of it."""
        return self._next(bytes(self._rest)) if self._rest else b""

    def key(self, by: Key, place: bytes) -> str:
        """The object's key, sealed by one of the vault, bound to `place`."""
        return base64.b64encode(by.seal(self._secret, place)).decode()

    def _next(self, chunk: bytes) -> bytes:
        self._number += 1
        return self._cipher.encrypt(_nonce(self._number - 1), chunk, None)


def opened(
    read: Callable[[int, int], bytes], size: int, start: int, length: int, sealed_key: str, by: Key, place: bytes
) -> Iterator[bytes]:
    """`length` bytes from `start` of the `size` that were sealed. `read(count, offset)` gives what was written.

    Fault if it was changed since, or belongs elsewhere."""
    cipher = AESGCM(by.open(base64.b64decode(sealed_key), place))
    number, skip = divmod(start, CHUNK)
    while length > 0:
        wanted = min(CHUNK, size - number * CHUNK) + _TAG
        try:
            chunk = cipher.decrypt(_nonce(number), read(wanted, number * (CHUNK + _TAG)), None)
        except InvalidTag:
            why = "its bytes were changed since they were stored, so they do not open."
            raise Fault("an encrypted object", why, "Restore it from a backup, or put it again.") from None
        piece = chunk[skip : skip + length]
        yield piece
        number, skip, length = number + 1, 0, length - len(piece)


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")
