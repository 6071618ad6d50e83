"""Listen on 127.0.0.1 as a sandbox sees it, which may be another than the machine's.

A socket stays in the network namespace in which it was made (setns(2)), whoever serves it. So a thread enters the
sandbox's, makes the socket and ends: it is never used for anything else.
"""

import asyncio
import ctypes
import errno
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future

from codeyard.errors import CodeyardError, Conflict, Denied, Fault
from codeyard.executors.processes import ProcessId

_CLONE_NEWNET = 0x40000000
_BACKLOG = 128
_libc = ctypes.CDLL(None, use_errno=True)


def listen_here(port: int) -> socket.socket:
    """A socket that listens on the machine's own 127.0.0.1. Conflict if the port is taken, Fault."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("127.0.0.1", port))
        made.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        made.close()
        raise _refused(port, error) from error
    return made


async def listen_within(process: ProcessId, port: int, gone: Callable[[], CodeyardError]) -> socket.socket:
    """A socket that listens on 127.0.0.1 as `process` sees it. Denied, Conflict, Fault; `gone()` if it has ended."""
    made: Future[socket.socket] = Future()

    def body() -> None:
        try:
            made.set_result(_listen_within(process, port, gone))
        except BaseException as error:  # noqa: BLE001 - it is told to whoever waits
            made.set_exception(error)

    threading.Thread(target=body, name="codeyard-listen", daemon=True).start()
    waiting = asyncio.wrap_future(made)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        await asyncio.wait({waiting})  # it takes no time
        if not waiting.cancelled() and waiting.exception() is None:
            waiting.result().close()
        raise


def _listen_within(process: ProcessId, port: int, gone: Callable[[], CodeyardError]) -> socket.socket:
    try:
        space = os.open(f"/proc/{process.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        raise gone() from None
    except OSError as error:
        raise _forbidden(error) from error
    try:
        if not process.alive():  # after it was opened: a pid that is used again has another's
            raise gone()
        if _libc.setns(space, _CLONE_NEWNET) != 0:
            raise _forbidden(OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno())))
    finally:
        os.close(space)
    return listen_here(port)


def _forbidden(error: OSError) -> Denied:
    return Denied(
        "cannot listen inside a sandbox",
        f"its network is its own, and this process may not enter it ({error.strerror}).",
        "Run Codeyard as root.",
    )


def _refused(port: int, error: OSError | OverflowError) -> CodeyardError:
    what = f"cannot listen on 127.0.0.1:{port}"
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return Conflict(what, "something listens there already.", "Choose another port.")
    return Fault(what, f"{error}.", "Choose a port from 1 to 65535 that this user may use.")
