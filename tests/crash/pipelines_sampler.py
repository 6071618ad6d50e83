"""Looks through `current` of every target all the time: what is seen there is a whole release, at any moment. And the
kernel tells if the name is gone for however short a time (inotify).

A process of its own: python -m tests.crash.pipelines_sampler TARGETS OUT. It ends when its input does; then OUT is a
JSON object: how often it looked, whose releases it saw, and what was wrong.
"""

import ctypes
import json
import os
import struct
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from select import select

from tests.crash import pipelines_story as story

_PAUSE = 0.004  # seconds between two looks
_GONE = 0x40 | 0x200  # IN_MOVED_FROM, IN_DELETE
_EVENT = struct.Struct("iIII")  # watch, what, cookie, length of the name that follows


def main(targets: Path, out: Path) -> None:
    looks, wrong = 0, list[str]()
    seen: dict[str, list[str]] = defaultdict(list)
    watch = Watch()
    while not select([sys.stdin], [], [], 0)[0]:
        for target in story.TARGETS:
            for name in story.MODES:
                current, where = targets / target / name / "current", f"{target}/{name}"
                mark, mistakes = look(current)
                looks += mark != ""
                wrong += [f"{where}: {each}" for each in mistakes]
                if not mark and seen[where]:
                    wrong.append(f"{where}: after {seen[where][-1]} there is no current")
                elif mark and mark not in seen[where][-1:]:
                    watch.add(current.parent)
                    seen[where].append(mark)
        wrong += watch.gone()
        time.sleep(_PAUSE)
    out.write_text(json.dumps({"looks": looks, "seen": seen, "wrong": wrong[:50]}))


class Watch:
    """Directories in which `current` is to be there all the time, from when they are added on."""

    def __init__(self) -> None:
        self._libc, self._directories = ctypes.CDLL(None, use_errno=True), dict[int, Path]()
        self._handle = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._handle >= 0, os.strerror(ctypes.get_errno())

    def add(self, directory: Path) -> None:
        watch = self._libc.inotify_add_watch(self._handle, os.fsencode(directory), _GONE)
        assert watch >= 0, os.strerror(ctypes.get_errno())
        self._directories[watch] = directory

    def gone(self) -> list[str]:
        """A sentence for each time that one was gone since the last call."""
        try:
            told = os.read(self._handle, 1 << 16)
        except BlockingIOError:
            return []
        found, at = list[str](), 0
        while at < len(told):
            number, _, _, length = _EVENT.unpack_from(told, at)
            at += _EVENT.size + length
            if told[at - length : at].rstrip(b"\0") == b"current":
                found.append(f"{self._directories[number]}: for a moment there was no current")
        return found


def look(current: Path) -> tuple[str, list[str]]:
    """Whose release is current ("": there is none yet), and what is wrong with it.

    The link is followed once: what is switched while files are read is not mixed up with what was there before."""
    try:
        directory = os.open(current, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return "", ["current leads nowhere"] if current.is_symlink() and _leads_nowhere(current) else []
    try:
        return story.mistakes_of_release(_reader(directory))
    except (OSError, ValueError) as error:
        return "?", [f"{error} in {Path(f'/proc/self/fd/{directory}').readlink()}"]
    finally:
        os.close(directory)


def _leads_nowhere(current: Path) -> bool:
    """Still so when asked once more: the first time it may have been switched for the first time in between."""
    return not current.exists()


def _reader(directory: int) -> Callable[[str], bytes]:
    def read(path: str) -> bytes:
        handle = os.open(path, os.O_RDONLY, dir_fd=directory)
        with os.fdopen(handle, "rb") as file:
            return file.read()

    return read


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
