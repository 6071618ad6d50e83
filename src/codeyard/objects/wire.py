"""S3 over HTTP, as an ASGI application: who asks, what for, may they; then the answer, or S3's error.

Buckets are found in the path, or in the host where that is `bucket.domain` for one of the domains given.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from datetime import UTC, datetime
from typing import Any

from codeyard.aws import Identities, Refused
from codeyard.aws.request_context import request_context
from codeyard.aws.sigv4 import Dialect, Request, Verified, scope_of, verify
from codeyard.errors import CodeyardError, Denied
from codeyard.objects import Encryption
from codeyard.objects.asked import Asked, asked, not_implemented
from codeyard.objects.body import PATIENCE, Gone, Receive
from codeyard.objects.directory import ObjectDirectory
from codeyard.objects.exchange import Answer, Content, Exchange, http_date
from codeyard.objects.old_links import is_old_link, verify_old_link
from codeyard.objects.versions import Marked
from codeyard.objects.wire_buckets import BucketOperations
from codeyard.objects.wire_objects import Absent, ObjectOperations, nothing
from codeyard.objects.wire_uploads import UploadOperations
from codeyard.objects.wire_versions import VersionOperations, marked
from codeyard.objects.xml import document

_log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_SEND = 1 << 19  # bytes at once
_TAKEN = 60.0  # seconds, in which a client must have taken them


class S3:
    """The application. `usual` is how objects are encrypted whose put does not say; `now` is aware. A body that does
    not come on for `patience` seconds is given up. `absent`: see ObjectOperations."""

    def __init__(
        self,
        objects: ObjectDirectory,
        identities: Identities,
        *,
        usual: Encryption | None = None,
        domains: tuple[str, ...] = ("localhost",),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        patience: float = PATIENCE,
        absent: Absent = nothing,
    ) -> None:
        self._identities, self._domains, self._now, self._patience = identities, domains, now, patience
        sources = ObjectOperations(objects, usual, absent)
        uploads = UploadOperations(objects, sources, usual)
        buckets, versions = BucketOperations(objects), VersionOperations(objects)
        self._operations = buckets.by_name() | versions.by_name() | sources.by_name() | uploads.by_name()

    @property
    def operations(self) -> frozenset[str]:
        """The names of those that are here; all others are NotImplemented."""
        return frozenset(self._operations)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        request, id = request_of(scope), uuid.uuid4().hex[:16].upper()
        try:
            answer = await self._answer(request, scope, receive)
        except Gone:
            return
        except Refused as error:
            answer = _refusal(error, request, id)
        except (CodeyardError, OSError) as error:
            answer = _refusal(_translated(error, id), request, id)
        except Exception:  # noqa: BLE001 - the edge: whatever it is, it is our fault and says so
            _log.exception("s3_bug request=%s", id)
            answer = _refusal(_internal(), request, id)
        await _send(answer, receive, send, id, bodiless=request.method == "HEAD")

    async def _answer(self, request: Request, scope: Scope, receive: Receive) -> Answer:
        wanted = asked(request, self._domains)
        verified = await self._verified(wanted)
        operation = self._operations.get(wanted.operation)
        if operation is None:
            raise not_implemented()
        client, secure = (scope.get("client") or ("",))[0], scope.get("scheme") == "https"
        context = request_context(request, verified.region, self._now(), client, secure=secure)
        return await operation(Exchange(wanted, verified, self._identities, receive, context, self._patience))

    async def _verified(self, wanted: Asked) -> Verified:
        if is_old_link(wanted):
            return await verify_old_link(wanted, self._identities.key, self._now())
        return await verify(wanted.request, self._identities.key, "s3", None, self._now(), Dialect.S3)


def is_for_s3(request: Request) -> bool:
    """Whether it is signed for S3, and so for no other service at this address."""
    scope = scope_of(request)
    return scope.service == "s3" if scope is not None else "AWSAccessKeyId=" in request.query


def request_of(scope: Scope) -> Request:
    """What was signed, with the body still to come."""
    raw = scope.get("raw_path") or scope["path"].encode()
    headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"])
    path, query = (part.decode("utf-8", "surrogateescape") for part in (raw, scope["query_string"]))
    return Request(scope["method"], path.partition("?")[0], query, headers, "")


def _translated(error: CodeyardError | OSError, id: str) -> Refused:
    if isinstance(error, Denied):
        return Refused("AccessDenied", "Access Denied", 403)
    _log.error("s3_fault request=%s error=%s", id, error)
    return _internal()


def _internal() -> Refused:
    return Refused("InternalError", "We encountered an internal error. Please try again.", 500)


def _refusal(error: Refused, request: Request, id: str) -> Answer:
    code, status = error.code, error.status
    if code == "AccessDeniedException":
        code, status = "AccessDenied", 403
    content = document(
        "Error",
        [("Code", code), ("Message", error.message), ("Resource", _plain(request.path)), ("RequestId", id)],
        plain=True,
    )
    headers = {"content-type": "application/xml", **(marked(error.marker) if isinstance(error, Marked) else {})}
    if isinstance(error, Marked) and error.named:
        headers |= {"allow": "DELETE", "last-modified": http_date(error.marker.modified)}
    if request.header("content-length") not in (None, "0") or request.header("transfer-encoding"):
        headers["connection"] = "close"  # the body may not have been read, and is not waited for
    return Answer(status, headers, content)


def _plain(path: str) -> str:
    return path.encode("utf-8", "replace").decode()[:2048]


async def _send(answer: Answer, receive: Receive, send: Send, id: str, *, bodiless: bool) -> None:
    content = answer.content
    headers = {**answer.headers, "x-amz-request-id": id, "x-amz-id-2": id}
    if isinstance(content, bytes) and answer.status not in (204, 304):
        headers.setdefault("content-length", str(len(content)))
    raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    start = {"type": "http.response.start", "status": answer.status, "headers": raw}
    if isinstance(content, bytes):
        await send(start)
        await send({"type": "http.response.body", "body": b"" if bodiless else content})
        return
    leaving = asyncio.ensure_future(_left(receive))
    try:
        with content.source:
            await send(start)
            await _stream(content, send, leaving)
    except (TimeoutError, CodeyardError) as error:
        _log.warning("s3_download_broken request=%s error=%s", id, error)  # the client sees that it is not all there
    finally:
        leaving.cancel()


async def _stream(content: Content, send: Send, leaving: "asyncio.Future[None]") -> None:
    pieces = _joined(content)
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        if leaving.done():
            return
        async with asyncio.timeout(_TAKEN):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _left(receive: Receive) -> None:
    """Returns once the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _joined(content: Content) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    for piece in content.pieces():
        held.append(piece)
        size += len(piece)
        if size >= _SEND:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
