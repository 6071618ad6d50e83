"""Removing a directory that a build owned, and that may be built to harm whoever removes it.

No link is followed, even one that appears meanwhile; no path is ever long and nothing recurses, since a build may nest
directories deeper than any path, stack or number of open files: a directory that is found in another is first moved to
the top. Whoever goes on writing there is not waited for.
"""

import os
from contextlib import suppress
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(directory: Path) -> bool:
    """Remove it with all that is in it, or the link or file in its place; whether it is gone. What cannot be removed
    stays."""
    _let_in(str(directory), None)
    try:
        top = os.open(directory, _DIRECTORY)
    except OSError:
        with suppress(OSError):
            directory.unlink()
        return not os.path.lexists(directory)
    try:
        _empty(top)
    finally:
        os.close(top)
    with suppress(OSError):
        directory.rmdir()
    return not os.path.lexists(directory)


def _empty(top: int) -> None:
    todo = _thinned(top)
    while todo:
        name = todo.pop()
        place = _entered(name, top)
        if place is None:
            continue
        try:
            for inner in _thinned(place):
                _let_in(inner, place)  # a directory that is not writable cannot be moved to another
                aside = f"~{os.urandom(8).hex()}"
                with suppress(OSError):
                    os.rename(inner, aside, src_dir_fd=place, dst_dir_fd=top)
                    todo.append(aside)
        finally:
            os.close(place)
        with suppress(OSError):
            os.rmdir(name, dir_fd=top)


def _thinned(place: int) -> list[str]:
    """Remove the files and the empty directories of an open directory; the names of those that are left."""
    left = []
    with suppress(OSError):
        os.fchmod(place, 0o700)
    with os.scandir(place) as scan:
        entries = list(scan)
    for entry in entries:
        try:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=place)
                continue
            os.rmdir(entry.name, dir_fd=place)
        except OSError:
            left.append(entry.name)
    return left


def _entered(name: str, top: int) -> int | None:
    """The open directory; None if it is none, or not ours to open."""
    _let_in(name, top)
    try:
        return os.open(name, _DIRECTORY, dir_fd=top)
    except OSError:
        return None


def _let_in(name: str, place: int | None) -> None:
    """Let its owner read and write it, who may be somebody else than root."""
    if os.geteuid() == 0:
        return
    with suppress(OSError):
        handle = os.open(name, _PLACE, dir_fd=place)
        try:
            os.chmod(f"/proc/self/fd/{handle}", 0o700)  # noqa: PTH101 - of the handle, whatever has its name now
        finally:
            os.close(handle)
