"""Where builds reach the API, wherever it listens."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from codeyard.app.building import Door
from codeyard.app.doors import door_to, own_door
from codeyard.config import Config
from codeyard.errors import Invalid
from codeyard.executors.loopback import listen_here


def config(tmp_path: Path, **given: Any) -> Config:
    return Config(data=tmp_path, worker="one", **given)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
async def test_where_it_is_on_the_loopback_builds_reach_it_there(host: str, tmp_path: Path) -> None:
    direct = Door("http://127.0.0.1:4599", "127.0.0.1", 4599)
    async with AsyncExitStack() as stack:
        assert await own_door(config(tmp_path, listen=f"{host}:4599"), stack) == direct
        assert await door_to(config(tmp_path), f"http://{host}:4599/", stack) == direct


async def test_elsewhere_they_reach_it_by_a_port_of_ours_on_the_loopback(tmp_path: Path) -> None:
    """127.0.0.2 stands for an address of the machine's: an SDK would not ask for credentials there."""

    async def hello(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(await asyncio.start_server(hello, "127.0.0.2", 0))
        listen = f"127.0.0.2:{api.sockets[0].getsockname()[1]}"

        door = await own_door(config(tmp_path, listen=listen), stack)
        reader, writer = await asyncio.open_connection(door.host, door.port)
        heard = await reader.read()
        writer.close()

    assert heard == b"hello"
    assert door.url == f"http://127.0.0.1:{door.port}"  # also within a sandbox that has a loopback of its own


async def test_builds_that_run_find_it_at_the_same_port_after_the_next_start(tmp_path: Path) -> None:
    async def started() -> Door:
        async with AsyncExitStack() as stack:
            return await door_to(config(tmp_path), "http://10.1.2.3:4599", stack)

    first, again = await started(), await started()
    with listen_here(first.port):
        taken = await started()

    assert again == first
    assert taken.port != first.port


@pytest.mark.parametrize("url", ["https://ci.example.com:4599", "http://ci.example.com"])
async def test_where_it_cannot_be_reached_so_a_worker_does_not_start(url: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(Invalid, match="HOST:PORT"):
            await door_to(config(tmp_path), url, stack)
