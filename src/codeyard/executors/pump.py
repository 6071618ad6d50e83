"""Carries what a sandbox prints from a FIFO to its spool, in a process of its own that outlives the one that began it.

A sandbox must print to a pipe and not to the spool itself: `echo text > /dev/stderr` opens what is printed to a second
time, and would empty a file. The pipe is a FIFO that the sandbox holds open for reading too, so that a write there
never fails; it waits when the pipe is full and nobody carries. The carrier is `cat`. It ends when the sandbox has.

Whoever prints faster than the spool is read waits: the carrier is stopped (SIGSTOP) while it is too far ahead of its
reader, and between two commands. Were it not, a build could fill the disk faster than its log can be written. A reader
that leaves in good order lets it go on; one that dies may leave it stopped, until the next one's `start`.

What it had in its hands when it could not write is lost. So it complains into the file that it holds a lock on, which
has room for that even on a full disk, and whoever comes next learns that a part of the log is missing.
"""

import asyncio
import fcntl
import os
import shutil
import signal
import struct
import termios
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from codeyard.errors import Fault
from codeyard.executors.processes import asleep

_HAND = 1024 * 1024  # what `cat` has read and not yet written is never more
AHEAD = 64 << 20  # bytes that may be in the spool and not yet read, or thereabouts: we look often, not always
_AGAIN = 20  # carriers that ended before the sandbox did, until we give up: the disk is full, perhaps
_ENDS_IN = 10.0  # seconds for the last of it to be written

_children: set[int] = set()  # carriers that this process began


class Pump:
    """The carrier from `fifo` to `spool`. It holds a lock on the file `mark`: whoever wants another sees it there.

    `heard` tells how many bytes of the spool were read; without it nobody waits for a reader.
    """

    def __init__(self, fifo: Path, spool: Path, mark: Path, heard: Callable[[], int] | None = None) -> None:
        self._fifo, self._spool, self._mark, self._heard = fifo, spool, mark, heard
        self._begun = 0
        self._held = False
        self._hold: int | None = None

    def start(self) -> None:
        """See to it that it is carried; hold the FIFO open until `release`, as the sandbox may not do so yet. Fault."""
        _reap()
        lock = self._lock()
        if lock is None:
            self.go_on()
            return
        try:
            self._check(lock)
            self._begun += 1
            if self._begun > _AGAIN:
                raise Fault(
                    f"cannot write {self._spool}", "what carries output there ends early.", "Make room on disk."
                )
            self._hold = self._hold or os.open(self._fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            os.ftruncate(lock, 0)  # first, lest another take the pid of the one before for this one's
            pid = self._spawn(lock)
            self._held = False
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

    def regulate(self) -> None:
        """Hold the carrier while it is too far ahead of the reader; to be called often."""
        if self._heard is None:
            return
        ahead = self._size() - self._heard()
        if self._held and ahead <= AHEAD // 2:
            self.go_on()
        elif not self._held and ahead > AHEAD:
            self.hold()

    def hold(self) -> None:
        """Nobody will regulate it for a while: let it carry nothing until `start`, or what is called next, says so."""
        if self._heard is not None and (carrier := self._carrier()):
            self._held = True
            _signal(carrier, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it carry again, whoever held it."""
        self._held = False
        if carrier := self._carrier():
            _signal(carrier, signal.SIGCONT)

    async def drain(self) -> int:
        """Wait until all that was printed before this call is in the spool; its size then. Fault, if a part is lost."""
        self.go_on()
        enough = self._size() + self._waiting() + _HAND
        deadline = time.monotonic() + _ENDS_IN
        while not self._idle() and self._size() < enough and time.monotonic() < deadline:
            await asyncio.sleep(0.0005)
        if self._carrier() is None and (lock := self._lock()) is not None:
            try:
                self._check(lock)
            finally:
                os.close(lock)
        return self._size()

    async def finish(self) -> None:
        """The sandbox is gone: wait until the carrier is too."""
        self.release()
        self.go_on()
        deadline = time.monotonic() + _ENDS_IN
        while (carrier := self._carrier()) is not None and time.monotonic() < deadline:
            # It ends by itself, unless something still holds the FIFO open: then there is nothing left to wait for.
            if carrier and self._idle():
                _signal(carrier, signal.SIGKILL)
            await asyncio.sleep(0.001)
        if carrier:  # its disk is stuck
            _signal(carrier, signal.SIGKILL)
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
            pid = os.posix_spawn(
                shutil.which("cat") or "/bin/cat",
                ["cat"],
                {"PATH": os.defpath},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, handle, number) for number, handle in enumerate((source, spool, lock))
                ],
                setsid=True,
                # Only the end of its input ends it: not the terminal's Ctrl-C, not a service that is stopped.
                setsigmask=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
            )
        _children.add(pid)
        return pid

    def _check(self, lock: int) -> None:
        """Fault, if the carrier that held this lock complained: it ended, and lost what it had not written."""
        told = os.pread(lock, 200, 0)
        if told and not told.isdigit():
            why = told.decode(errors="replace").strip().rpartition(": ")[2]
            raise Fault(f"cannot write {self._spool}", f"a part of the log is lost: {why}.", "Make room on its disk.")

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


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _reap() -> None:
    for pid in tuple(_children):
        try:
            ended = os.waitpid(pid, os.WNOHANG)[0] != 0
        except ChildProcessError:
            ended = True
        if ended:
            _children.discard(pid)
