"""Connections that are carried from one socket to another address."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeyard.executors.forwarding import forwarding
from codeyard.executors.loopback import listen_here

MIB = 1 << 20
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def forwarded(talk: Talk, at_once: int = 64) -> AsyncIterator[int]:
    """A port from which connections reach a server that talks so."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(once, sock=listen_here(0), limit=MIB)
    listener = listen_here(0)
    port = int(listener.getsockname()[1])
    host, to = server.sockets[0].getsockname()
    async with server, forwarding(listener, host, to, at_once):
        yield port


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()
    writer.write_eof()


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def said_back(port: int, content: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sending = asyncio.ensure_future(sent(writer, content))
    answer = await reader.read()
    await sending
    writer.close()
    return answer


async def sent(writer: asyncio.StreamWriter, content: bytes) -> None:
    writer.write(content)
    await writer.drain()
    writer.write_eof()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.binary(max_size=5000), max_size=6), st.integers(1, 300))
def test_what_is_sent_arrives_as_it_was_both_ways(contents: list[bytes], times: int) -> None:
    wanted = [content * times for content in contents]

    async def together() -> list[bytes]:
        async with forwarded(echo) as port:
            return await asyncio.gather(*(said_back(port, content) for content in wanted))

    assert asyncio.run(together()) == wanted


async def test_a_half_that_has_ended_leaves_the_other() -> None:
    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"%d" % len(await reader.read()))
        await writer.drain()

    async with forwarded(count) as port:
        assert await said_back(port, b"x" * 100_000) == b"100000"


async def test_who_reads_slowly_is_not_read_ahead_for() -> None:
    written = 0

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        while True:
            writer.write(b"x" * MIB)
            await writer.drain()
            written += MIB

    async with forwarded(flood) as port:
        with socket.create_connection(("127.0.0.1", port)):
            await asyncio.sleep(0.5)

        assert written < 64 * MIB


async def test_more_connections_than_are_carried_at_once_wait_for_their_turn() -> None:
    async with forwarded(echo, at_once=2) as port:
        waiting = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        third = asyncio.ensure_future(said_back(port, b"third"))
        done, _ = await asyncio.wait({third}, timeout=0.2)
        for _, writer in waiting:
            writer.close()

        assert (done, await third) == (set(), b"third")


async def test_in_the_end_all_are_cut_and_nobody_listens() -> None:
    async with forwarded(silent) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        await asyncio.sleep(0.05)

    assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_where_nobody_is_reached_it_hangs_up() -> None:
    with listen_here(0) as free:
        nobody = int(free.getsockname()[1])
    listener = listen_here(0)
    async with forwarding(listener, "127.0.0.1", nobody):
        answer = await said_back(int(listener.getsockname()[1]), b"")

    assert answer == b""


async def test_somebody_who_breaks_off_harms_nobody_else() -> None:
    async with forwarded(echo) as port:
        with socket.create_connection(("127.0.0.1", port)) as rude:
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            rude.send(b"x")

        assert await said_back(port, b"polite") == b"polite"
