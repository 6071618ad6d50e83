"""Talks to a container engine: HTTP over its local socket, JSON or byte streams, each exchange on its own connection.

It knows where engines listen and what their answers mean, and nothing of builds. The reference is Docker Engine API
v1.41 (https://docs.docker.com/engine/api/v1.41/); Podman's compatible socket speaks the same. Paths carry no version:
engines differ in which they still or already accept, and all accept none.
"""

import asyncio
import hashlib
import json
import os
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from pathlib import Path
from typing import Any, Self, TypeVar

from codeyard.errors import Fault, Invalid

T = TypeVar("T")

_BODY = 32 * 1024 * 1024  # an answer that is read whole is never larger
_RETRY_EVERY = 0.2


class EngineAway(Fault):
    """The engine could not be reached, or broke off; whether it did what it was asked is not known."""


class NoEngine(EngineAway):
    """There is none, and never was one as long as we have looked."""


class NoAccess(EngineAway):
    """It is there, and not for us: to wait changes nothing."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an engine listens: a socket's path, or a host and a port."""

    path: str | None
    address: tuple[str, int] | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """`unix:///path` or `tcp://host:port`, as in DOCKER_HOST. Invalid."""
        parts = urllib.parse.urlsplit(text)
        if parts.scheme == "unix" and parts.path:
            return cls(parts.netloc + parts.path)
        with suppress(ValueError):
            if parts.scheme in {"tcp", "http"} and parts.hostname and not os.environ.get("DOCKER_TLS_VERIFY"):
                return cls(None, (parts.hostname, parts.port or 2375))
        raise Invalid(
            f"container engine {text!r}",
            "builds need an engine on this machine: unix:///path/to/socket, or tcp:// without TLS.",
            "Set DOCKER_HOST to the engine's socket.",
        )

    @classmethod
    def find(cls) -> Self:
        """What DOCKER_HOST says, else the chosen docker context, else the first usual socket that exists. Invalid."""
        if named := os.environ.get("DOCKER_HOST"):
            return cls.parse(named)
        if named := _context_host():
            return cls.parse(named)
        runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
        usual = (
            "/var/run/docker.sock",
            f"{runtime}/docker.sock",
            f"{runtime}/podman/podman.sock",
            "/run/podman/podman.sock",
        )
        return cls(next((path for path in usual if Path(path).exists()), usual[0]))

    def __str__(self) -> str:
        return f"unix://{self.path}" if self.address is None else f"tcp://{self.address[0]}:{self.address[1]}"

    def connect(self, timeout: float) -> socket.socket:
        if self.address is not None:
            return socket.create_connection(self.address, timeout)
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.settimeout(timeout)
            made.connect(str(self.path))
        except BaseException:
            made.close()
            raise
        return made


