"""Ranges and conditions, by what HTTP says of them."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.objects import Stored
from codeyard.objects.conditions import Fate, fate, part_of

AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
STORED = Stored("k", 10, "abc", AT)


@given(st.integers(0, 30), st.integers(0, 40), st.integers(0, 40))
def test_a_range_is_a_part_of_the_object_or_refused(size: int, first: int, last: int) -> None:
    content = bytes(range(size))
    wanted = content[first : last + 1] if first <= last else content
    try:
        part = part_of(f"bytes={first}-{last}", size)
    except Refused:
        assert first >= size
        return
    start, length = part or (0, size)

    assert content[start : start + length] == wanted


@given(st.text(max_size=30), st.integers(0, 30))
def test_any_text_is_a_range_or_none(text: str, size: int) -> None:
    start, length = 0, 0
    with suppress(Refused):
        start, length = part_of(text, size) or (0, size)

    assert 0 <= start <= start + length <= size


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, Fate.SEND),
        ({"if-match": '"abc"'}, Fate.SEND),
        ({"if-match": '"x", "abc"'}, Fate.SEND),
        ({"if-match": "*"}, Fate.SEND),
        ({"if-match": '"x"'}, Fate.FAILED),
        ({"if-none-match": '"abc"'}, Fate.NOT_MODIFIED),
        ({"if-none-match": "*"}, Fate.NOT_MODIFIED),
        ({"if-none-match": 'W/"abc"'}, Fate.NOT_MODIFIED),
        ({"if-none-match": '"x"'}, Fate.SEND),
        ({"if-modified-since": "nonsense"}, Fate.SEND),
    ],
)
def test_tags_decide(headers: dict[str, str], expected: Fate) -> None:
    assert fate(headers, STORED) == expected
    assert fate({f"x-{name}": value for name, value in headers.items()}, STORED, "x-") == expected


@pytest.mark.parametrize(
    ("seconds", "modified", "unmodified"),
    [(-1, Fate.SEND, Fate.FAILED), (0, Fate.NOT_MODIFIED, Fate.SEND), (1, Fate.NOT_MODIFIED, Fate.SEND)],
)
def test_times_decide_to_the_second(seconds: int, modified: Fate, unmodified: Fate) -> None:
    since = format_datetime((AT + timedelta(seconds=seconds)).replace(microsecond=0), usegmt=True)

    assert fate({"if-modified-since": since}, STORED) == modified
    assert fate({"if-unmodified-since": since}, STORED) == unmodified
