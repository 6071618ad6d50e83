"""An object as one file: its bytes, then what is known of it, then how long that is. It is whole, or it is not there.

The bytes begin at the beginning: a part of them is found without reading anything else but the end.
"""

import errno
import hashlib
import json
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Any

from codeyard.artifacts.failures import explained
from codeyard.errors import Fault
from codeyard.objects import About, Encryption, Keys, Stored
from codeyard.objects.sealed import Sealer, opened

_END = struct.Struct(">I8s")  # the length of what is known, and a mark
_MARK = b"cyobj 1\n"
_KNOWN_AT_MOST = 4 << 20  # bytes; ten thousand sizes of parts are most of it
_READ = 1 << 18  # bytes at once


class Draft:
    """An object that is being written: a file without a name, of which a process that dies leaves nothing."""

    def __init__(self, drafts: Path, about: About, keys: Keys | None) -> None:
        self.about, self._keys = about, keys
        if about.encryption is not None and keys is None:
            raise Fault("the object store", "it has no key to encrypt by.", "Give it a vault.")
        self._sealer = Sealer() if about.encryption is not None else None
        drafts.mkdir(mode=0o700, exist_ok=True)
        self._step = f"{drafts}/{os.urandom(16).hex()}"  # its name for a moment, if it needs one
        self._file, self._named = _new(drafts, self._step)
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0
        self._end: int | None = None  # of the bytes, once they are all there

    @property
    def md5(self) -> bytes:
        return self._md5.digest()

    def write(self, piece: bytes) -> None:
        self._md5.update(piece)
        self.size += len(piece)
        self._all(self._sealer.update(piece) if self._sealer is not None else piece)

    def finish(self, stored: Stored, place: bytes) -> None:
        """The last bytes, and what is known; all of it is on the disk then. Done again, other things are known."""
        known: dict[str, Any] = asdict(stored) | {"modified": stored.modified.isoformat()}
        if self._end is None:
            self._all(self._sealer.finish() if self._sealer is not None else b"")
            self._end = self._file.tell()
        self._file.seek(self._end)
        self._file.truncate()
        if self._sealer is not None:
            assert self._keys is not None
            key = self._keys.newest()
            known["sealed"] = {"by": key.id, "key": self._sealer.key(key, _bound(place, stored.size, stored.version))}
        text = json.dumps(known).encode()
        self._all(text + _END.pack(len(text), _MARK))
        os.fsync(self._file.fileno())

    def replace(self, path: str) -> None:
        """Let the finished file have this name, whatever has it now. FileNotFoundError if there is no directory."""
        if not self._named:
            try:
                self._link(path)
                return
            except FileExistsError:
                self._link(self._step)
                self._named = True
        os.replace(self._step, path)  # noqa: PTH105 - a text, as everything about keys
        self._named = False

    def _link(self, path: str) -> None:
        # The number of a directory makes this linkat, which follows the link that stands for the open file.
        os.link(f"/proc/self/fd/{self._file.fileno()}", path, src_dir_fd=0, follow_symlinks=True)

    def close(self) -> None:
        """What did not become an object is gone."""
        self._file.close()
        if self._named:
            with suppress(FileNotFoundError):
                os.unlink(self._step)  # noqa: PTH108

    def __enter__(self) -> "Draft":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _all(self, content: bytes) -> None:
        view = memoryview(content)
        with explained("writing an object"):
            while view:
                view = view[self._file.write(view) or 0 :]


class Opened:
    """An object that is being read, whatever becomes of its name meanwhile."""

    def __init__(self, path: str, place: bytes, keys: Keys | None) -> None:
        """FileNotFoundError; Fault if it is not whole."""
        self._place, self._keys = place, keys
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._known = _known(self._descriptor, path)
            self.stored = _stored(self._known)
        except BaseException:
            os.close(self._descriptor)
            raise

    def read(self, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """`length` bytes from `start`, by default all, in pieces. Fault."""
        length = self.stored.size - start if length is None else length
        sealed = self._known.get("sealed")
        if sealed is not None:
            if self._keys is None:
                raise Fault("the object store", "it has no keys to decrypt by.", "Give it its vault.")
            key = self._keys.get(sealed["by"])
            bound = _bound(self._place, self.stored.size, self._known.get("version"))
            yield from opened(self._pread, self.stored.size, start, length, sealed["key"], key, bound)
            return
        while length > 0:
            piece = self._pread(min(length, _READ), start)
            if not piece:
                raise Fault("an object", "its file is shorter than it was.", "Restore it from a backup.")
            yield piece
            start, length = start + len(piece), length - len(piece)

    def close(self) -> None:
        os.close(self._descriptor)

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pread(self, count: int, offset: int) -> bytes:
        return os.pread(self._descriptor, count, offset)


def _new(directory: Path, path: str) -> tuple[FileIO, bool]:
    """A new file, and whether it has the name: only where the file system has no files without one."""
    flags = os.O_WRONLY | os.O_CLOEXEC
    try:
        return FileIO(os.open(directory, flags | os.O_TMPFILE, 0o600), "wb"), False
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):
            raise
    return FileIO(os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb"), True


def _bound(place: bytes, size: int, version: str | None) -> bytes:
    """What the key is bound to: whose object it is, and its length, so that nothing can be cut off; and its version."""
    kind = b"object" if version is None else b"version\0%b" % version.encode()
    return b"codeyard %b\0%b\0%d" % (kind, place, size)


def _known(descriptor: int, path: str) -> dict[str, Any]:
    size = os.fstat(descriptor).st_size
    try:
        length, mark = _END.unpack(os.pread(descriptor, _END.size, max(0, size - _END.size)))
        if mark != _MARK or length > min(_KNOWN_AT_MOST, size - _END.size):
            raise ValueError("no mark")
        known = json.loads(os.pread(descriptor, length, size - _END.size - length))
        if not isinstance(known, dict):
            raise ValueError("no object")
    except (struct.error, ValueError) as error:
        raise Fault(f"object file {path}", "it is not whole.", "Restore it from a backup, or put it again.") from error
    return known


def _stored(known: dict[str, Any]) -> Stored:
    about = known["about"]
    encryption = Encryption(**about["encryption"]) if about["encryption"] else None
    return Stored(
        key=known["key"],
        size=known["size"],
        etag=known["etag"],
        modified=datetime.fromisoformat(known["modified"]),
        about=About(about["headers"], about["metadata"], encryption),
        checksums=known["checksums"],
        parts=tuple(known["parts"]),
        version=known.get("version"),
        marker=known.get("marker", False),
    )
