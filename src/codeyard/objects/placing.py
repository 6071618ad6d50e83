"""Names that files get in directories of objects, which are made when they are needed and go when they are empty."""

import os
from contextlib import suppress
from pathlib import Path

from codeyard.objects.files import Draft

_TRIES = 100


def place(draft: Draft, target: str) -> None:
    """Give the draft its name, in directories that others may remove at any moment, because they became empty."""
    above = os.path.dirname(target)  # noqa: PTH120
    for left in range(_TRIES, 0, -1):
        try:
            draft.replace(target)
            settle(above)
            return
        except FileNotFoundError:
            if left == 1:
                raise
            make_directories(above)


def unplace(target: str, top: str) -> None:
    """Remove a file, and what is empty above it, below `top`. Nothing if it is not there."""
    with suppress(FileNotFoundError):
        os.unlink(target)  # noqa: PTH108
        above = os.path.dirname(target)  # noqa: PTH120
        settle(above)
        prune(above, top)


def prune(directory: str, top: str) -> None:
    """Remove the directory and those above it that are empty, below `top`."""
    with suppress(OSError):  # not empty
        while directory != top:
            os.rmdir(directory)  # noqa: PTH106
            directory = os.path.dirname(directory)  # noqa: PTH120


def make_directories(directory: str) -> None:
    """As `mkdir -p`, and without recursion: there may be a thousand."""
    missing = []
    while True:
        try:
            os.mkdir(directory, 0o700)  # noqa: PTH102
            break
        except FileExistsError:
            break
        except FileNotFoundError:
            missing.append(directory)
            directory = os.path.dirname(directory)  # noqa: PTH120
    for inner in reversed(missing):
        try:
            os.mkdir(inner, 0o700)  # noqa: PTH102
        except FileExistsError:
            pass
        except FileNotFoundError:  # removed again: the next try makes it
            return


def settle(directory: str | Path) -> None:
    """Have the names in a directory on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
