from hypothesis import given
from hypothesis import strategies as st

from codeyard.logs.times import END, ENTRY, Times

ENTRIES = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5000)), max_size=30).map(
    lambda pairs: list(zip(sorted(p[0] for p in pairs), sorted(p[1] for p in pairs), strict=True))
)


def packed(entries: list[tuple[int, int]]) -> bytes:
    return b"".join(ENTRY.pack(*entry) for entry in entries)


def test_a_byte_has_the_time_of_the_last_entry_before_it() -> None:
    times = Times.parse(packed([(0, 100), (10, 200)]))

    assert [times.at(offset) for offset in (0, 9, 10, 99)] == [100, 100, 200, 200]


def test_the_mark_and_half_an_entry_are_left_out() -> None:
    times = Times.parse(packed([(0, 100), (END, 300)]) + b"half")

    assert list(times.offsets) == [0]


def test_a_second_without_a_write_is_a_pause() -> None:
    times = Times.parse(packed([(0, 100), (10, 1099), (20, 2099)]))

    assert times.pauses() == [20]


@given(entries=ENTRIES, column=st.integers(0, 1), value=st.integers(0, 6000))
def test_what_is_below_a_value_is_counted(entries: list[tuple[int, int]], column: int, value: int) -> None:
    times = Times.parse(packed(entries))

    assert times.below(column, value) == sum(entry[column] < value for entry in entries)
