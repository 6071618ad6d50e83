"""The body of a request, as it comes: bounded, in time, and what it was announced to be."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from codeyard.aws import Refused
from codeyard.aws.sigv4 import Chunks, Verified
from codeyard.objects import checksums
from codeyard.objects.asked import not_implemented
from codeyard.objects.chunked import Decoder

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

PUT_AT_MOST = 5 << 30  # bytes, of an object put at once, or of a part
XML_AT_MOST = 4 << 20
PATIENCE = 30.0  # seconds without a byte
_PIECE = 1 << 20
_CHUNKED = "STREAMING-"
_UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_SIGNED = ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")


class Gone(Exception):
    """The client has left."""


class Body:
    """Read it once, by `pieces`, give each to `take`; `checked` says then what it adds up to."""

    def __init__(
        self,
        receive: Receive,
        headers: Mapping[str, str],
        verified: Verified,
        limit: int,
        patience: float = PATIENCE,
    ) -> None:
        """EntityTooLarge, MissingContentLength, InvalidDigest, NotImplemented and more: before a byte is read."""
        self._receive, self._limit, self._patience = receive, limit, patience
        self._payload = verified.payload
        self._decoder = self._decode(headers, verified)
        self._size = _size(headers, decoded=self._decoder is not None)
        if self._size > limit:
            raise too_large(self._size, limit)
        self._md5 = _md5(headers)
        self._sums = Announced(headers)
        self._hash = hashlib.sha256() if len(self._payload) == 64 else None
        self._check = hashlib.md5(usedforsecurity=False) if self._md5 is not None else None
        self._came = 0

    async def pieces(self) -> AsyncIterator[bytes]:
        """What was meant, in pieces of about a megabyte. Gone, RequestTimeout, IncompleteBody, EntityTooLarge."""
        held = bytearray()
        more = True
        while more:
            content, more = await self._next()
            for piece in self._decoder.feed(content) if self._decoder is not None else (content,):
                held += piece
                self._came += len(piece)
            if self._came > min(self._size, self._limit):
                raise _incomplete()
            if len(held) >= _PIECE:
                yield bytes(held)
                held.clear()
        if self._decoder is not None:
            self._decoder.finish()
        if self._came != self._size:
            raise _incomplete()
        yield bytes(held)

    def take(self, piece: bytes) -> None:
        """Reckon with a piece. It may be called in another thread than the rest, one call at a time."""
        for summed in (self._hash, self._check):
            if summed is not None:
                summed.update(piece)
        self._sums.take(piece)

    def checked(self) -> dict[str, str]:
        """Its checksums by algorithm, those that the client wanted. BadDigest, XAmzContentSHA256Mismatch."""
        if self._hash is not None and self._hash.hexdigest() != self._payload:
            text = "The provided 'x-amz-content-sha256' header does not match what was computed."
            raise Refused("XAmzContentSHA256Mismatch", text)
        if self._check is not None and self._check.digest() != self._md5:
            raise Refused("BadDigest", "The Content-MD5 you specified did not match what we received.")
        return self._sums.checked(self._decoder.trailers if self._decoder is not None else {})

    async def whole(self) -> bytes:
        """All of a small one, checked."""
        content = b"".join([piece async for piece in self.pieces()])
        self.take(content)
        self.checked()
        return content

    async def _next(self) -> tuple[bytes, bool]:
        try:
            async with asyncio.timeout(self._patience):
                message = await self._receive()
        except TimeoutError:
            text = "Your socket connection to the server was not read from or written to within the timeout period."
            raise Refused("RequestTimeout", text) from None
        if message["type"] != "http.request":
            raise Gone
        return message.get("body", b""), message.get("more_body", False)

    def _decode(self, headers: Mapping[str, str], verified: Verified) -> Decoder | None:
        if not self._payload.startswith(_CHUNKED):
            return None
        if self._payload == _UNSIGNED:
            return Decoder(None)
        if self._payload not in _SIGNED:
            raise not_implemented("This way to sign the body is not implemented; use AWS4-HMAC-SHA256.")
        return Decoder(Chunks(verified))


class Announced:
    """The x-amz-checksum-… of a request: in its headers, or to come after its body."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        """InvalidRequest."""
        self._wanted = told_checksums(headers)
        if len(self._wanted) > 1:
            told = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
            raise Refused("InvalidRequest", told)
        self._trailer = headers.get("x-amz-trailer", "").strip().lower()
        names = {*self._wanted}
        if self._trailer.startswith("x-amz-checksum-"):
            names.add(_algorithm(self._trailer.removeprefix("x-amz-checksum-")))
        named = headers.get("x-amz-sdk-checksum-algorithm") or headers.get("x-amz-checksum-algorithm")
        if named:
            names.add(_algorithm(named))
        self._running = {name: checksums.start(name) for name in names}

    def take(self, piece: bytes) -> None:
        for running in self._running.values():
            running.update(piece)

    def checked(self, trailers: Mapping[str, str]) -> dict[str, str]:
        """The sums, by algorithm. BadDigest, MalformedTrailerError."""
        if self._trailer and self._trailer not in trailers:
            raise Refused("MalformedTrailerError", "The request contained trailing data that was not well-formed")
        wanted = self._wanted | told_checksums(trailers)
        found: dict[str, str] = {}
        for name, running in self._running.items():
            value = running.value()
            if value is not None and wanted.get(name, value) != value:
                raise Refused("BadDigest", f"The {name} you specified did not match the calculated checksum.")
            if value is not None or name in wanted:
                found[name] = value or wanted[name]
        return found


def told_checksums(headers: Mapping[str, str]) -> dict[str, str]:
    """The values that headers tell, by algorithm. InvalidRequest."""
    found = {}
    for name in checksums.ALGORITHMS:
        value = headers.get(f"x-amz-checksum-{name.lower()}")
        if value is None:
            continue
        if not checksums.is_value(name, value.partition("-")[0]):
            raise Refused("InvalidRequest", f"Value for x-amz-checksum-{name.lower()} header is invalid.")
        found[name] = value
    return found


def _algorithm(text: str) -> str:
    name = text.upper()
    if name not in checksums.ALGORITHMS:
        raise Refused("InvalidRequest", "Checksum algorithm provided is unsupported. Please try again with another.")
    return name


def too_large(size: int, limit: int) -> Refused:
    return Refused(
        "EntityTooLarge", f"Your proposed upload exceeds the maximum allowed size ({size} bytes of {limit})"
    )  # fmt: skip


def _size(headers: Mapping[str, str], *, decoded: bool) -> int:
    text = headers.get("x-amz-decoded-content-length") if decoded else headers.get("content-length")
    if text is None:
        raise Refused("MissingContentLength", "You must provide the Content-Length HTTP header.", 411)
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Refused("InvalidArgument", "The length of the body is not a number.")
    return int(text)


def _md5(headers: Mapping[str, str]) -> bytes | None:
    text = headers.get("content-md5")
    if text is None:
        return None
    try:
        value = base64.b64decode(text, validate=True)
    except ValueError:
        value = b""
    if len(value) != 16:
        raise Refused("InvalidDigest", "The Content-MD5 you specified is not valid.")
    return value


def _incomplete() -> Refused:
    text = "You did not provide the number of bytes specified by the Content-Length HTTP header"
    return Refused("IncompleteBody", text)
