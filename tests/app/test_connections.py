"""Connections that say nothing, too much, or too slowly; and more of them than there is room for."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeyard.app.connections import HEADERS_AT_MOST, Crowd, bounded
from tests.wire.served import serving

_ASKED = b"GET / HTTP/1.1\r\nhost: x\r\n"


async def _app(scope: Any, receive: Any, send: Any) -> None:
    """Says how long the body is; does not wait for it at /early, and takes a while at /slow."""
    size, more = 0, scope["path"] != "/early"
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(1)
    body = f"read {size}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server that waits half a second for headers, has room for twenty connections, and is used up by no test."""
    with serving(_app, http=bounded(Crowd(20, first=0.5, next=0.5))) as served:
        yield served


def _connect(url: str) -> socket.socket:
    host, _, port = urlsplit(url).netloc.partition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def _answer(connection: socket.socket) -> bytes:
    """Everything until the server hangs up."""
    said = b""
    try:
        while piece := connection.recv(1 << 16):
            said += piece
    except ConnectionResetError:
        pass
    return said


def _said(connection: socket.socket, ending: bytes) -> bool:
    """Whether the server says something that ends so; it may come in several pieces."""
    said = b""
    while not said.endswith(ending) and (piece := connection.recv(1 << 16)):
        said += piece
    return said.endswith(ending)


def _status(said: bytes) -> str:
    return said.split(b"\r\n")[0].decode()


def test_an_ordinary_request_is_answered_and_the_connection_kept(url: str) -> None:
    with _connect(url) as connection:
        for _ in range(3):
            connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc")

            assert _said(connection, b"read 3")


def test_a_connection_that_says_nothing_is_closed(url: str) -> None:
    with _connect(url) as connection:
        assert _answer(connection) == b""


def _until_cut(connection: socket.socket, byte: bytes) -> float:
    """Seconds until the server takes no more of these bytes, one at a time; five at the most."""
    began = time.monotonic()
    try:
        while time.monotonic() - began < 5:
            connection.sendall(byte)
            time.sleep(0.02)
    except OSError:
        pass
    return time.monotonic() - began


def test_headers_that_come_byte_by_byte_are_not_waited_for(url: str) -> None:
    with _connect(url) as connection:
        connection.sendall(_ASKED + b"x: ")

        assert _until_cut(connection, b"a") < 3


def test_nor_are_those_of_the_next_request(url: str) -> None:
    with _connect(url) as connection:
        connection.sendall(_ASKED + b"\r\n")
        assert _said(connection, b"read 0")

        connection.sendall(_ASKED + b"x: ")

        assert _until_cut(connection, b"a") < 3


def test_a_body_may_come_more_slowly_than_headers(url: str) -> None:
    with _connect(url) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 8\r\n\r\n")
        for _ in range(8):
            time.sleep(0.1)
            connection.sendall(b"x")

        assert _said(connection, b"read 8")


def test_an_answer_may_take_longer_than_headers(url: str) -> None:
    with _connect(url) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")

        assert _said(connection, b"read 0")


@pytest.mark.parametrize("header", [b"x: " + b"a" * 5_000_000, b"a: b\r\n" * 500_000, b"x" * 5_000_000])
@pytest.mark.parametrize("start", [_ASKED, b"GET /"])
def test_endless_headers_are_refused_before_they_fill_anything(url: str, start: bytes, header: bytes) -> None:
    with _connect(url) as connection:
        try:
            connection.sendall(start + header + b"\r\n\r\n")
        except OSError:
            return

        assert _status(_answer(connection)) in ("", "HTTP/1.1 431 Request Header Fields Too Large",
                                                "HTTP/1.1 400 Bad Request")  # fmt: skip


def test_headers_just_too_long_get_an_answer(url: str) -> None:
    with _connect(url) as connection:
        connection.sendall(_ASKED + b"x: " + b"a" * HEADERS_AT_MOST + b"\r\n\r\n")

        assert _status(_answer(connection)) == "HTTP/1.1 431 Request Header Fields Too Large"


def test_a_large_body_is_no_header(url: str) -> None:
    body = b"x" * 3_000_000
    with _connect(url) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

        assert _said(connection, b"read 3000000")


def test_who_sends_on_what_nobody_reads_is_hung_up_on(url: str) -> None:
    with _connect(url) as connection:
        connection.sendall(b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n")

        assert _until_cut(connection, b"x") < 3


def test_many_requests_at_once_on_one_connection_are_no_way_to_fill_memory(url: str) -> None:
    with _connect(url) as connection:
        try:
            connection.sendall((b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n") * 5000)
        except OSError:
            return

        assert _answer(connection).count(b"HTTP/1.1 200") <= 1


def test_idle_connections_make_room_for_those_that_ask(url: str) -> None:
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(_connect(url))
        connection = stack.enter_context(_connect(url))
        connection.sendall(_ASKED + b"\r\n")

        assert _said(connection, b"read 0")


def test_connections_that_are_served_are_not_cut_for_new_ones(url: str) -> None:
    with ExitStack() as stack:
        busy = [stack.enter_context(_connect(url)) for _ in range(15)]
        for connection in busy:
            connection.sendall(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        time.sleep(0.1)
        for _ in range(40):
            stack.enter_context(_connect(url))

        assert all(_said(connection, b"read 0") for connection in busy)


class _Wire(asyncio.Transport):
    """A transport that only knows whether it was cut."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = False

    def abort(self) -> None:
        self.cut = True


@settings(max_examples=200)
@given(st.integers(1, 8), st.lists(st.tuples(st.booleans(), st.integers(0, 7)), max_size=60))
def test_whoever_comes_and_goes_there_are_never_too_many_and_the_longest_waiting_goes_first(
    most: int, moves: list[tuple[bool, int]]
) -> None:
    crowd, here = Crowd(most), list[tuple[asyncio.BaseProtocol, _Wire]]()
    waiting: list[_Wire] = []
    for comes, number in moves:
        if comes:
            protocol, wire = asyncio.BaseProtocol(), _Wire()
            full, first = len(here) >= most, next(iter(waiting), None)
            stays = crowd.make_room(len(here) + 1)

            assert stays is (not full or first is not None)
            if full and first is not None:
                assert first.cut
                waiting.remove(first)
                here = [each for each in here if each[1] is not first]
            if stays:
                here.append((protocol, wire))
                crowd.waits(protocol, wire)
                waiting.append(wire)
        elif here:
            protocol, wire = here[number % len(here)]
            crowd.left(protocol)  # it asks for something
            waiting = [each for each in waiting if each is not wire]
        assert len(here) <= most
        assert not any(each.cut for _, each in here)
