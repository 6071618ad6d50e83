"""Bodies that come as `aws-chunked`: taken apart as they come, each chunk held to its signature.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and sigv4-streaming-trailers.html: a chunk is
`<hex size>[;chunk-signature=<hex>]`, a line end, its bytes, a line end; the last one is empty, and after it there may
be headers.
"""

import hashlib
import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Protocol

from codeyard.aws import Refused

CHUNK_AT_MOST = 16 << 20  # bytes of a signed chunk, which is held back until its signature is seen to be right
_LINE_AT_MOST = 8192
_TRAILERS_AT_MOST = 16
_HEAD = re.compile(rb"([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?")
_SIGNATURE = "x-amz-trailer-signature"


class Signatures(Protocol):
    """Who tells whether the chunks are the signer's; `codeyard.aws.sigv4.Chunks` is one."""

    def chunk(self, sha256: str, signature: str) -> None: ...

    def trailer(self, lines: bytes, signature: str) -> None: ...


class _State(Enum):
    HEAD = auto()
    CONTENT = auto()
    END = auto()  # of a chunk's content
    TRAILER = auto()
    DONE = auto()


class Decoder:
    """Give it what comes; it gives what was meant. With `signatures`, only what was signed."""

    def __init__(self, signatures: Signatures | None) -> None:
        self._signatures = signatures
        self._state = _State.HEAD
        self._buffer = bytearray()
        self._left = 0
        self._signature = ""
        self._held = bytearray()
        self._lines: list[bytes] = []
        self.trailers: dict[str, str] = {}  # by lower-case name, once it is done

    def feed(self, content: bytes) -> Iterator[bytes]:
        """The pieces that are complete now. IncompleteBody, SignatureDoesNotMatch."""
        self._buffer += content
        while self._state is not _State.DONE:
            if self._state is _State.CONTENT:
                piece = bytes(self._buffer[: self._left])
                if not piece:
                    return
                del self._buffer[: len(piece)]
                self._left -= len(piece)
                if self._signatures is None:
                    yield piece
                else:
                    self._held += piece
                if self._left == 0:
                    yield from self._chunk()
                    self._state = _State.END
                continue
            line = self._line()
            if line is None:
                return
            self._take(line)
        if self._buffer:
            raise _malformed("there is more after its end.")

    def finish(self) -> None:
        """There is no more to come. IncompleteBody if there should be; only the last empty line may be missing."""
        if self._state is _State.TRAILER and not self._buffer:
            self._end()
        if self._state is not _State.DONE:
            raise _malformed("it ends too early.")

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\n")
        if end < 0 or end > _LINE_AT_MOST:
            if len(self._buffer) > _LINE_AT_MOST:
                raise _malformed("a line is too long.")
            return None
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        return line

    def _take(self, line: bytes) -> None:
        if self._state is _State.END:
            if line:
                raise _malformed("a chunk is longer than it says.")
            self._state = _State.HEAD
        elif self._state is _State.HEAD:
            self._head(line)
        elif line:
            self._lines.append(line)
            if len(self._lines) > _TRAILERS_AT_MOST:
                raise _malformed("too many headers come after it.")
        elif not self._lines or self._signatures is None or self._lines[-1].startswith(_SIGNATURE.encode()):
            self._end()  # else it parts the headers from their signature, as in AWS's own example

    def _head(self, line: bytes) -> None:
        match = _HEAD.fullmatch(line.strip())
        if match is None or (match[2] is None) != (self._signatures is None):
            raise _malformed("a chunk does not begin with its size and signature.")
        self._left, self._signature = int(match[1], 16), (match[2] or b"").decode()
        if self._signatures is not None and self._left > CHUNK_AT_MOST:
            raise Refused("InvalidChunkSizeError", f"A signed chunk has at most {CHUNK_AT_MOST} bytes.")
        self._state = _State.CONTENT if self._left else _State.TRAILER
        if not self._left and self._signatures is not None:
            self._signatures.chunk(hashlib.sha256(b"").hexdigest(), self._signature)

    def _chunk(self) -> Iterator[bytes]:
        if self._signatures is not None:
            self._signatures.chunk(hashlib.sha256(self._held).hexdigest(), self._signature)
            yield bytes(self._held)
            self._held.clear()

    def _end(self) -> None:
        found = [line.decode("utf-8", "replace").partition(":") for line in self._lines]
        headers = {name.strip().lower(): value.strip() for name, _, value in found}
        signature = headers.pop(_SIGNATURE, None)
        if headers and self._signatures is not None:
            if signature is None:
                raise Refused("AccessDenied", "The headers after the body are not signed.", 403)
            lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
            self._signatures.trailer(lines.encode(), signature)
        self.trailers = headers
        self._state = _State.DONE


def _malformed(why: str) -> Refused:
    return Refused("IncompleteBody", f"The request body is not as its chunks say: {why}")
