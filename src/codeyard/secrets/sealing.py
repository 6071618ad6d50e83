"""The vault's key file, and what a key does: seal bytes so that only it opens them, and only where they belong.

The file holds one key a line, the newest first; there is more than one only while a rotation is under way. Its writers
take turns by the vault's own lock.
"""

import base64
import binascii
import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from codeyard.errors import Denied, Fault

_KEY_SIZE = 32  # bytes: AES-256
_NONCE_SIZE = 12  # bytes: what GCM is made for, NIST SP 800-38D; at random, good for billions of values
_FILE_LIMIT = 65_536
_HEADER = "# The key of the vault beside it. Whoever has both has the secrets; without it they are lost.\n"


@dataclass(frozen=True, slots=True)
class Key:
    """An AES-256-GCM key. Its id is a digest of it, and gives nothing away."""

    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        return hashlib.sha256(b"codeyard vault key\0" + self.secret).hexdigest()[:16]

    def seal(self, value: bytes, place: bytes) -> bytes:
        """The value as nonce, ciphertext and tag, bound to `place`."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE_SIZE)
        return nonce + AESGCM(self.secret).encrypt(nonce, value, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """What was sealed; Fault if it was changed since, or belongs to another place."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            return AESGCM(self.secret).decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], place)
        except (InvalidTag, ValueError):
            why = "it was changed or moved since it was stored, so it does not open."
            raise Fault("a value in the vault", why, "Store it again, or restore the vault from a backup.") from None


class KeyFile:
    """One file, mode 0600, that only its owner may read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def newest(self) -> Key:
        """The key to seal by; it is made if there is no file. Denied."""
        try:
            return self._read()[0]
        except FileNotFoundError:
            self._write([key := Key(os.urandom(_KEY_SIZE))])
            return key

    def get(self, key_id: str) -> Key:
        """The key that a value was sealed by; Denied if it is not here."""
        try:
            found = next((key for key in self._read() if key.id == key_id), None)
        except FileNotFoundError:
            raise self._lost("it is gone, and what it sealed does not open without it.") from None
        if found is None:
            raise self._lost("it is the wrong key: what is in the vault was sealed by another.")
        return found

    def add(self) -> Key:
        """Put a new key before those there are."""
        new = Key(os.urandom(_KEY_SIZE))
        self._write([new, *self._read()])
        return new

    def keep(self, ids: Iterable[str]) -> None:
        """Forget all other keys."""
        wanted = set(ids)
        self._write([key for key in self._read() if key.id in wanted])

    def _read(self) -> list[Key]:
        """The keys, newest first; Denied if others can read them, FileNotFoundError."""
        try:
            with os.fdopen(
                os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb"
            ) as file:
                self._check(os.fstat(file.fileno()))
                text = file.read(_FILE_LIMIT)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._lost(f"it cannot be read: {error.strerror}.") from error
        try:
            lines = [line for line in text.splitlines() if line and not line.startswith(b"#")]
            keys = [Key(base64.b64decode(line, validate=True)) for line in lines]
        except binascii.Error:
            keys = []
        if not keys or any(len(key.secret) != _KEY_SIZE for key in keys):
            raise self._lost("it does not hold a key.")
        return keys

    def _check(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise self._lost("it is not a plain file.")
        if stat.S_IMODE(status.st_mode) & 0o077:
            why = f"others can read it: its mode is {stat.S_IMODE(status.st_mode):04o}."
            raise Denied(f"the vault's key {self._path}", why, f"chmod 600 {self._path}")
        if os.geteuid() not in (0, status.st_uid):
            fix = "Use a vault of your own: set CODEYARD_HOME."
            raise Denied(f"the vault's key {self._path}", "it belongs to another user.", fix)

    def _write(self, keys: list[Key]) -> None:
        """Replace the file at once and for good: it is on the disk when this returns."""
        new = self._path.with_name(f".{self._path.name}.new")
        new.unlink(missing_ok=True)  # of a writer that was killed
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(_HEADER.encode() + b"".join(base64.b64encode(key.secret) + b"\n" for key in keys))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _lost(self, why: str) -> Denied:
        fix = "Put the right key back from a backup; or remove the vault's directory, and store its secrets anew."
        return Denied(f"the vault's key {self._path}", why, fix)
