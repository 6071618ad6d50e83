import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from codeyard.errors import Invalid
from codeyard.executors.docker_engine import Endpoint, Engine, EngineAway


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s") / "s"  # a socket's path is short


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("unix:///run/x.sock", Endpoint("/run/x.sock")),
        ("tcp://127.0.0.1:2375", Endpoint(None, ("127.0.0.1", 2375))),
        ("tcp://localhost", Endpoint(None, ("localhost", 2375))),
    ],
)
def test_an_endpoint_is_written_as_in_docker_host(text: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(text) == endpoint


@pytest.mark.parametrize(
    "text", ["", "ssh://me@host", "npipe:////./pipe/x", "unix://", "tcp://", "tcp://a:b", "/run/x"]
)
def test_other_endpoints_are_refused(text: str) -> None:
    with pytest.raises(Invalid, match="on this machine"):
        Endpoint.parse(text)


def test_the_chosen_context_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    meta = tmp_path / "contexts/meta" / hashlib.sha256(b"mine").hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text('{"Endpoints": {"docker": {"Host": "unix:///run/mine.sock"}}}')
    (tmp_path / "config.json").write_text('{"currentContext": "mine"}')

    assert Endpoint.find() == Endpoint("/run/mine.sock")


def test_a_context_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    with pytest.raises(Invalid, match="docker context 'other'"):
        Endpoint.find()


async def test_no_socket_is_told_with_what_to_do(path: Path) -> None:
    with pytest.raises(EngineAway, match="Install Docker or Podman"):
        await Engine(Endpoint(str(path))).call("GET", "/info")


async def test_one_that_was_met_before_is_away_and_not_missing(engine: Engine, path: Path) -> None:
    await engine.call("GET", "/refuses")
    path.unlink()
    with pytest.raises(EngineAway) as away:
        await engine.call("GET", "/refuses")

    assert type(away.value) is EngineAway


async def test_a_socket_that_nobody_serves_is_told(path: Path) -> None:
    server = await asyncio.start_unix_server(lambda _r, writer: writer.close(), path)
    server.close()
    await server.wait_closed()

    with pytest.raises(EngineAway, match="Start it"):
        await Engine(Endpoint(str(path))).call("GET", "/info")


async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asked = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
    if asked == b"/breaks":
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    elif asked == b"/hangs":
        await reader.read()
    elif asked == b"/nonsense":
        writer.write(b"what?\r\n\r\n")
    else:
        body = json.dumps({"message": "it\nis  so"}).encode()
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    writer.close()


@pytest.fixture
async def engine(path: Path) -> AsyncIterator[Engine]:
    server = await asyncio.start_unix_server(speak, path)
    yield Engine(Endpoint(str(path)))
    server.close()
    await server.wait_closed()


async def test_a_refusal_is_an_answer(engine: Engine) -> None:
    answer = await engine.call("GET", "/refuses")

    assert (answer.status, answer.ok, answer.message) == (404, False, "it is so")


@pytest.mark.parametrize("what", ["/breaks", "/nonsense"])
async def test_half_an_answer_is_none(engine: Engine, what: str) -> None:
    with pytest.raises(EngineAway, match="broke off"):
        await engine.call("GET", what)


async def test_silence_ends(engine: Engine) -> None:
    with pytest.raises(EngineAway, match="took too long"):
        await engine.call("GET", "/hangs", silence=0.1)


async def test_a_cancelled_call_ends_at_once(engine: Engine) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(engine.call("GET", "/hangs"), 0.1)

    assert time.monotonic() - began < 45


async def test_an_engine_that_comes_back_is_waited_for(path: Path) -> None:
    asking = asyncio.ensure_future(Engine(Endpoint(str(path))).call("GET", "/refuses", patience=5))
    await asyncio.sleep(0.3)
    server = await asyncio.start_unix_server(speak, path)
    answer = await asking
    server.close()
    await server.wait_closed()

    assert answer.status == 404
