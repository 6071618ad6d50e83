"""Files into and out of a running sandbox by its own `tar`, through a FIFO.

No process of ours walks a tree that a build can change while it is walked: inside it is the build's root who reads and
writes, and may do what it may; outside there is a stream of bytes, which `tar_stream` reads as what it is, hostile.
"""

import asyncio
import fcntl
import io
import os
import posixpath
import select
import shlex
import struct
import termios
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar, cast

from codeyard.errors import Fault
from codeyard.executors import Command, Exit
from codeyard.executors.supervisor import Control
from codeyard.executors.tar_stream import pack, unpack

_ABSENT = 90  # what no shell and no tar exits with
_LOOK = 50  # milliseconds

Alive = Callable[[], Awaitable[bool]]
_T = TypeVar("_T")


async def carry_out(control: Control, alive: Alive, path: str, into: Path) -> bool:
    """Copy what is at `path` inside to `into`, as Sandbox.fetch says."""
    above, name = posixpath.split(posixpath.normpath(path))
    place = shlex.quote(posixpath.join(above, name))
    with _Pipe.made(control) as pipe:
        script = (
            f"[ -e {place} ] || [ -L {place} ] || exit {_ABSENT}\n"
            f"cd {shlex.quote(above)} && exec tar -cf - {shlex.quote(f'./{name}')} >{shlex.quote(pipe.inside)} 2>&-\n"
        )
        ended, found = await _together(control, alive, script, pipe, lambda: pipe.receive(into))
    if ended.code == _ABSENT:
        return False
    if ended.code > 1:  # 1: a file changed while it was read
        raise Fault(f"cannot copy {path} out", f"tar ended with {ended.code} in the sandbox.", "See that it can run.")
    return found


async def carry_in(control: Control, alive: Alive, source: Path, path: str) -> None:
    """Copy the directory `source` over the directory `path` inside, as Sandbox.place says."""
    place = shlex.quote(posixpath.normpath(path))
    with _Pipe.made(control) as pipe:
        script = f"mkdir -p {place} && cd {place} && exec tar -xf - <{shlex.quote(pipe.inside)} >/dev/null 2>&1\n"
        ended, _ = await _together(control, alive, script, pipe, lambda: pipe.send(pack(source, "", top=False)))
    if ended.code != 0:
        raise Fault(
            f"cannot copy files to {path}",
            f"tar ended with {ended.code} in the sandbox.",
            "Look whether the disk is full, or the directory is read-only.",
        )


async def _together(
    control: Control, alive: Alive, script: str, pipe: "_Pipe", ours: Callable[[], _T]
) -> tuple[Exit, _T]:
    """Run the script there and our half here, in a thread; both have ended when this returns."""

    def half() -> _T:
        try:
            return ours()
        except BaseException:
            pipe.hang_up()  # or theirs would wait for us
            raise

    here = asyncio.ensure_future(asyncio.to_thread(half))
    try:
        ended = await control.run(Command(f"carry-{uuid.uuid4().hex}", script), alive)
    finally:
        pipe.over()
        await asyncio.wait({here})  # it uses a handle that is closed next
        here.exception()  # where theirs was given up, ours broke off with it: asyncio is not to print that
    return ended, here.result()


class _Pipe(io.RawIOBase):
    """Our end of the FIFO. We hold it open both ways, so that it is there whoever comes first; `over` ends the wait."""

    def __init__(self, path: Path, inside: str) -> None:
        super().__init__()
        self.inside = inside
        self._handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._over = threading.Event()
        self._last: int | None = None  # once it is over: the bytes that still count

    @classmethod
    @contextmanager
    def made(cls, control: Control) -> Iterator["_Pipe"]:
        path = control.commands / f"carry-{uuid.uuid4().hex}"  # where the build can make nothing else of it
        os.mkfifo(path, 0o600)
        try:
            path.chmod(0o666)  # its root need not be ours; nobody else gets as far as here
            pipe = cls(path, f"{control.inside}/commands/{path.name}")
            try:
                yield pipe
            finally:
                pipe.over()
                pipe.hang_up()
        finally:
            path.unlink(missing_ok=True)

    def over(self) -> None:
        """The other side has ended: what it sent is all there will be, and it takes no more."""
        self._over.set()

    def receive(self, into: Path) -> bool:
        """Unpack what comes, to the end; False if nothing came."""
        stream = io.BufferedReader(self, 65536)
        if not stream.peek(1):
            return False
        found = unpack(cast(IO[bytes], stream), into)
        while stream.read(65536):
            pass  # tar pads its last record
        return found

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]  # what RawIOBase is given
        while True:
            if self._last is None and self._over.is_set():
                self._last = self._waiting()  # a process that it left behind may write on for ever
            try:
                piece = os.read(self._handle, len(view) if self._last is None else min(len(view), self._last))
            except BlockingIOError:
                if self._last is not None:
                    return 0
                self._wait(select.POLLIN)
                continue
            if self._last is not None:
                self._last -= len(piece)
            view[: len(piece)] = piece
            return len(piece)

    def send(self, pieces: Iterator[bytes]) -> None:
        """Write them all, wait until they are taken, and hang up; stops when it is over."""
        for piece in pieces:
            left = memoryview(piece)
            while left:
                if self._over.is_set():
                    return
                try:
                    left = left[os.write(self._handle, left) :]
                except BlockingIOError:
                    self._wait(select.POLLOUT)
        while self._waiting() and not self._over.wait(0.001):
            pass
        self.hang_up()

    def hang_up(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _wait(self, event: int) -> None:
        poll = select.poll()
        poll.register(self._handle, event)
        poll.poll(_LOOK)

    def _waiting(self) -> int:
        count = fcntl.ioctl(self._handle, termios.FIONREAD, b"\0\0\0\0")
        return int(struct.unpack("i", count)[0])
