"""Streams that were made to fill the memory of whoever unpacks them, or to throw him off."""

import io
import resource
import tarfile
from pathlib import Path

import pytest

from codeyard.errors import Fault
from codeyard.executors.tar_stream import unpack

HUGE = 4 << 30


class Endless(io.RawIOBase):
    """`begin`, and then the same block for ever; counts what was taken of it."""

    def __init__(self, begin: bytes, block: bytes) -> None:
        super().__init__()
        self._left, self._block = begin, block * (65536 // len(block))
        self.taken = 0

    def read(self, size: int = -1, /) -> bytes:
        while len(self._left) < size:
            self._left += self._block
        piece, self._left = self._left[:size], self._left[size:]
        self.taken += len(piece)
        assert self.taken < 64 << 20, "it should have stopped long ago"
        return piece


def header(name: str, size: int, kind: bytes) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = size, kind
    return entry.tobuf(tarfile.GNU_FORMAT)


def pax(**records: str) -> bytes:
    content = b""
    for key, value in records.items():
        record = f" {key.replace('_', '.')}={value}\n".encode()
        size = len(record) + 2
        content += b"%d" % (size if size < 100 else size + 1) + record
    return header("./PaxHeader", len(content), tarfile.XHDTYPE) + content.ljust(-(-len(content) // 512) * 512, b"\0")


def sparse() -> bytes:
    """The header of an old sparse file, whose map goes on in the next block."""
    made = bytearray(header("./file", 512, tarfile.GNUTYPE_SPARSE))
    made[482] = 1
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made)


MAP = b"00000000001\0" * 42 + b"\1" + b"\0" * 7


@pytest.mark.parametrize(
    ("begin", "block"),
    [
        (header("././@LongLink", HUGE, tarfile.GNUTYPE_LONGNAME), b"a"),
        (header("././@LongLink", HUGE, tarfile.GNUTYPE_LONGLINK), b"a"),
        (header("./PaxHeader", HUGE, tarfile.XHDTYPE), b"a"),
        (header("./PaxHeader", HUGE, tarfile.SOLARIS_XHDTYPE), b"a"),
        (header("./global", HUGE, tarfile.XGLTYPE), b"a"),
        (b"", pax(comment="x")),
        (b"", header("./global", 0, tarfile.XGLTYPE)),
        (sparse(), MAP),
        (pax(GNU_sparse_map="0,1,2") + header("./file", 0, tarfile.REGTYPE), b"\0" * 512),
        (pax(GNU_sparse_map="a,b") + header("./file", 0, tarfile.REGTYPE), b"\0" * 512),
        (pax(GNU_sparse_major="1", GNU_sparse_minor="0") + header("./file", HUGE, tarfile.REGTYPE), b"9\n" * 256),
        (header("./file", -512, tarfile.REGTYPE), b"\0" * 512),
        (pax(size="-1024") + header("./file", 0, tarfile.REGTYPE), header("./other", 0, tarfile.REGTYPE)),
    ],
    ids=str.split(
        "long-name long-link pax solaris global many-pax many-global old-sparse sparse-map odd-map sparse-1.0 negative "
        "negative-pax"
    ),
)
def test_a_header_that_never_ends_is_refused(tmp_path: Path, begin: bytes, block: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Fault):
        unpack(Endless(begin, block), tmp_path / "into")  # type: ignore[arg-type]

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10, "KiB"


@pytest.mark.parametrize("time", ["nan", "inf", "-inf", "-1e300", "1e300"])
def test_a_time_that_is_none_is_the_earliest(tmp_path: Path, time: str) -> None:
    stream = io.BytesIO(
        header("./top", 0, tarfile.DIRTYPE)
        + pax(mtime=time)
        + header("./top/file", 0, tarfile.REGTYPE)
        + pax(mtime=time)
        + header("./top/sub", 0, tarfile.DIRTYPE)
        + b"\0" * 1024
    )

    assert unpack(stream, tmp_path / "into")
    assert [(tmp_path / "into" / name).stat().st_mtime for name in ("file", "sub")] == [0, 0]
