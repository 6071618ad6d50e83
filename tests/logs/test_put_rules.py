import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.errors import Invalid
from codeyard.logs.put_rules import sift

DAY = 86_400_000
NOW = 100 * DAY


def test_events_that_are_too_old_or_too_new_are_left_out() -> None:
    sifted = sift([(NOW - 15 * DAY, b"old"), (NOW, b"good"), (NOW + 3 * 3_600_000, b"new")], NOW, None)

    assert [record.message for record in sifted.taken] == [b"good"]
    assert sifted.rejected == {"tooNewLogEventStartIndex": 2, "tooOldLogEventEndIndex": 1}


def test_events_that_their_group_keeps_no_longer_are_left_out() -> None:
    sifted = sift([(NOW - 4 * DAY, b"expired"), (NOW, b"good")], NOW, 3)

    assert [record.message for record in sifted.taken] == [b"good"]
    assert sifted.rejected == {"expiredLogEventEndIndex": 1}


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([(NOW, b"b"), (NOW - 1, b"a")], "chronological"),
        ([(NOW - DAY - 1, b"a"), (NOW, b"b")], "24 hours"),
        ([(NOW, b"x" * 600_000), (NOW, b"x" * 600_000)], "Upload too large: 1200052 bytes exceeds limit of 1048576"),
    ],
)
def test_batches_that_break_a_rule_are_refused(events: list[tuple[int, bytes]], told: str) -> None:
    with pytest.raises(Invalid, match=told):
        sift(events, NOW, None)


@given(ages=st.lists(st.integers(-4, 20 * 24), max_size=8), retention=st.none() | st.sampled_from([1, 3, 30]))
def test_what_is_taken_and_what_is_rejected_are_all(ages: list[int], retention: int | None) -> None:
    events = [(NOW - hours * 3_600_000, b"x") for hours in sorted(ages, reverse=True)]
    try:
        sifted = sift(events, NOW, retention)
    except Invalid:
        return
    begin = max(sifted.rejected.get("tooOldLogEventEndIndex", 0), sifted.rejected.get("expiredLogEventEndIndex", 0))
    end = sifted.rejected.get("tooNewLogEventStartIndex", len(events))

    assert [record.timestamp for record in sifted.taken] == [moment for moment, _ in events[begin:end]]
    assert all(NOW - 14 * DAY <= record.timestamp <= NOW + 7_200_000 for record in sifted.taken)
