"""Reading a directory that a build owned, and that may be built to harm its reader.

Nothing is opened by a path of several parts: each part is opened from the one above, and never through a link, so a
link cannot lead the reader elsewhere, even one that appears while it reads. Pipes, sockets and devices are never
opened for reading. Counts, sizes and depth are bounded.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from codeyard.artifacts import Kind
from codeyard.artifacts.patterns import MAX_ENTRIES, Found, Stamp
from codeyard.errors import Conflict, Invalid, NotFound

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_CLOEXEC
_LINKS = 40  # as many as the kernel follows in one path
_STRANGE = "it is a device, a pipe or a socket"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a workspace may have; more is Invalid."""

    entries: int = MAX_ENTRIES
    depth: int = 200  # directories inside directories; each holds a descriptor while it is listed
    size: int = 256 << 30  # bytes that are read from it in one go


USUAL = Limits()


@dataclass(frozen=True, slots=True)
class Below:
    """A directory beneath `top`, which nobody hostile can replace. Of `path`, whose parts a build may have made, no
    part may be a link: not even the first, by which it would be led anywhere on this machine."""

    top: Path
    path: str  # relative, of plain names; "" for `top` itself

    def __str__(self) -> str:
        return str(self.top / self.path)


Root = Path | Below


def listing(root: Root, limits: Limits = USUAL) -> tuple[Found, ...]:
    """Everything below `root`, directories included, in no particular order. Links are reported, never followed.

    NotFound if `root` is no directory; Invalid beyond the limits. What cannot be opened is listed with kind None."""
    found: list[Found] = []
    top = _open_root(root)
    try:
        _list(top, "", limits.depth, limits.entries, found)
    finally:
        os.close(top)
    return tuple(found)


def read_file(root: Root, relative: str, limit: int) -> bytes:
    """The content of one regular file below `root`.

    NotFound if it is not there; Invalid if it is not a regular file of at most `limit` bytes, or lies behind a link."""
    with Workspace(root) as workspace:
        descriptor = workspace.open(relative)
        try:
            content = _read_all(descriptor, limit + 1)
        finally:
            os.close(descriptor)
    if len(content) > limit:
        raise Invalid(f"file {relative[:200]!r}", f"it has more than {limit} bytes.", "Make it smaller.")
    return content


def followed(root: Root, path: str) -> str:
    """Where `path` leads below `root`, by links that stay there: a path without a link, `.` or `..`.

    NotFound if a part of it is not there; Invalid if it leads out, or through too many links."""
    parts, done, links = path.split("/")[::-1], list[str](), 0
    with Workspace(root) as workspace:
        while parts:
            part = parts.pop()
            if part in ("", "."):
                continue
            if links > _LINKS or (part == ".." and not done):
                raise Invalid(f"path {path[:200]!r}", "it leads out of the directory, or in a circle.", "Mend it.")
            if part == "..":
                done.pop()
            elif (target := workspace.link("/".join(done), part)) is None:
                done.append(part)
            elif target.startswith("/"):
                raise Invalid(f"path {path[:200]!r}", "a link in it is absolute.", "Make it a relative one.")
            else:
                parts += target.split("/")[::-1]
                links += 1
    return "/".join(done)


