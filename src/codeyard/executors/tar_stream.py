"""A tree of files to a tar stream and back, a piece at a time; what comes back was a build's to choose.

Coming back: plain files, directories, symlinks and hard links between what came, never through a symlink, never above
or beside the destination, at most so many and so large. Set-user-id bits and owners stay behind.
"""

import os
import shutil
import stat
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from codeyard.errors import Fault

_PIECE = 1024 * 1024
_END = b"\0" * 1024
_LONGEST = 256 * 1024  # bytes of a header's own content: names, mostly
# What a tarfile raises of a stream that was made for it, besides its own kind.
_ODD = (ValueError, LookupError, ArithmeticError, RecursionError, EOFError)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may come back."""

    entries: int = 2_000_000
    size: int = 64 * 1024**3  # bytes of all files together
    depth: int = 256


def unpack(stream: IO[bytes], into: Path, bounds: Bounds = Bounds()) -> bool:
    """Write the stream's one tree or file (its first entry, whatever its name) to `into`; False if there is none.

    `into` may be there already, as may what is in it: directories are filled, the rest is replaced. Fault.
    """
    try:
        with tarfile.open(
            fileobj=stream, mode="r|", tarinfo=_Header, encoding="utf-8", errors="surrogateescape"
        ) as tar:
            return _Unpacking(into, bounds).all(tar)
    except (tarfile.TarError, *_ODD) as error:
        raise Fault(f"cannot copy to {into}", f"the stream of files is broken: {error}.", "Try again.") from error


class _Header(tarfile.TarInfo):
    """Refuses, before it is read, what a tar of plain files does not have and tarfile takes into memory whole."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        named = self.type in {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE}
        if self.size < 0 or (named and self.size > _LONGEST):
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        if self.type in {tarfile.GNUTYPE_SPARSE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE}:
            raise tarfile.ReadError(f"a header of kind {self.type!r}")
        try:
            found: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]  # what it is read by since 3.0
        except tarfile.HeaderError as error:  # which some Pythons take for the end, if it is not at the beginning
            raise tarfile.ReadError(str(error)) from None
        return found

    def _refuse_sparse(self, *_told: object) -> None:
        raise tarfile.ReadError("a sparse file")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


class _Unpacking:
    """The state of one unpacking. Directories are made private and get their modes at the end."""

    def __init__(self, into: Path, bounds: Bounds) -> None:
        self._into, self._bounds = into, bounds
        self._directories: dict[tuple[str, ...], tarfile.TarInfo] = {}  # those that came, by their path below `into`
        self._top: tuple[str, ...] | None = None
        self._entries = self._bytes = 0
        self._found = False

    def all(self, tar: tarfile.TarFile) -> bool:
        for entry in tar:
            tar.members = []  # type: ignore[attr-defined]  # else it remembers them all
            self._count(entry)
            inner = self._inner(entry.name)
            if inner is None:
                continue
            try:
                self._one(tar, entry, inner)
            except OSError as error:
                raise _broken(self._into, error) from error
        self._finish()
        return self._found

    def _count(self, entry: tarfile.TarInfo) -> None:
        self._entries += 1
        self._bytes += max(0, entry.size)
        if self._entries > self._bounds.entries or self._bytes > self._bounds.size:
            raise Fault(
                f"cannot copy to {self._into}",
                f"it holds more than {self._bounds.entries} files or {self._bounds.size} bytes.",
                "Select less.",
            )

    def _inner(self, name: str) -> tuple[str, ...] | None:
        """Where an entry belongs below `into`; None if nowhere: above, beside, or below what did not come."""
        parts = tuple(part for part in name.split("/") if part not in {"", "."})
        if ".." in parts or "\0" in name or len(parts) > self._bounds.depth:
            return None
        if self._top is None:
            self._top = parts
        if parts[: len(self._top)] != self._top:
            return None
        inner = parts[len(self._top) :]
        return inner if not inner or inner[:-1] in self._directories else None

    def _one(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, inner: tuple[str, ...]) -> None:
        path = self._into.joinpath(*inner)
        if not inner:
            path.parent.mkdir(parents=True, exist_ok=True)
        if entry.isdir():
            if path.is_symlink() or not path.is_dir():
                _remove(path)
                path.mkdir(mode=0o700)
            self._directories[inner] = entry
        elif entry.isreg() or entry.issym() or entry.islnk():
            self._forget(inner)
            target = self._hard(entry) if entry.islnk() else None
            if target == path or (entry.islnk() and target is None):
                return
            _remove(path)
            if target is not None:
                os.link(target, path, follow_symlinks=False)
            elif entry.issym():
                path.symlink_to(entry.linkname)
            else:
                _write(tar.extractfile(entry), entry, path)
        else:
            return
        self._found = True

    def _forget(self, inner: tuple[str, ...]) -> None:
        """What was a directory is to be something else: nothing below it may be written any more."""
        if inner in self._directories:
            kept = {name: entry for name, entry in self._directories.items() if name[: len(inner)] != inner}
            self._directories = kept

    def _hard(self, entry: tarfile.TarInfo) -> Path | None:
        inner = self._inner(entry.linkname)
        if not inner:
            return None
        path = self._into.joinpath(*inner)
        return path if path.is_file() and not path.is_symlink() else None

    def _finish(self) -> None:
        for inner in sorted(self._directories, key=len, reverse=True):
            entry, path = self._directories[inner], self._into.joinpath(*inner)
            path.chmod((entry.mode & 0o777) | stat.S_IRWXU)
            os.utime(path, _times(entry))


