import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.console.plain_text import PlainText, plain

_PIECES = st.sampled_from(
    [b"text", b"\n", b"\r", b"\r\n", b"\x1b[31m", b"\x1b[0m", b"\x1b]0;title\x07", b"\x1b", b"[", b"\x00", "é".encode()]
)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"\x1b[1;31mred\x1b[0m\n", b"red\n"),
        (b"10%\r50%\r100%\n", b"100%\n"),
        (b"dos\r\n", b"dos\n"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", b"link"),
        (b"\x1b]0;title\x07text", b"text"),
        (b"\x1b[2K\x1b[1Aup\x1b(B", b"up"),
        (b"a\x00b\x07c\tdef", b"abc\tdef"),
        ("ünïcode ✓\n".encode(), "ünïcode ✓\n".encode()),
        (b"", b""),
    ],
)
def test_what_a_terminal_obeys_is_left_out(written: bytes, shown: bytes) -> None:
    assert plain(written) == shown


@given(st.lists(_PIECES), st.lists(st.integers(0, 200)))
def test_cuts_do_not_matter(pieces: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(pieces)
    places = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    text = PlainText()
    fed = b"".join(text.feed(whole[a:b]) for a, b in pairwise(places))

    assert fed + text.rest() == plain(whole)


@given(st.binary(max_size=400))
def test_nothing_that_a_terminal_obeys_is_left(written: bytes) -> None:
    assert re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", plain(written)) is None


def test_a_line_without_an_end_is_not_kept() -> None:
    text = PlainText()
    given = sum(len(text.feed(b"x" * 10_000)) for _ in range(100))

    assert given > 900_000
    assert given + len(text.rest()) == 1_000_000
