"""Logs on another machine, asked for over HTTP: the worker's small endpoint, who asks it, and who knows where to ask.

GET /internal/logs/FRAMING/NAME?part=state|log|times&offset=N&length=N with the bearer token that all machines share.
"""

import asyncio
import hmac
import http.client
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from codeyard.errors import Fault, NotFound
from codeyard.logs import Framing, LogFiles, LogState, Place, log_not_there

T = TypeVar("T")
PATH = "/internal/logs/"
_LARGEST = 4 << 20  # bytes of an answer
_TIMEOUT = 10.0  # seconds
_AT_ONCE = 16  # machines asked
_ASKED = re.compile(rf"{PATH}(lines|records)/([0-9a-f-]{{32,36}})")
_REMEMBERED = 10_000  # logs
_NUMBER = re.compile(r"\d{1,18}")


class LogEndpoint:
    """The ASGI application that serves a machine's own logs below PATH, to who has the token."""

    def __init__(self, files: LogFiles, token: str) -> None:
        assert token, "an empty token would let anyone in"
        self._files, self._expected = files, f"Bearer {token}".encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if not hmac.compare_digest(given, self._expected):
            return await _send(send, 401, b"The token is missing or wrong.\n")
        asked = _ASKED.fullmatch(scope["path"])
        query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
        offset, length = query.get("offset", "0"), query.get("length", "0")
        if asked is None or scope["method"] != "GET" or not (_NUMBER.fullmatch(offset) and _NUMBER.fullmatch(length)):
            return await _send(send, 404, b"There is nothing here.\n")
        place = Place(Framing(asked[1]), asked[2])
        try:
            body = await self._part(place, query.get("part", "log"), int(offset), min(int(length), _LARGEST))
        except NotFound as error:
            return await _send(send, 404, f"{error}\n".encode())
        return await _send(send, 200, body)

    async def _part(self, place: Place, part: str, offset: int, length: int) -> bytes:
        if part == "state":
            state = await self._files.state(place)
            return json.dumps([state.size, state.times, state.closed, state.idle]).encode()
        return await (self._files.times if part == "times" else self._files.read)(place, offset, length)


class WorkerLogs:
    """See LogFiles. `where` gives the address (http://host:port) of the machine that has a log, or None."""

    def __init__(self, where: Callable[[Place], Awaitable[str | None]], token: str) -> None:
        self._where, self._token = where, token
        # Of its own: a machine that does not answer must not hold the threads on which files are read.
        self._threads = ThreadPoolExecutor(_AT_ONCE, "worker-logs")

    async def state(self, place: Place) -> LogState:
        size, times, closed, idle = json.loads(await self._ask(place, "state", 0, 0))
        return LogState(int(size), int(times), bool(closed), int(idle))

    async def read(self, place: Place, offset: int, length: int) -> bytes:
        return await self._whole(place, "log", offset, length)

    async def times(self, place: Place, offset: int, length: int) -> bytes:
        return await self._whole(place, "times", offset, length)

    async def remove(self, place: Place) -> None:
        """Nothing: a machine removes its own."""

    async def _whole(self, place: Place, part: str, offset: int, length: int) -> bytes:
        parts: list[bytes] = []
        while length > 0 and (found := await self._ask(place, part, offset, min(length, _LARGEST))):
            parts.append(found)
            offset, length = offset + len(found), length - len(found)
        return b"".join(parts)

    async def _ask(self, place: Place, part: str, offset: int, length: int) -> bytes:
        address = await self._where(place)
        if address is None:
            raise log_not_there(place)
        path = f"{PATH}{place.framing}/{place.name}?part={part}&offset={offset}&length={length}"
        asked = asyncio.get_running_loop().run_in_executor(self._threads, _get, address, path, self._token)
        status, body = await asked
        if status == 404:
            raise log_not_there(place)
        if status != 200 or len(body) > _LARGEST:
            raise _unreached(f"it answered {status}")
        return body


class CombinedLogs:
    """See LogFiles. Asks one after another, first who had the log the last time.

    One that cannot be asked is an error only where no other has the log.
    """

    def __init__(self, *files: LogFiles) -> None:
        self._all = files
        self._had: dict[Place, LogFiles] = {}

    async def state(self, place: Place) -> LogState:
        return await self._first(place, lambda files: files.state(place))

    async def read(self, place: Place, offset: int, length: int) -> bytes:
        return await self._first(place, lambda files: files.read(place, offset, length))

    async def times(self, place: Place, offset: int, length: int) -> bytes:
        return await self._first(place, lambda files: files.times(place, offset, length))

    async def remove(self, place: Place) -> None:
        for files in self._all:
            await files.remove(place)

    async def _first(self, place: Place, ask: Callable[[LogFiles], Awaitable[T]]) -> T:
        unreached: Fault | None = None
        for files in self._order(place):
            try:
                answer = await ask(files)
            except NotFound:
                continue
            except Fault as error:
                unreached = error
                continue
            if len(self._had) > _REMEMBERED:
                self._had.clear()
            self._had[place] = files
            return answer
        self._had.pop(place, None)
        raise unreached or log_not_there(place)

    def _order(self, place: Place) -> Sequence[LogFiles]:
        had = self._had.get(place)
        return self._all if had is None else (had, *(files for files in self._all if files is not had))


def _get(address: str, path: str, token: str) -> tuple[int, bytes]:
    parts = urlsplit(address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=_TIMEOUT)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return answer.status, answer.read(_LARGEST + 1)
    except (OSError, http.client.HTTPException) as error:
        raise _unreached(str(error) or type(error).__name__) from error
    finally:
        connection.close()


def _unreached(why: str) -> Fault:
    return Fault("the worker that has the log", f"it cannot be asked: {why}.", "See that it runs; then try again.")


async def _send(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
