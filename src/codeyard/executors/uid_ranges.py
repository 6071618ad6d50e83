"""Which of the machine's uids are a sandbox's root and users: 65,536 in a row, shared with no other living sandbox.

Taken are symlinks in one directory, each to the sandbox that has the range; the sandbox says so too, in its file
`range`. One that its sandbox does not confirm is free again, so nothing has to be tidied after a crash.
"""

import fcntl
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from codeyard.errors import Fault

# Above what useradd, /etc/subuid and systemd (https://systemd.io/UIDS-GIDS/: up to 0x6FFFFFFF) give out, below 2**31.
FIRST, SIZE, COUNT = 0x70000000, 0x10000, 0xFFF
DIRECTORY = Path("/run/codeyard/ranges")


def take(sandbox: Path, directory: Path = DIRECTORY) -> int:
    """The first uid of the range that `sandbox`, a directory, has from now on, or has already. Fault."""
    with _locked(directory):
        if (mine := _number(sandbox)) is not None and _holder(directory, mine) == str(sandbox):
            return FIRST + mine * SIZE
        start = zlib.crc32(os.fsencode(sandbox))
        for step in range(COUNT):
            number = (start + step) % COUNT
            holder = _holder(directory, number)
            if holder is not None and _number(Path(holder)) == number:
                continue
            (directory / str(number)).unlink(missing_ok=True)
            (directory / str(number)).symlink_to(sandbox)
            (sandbox / "range").write_text(str(number))
            return FIRST + number * SIZE
    raise Fault(f"no range of uids for {sandbox}", f"all {COUNT} are in use.", "Wait until builds have ended.")


def give_back(sandbox: Path, directory: Path = DIRECTORY) -> None:
    """Let others have it. Nothing of `sandbox` may run any more."""
    if (number := _number(sandbox)) is None:
        return
    with _locked(directory):
        if _holder(directory, number) == str(sandbox):
            (directory / str(number)).unlink(missing_ok=True)
        (sandbox / "range").unlink(missing_ok=True)


def held(sandbox: Path, directory: Path = DIRECTORY) -> tuple[int, ...]:
    """The first uids of what is taken in its name, even if `sandbox` itself has been removed."""
    try:
        names = [name for name in os.listdir(directory) if name.isdigit()]
    except OSError:
        return ()
    return tuple(FIRST + int(name) * SIZE for name in names if _holder(directory, int(name)) == str(sandbox))


def free(base: int, directory: Path = DIRECTORY) -> None:
    """Give back a range whose sandbox has been removed. Nothing of it may run any more."""
    with _locked(directory):
        (directory / str((base - FIRST) // SIZE)).unlink(missing_ok=True)


def _number(sandbox: Path) -> int | None:
    with suppress(OSError, ValueError):
        number = int((sandbox / "range").read_text())
        return number if 0 <= number < COUNT else None
    return None


def _holder(directory: Path, number: int) -> str | None:
    with suppress(OSError):
        return str((directory / str(number)).readlink())
    return None


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
