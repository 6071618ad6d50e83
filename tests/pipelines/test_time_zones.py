from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.errors import Invalid
from codeyard.pipelines.time_zones import _SHORT, time_zone

JULY = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "hours"),
    [
        (None, 0),
        ("", 0),
        ("UTC", 0),
        ("GMT", 0),
        ("Europe/Paris", 2),
        ("America/Argentina/Buenos_Aires", -3),
        ("Etc/GMT+5", -5),
        ("UTC+05:30", 5.5),
        ("UTC-18:00", -18),
        ("PST", -7),
        ("EST", -5),
        ("CET", 2),
    ],
)
def test_a_zone_differs_from_utc_by_so_many_hours(name: str | None, hours: float) -> None:
    assert JULY.astimezone(time_zone(name)).utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize("name", sorted(_SHORT))
def test_each_short_name_is_known(name: str) -> None:
    assert JULY.astimezone(time_zone(name)).utcoffset() is not None


@pytest.mark.parametrize(
    "name",
    "Nowhere/City America America/Argentina ../etc/passwd /etc/localtime Europe/../UTC UTC+18:01 UTC+5 UTC+05:60 "
    "XYZ localtime utc Europe/Paris\0 Europe//Paris".split(" "),
)
def test_what_is_no_zone_is_told(name: str) -> None:
    with pytest.raises(Invalid):
        time_zone(name)


@given(name=st.text("UTCGM+-:0123/aE.", min_size=1, max_size=12))
def test_any_text_is_a_zone_or_told(name: str) -> None:
    try:
        offset = JULY.astimezone(time_zone(name)).utcoffset()
    except Invalid:
        return

    assert offset is not None
    assert abs(offset) <= timedelta(hours=18)
