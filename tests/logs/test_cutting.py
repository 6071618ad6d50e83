from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.logs.cutting import LONGEST, backwards, forwards

TEXT = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"d\n", b"ef\ngh", b"\n\n"]), max_size=20).map(b"".join)


def pieces(content: bytes, pauses: Sequence[int] = (), complete: bool = True) -> list[bytes]:
    return [content[start:end] for start, end in forwards(content, 0, pauses, complete)]


def test_a_line_is_an_event() -> None:
    assert pieces(b"one\n\ntwo\n") == [b"one\n", b"\n", b"two\n"]


def test_an_unfinished_line_waits_unless_that_is_all() -> None:
    assert pieces(b"one\ntw", complete=False) == [b"one\n"]
    assert pieces(b"one\ntw") == [b"one\n", b"tw"]


def test_a_pause_ends_an_event() -> None:
    assert pieces(b"10% 20%\n", pauses=(4,), complete=False) == [b"10% ", b"20%\n"]


def test_a_line_of_a_mebibyte_is_one_event() -> None:
    line = b"x" * (LONGEST - 1) + b"\n"

    assert pieces(b"head\n" + line) == [b"head\n", line]


def test_a_longer_line_is_cut() -> None:
    content = b"head\n" + b"x" * (2 * LONGEST) + b"\n"

    assert [len(piece) for piece in pieces(content)] == [5, LONGEST - 5, LONGEST, 6]


def test_a_longer_line_is_cut_before_it_ends() -> None:
    assert [len(piece) for piece in pieces(b"x" * (LONGEST + 1), complete=False)] == [LONGEST]


@given(content=TEXT, pauses=st.sets(st.integers(1, 40)).map(sorted))
def test_backwards_gives_the_same_events(content: bytes, pauses: list[int]) -> None:
    ahead = list(forwards(content, 0, pauses, complete=True))
    back = list(backwards(content, 0, pauses))

    assert back == ahead[::-1]
    assert b"".join(content[start:end] for start, end in ahead) == content


@given(lengths=st.lists(st.integers(0, int(2.5 * LONGEST)), min_size=1, max_size=3), data=st.data())
def test_long_lines_are_cut_in_the_same_places_from_wherever_one_begins(
    lengths: list[int], data: st.DataObject
) -> None:
    content = b"".join(b"x" * length + b"\n" for length in lengths)
    ahead = list(forwards(content, 0, (), complete=True))
    number = data.draw(st.integers(0, len(ahead) - 1))
    start, end = ahead[number]

    assert list(forwards(content[start:], start, (), complete=True)) == ahead[number:]
    assert list(backwards(content[:end], 0, ())) == ahead[number::-1]
    assert all(end - start <= LONGEST for start, end in ahead)


@pytest.mark.parametrize("window", [LONGEST + 1, LONGEST + 7])
def test_a_window_longer_than_an_event_is_enough_to_go_back(window: int) -> None:
    content = b"head\n" + b"x" * (2 * LONGEST) + b"\nshort\n"
    ahead = list(forwards(content, 0, (), complete=True))
    found = [next(backwards(content[max(0, end - window) : end], max(0, end - window), ())) for _, end in ahead]

    assert found == ahead
