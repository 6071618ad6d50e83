"""Copies files, symlinks and directories by the quickest way that the file system has, and follows no symlink.

Blocking; `in_thread` runs it beside the event loop and ends it when its caller is cancelled.
"""

import asyncio
import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from codeyard.artifacts.copying import CANNOT, clone, write_all
from codeyard.sources import SourceError

T = TypeVar("T")

_CHUNK = 1 << 30


class Cancelled(Exception):
    """Whoever waited for the work no longer does."""


class Copier:
    """Copies into a place that nobody else writes to. `stopped` is asked before each file.

    A file's mode and time of change are kept, its owner is the caller. What is neither file, symlink nor directory is
    left out; what goes away while it is copied is not there. Both are counted.
    """

    def __init__(self, stopped: Callable[[], bool] = lambda: False) -> None:
        self._stopped = stopped
        self._clones = True
        self.files, self.bytes, self.left_out, self.vanished = 0, 0, 0, 0

    def file(self, source: str, target: str) -> bool:
        """Copy one file or symlink; False if there is none, or it is something else. The target must not exist."""
        if self._stopped():
            raise Cancelled
        try:
            found = os.lstat(source)
            if stat.S_ISLNK(found.st_mode):
                os.symlink(os.readlink(source), target)  # noqa: PTH115, PTH211
                os.utime(target, ns=(found.st_mtime_ns, found.st_mtime_ns), follow_symlinks=False)
            elif stat.S_ISREG(found.st_mode):
                self.bytes += self._contents(source, target)
            else:
                self.left_out += not stat.S_ISDIR(found.st_mode)
                return False
        except (FileNotFoundError, NotADirectoryError):
            if not Path(target).parent.is_dir():
                raise
            self.vanished += 1
            return False
        except OSError as error:
            raise trouble(source, error) from None
        self.files += 1
        return True

    def directory(self, source: str, target: str) -> None:
        """Make `target` with the mode of `source`, writable for its owner."""
        try:
            mode = stat.S_IMODE(os.lstat(source).st_mode)
            os.mkdir(target, 0o700)  # noqa: PTH102 - Path is too slow for thousands
            os.chmod(target, (mode & 0o777) | 0o700)  # noqa: PTH101
        except FileExistsError:
            pass
        except FileNotFoundError:
            if not Path(target).parent.is_dir():
                raise
            self.vanished += 1
        except OSError as error:
            raise trouble(source, error) from None

    def tree(
        self,
        source: str,
        target: str,
        leave_out: Callable[[str, os.DirEntry[str]], bool] = lambda _path, _entry: False,
    ) -> None:
        """Copy all that lies in the directory `source` into the directory `target`, a directory's files before what
        lies in its directories, these in the order of their names.

        `leave_out` is asked of each entry, and of its path relative to `source`.
        """
        self.directory(source, target)
        todo = [""]
        while todo:
            below = todo.pop()
            inside: list[str] = []
            for entry in self._entries_if_there(f"{source}/{below}"):
                path = below + entry.name
                if leave_out(path, entry):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    self.directory(entry.path, f"{target}/{path}")
                    inside.append(path + "/")
                else:
                    self.file(entry.path, f"{target}/{path}")
            todo += reversed(inside)  # so that they come in order

    def _entries_if_there(self, directory: str) -> list[os.DirEntry[str]]:
        try:
            return _entries(directory)
        except FileNotFoundError:
            self.vanished += 1
            return []
        except OSError as error:
            raise trouble(directory, error) from None

    def _contents(self, source: str, target: str) -> int:
        reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(reading)
            if not stat.S_ISREG(found.st_mode):
                return 0
            writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                self._blocks(reading, writing, found.st_size)
                os.fchmod(writing, found.st_mode & 0o777)
                os.utime(writing, ns=(found.st_mtime_ns, found.st_mtime_ns))
            finally:
                os.close(writing)
            return found.st_size
        finally:
            os.close(reading)

    def _blocks(self, reading: int, writing: int, size: int) -> None:
        if size == 0:
            return
        if self._clones:
            self._clones = clone(reading, writing) == 0
            if self._clones:
                return
        try:
            while os.copy_file_range(reading, writing, _CHUNK):
                if self._stopped():
                    raise Cancelled
        except OSError as error:
            if error.errno not in CANNOT:
                raise
            os.lseek(reading, os.lseek(writing, 0, os.SEEK_CUR), os.SEEK_SET)
            while chunk := os.read(reading, 1 << 20):
                write_all(writing, chunk)


def _entries(directory: str) -> list[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def trouble(path: str, error: OSError) -> SourceError:
    """The error of a file that could not be copied."""
    shown = "".join(letter if letter.isprintable() else repr(os.fsencode(letter))[2:-1] for letter in path)
    reason = (error.strerror or type(error).__name__).lower()
    match error.errno:
        case errno.EACCES | errno.EPERM:
            fix = "Make it readable, or let git ignore it."
        case errno.ENOSPC | errno.EDQUOT:
            fix = "Make room on the disk."
        case _:
            fix = "Mend it, or let git ignore it."
    return SourceError(f"Unable to copy {shown}", f"{reason}.", fix)


@contextmanager
def told(place: Path) -> Iterator[None]:
    """Whatever the disk refuses meanwhile is an error about the file it names, or else about `place`."""
    try:
        yield
    except OSError as error:
        raise trouble(str(error.filename or place), error) from None


def clear(directory: Path) -> None:
    """Remove all that lies in the directory, which stays; symlinks are removed and not followed."""
    directory.mkdir(parents=True, exist_ok=True)
    emptied = []
    for entry in _walk(str(directory)):
        try:
            if entry.is_dir(follow_symlinks=False):
                emptied.append(entry.path)
            else:
                os.unlink(entry.path)  # noqa: PTH108
        except OSError as error:
            raise trouble(entry.path, error) from None
    for path in reversed(emptied):  # what lies deeper was found later
        os.rmdir(path)  # noqa: PTH106


def measure(directory: Path) -> tuple[int, int]:
    """How many files lie beneath it, and their bytes; `.git` left out, symlinks counted and not followed."""
    files, size = 0, 0
    for entry in _walk(str(directory), leave_out=".git"):
        if not entry.is_dir(follow_symlinks=False):
            files += 1
            size += 0 if entry.is_symlink() else entry.stat(follow_symlinks=False).st_size
    return files, size


def _walk(directory: str, leave_out: str = "") -> Iterator[os.DirEntry[str]]:
    """Every entry beneath it, a directory before what it holds. No recursion: a hostile tree may be deep."""
    todo = [directory]
    while todo:
        here = todo.pop()
        try:
            entries = _entries(here)
        except OSError as error:
            raise trouble(here, error) from None
        for entry in entries:
            if entry.name == leave_out:
                continue
            yield entry
            if entry.is_dir(follow_symlinks=False):
                todo.append(entry.path)


async def in_thread(work: Callable[[Callable[[], bool]], T]) -> T:
    """Run `work` in a thread and give what it gives. It gets a function that says whether to stop.

    When the caller is cancelled, this waits until the work has noticed, so that nothing goes on behind his back.
    """
    stop = threading.Event()
    running = asyncio.ensure_future(asyncio.to_thread(work, stop.is_set))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        with suppress(Exception):
            await running
        raise