class Workspace:
    """An open directory, from which files are opened one after another; for one thread. Use it with `with`."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def __enter__(self) -> Self:
        self._top = _open_root(self._root)
        self._last: tuple[str, int] = ("", self._top)  # files come directory by directory
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        os.close(self._top)

    def open(self, relative: str) -> int:
        """A descriptor of the regular file at `relative`, for the caller to close. Errors as `read_file`."""
        directory, _, name = relative.rpartition("/")
        if name in ("", ".", "..") or "\0" in relative:
            raise Invalid(f"path {relative[:200]!r}", "it names no file.", "Use a plain relative path.")
        try:
            place = os.open(name, _PLACE, dir_fd=self.directory(directory))
        except OSError as error:
            raise unreadable(relative, error) from error
        # Only looked at so far: to open some devices is to start them, and a container's root may make any.
        try:
            mode = os.fstat(place).st_mode
            if stat.S_ISLNK(mode):
                raise unreadable(relative, OSError(errno.ELOOP, ""))
            if not stat.S_ISREG(mode):
                raise Invalid(f"path {relative[:200]!r}", "it is not a regular file.", "Name a file.")
            return os.open(f"/proc/self/fd/{place}", _FILE)
        except OSError as error:
            raise unreadable(relative, error) from error
        finally:
            os.close(place)

    def link(self, directory: str, name: str) -> str | None:
        """Where the link `name` in `directory` leads to; None if it is no link. NotFound, Invalid."""
        try:
            return os.readlink(name, dir_fd=self.directory(directory))
        except OSError as error:
            if error.errno == errno.EINVAL:
                return None
            raise unreadable(f"{directory}/{name}".lstrip("/"), error) from error

    def directory(self, relative: str) -> int:
        """A descriptor of the directory at `relative` ("" is the root): ours, and open until the next call."""
        if relative == self._last[0]:
            return self._last[1]
        self._leave()
        if not relative:
            return self._top
        current = self._top
        try:
            for part in relative.split("/"):
                if part in ("", ".", ".."):
                    raise Invalid(f"path {relative[:200]!r}", "a part of it is no name.", "Use a plain relative path.")
                below = os.open(part, _DIRECTORY, dir_fd=current)
                if current != self._top:
                    os.close(current)
                current = below
        except BaseException as error:
            if current != self._top:
                os.close(current)
            if isinstance(error, OSError):
                raise unreadable(relative, error) from error
            raise
        self._last = (relative, current)
        return current

    def _leave(self) -> None:
        if self._last[1] != self._top:
            os.close(self._last[1])
        self._last = ("", self._top)


@contextmanager
def unchanging(descriptor: int, path: str) -> Iterator[os.stat_result]:
    """The status of an open file, which must still be the same when the block ends: else Conflict."""
    before = os.fstat(descriptor)
    yield before
    if stamp(os.fstat(descriptor)) != stamp(before):
        raise Conflict(f"file {path[:200]!r}", "it changed while it was being read.", "Stop what writes to it first.")


def stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def unreadable(path: str, error: OSError) -> Invalid | NotFound:
    """What to raise when `path` cannot be opened in a workspace."""
    what = f"path {path[:200]!r}"
    if error.errno == errno.ENOENT:
        return NotFound(what, "it does not exist.", "Check what the build made.")
    if error.errno == errno.ELOOP:
        return Invalid(what, "it is a symbolic link, or lies behind one.", "Name the file itself.")
    if error.errno == errno.ENOTDIR:  # also what the kernel says of a link that was opened as a directory
        return Invalid(what, "a part of it is a file or a symbolic link, not a directory.", "Name the file itself.")
    if error.errno in (errno.ENXIO, errno.ENODEV):  # a socket, or a device without a driver
        return Invalid(what, f"{_STRANGE}.", "Name a file.")
    return Invalid(what, f"it cannot be opened: {error.strerror}.", "Check its permissions.")


def _open_root(root: Root) -> int:
    if isinstance(root, Below):
        with Workspace(root.top) as above:
            return os.dup(above.directory(root.path))
    try:
        return os.open(root, _DIRECTORY)
    except OSError as error:
        raise NotFound(f"directory {root}", f"it cannot be opened: {error.strerror}.", "Name a directory.") from error


def _list(directory: int, prefix: str, depth: int, limit: int, found: list[Found]) -> None:
    """Append what is in `directory`, named with `prefix`, and below."""
    with os.scandir(directory) as scan:
        for entry in scan:
            path = prefix + entry.name
            if len(found) >= limit:
                raise Invalid("this directory", f"it has over {limit} files.", "Remove what is not needed.")
            try:
                status = entry.stat(follow_symlinks=False)
                mode = status.st_mode
                if stat.S_ISREG(mode):
                    kind = Kind.EXECUTABLE if mode & 0o100 else Kind.FILE
                    size = status.st_size
                    moments = Stamp(status.st_dev, status.st_ino, size, status.st_mtime_ns, status.st_ctime_ns)
                    found.append(Found(path, kind, size, "", moments))
                elif stat.S_ISDIR(mode):
                    _list_below(entry.name, directory, path, depth, limit, found)
                elif stat.S_ISLNK(mode):
                    found.append(Found(path, Kind.LINK, 0, os.readlink(entry.name, dir_fd=directory)))
                else:
                    found.append(Found(path, None, 0, _STRANGE))
            except FileNotFoundError:
                continue  # something is still at work in there
            except OSError as error:
                found.append(Found(path, None, 0, f"it cannot be read: {error.strerror}"))


def _list_below(name: str, parent: int, path: str, depth: int, limit: int, found: list[Found]) -> None:
    if depth == 0:
        raise Invalid(f"directory {path[:200]!r}…", "it is nested too deeply.", "Remove what is not needed.")
    below = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        found.append(Found(path, Kind.DIRECTORY))
        _list(below, path + "/", depth - 1, limit, found)
    finally:
        os.close(below)


def _read_all(descriptor: int, limit: int) -> bytes:
    """Up to `limit` bytes."""
    pieces = []
    while limit > 0 and (piece := os.read(descriptor, min(limit, 1 << 20))):
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)
