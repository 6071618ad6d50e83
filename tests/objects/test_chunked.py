"""Bodies in chunks: taken apart in whatever pieces they come, and refused if they are not as signed."""

import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.objects.chunked import Decoder


class Chain:
    """Signatures that are the digest of all before."""

    def __init__(self) -> None:
        self.state = hashlib.sha256()

    def sign(self, text: str) -> str:
        self.state.update(text.encode())
        return self.state.hexdigest()

    def chunk(self, sha256: str, signature: str) -> None:
        if self.sign(sha256) != signature:
            raise Refused("SignatureDoesNotMatch", "no")

    def trailer(self, lines: bytes, signature: str) -> None:
        self.chunk(lines.decode(), signature)


def signed(chunks: list[bytes], trailers: dict[str, str]) -> bytes:
    chain, body = Chain(), b""
    for chunk in [*chunks, b""]:
        signature = chain.sign(hashlib.sha256(chunk).hexdigest())
        body += b"%x;chunk-signature=%b\r\n%b" % (len(chunk), signature.encode(), chunk + b"\r\n" if chunk else b"")
    lines = "".join(f"{name}:{value}\n" for name, value in trailers.items())
    body += lines.replace("\n", "\r\n").encode()
    if trailers:
        body += f"x-amz-trailer-signature:{chain.sign(lines)}\r\n".encode()
    return body + b"\r\n"


def unsigned(chunks: list[bytes], trailers: dict[str, str]) -> bytes:
    body = b"".join(b"%X\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return body + b"0\r\n" + "".join(f"{name}:{value}\r\n" for name, value in trailers.items()).encode() + b"\r\n"


def decoded(decoder: Decoder, body: bytes, cuts: list[int]) -> bytes:
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    found = [
        piece
        for start, end in zip(places, places[1:], strict=False)  # noqa: RUF007
        for piece in decoder.feed(body[start:end])
    ]
    decoder.finish()
    return b"".join(found)


CHUNKS = st.lists(st.binary(min_size=1, max_size=40), max_size=5)
TRAILERS = st.sampled_from([{}, {"x-amz-checksum-crc32": "AAAAAA=="}])
CUTS = st.lists(st.integers(0, 500), max_size=8)


@given(CHUNKS, TRAILERS, CUTS)
def test_cuts_do_not_matter(chunks: list[bytes], trailers: dict[str, str], cuts: list[int]) -> None:
    one, other = Decoder(Chain()), Decoder(None)

    assert decoded(one, signed(chunks, trailers), cuts) == b"".join(chunks)
    assert decoded(other, unsigned(chunks, trailers), cuts) == b"".join(chunks)
    assert one.trailers == other.trailers == trailers


@given(CHUNKS.filter(bool), TRAILERS, st.integers(0, 500), st.integers(1, 255))
def test_a_signed_body_that_was_changed_gives_nothing_that_was_not_signed(
    chunks: list[bytes], trailers: dict[str, str], place: int, by: int
) -> None:
    body = bytearray(signed(chunks, trailers))
    body[place % len(body)] ^= by
    found = b""
    try:
        for piece in Decoder(Chain()).feed(bytes(body)):
            found += piece
    except Refused:
        pass

    assert b"".join(chunks).startswith(found)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_body_or_a_refusal(body: bytes) -> None:
    with suppress(Refused):
        decoded(Decoder(None), body, [])


def test_the_signature_of_the_headers_after_a_body_may_stand_apart() -> None:
    """As in AWS's own example, where an empty line comes between."""
    body = signed([b"x"], {"x-amz-checksum-crc32": "AAAAAA=="})
    apart = body.replace(b"AAAAAA==\r\n", b"AAAAAA==\r\n\r\n")

    assert decoded(Decoder(Chain()), apart, []) == b"x"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"5\r\nab",
        b"1\r\nab\r\n0\r\n\r\n",
        b"zz\r\n",
        b"-1\r\n",
        b"1;chunk-signature=" + b"0" * 64 + b"\r\na\r\n",
        b"0\r\n\r\nmore",
        b"0" * 9000,
        b"0\r\n" + b"a:b\r\n" * 20,
        b"ffffffffffff\r\nx",
    ],
)
def test_what_is_no_body_in_chunks(body: bytes) -> None:
    with pytest.raises(Refused):
        decoded(Decoder(None), body, [])


def test_headers_after_a_signed_body_must_be_signed() -> None:
    body = signed([b"x"], {})[:-2] + b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n"

    with pytest.raises(Refused):
        decoded(Decoder(Chain()), body, [])
