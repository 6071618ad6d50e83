"""A server as its agents see it: asked over HTTP, from this side only, each time by a connection of its own.

All of it blocks: for threads. `close` ends whatever is being asked, for the agent is to end.
"""

import http.client
import ipaddress
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from codeyard.errors import CodeyardError, Conflict, Denied, Fault, Invalid, NotFound

_ANSWER = 1 << 20  # bytes of an answer that is no blob
_CONNECT = 10.0  # seconds
_TIMEOUT = 30.0  # seconds without a byte
_KINDS: dict[int, type[CodeyardError]] = {400: Invalid, 403: Denied, 404: NotFound, 409: Conflict}


class Shut(Denied):
    """The server does not know who asks."""


class Unreachable(Fault):
    """The server does not answer, or says that it cannot now."""


class Door:
    """A server at `url`, shown `shown` as a bearer token. Invalid: bytes would go there in clear, and not to here."""

    def __init__(self, url: str, shown: str = "", *, insecure: bool = False) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise Invalid(f"server {url!r}", "it is no http(s) URL of a server.", "Write https://HOST or the like.")
        if parts.scheme == "http" and not insecure and not is_loopback(parts.hostname):
            why = "anybody on the way could read the agent's secret, and change what is deployed."
            raise Invalid(f"server {url}", why, "Use https://; or, on a network you trust, --insecure.")
        self.url = url.rstrip("/")
        self._tls, self._netloc, self._base = parts.scheme == "https", parts.netloc, parts.path.rstrip("/")
        self._shown = shown
        self._lock = threading.Lock()
        self._open: dict[http.client.HTTPConnection, socket.socket] = {}
        self.closed = False

    def post(self, path: str, told: Mapping[str, Any], timeout: float = _TIMEOUT) -> dict[str, Any]:
        """The answer's JSON. Unreachable, Shut, and what the server refuses with."""
        with self.asked("POST", path, told, timeout) as answer:
            try:
                found = json.loads(answer.read(_ANSWER))
            except ValueError:
                raise _not_ours(self.url) from None
        if not isinstance(found, dict):
            raise _not_ours(self.url)
        return found

    @contextmanager
    def asked(
        self, method: str, path: str, told: Mapping[str, Any] | None = None, timeout: float = _TIMEOUT
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer, whose body is yet to be read. Unreachable, also where reading it fails; Shut, and others."""
        connection = self._connection()
        answer: http.client.HTTPResponse | None = None
        try:
            self._connect(connection, timeout)
            headers = {"Authorization": f"Bearer {self._shown}", "Content-Type": "application/json"}
            body = None if told is None else json.dumps(told).encode()
            connection.request(method, f"{self._base}/agents/{path}", body, headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise _refusal(self.url, answer)
            yield answer
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(
                f"server {self.url}", f"it cannot be asked: {_said(error)}.", "See that it runs."
            ) from None
        finally:
            if answer is not None:
                answer.close()  # one after which the server hangs up has taken the socket over
            with self._lock:
                self._open.pop(connection, None)
            connection.close()

    def close(self) -> None:
        with self._lock:
            self.closed = True
            for sock in self._open.values():
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _connection(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._tls else http.client.HTTPConnection
        return kind(self._netloc, timeout=_CONNECT)

    def _connect(self, connection: http.client.HTTPConnection, timeout: float) -> None:
        """Connect, so that `close` can end what follows."""
        if not self.closed:
            connection.connect()
        with self._lock:
            if self.closed or connection.sock is None:
                raise Unreachable(f"server {self.url}", "the agent ends.", "Start it again.")
            connection.sock.settimeout(timeout)
            self._open[connection] = connection.sock


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refusal(url: str, answer: http.client.HTTPResponse) -> CodeyardError:
    try:
        told = json.loads(answer.read(_ANSWER))
        text = str(told["error"])[:2000] if isinstance(told, dict) else ""
    except (ValueError, KeyError, OSError, http.client.HTTPException):
        text = f"it answered {answer.status}"
    if answer.status == 401:
        fix = "Enrol this machine again: remove agent.json from its state directory, and give --server and a new token."
        return Shut(f"server {url}", text, fix)
    kind = _KINDS.get(answer.status)
    if kind is None:
        return Unreachable(f"server {url}", text, "Try again later.")
    return kind(f"server {url}", text, "Do as it says.")


def _not_ours(url: str) -> Unreachable:
    return Unreachable(f"server {url}", "it answers, but not as a Codeyard server does.", "Check --server.")


def _said(error: Exception) -> str:
    return (str(error) or type(error).__name__).rstrip(".")
