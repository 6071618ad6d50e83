from calendar import monthrange
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.errors import Invalid
from codeyard.pipelines.window import Window

ZONES = st.sampled_from(["UTC", "Europe/Paris", "Australia/Lord_Howe", "America/St_Johns", "UTC+05:45", "PST", "EST"])
FIELDS = st.tuples(
    st.sampled_from(["*", "0", "0/20", "15-17", "50-10/5"]),
    st.sampled_from(["*", "2", "9-17", "22-2", "*/6", "0"]),
    st.sampled_from(["* * ?", "? * MON-FRI", "L * ?", "? * 1", "L-3 * ?", "LW * ?", "1W * ?", "? * 6#3", "? * 2L"]),
)
CRONS = FIELDS.map(lambda found: f"0 {found[0]} {found[1]} {found[2]}")
TIMES = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def days(rule: str, year: int, month: int) -> list[int]:
    """The days of this month on which a window with this day of month and day of week is open."""
    in_month, in_week = rule.split()
    window = Window.parse(f"* * * {in_month} * {in_week}")
    last = monthrange(year, month)[1]
    return [day for day in range(1, last + 1) if window.open_at(datetime(year, month, day, 12, tzinfo=UTC))]


@given(cron=CRONS, zone=ZONES, time=TIMES, minutes=st.integers(0, 2 * 1440))
def test_the_next_opening_is_the_first_minute_that_is_open(cron: str, zone: str, time: datetime, minutes: int) -> None:
    window, limit = Window.parse(cron, zone), time + timedelta(minutes=minutes)
    beginnings = [time.replace(second=0, microsecond=0) + timedelta(minutes=number) for number in range(minutes + 2)]
    naive = next((each for each in [time, *beginnings[1:]] if each <= limit and window.open_at(each)), None)

    assert window.next_open(time, limit) == naive


@given(year=st.integers(2000, 2100), month=st.integers(1, 12), wanted=st.integers(1, 31))
def test_the_nearest_weekday_is_one_and_never_farther_than_two_days(year: int, month: int, wanted: int) -> None:
    found = days(f"{wanted}W ?", year, month)

    assert len(found) == (wanted <= monthrange(year, month)[1])
    assert all(date(year, month, day).isoweekday() < 6 and abs(day - wanted) <= 2 for day in found)


@given(cron=st.text("0123456789*?/-,LW# MONFRI", max_size=24))
def test_any_text_is_an_expression_or_told(cron: str) -> None:
    try:
        Window.parse(cron).open_at(at("2026-01-01"))
    except Invalid as told:
        assert told.why.endswith(".")  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    ("cron", "zone", "time", "is_open"),
    [
        ("* * 9-17 ? * MON-FRI *", None, "2026-01-05T09:00", True),
        ("* * 9-17 ? * MON-FRI *", None, "2026-01-05T17:59:59", True),
        ("* * 9-17 ? * MON-FRI *", None, "2026-01-05T18:00", False),
        ("* * 9-17 ? * mon-fri", None, "2026-01-04T10:00", False),
        ("0 0 9-17 ? * MON-FRI *", None, "2026-01-05T09:00:59", True),
        ("0 0 9-17 ? * MON-FRI *", None, "2026-01-05T09:01", False),
        ("* * 9 ? * 2 *", "America/New_York", "2026-01-05T14:30", True),
        ("* * 9 ? * 2 *", "America/New_York", "2026-07-06T14:30", False),
        ("* * 9 ? * 2 *", "UTC-05:00", "2026-07-06T14:30", True),
        ("* * 9 ? * 2 *", "EST", "2026-07-06T14:30", True),
        ("* * 0 1 JAN ? 2026", "Asia/Tokyo", "2025-12-31T15:30", True),
        ("* * 0 1 JAN ? 2026-2027", "Asia/Tokyo", "2024-12-31T15:30", False),
        ("* * * ? * FRI-MON", None, "2026-01-03T00:00", True),
        ("* * * ? * FRI-MON", None, "2026-01-06T00:00", False),
        ("* * * ? DEC-FEB *", None, "2026-01-06T00:00", True),
        ("* /15 * ? * *", None, "2026-01-06T00:45", True),
    ],
)
def test_a_window_is_open_by_the_clock_of_its_zone(cron: str, zone: str | None, time: str, is_open: bool) -> None:
    assert Window.parse(cron, zone).open_at(at(time)) is is_open


@pytest.mark.parametrize(
    ("rule", "month", "found"),
    [
        ("L ?", (2024, 2), [29]),
        ("L-3 ?", (2026, 1), [28]),
        ("L-30 ?", (2026, 2), []),
        ("LW ?", (2026, 1), [30]),
        ("LW ?", (2026, 5), [29]),
        ("15W ?", (2026, 8), [14]),
        ("15W ?", (2026, 3), [16]),
        ("1W ?", (2026, 8), [3]),
        ("31W ?", (2026, 5), [29]),
        ("31W ?", (2026, 4), []),
        ("1,15,30-31 ?", (2026, 4), [1, 15, 30]),
        ("? 6L", (2026, 1), [30]),
        ("? FRIL", (2026, 1), [30]),
        ("? 6#3", (2026, 1), [16]),
        ("? 5#5", (2026, 1), [29]),
        ("? 6#5", (2026, 2), []),
        ("? L", (2026, 2), [7, 14, 21, 28]),
        ("? 1/3", (2026, 2), [1, 4, 7, 8, 11, 14, 15, 18, 21, 22, 25, 28]),
    ],
)
def test_the_days_that_quartz_means(rule: str, month: tuple[int, int], found: list[int]) -> None:
    assert days(rule, *month) == found


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "* * * ? *",
        "* * * ? * * * *",
        "* * * * * *",
        "* * * ? * ?",
        "60 * * ? * *",
        "* 60 * ? * *",
        "* * 24 ? * *",
        "* * * 0 * ?",
        "* * * 32 * ?",
        "* * * ? 13 *",
        "* * * ? * 8",
        "* * * ? * 6#6",
        "* * * ? * FOO",
        "* * * L-31 * ?",
        "* * * 32W * ?",
        "* * * 1,L * ?",
        "* */0 * ? * *",
        "* 1,,2 * ? * *",
        "* 1-2-3 * ? * *",
        "* * * ? * * 1969",
        "* * * ? * * 2027-2026",
        "* ٣ * ? * *",
        "* * * ? * *" + " " * 1000,
    ],
)
def test_what_is_no_window_is_told(cron: str) -> None:
    with pytest.raises(Invalid):
        Window.parse(cron)


def test_a_window_that_opens_in_years_is_found_and_one_that_never_does_is_not() -> None:
    leap, never = Window.parse("0 0 0 29 2 ?", "Europe/Paris"), Window.parse("0 0 0 30 2 ?")

    assert leap.next_open(at("2026-01-01"), at("2040-01-01")) == at("2028-02-28T23:00")
    assert never.next_open(at("2026-01-01"), at("2040-01-01")) is None
