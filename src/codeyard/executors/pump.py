"""Carries what a sandbox prints from a FIFO to its spool, in a process of its own that outlives the one that began it.

A sandbox must print to a pipe and not to the spool itself: `echo text > /dev/stderr` opens what is printed to a second
time, and would empty a file. The pipe is a FIFO that the sandbox holds open for reading too, so that a write there
never fails; it waits when the pipe is full and nobody carries. The carrier is `cat`. It ends when the sandbox has.
"""

import asyncio
import fcntl
import os
import shutil
import signal
import struct
import termios
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from codeyard.errors import Fault
from codeyard.executors.processes import asleep

_HAND = 1024 * 1024  # what `cat` has read and not yet written is never more
_AGAIN = 20  # carriers that ended before the sandbox did, until we give up: the disk is full, perhaps
_ENDS_IN = 10.0  # seconds for the last of it to be written

_children: set[int] = set()  # carriers that this process began


class Pump:
    """The carrier from `fifo` to `spool`. It holds a lock on the file `mark`: whoever wants another sees it there."""

    def __init__(self, fifo: Path, spool: Path, mark: Path) -> None:
        self._fifo, self._spool, self._mark = fifo, spool, mark
        self._begun = 0
        self._hold: int | None = None

    def start(self) -> None:
        """See to it that it is carried; hold the FIFO open until `release`, as the sandbox may not do so yet. Fault."""
        _reap()
        lock = self._lock()
        if lock is None:
            return
        try:
            self._begun += 1
            if self._begun > _AGAIN:
                raise Fault(
                    f"cannot write {self._spool}", "what carries output there ends early.", "Make room on disk."
                )
            self._hold = self._hold or os.open(self._fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            pid = self._spawn(lock)
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(pid).encode(), 0)
        except OSError as error:
            why = f"{error.strerror or error}."
            raise Fault(f"cannot keep what the build prints in {self._spool}", why, "Make room on its disk.") from error
        finally:
            os.close(lock)

    def release(self) -> None:
        """The sandbox holds the FIFO open itself now, or never will."""
        if self._hold is not None:
            os.close(self._hold)
            self._hold = None

    def stuck(self) -> bool:
        """Whether something was printed that nobody carries."""
        return self._waiting() > 0 and self._carrier() is None

    async def drain(self) -> int:
        """Wait until all that was printed before this call is in the spool; its size then."""
        enough = self._size() + self._waiting() + _HAND
        deadline = time.monotonic() + _ENDS_IN
        while not self._idle() and self._size() < enough and time.monotonic() < deadline:
            await asyncio.sleep(0.0005)
        return self._size()

    async def finish(self) -> None:
        """The sandbox is gone: wait until the carrier is too."""
        self.release()
        deadline = time.monotonic() + _ENDS_IN
        while (carrier := self._carrier()) is not None and time.monotonic() < deadline:
            # It ends by itself, unless something still holds the FIFO open: then there is nothing left to wait for.
            if carrier and self._idle():
                _kill(carrier)
            await asyncio.sleep(0.001)
        if carrier:  # its disk is stuck
            _kill(carrier)
        _reap()

    def _spawn(self, lock: int) -> int:
        with ExitStack() as handles:

            def opened(path: Path, flags: int) -> int:
                handle = os.open(path, flags | os.O_CLOEXEC, 0o600)
                handles.callback(os.close, handle)
                return handle

            source = opened(self._fifo, os.O_RDONLY | os.O_NONBLOCK)
            os.set_blocking(source, True)
            spool = opened(self._spool, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            quiet = opened(Path(os.devnull), os.O_WRONLY)
            pid = os.posix_spawn(
                shutil.which("cat") or "/bin/cat",
                ["cat"],
                {"PATH": os.defpath},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, handle, number) for number, handle in enumerate((source, spool, quiet, lock))
                ],
                setsid=True,
                # Only the end of its input ends it: not the terminal's Ctrl-C, not a service that is stopped.
                setsigmask=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
            )
        _children.add(pid)
        return pid

    def _lock(self) -> int | None:
        """The mark's handle, locked; None if a carrier has it, or the sandbox was closed."""
        try:
            handle = os.open(self._mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return handle

    def _carrier(self) -> int | None:
        """The carrier's pid; 0 if it is not known (its opener died before it wrote it down); None if there is none."""
        try:
            handle = os.open(self._mark, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told = os.read(handle, 32)
            return int(told) if told.isdigit() else 0
        finally:
            os.close(handle)
        return None

    def _idle(self) -> bool:
        """Nothing waits in the FIFO, and what the carrier took from it is written: it sleeps, waiting for more."""
        if self._waiting() > 0:
            return False
        carrier = self._carrier()
        return carrier is None or asleep(carrier)

    def _waiting(self) -> int:
        """How many bytes wait in the FIFO."""
        try:
            handle = os.open(self._fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return 0
        try:
            return int(struct.unpack("i", fcntl.ioctl(handle, termios.FIONREAD, b"\0" * 4))[0])
        finally:
            os.close(handle)

    def _size(self) -> int:
        try:
            return self._spool.stat().st_size
        except FileNotFoundError:
            return 0


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _reap() -> None:
    for pid in tuple(_children):
        try:
            ended = os.waitpid(pid, os.WNOHANG)[0] != 0
        except ChildProcessError:
            ended = True
        if ended:
            _children.discard(pid)