def pack(source: Path, prefix: str, *, top: bool) -> Iterator[bytes]:
    """The directory `source` as a tar whose names start with `prefix`, owned by 0:0, plain modes; pieces to send.

    `top`: with an entry for the directory itself. Files that are no file, directory or symlink are left out. Fault.
    """
    try:
        if top:
            yield _header(prefix, source.stat())
        yield from _below(source, prefix)
        yield _END
    except OSError as error:
        raise _broken(source, error) from error


def pack_directories(names: Iterable[str], mode: int) -> Iterator[bytes]:
    """A tar of nothing but directories, owned by 0:0: unpacked over those that are there, it gives them that mode."""
    for name in names:
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode = tarfile.DIRTYPE, mode
        yield _encoded(entry)
    yield _END


def _write(source: IO[bytes] | None, entry: tarfile.TarInfo, path: Path) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(handle, "wb") as file:  # noqa: PTH123 - an open handle
        while source is not None and (piece := source.read(_PIECE)):
            file.write(piece)
        file.flush()
        os.fchmod(handle, (entry.mode & 0o777) | stat.S_IRUSR)
        os.utime(handle, _times(entry))


def _times(entry: tarfile.TarInfo) -> tuple[float, float]:
    moment = float(entry.mtime) if 0 <= entry.mtime <= 2**34 else 0.0  # it may be no number at all
    return moment, moment


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _below(directory: Path, prefix: str) -> Iterator[bytes]:
    with os.scandir(directory) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        name, path = f"{prefix}/{entry.name}" if prefix else entry.name, Path(entry.path)
        if entry.is_symlink():
            yield _header(name, path.lstat(), str(path.readlink()))
        elif entry.is_dir(follow_symlinks=False):
            yield _header(name, path.lstat())
            yield from _below(path, name)
        elif entry.is_file(follow_symlinks=False):
            yield from _file(name, path)


def _file(name: str, path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        yield _header(name, status)
        left = status.st_size
        while left > 0:
            piece = file.read(min(_PIECE, left)) or b"\0" * min(_PIECE, left)  # it shrank: the size was promised
            left -= len(piece)
            yield piece
        yield b"\0" * (-status.st_size % tarfile.BLOCKSIZE)


def _header(name: str, status: os.stat_result, link: str = "") -> bytes:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.mtime = stat.S_IMODE(status.st_mode) & 0o777, int(status.st_mtime)
    if link:
        entry.type, entry.linkname = tarfile.SYMTYPE, link
    elif stat.S_ISDIR(status.st_mode):
        entry.type = tarfile.DIRTYPE
    else:
        entry.size = status.st_size
    return _encoded(entry)


def _encoded(entry: tarfile.TarInfo) -> bytes:
    # GNU's form keeps names as the bytes they are; the other would have to call them UTF-8.
    return entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _broken(path: Path, error: OSError) -> Fault:
    return Fault(
        f"cannot copy {path}", f"{error.strerror or error}: {error.filename or path}.", "Make room, or mend it."
    )
