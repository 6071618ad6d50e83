"""How builds reach the API from sandboxes of every kind."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from codeyard.app.reaching import Reaching
from codeyard.errors import CodeyardError, Denied
from codeyard.executors import Ability, Command, Executor, Exit, Sandbox, SandboxLost, SandboxSpec
from codeyard.executors.loopback import listen_here

SPEC = SandboxSpec(id="one", home=Path("/nowhere"))


class Place:
    """A sandbox that runs nothing. What listens within it does so here, on a free port, whichever was asked for."""

    def __init__(self, shares: bool, refusal: CodeyardError | None) -> None:
        self.shares_loopback, self._refusal = shares, refusal
        self.listener: socket.socket | None = None
        self.asked: list[int] = []
        self.closed, self.breaks = 0, False
        self.root = "/codebuild"
        self.done: list[str] = []

    async def run(self, command: Command) -> Exit:
        self.done.append(f"run {command.key}")
        return Exit(3, 7)

    async def fetch(self, path: str, into: Path) -> bool:
        self.done.append(f"fetch {path} {into}")
        return True

    async def place(self, source: Path, path: str) -> None:
        self.done.append(f"place {source} {path}")

    async def listen(self, port: int) -> socket.socket:
        self.asked.append(port)
        if self._refusal is not None:
            raise self._refusal
        self.listener = listen_here(0)
        return self.listener

    async def close(self) -> None:
        self.closed += 1
        if self.breaks:
            raise SandboxLost("the sandbox", "it is gone.", "")

    @property
    def port(self) -> int:
        assert self.listener is not None
        return int(self.listener.getsockname()[1])


class Places:
    """An executor whose sandboxes are all this place."""

    name = "places"

    def __init__(self, *, shares: bool = False, refusal: CodeyardError | None = None, gone: bool = False) -> None:
        self.place, self._gone = Place(shares, refusal), gone

    async def ability(self) -> Ability:
        return Ability("places", True, "here")

    async def open(self, spec: SandboxSpec) -> Sandbox:
        return self.place

    async def adopt(self, spec: SandboxSpec) -> Sandbox:
        if self._gone:
            raise SandboxLost("the sandbox", "it is gone.", "")
        return self.place


@asynccontextmanager
async def api() -> AsyncIterator[int]:
    """The port of something that says hello and what it was told."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            writer.write(b"hello " + await reader.readline())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, sock=listen_here(0))
    async with server:
        yield int(server.sockets[0].getsockname()[1])


async def ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"build\n")
    answer = await reader.read()
    writer.close()
    return answer


def reaching(places: Executor, port: int = 1, failed: list[str] | None = None) -> Reaching:
    told = [] if failed is None else failed
    return Reaching(places, "127.0.0.1", port, told.append)


@pytest.mark.parametrize("how", ["open", "adopt"])
async def test_what_asks_within_reaches_the_api_until_the_sandbox_is_closed(how: str) -> None:
    places = Places()
    async with api() as port:
        sandbox = await getattr(reaching(places, port), how)(SPEC)
        within = places.place.port

        assert places.place.asked == [port]
        assert await ask(within) == b"hello build\n"

        await sandbox.close()

        assert places.place.closed == 1
        with pytest.raises(ConnectionRefusedError):
            await ask(within)


async def test_closing_again_does_nothing_more() -> None:
    places = Places()
    sandbox = await reaching(places).open(SPEC)

    await sandbox.close()
    await sandbox.close()

    assert places.place.closed == 2  # its own close may be repeated: see codeyard.executors


async def test_the_door_is_shut_even_if_the_sandbox_does_not_close() -> None:
    places = Places()
    sandbox = await reaching(places).open(SPEC)
    places.place.breaks, within = True, places.place.port

    with pytest.raises(SandboxLost):
        await sandbox.close()

    with pytest.raises(ConnectionRefusedError):
        await ask(within)


async def test_a_sandbox_on_our_loopback_is_left_as_it_is() -> None:
    places = Places(shares=True)

    assert await reaching(places).open(SPEC) is places.place
    assert places.place.asked == []


async def test_where_it_may_not_be_the_build_is_told_and_goes_on() -> None:
    places = Places(refusal=Denied("listening within", "we are not root.", "Be it."))
    told: list[str] = []

    sandbox = await reaching(places, failed=told).open(SPEC)

    assert (await sandbox.run(Command("one", "true"))).code == 3
    assert len(told) == 1
    assert "we are not root" in told[0]


async def test_a_sandbox_that_is_gone_is_no_matter_of_reaching_it() -> None:
    told: list[str] = []

    with pytest.raises(SandboxLost):
        await reaching(Places(gone=True), failed=told).adopt(SPEC)

    assert told == []


async def test_all_else_is_the_sandboxs_own(tmp_path: Path) -> None:
    places = Places()
    executor = reaching(places)
    sandbox = await executor.open(SPEC)

    ended = await sandbox.run(Command("one", "true"))
    fetched = await sandbox.fetch("/a", tmp_path)
    await sandbox.place(tmp_path, "/b")
    (await sandbox.listen(99)).close()
    await sandbox.close()

    assert (ended, fetched, sandbox.root, sandbox.shares_loopback) == (Exit(3, 7), True, "/codebuild", False)
    assert places.place.done == ["run one", f"fetch /a {tmp_path}", f"place {tmp_path} /b"]
    assert places.place.asked == [1, 99]
    assert executor.name == "places"
    assert await executor.ability() == Ability("places", True, "here")
