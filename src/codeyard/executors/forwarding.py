"""Carries TCP connections from a socket that listens, in a sandbox perhaps, to an address that this process reaches."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_AT_ONCE = 64  # connections; more wait to be accepted
_PIECE = 64 * 1024  # bytes in hand for each direction of one
# What the next moment may mend: somebody hung up, or this process has too much open.
_PASSING = frozenset({errno.ECONNABORTED, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@asynccontextmanager
async def forwarding(listener: socket.socket, host: str, port: int, at_once: int = _AT_ONCE) -> AsyncIterator[None]:
    """Meanwhile every connection to `listener` reaches host:port. In the end all are cut, and `listener` is closed.

    One that cannot reach it is hung up on. Nobody who reads slowly is read ahead for.
    """
    listener.setblocking(False)
    serving = asyncio.ensure_future(_serve(listener, (host, port), at_once))
    try:
        yield
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        listener.close()


async def _serve(listener: socket.socket, to: tuple[str, int], at_once: int) -> None:
    loop, free = asyncio.get_running_loop(), asyncio.Semaphore(at_once)
    async with asyncio.TaskGroup() as connections:
        while True:
            await free.acquire()
            try:
                taken, _ = await loop.sock_accept(listener)
            except OSError as error:
                if error.errno not in _PASSING:
                    raise
                free.release()
                await asyncio.sleep(0.1)
                continue
            connections.create_task(_connect(taken, to)).add_done_callback(lambda _done: free.release())


async def _connect(taken: socket.socket, to: tuple[str, int]) -> None:
    with taken, socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET) as other:
        other.setblocking(False)
        for end in (taken, other):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().sock_connect(other, to)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_carry(taken, other))
                ways.create_task(_carry(other, taken))
        except* OSError:  # either end hung up, or nobody listens: both are hung up on
            pass


async def _carry(source: socket.socket, target: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while piece := await loop.sock_recv(source, _PIECE):
        await loop.sock_sendall(target, piece)
    target.shutdown(socket.SHUT_WR)
