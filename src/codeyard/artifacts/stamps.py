"""A memory of which file had which digest, so that files which did not change need not be read again.

It trusts that a file whose device, inode, size, modification time and change time are all the same has the same
content. That holds for whoever writes files in the usual way, and the change time cannot be set back by a build;
but who can set the clock, write to the disk beneath, or has kept a file mapped can break it. So it is for trees that
only trusted programs wrote, and never for a workspace that a build has just had.
"""

import contextlib
import os
import struct
import time
from pathlib import Path

from codeyard.artifacts import Digest
from codeyard.artifacts.patterns import Stamp

_MAGIC = b"codeyard stamps 1\n"
_KEY = struct.Struct("<QQQqq")
_RECORD = struct.Struct("<40s32s")
_MOST = 500_000  # records; each is 72 bytes
# Two writes within one tick of the file system's clock (2 s on the coarsest) leave the same times behind.
_TICK_NS = 2_000_000_000


class Stamps:
    """Digests by stamp, loaded from a file and saved to it. A lost, torn or foreign file is an empty memory.

    Several threads may use one; two processes may use one file, and the later `save` wins."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known = _load(path) if path else {}
        self._fresh: dict[bytes, bytes] = {}

    def get(self, stamp: Stamp) -> Digest | None:
        """The digest of the file with this stamp, if it is known."""
        key = _KEY.pack(*stamp)
        raw = self._known.get(key)
        if raw is None:
            raw = self._fresh.get(key)
            return None if raw is None else Digest(raw.hex())
        self._fresh[key] = raw
        return Digest(raw.hex())

    def note(self, stamp: Stamp, digest: Digest) -> None:
        """Remember; unless the file is so young that a later write could leave the same stamp."""
        if max(stamp.modified, stamp.changed) + _TICK_NS < time.time_ns():
            self._fresh[_KEY.pack(*stamp)] = bytes.fromhex(digest)

    def note_ours(self, stamp: Stamp, digest: Digest) -> None:
        """Remember a file that nobody but us can write to, however young it is."""
        self._fresh[_KEY.pack(*stamp)] = bytes.fromhex(digest)

    def renew(self, was: Stamp, now: Stamp, digest: Digest) -> None:
        """Remember a file by the stamp it has now: no file has that which it had."""
        key = _KEY.pack(*was)
        self._known.pop(key, None)
        self._fresh.pop(key, None)
        self._fresh[_KEY.pack(*now)] = bytes.fromhex(digest)

    def save(self) -> None:
        """Keep what was noted or asked for; the rest is forgotten, for it is gone from the tree. Best effort: a
        memory that cannot be saved costs time, not truth."""
        self._save(self._fresh)

    def save_all(self) -> None:
        """Keep also what nobody asked for, the newest last and the oldest dropped where there are too many."""
        self._save({**self._known, **self._fresh})

    def _save(self, records: dict[bytes, bytes]) -> None:
        if self._path is None:
            return
        kept = list(records.items())[-_MOST:]
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft = self._path.parent / f".stamps-{os.urandom(8).hex()}"
            try:
                with draft.open("xb") as file:
                    file.write(_MAGIC + _boot() + b"".join([key + value for key, value in kept]))
                draft.rename(self._path)
            except OSError:
                draft.unlink(missing_ok=True)
                raise


def _load(path: Path) -> dict[bytes, bytes]:
    head = _MAGIC + _boot()
    try:
        content = path.read_bytes()
    except OSError:
        return {}
    body = memoryview(content)[len(head) :]
    if not content.startswith(head) or len(body) % _RECORD.size:
        return {}
    return dict(_RECORD.iter_unpack(body))


def _boot() -> bytes:
    """Names this run of the machine: after a power cut, files may have lost what their times say they have."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        return b"unknown boot\n"