def docker_config_directory() -> Path:
    """Where the docker command keeps its settings."""
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def docker_config() -> dict[str, Any]:
    """The docker command's config.json, or nothing if it is missing or broken."""
    try:
        found = json.loads((docker_config_directory() / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _context_host() -> str | None:
    """The endpoint of the context that `docker context use` chose."""
    name = os.environ.get("DOCKER_CONTEXT") or docker_config().get("currentContext")
    if not isinstance(name, str) or name in {"", "default"}:
        return None
    key = hashlib.sha256(name.encode()).hexdigest()
    try:
        meta = json.loads((docker_config_directory() / "contexts" / "meta" / key / "meta.json").read_bytes())
        return str(meta["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Invalid(
            f"docker context {name!r}", "it has no readable endpoint.", "Choose another with `docker context use`."
        ) from error


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of the engine."""

    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        return self.status < 400

    def json(self) -> dict[str, Any]:
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def message(self) -> str:
        """Why the engine refused, in its words; one line."""
        told = str(self.json().get("message") or self.body[:500].decode(errors="replace"))
        return " ".join(told.split()) or f"status {self.status}"


class _Call:
    """One exchange, run in a thread, that can be cut off from the event loop by shutting its socket."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._cut = False

    def use(self, made: socket.socket) -> None:
        with self._lock:
            self._socket = made
            if self._cut:
                made.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        with self._lock, suppress(OSError):
            self._cut = True
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)


class Engine:
    """One engine. Exchanges run at the same time, each in a thread of the engine's own."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._met = False
        self._threads = ThreadPoolExecutor(64, thread_name_prefix="codeyard-docker")

    async def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        *,
        silence: float = 60,
        patience: float = 0,
    ) -> Answer:
        """Ask, and read the whole answer, whatever its status.

        While the engine cannot be reached, ask again for `patience` seconds: only for what may be asked twice.
        """
        deadline = time.monotonic() + patience
        data = None if body is None else json.dumps(body).encode()
        while True:
            try:
                return await self.stream(method, path, query, whole, body=data, silence=silence)
            except NoAccess:
                raise
            except EngineAway:
                if time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(_RETRY_EVERY)

    async def back(self, patience: float) -> None:
        """Wait until it answers. EngineAway if it does not within so many seconds."""
        await self.call("GET", "/_ping", patience=patience)

    async def stream(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        read: Callable[[HTTPResponse], T],
        *,
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        silence: float = 60,
    ) -> T:
        """Ask, and let `read` have the answer as it comes; it runs in a thread. `silence`: how many seconds
        the engine may say nothing.

        When cancelled, the connection is cut and the thread has ended before this returns.
        """
        call = _Call()

        def work() -> T:
            return self.exchange(method, path, query, read, body=body, headers=headers, silence=silence, call=call)

        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            call.cut()
            await asyncio.wait({running})
            if not running.cancelled():
                running.exception()  # it was cut on purpose
            raise

    def exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        read: Callable[[HTTPResponse], T],
        *,
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        silence: float = 60,
        call: _Call | None = None,
    ) -> T:
        """The same, in this thread. EngineAway."""
        target = path if not query else f"{path}?{urllib.parse.urlencode(query)}"
        try:
            made = self.endpoint.connect(silence)
        except OSError as error:
            raise self.away(error) from error
        connection = HTTPConnection("localhost", timeout=silence)
        connection.sock = made
        try:
            if call is not None:
                call.use(made)
            kind = {} if body is None else {"Content-Type": _kind(body)}
            with suppress(BrokenPipeError, ConnectionResetError):  # refused half-way: the answer says why
                connection.request(method, target, body, {**kind, **(headers or {}), "Connection": "close"})
            with connection.getresponse() as response:
                self._met = True
                return read(response)
        except (OSError, HTTPException) as error:
            raise self.away(error) from error
        finally:
            connection.close()

    def away(self, error: Exception) -> EngineAway:
        """What the failure to talk to it means, and what to do about it."""
        where = f"the container engine at {self.endpoint}"
        if isinstance(error, PermissionError):
            return NoAccess(
                f"no access to {where}",
                "this user may not use its socket.",
                "Add yourself to its group (`sudo usermod -aG docker $USER`, then log in again): whoever is in it "
                "rules the machine. Or use a rootless engine.",
            )
        if isinstance(error, FileNotFoundError):
            return (EngineAway if self._met else NoEngine)(
                f"no container engine at {self.endpoint}",
                "there is no such socket.",
                "Install Docker or Podman and start it, or set DOCKER_HOST to its socket.",
            )
        if isinstance(error, ConnectionRefusedError):
            return EngineAway(
                f"{where} does not answer", "nobody listens there.", "Start it: `sudo systemctl start docker`."
            )
        why = "it took too long." if isinstance(error, TimeoutError) else f"{str(error) or type(error).__name__}."
        return EngineAway(f"{where} broke off", why, "See its log: `journalctl -u docker`.")


def _kind(body: bytes | Iterator[bytes]) -> str:
    return "application/json" if isinstance(body, bytes) else "application/x-tar"


def whole(response: HTTPResponse) -> Answer:
    """All of it, at most 32 MiB; half of it is an error."""
    body = response.read(_BODY)
    if response.length:
        raise IncompleteRead(body, response.length)
    return Answer(response.status, body)
