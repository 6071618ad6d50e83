"""What agents ask a server, over HTTP below /agents/: to be let in, for what is to do, for blobs, and to be heard.

POST register; POST poll, which waits for news; GET deployments/ID/manifest and POST deployments/ID/blobs, for what the
asking target is to work on just now, and nothing else; POST reports. Bodies are JSON, and bounded. An answer other than
200 has `error`, a sentence. Who asks is known by the bearer token that `targets` checks, but for `register`.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from typing import Any

from codeyard.artifacts import BlobStore, Digest
from codeyard.artifacts import read as read_blob
from codeyard.artifacts.tree import LIMIT, parse
from codeyard.deploys import report_from_json, to_json
from codeyard.deploys.control import DeployControl
from codeyard.deploys.model import Deployment, Target, assignment
from codeyard.deploys.packing import packed
from codeyard.deploys.targets import Targets
from codeyard.deploys.turns import is_id
from codeyard.errors import CodeyardError, Conflict, Denied, Fault, Invalid, NotFound

PATH = "/agents/"
LONGEST_POLL = 20.0  # seconds
MOST_BLOBS = 1000  # of one request
MOST_REPORTS = 50  # likewise
_LOOK = 2.0  # seconds until a poll sees what another process has done
_SMALL, _LARGE = 1 << 14, 1 << 20  # bytes of a body
_BODY = 30.0  # seconds for a body to come
_CACHED = 8  # trees
_STATUS: dict[type[CodeyardError], int] = {Invalid: 400, Denied: 403, NotFound: 404, Conflict: 409}

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class _Unknown(Denied):
    """Nobody of ours asks."""


class Agents:
    """The ASGI application."""

    def __init__(self, control: DeployControl, targets: Targets, blobs: BlobStore) -> None:
        self._control, self._targets, self._blobs = control, targets, blobs
        self._trees: OrderedDict[Digest, dict[Digest, int]] = OrderedDict()
        self._draining = False

    def drain(self) -> None:
        """Answer who waits, for the server ends."""
        self._draining = True
        self._control.wakes.wake_all()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "only HTTP comes here"
        try:
            await self._route(scope, receive, send)
        except _Unknown as error:
            await _answer(send, 401, {"error": str(error)})
        except CodeyardError as error:
            status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 503)
            await _answer(send, status, {"error": str(error)})

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = (scope["method"], scope["path"].removeprefix(PATH))
        if asked == ("POST", "register"):
            return await _answer(send, 200, await self._register(await _json(receive, _SMALL)))
        target = await self._known(scope)
        if asked == ("POST", "poll"):
            return await _answer(send, 200, await self._poll(target, await _json(receive, _SMALL)))
        if asked == ("POST", "reports"):
            return await _answer(send, 200, await self._reports(target, await _json(receive, _LARGE)))
        parts = asked[1].split("/")
        if len(parts) == 3 and parts[0] == "deployments" and is_id(parts[1]):
            if (asked[0], parts[2]) == ("GET", "manifest"):
                return await self._manifest(target, parts[1], send)
            if (asked[0], parts[2]) == ("POST", "blobs"):
                return await self._send_blobs(target, parts[1], await _json(receive, _LARGE), send)
        return await _answer(send, 404, {"error": "There is nothing here."})

    async def _known(self, scope: Scope) -> Target:
        given = next((value for name, value in scope["headers"] if name.lower() == b"authorization"), b"")
        kind, _, shown = given.decode("latin-1").partition(" ")
        try:
            return await self._targets.known(shown if kind.lower() == "bearer" else "")
        except Denied as error:
            raise _Unknown(error.what, error.why, error.fix) from None

    async def _register(self, asked: dict[str, Any]) -> dict[str, Any]:
        tags = asked.get("tags")
        if not isinstance(tags, dict) or not all(isinstance(each, str) for each in (*tags, *tags.values())):
            raise _bad("tags")
        target = await self._targets.enrol(_text(asked, "token"), _text(asked, "name"), tags, _text(asked, "secret"))
        return {"id": target.id, "account": target.owner.account, "region": target.owner.region, "tags": target.tags}

    # ── what is to do ──

    async def _poll(self, target: Target, asked: dict[str, Any]) -> dict[str, Any]:
        """All that the target is to work on, as soon as that is not what it knows."""
        known, wait = asked.get("known"), asked.get("wait", LONGEST_POLL)
        if not isinstance(known, dict) or not isinstance(wait, int | float):
            raise _bad("known")
        await self._control.heard(target.id)
        loop = asyncio.get_running_loop()
        # It is to be heard again before it counts as gone.
        until = loop.time() + max(0.0, min(wait, LONGEST_POLL, self._control.heard_for / 3))
        with self._control.wakes.waiting(target.id) as news:
            while True:
                news.clear()
                found = await self._control.assigned(target.id)
                left = until - loop.time()
                if {each.id: each.stopping for each in found} != known or left <= 0 or self._draining:
                    return {"assignments": [_assigned(each) for each in found]}
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), min(left, _LOOK))

    async def _reports(self, target: Target, asked: dict[str, Any]) -> dict[str, Any]:
        given = asked.get("reports")
        if not isinstance(given, list) or len(given) > MOST_REPORTS:
            raise _bad("reports")
        await self._control.heard(target.id)
        for each in given:
            if not isinstance(each, dict) or not is_id(_text(each, "deployment")):
                raise _bad("deployment")
            await self._take(target, each["deployment"], each)
        return {}

    async def _take(self, target: Target, id: str, told: dict[str, Any]) -> None:
        done = told.get("done")
        if not isinstance(done, dict):
            return await self._control.reported(target.id, id, report_from_json(told.get("event")))
        if not isinstance(done.get("succeeded"), bool):
            raise _bad("succeeded")
        message = _text(done, "message")[:4096].replace("\0", "")
        return await self._control.done(target.id, id, done["succeeded"], message)

    # ── blobs ──

    async def _manifest(self, target: Target, id: str, send: Send) -> None:
        work = await self._working_on(target, id)
        content = await asyncio.to_thread(read_blob, self._blobs, work.request.tree, LIMIT)
        await _head(send, 200, b"application/octet-stream", len(content))
        await send({"type": "http.response.body", "body": content})

    async def _send_blobs(self, target: Target, id: str, asked: dict[str, Any], send: Send) -> None:
        work = await self._working_on(target, id)
        given = asked.get("digests")
        if not isinstance(given, list) or len(given) > MOST_BLOBS or not all(isinstance(each, str) for each in given):
            raise _bad("digests")
        sizes = await self._sizes(work.request.tree)
        wanted = [Digest.parse(text) for text in given]
        if any(digest not in sizes for digest in wanted):
            why = "not all of them belong to the tree that this target is to place."
            raise Denied("the blobs", why, "Ask for those of the manifest.")
        await _stream(send, packed(self._blobs, [(digest, sizes[digest]) for digest in wanted]))

    async def _working_on(self, target: Target, id: str) -> Deployment:
        for each in await self._control.assigned(target.id):
            if each.id == id:
                return each
        raise Denied(f"deployment {id}", "this target does not work on it.", "Ask what there is to do.")

    async def _sizes(self, tree: Digest) -> dict[Digest, int]:
        """Of each blob of the tree. The last few trees are kept: their blobs are asked for in many requests."""
        if tree not in self._trees:
            content = await asyncio.to_thread(read_blob, self._blobs, tree, LIMIT)
            entries = (await asyncio.to_thread(parse, content)).entries
            self._trees[tree] = {entry.digest: entry.size for entry in entries if entry.digest is not None}
        self._trees.move_to_end(tree)
        while len(self._trees) > _CACHED:
            self._trees.popitem(last=False)
        return self._trees[tree]


def _assigned(work: Deployment) -> dict[str, Any]:
    return {"assignment": to_json(assignment(work)), "stopping": work.stopping}


async def _json(receive: Receive, limit: int) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_BODY):
            body = await _body(receive, limit)
    except TimeoutError:
        raise Invalid("the request", f"its body did not come in {_BODY:.0f} seconds.", "Try again.") from None
    try:
        found = json.loads(body)
        if b"\\u" in body:  # half characters, which nobody could be told of
            found = json.loads(json.dumps(found, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Invalid("the request", "its body is no JSON object.", "Use this version's agent.")
    return found


async def _body(receive: Receive, limit: int) -> bytes:
    pieces, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Fault("the request", "it ended early.", "Try again.")
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            raise Invalid("the request", f"its body has more than {limit} bytes.", "Ask for less at once.")
        if not message.get("more_body"):
            return b"".join(pieces)


def _text(asked: dict[str, Any], name: str) -> str:
    found = asked.get(name)
    if not isinstance(found, str):
        raise _bad(name)
    return found


def _bad(name: str) -> Invalid:
    return Invalid(f"member {name!r}", "it is missing, or not of its form.", "Use this version's agent.")


async def _answer(send: Send, status: int, told: dict[str, Any]) -> None:
    body = json.dumps(told).encode()
    await _head(send, status, b"application/json", len(body))
    await send({"type": "http.response.body", "body": body})


async def _head(send: Send, status: int, content_type: bytes, length: int | None) -> None:
    headers = [(b"content-type", content_type), (b"cache-control", b"no-store")]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _stream(send: Send, pieces: Iterable[bytes]) -> None:
    """Pieces that are made on a thread, one at a time: whoever reads slowly is waited for."""
    iterator = iter(pieces)
    await _head(send, 200, b"application/octet-stream", None)
    while (piece := await asyncio.to_thread(next, iterator, None)) is not None:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
