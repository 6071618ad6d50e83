"""A time comes back from a column as it went, and columns sort as times do."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from codeyard.store.times import microseconds, time_of

TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))


@given(TIMES, TIMES)
def test_times_come_back_and_keep_their_order(one: datetime, other: datetime) -> None:
    assert time_of(microseconds(one)) == one
    assert (microseconds(one) < microseconds(other)) == (one < other)
