"""The rule DeploymentWindow: whether a time is within a window, and when the next one opens. Pure.

A window is an expression of Quartz's cron: seconds, minutes, hours, day of month, month, day of week, and a year. Its
seconds are read and then not looked at: AWS documents nothing for them but `*`, and its own example's `0` would else
open a window for one second. So a window is open for whole minutes, by the clock of its time zone.
Sources: docs.aws.amazon.com/codepipeline/latest/userguide/rule-reference-DeploymentWindow.html;
www.quartz-scheduler.org/documentation/quartz-2.3.0/tutorials/crontrigger.html.
"""

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Self

from codeyard.errors import Invalid
from codeyard.pipelines.time_zones import time_zone

_LONGEST = 1000  # characters; far more than any window needs
_MONTHS = {name: at for at, name in enumerate("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(), 1)}
_DAYS = {name: at for at, name in enumerate("SUN MON TUE WED THU FRI SAT".split(), 1)}
_SATURDAY, _SUNDAY = 7, 1
_ELEMENT = re.compile(r"(\*|\w{1,4}(?:-\w{1,4})?)?(?:/(\d{1,4}))?", re.ASCII)
_LAST = re.compile(r"L(?:-(\d{1,2}))?(W)?", re.ASCII)
_NEAREST = re.compile(r"(\d{1,2})W", re.ASCII)
_LAST_OF = re.compile(r"(\w{1,3})L", re.ASCII)
_NUMBERED = re.compile(r"(\w{1,3})#(\d)", re.ASCII)
_QUARTER = 15  # minutes: clocks change, and differ from UTC, by multiples of it
_FIX = "Write it like '* * 9-17 ? * MON-FRI *': seconds, minutes, hours, day, month, day of week, and a year or not."


@dataclass(frozen=True, slots=True)
class _InMonth:
    """`1,15`: these days of each month."""

    days: frozenset[int]

    def has(self, day: date) -> bool:
        return day.day in self.days


@dataclass(frozen=True, slots=True)
class _InWeek:
    """`MON-FRI`: these days of each week, Sunday being 1."""

    days: frozenset[int]

    def has(self, day: date) -> bool:
        return _weekday(day) in self.days


@dataclass(frozen=True, slots=True)
class _LastDay:
    """`L`, `L-3`, `LW`: the last day of a month, so many days before it, the weekday next to that."""

    before: int = 0
    at_work: bool = False

    def has(self, day: date) -> bool:
        wanted = monthrange(day.year, day.month)[1] - self.before
        return wanted > 0 and day.day == (_nearest_weekday(day, wanted) if self.at_work else wanted)


@dataclass(frozen=True, slots=True)
class _Nearest:
    """`15W`: the weekday next to this day, in the same month; none in a month that has no such day."""

    to: int

    def has(self, day: date) -> bool:
        return self.to <= monthrange(day.year, day.month)[1] and day.day == _nearest_weekday(day, self.to)


@dataclass(frozen=True, slots=True)
class _LastOf:
    """`6L`: the last Friday of a month."""

    weekday: int

    def has(self, day: date) -> bool:
        return _weekday(day) == self.weekday and day.day + 7 > monthrange(day.year, day.month)[1]


@dataclass(frozen=True, slots=True)
class _Numbered:
    """`6#3`: the third Friday of a month."""

    weekday: int
    number: int

    def has(self, day: date) -> bool:
        return _weekday(day) == self.weekday and (day.day - 1) // 7 + 1 == self.number


_DayRule = _InMonth | _InWeek | _LastDay | _Nearest | _LastOf | _Numbered


@dataclass(frozen=True, slots=True)
class Window:
    """When a deployment may go on. Holding one proves that its expression and its zone are known."""

    minutes: frozenset[int]
    hours: frozenset[int]
    day: _DayRule
    months: frozenset[int]
    years: frozenset[int] | None  # None: each
    zone: tzinfo

    @classmethod
    def parse(cls, cron: str, zone: str | None = None) -> Self:
        """Of the rule's Cron and TimeZone. Invalid."""
        fields = cron.upper().split() if len(cron) <= _LONGEST else []
        if not 6 <= len(fields) <= 7:
            raise _invalid(cron, "it has 6 fields, or 7 with the year.")
        try:
            _values(fields[0], 0, 59)
            return cls(
                _values(fields[1], 0, 59),
                _values(fields[2], 0, 23),
                _day_rule(fields[3], fields[5]),
                _values(fields[4], 1, 12, _MONTHS),
                None if len(fields) == 6 or fields[6] == "*" else _values(fields[6], 1970, 2199, wraps=False),
                time_zone(zone),
            )
        except ValueError as error:
            raise _invalid(cron, str(error)) from None

    def open_at(self, time: datetime) -> bool:
        """Whether it is open at this aware time."""
        local = time.astimezone(self.zone)
        return self._has_day(local.date()) and local.hour in self.hours and local.minute in self.minutes

    def next_open(self, time: datetime, limit: datetime) -> datetime | None:
        """The first time from this one on at which it is open, in UTC; None: there is none up to the limit.

        It is `time` itself, or the beginning of a minute. A century without a window takes a second to go through.
        """
        at, until = time.astimezone(UTC), limit.astimezone(UTC)
        if at <= until and self.open_at(at):
            return at
        at = at.replace(second=0, microsecond=0) + timedelta(minutes=1)
        while at <= until:
            local = at.astimezone(self.zone)
            if not self._has_day(local.date()):
                # The clock may be put on before midnight, so the last hours are gone through by quarters.
                step = (21 - local.hour) * 60 if local.hour < 21 else _QUARTER
                at += timedelta(minutes=step - local.minute % _QUARTER)
            elif local.hour not in self.hours or local.minute not in self.minutes:
                in_hour = local.hour in self.hours
                at += timedelta(minutes=1 if in_hour else _QUARTER - local.minute % _QUARTER)
            else:
                return at
        return None

    def _has_day(self, day: date) -> bool:
        known = self.years is None or day.year in self.years
        return known and day.month in self.months and self.day.has(day)


def _day_rule(in_month: str, in_week: str) -> _DayRule:
    """One of the two fields is `?`: to have both is not implemented in Quartz either."""
    if (in_month == "?") == (in_week == "?"):
        raise ValueError("one of day of month and day of week is ?, and the other is not.")
    return _in_week(in_week) if in_month == "?" else _in_month(in_month)


def _in_month(field: str) -> _DayRule:
    if last := _LAST.fullmatch(field):
        if int(last[1] or 0) > 30:
            raise ValueError(f"{field} is more than 30 days before the last.")
        return _LastDay(int(last[1] or 0), at_work=last[2] is not None)
    if nearest := _NEAREST.fullmatch(field):
        return _Nearest(_value(nearest[1], 1, 31, {}))
    return _InMonth(_values(field, 1, 31))


def _in_week(field: str) -> _DayRule:
    if field == "L":
        return _InWeek(frozenset({_SATURDAY}))
    if last := _LAST_OF.fullmatch(field):
        return _LastOf(_value(last[1], 1, 7, _DAYS))
    if numbered := _NUMBERED.fullmatch(field):
        return _Numbered(_value(numbered[1], 1, 7, _DAYS), _value(numbered[2], 1, 5, {}))
    return _InWeek(_values(field, 1, 7, _DAYS))


def _values(
    field: str, low: int, high: int, names: Mapping[str, int] | None = None, wraps: bool = True
) -> frozenset[int]:
    """What `*`, `5`, `5-8`, `5/10`, `*/10` and lists of them mean. ValueError, in a sentence."""
    found: set[int] = set()
    for element in field.split(","):
        match = _ELEMENT.fullmatch(element)
        if match is None or not element:
            raise ValueError(f"{element[:40]!r} is not understood.")
        base, written = match[1] or "*", match[2]
        step = 1 if written is None else int(written)
        if not 1 <= step <= high:
            raise ValueError(f"the increment of {element} is not from 1 to {high}.")
        first, _, last = base.partition("-")
        start = low if base == "*" else _value(first, low, high, names or {})
        end = _value(last, low, high, names or {}) if last else high if base == "*" or written else start
        if end < start and not wraps:
            raise ValueError(f"{element} ends before it begins.")
        if end < start:  # Quartz goes round: 22-2 is the night, FRI-MON the weekend
            end += high - low + 1
        found |= {(value - low) % (high - low + 1) + low for value in range(start, end + 1, step)}
    return frozenset(found)


def _value(text: str, low: int, high: int, names: Mapping[str, int]) -> int:
    if text in names:
        return names[text]
    if not (text.isascii() and text.isdecimal()) or not low <= int(text) <= high:
        raise ValueError(f"{text[:40]!r} is not from {low} to {high}.")
    return int(text)


def _weekday(day: date) -> int:
    """1 for Sunday to 7 for Saturday."""
    return day.isoweekday() % 7 + 1


def _nearest_weekday(month: date, wanted: int) -> int:
    """The day from Monday to Friday that is next to this one and in the same month."""
    weekday = _weekday(month.replace(day=wanted))
    if weekday == _SATURDAY:
        return wanted + 2 if wanted == 1 else wanted - 1
    if weekday == _SUNDAY:
        return wanted - 2 if wanted == monthrange(month.year, month.month)[1] else wanted + 1
    return wanted


def _invalid(cron: str, why: str) -> Invalid:
    return Invalid(f"cron expression {cron[:200]!r}", why, _FIX)
