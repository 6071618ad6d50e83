from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.console.words import State, ago, build_state, counted, duration, phase_state, took

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (-3, "0 s"), (59.9, "59 s"), (60, "1 min 00 s"), (3599, "59 min 59 s"), (3661, "1 h 01 min"),
     (97200, "1 d 3 h")],
)  # fmt: skip
def test_a_duration_is_cut_to_two_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "just now"), (44, "just now"), (60, "1 min ago"), (150, "2 min ago"), (7200, "2 h ago"), (90000, "yesterday"),
     (260000, "3 days ago"), (86400 * 40, "2026-10-11")],
)  # fmt: skip
def test_a_moment_is_told_by_its_distance_and_then_by_its_date(seconds: float, text: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == text


@given(st.floats(0, 1e9))
def test_what_a_duration_says_is_less_than_a_unit_too_short(seconds: float) -> None:
    words = duration(seconds).split()
    units = [{"s": 1, "min": 60, "h": 3600, "d": 86400}[word] for word in words[1::2]]
    said = sum(int(number) * unit for number, unit in zip(words[::2], units, strict=True))

    assert 0 <= seconds - said < units[-1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.04, "0.0 s"), (0.42, "0.4 s"), (9.94, "9.9 s"), (9.96, "9 s"), (61, "1 min 01 s")],
)
def test_what_took_seconds_is_told_to_the_tenth(seconds: float | None, text: str) -> None:
    assert took(seconds) == text


@given(st.dictionaries(st.sampled_from(["buildStatus", "currentPhase", "phaseType", "phaseStatus"]), st.text()))
def test_whatever_is_told_of_a_build_it_stands_somehow(shape: dict[str, str]) -> None:
    assert build_state(shape) in State
    assert phase_state(shape) in State


def test_a_build_in_progress_is_queued_or_running() -> None:
    waiting = {"buildStatus": "IN_PROGRESS", "currentPhase": "QUEUED"}

    assert build_state(waiting) is State.QUEUED
    assert build_state(waiting | {"currentPhase": "BUILD"}) is State.RUNNING
    assert build_state({"buildStatus": "TIMED_OUT", "currentPhase": "QUEUED"}) is State.TIMED_OUT
    assert State.TIMED_OUT.label == "Timed out"
    assert not State.QUEUED.over


def test_numbers_are_told_with_their_noun() -> None:
    assert [counted(number, "build") for number in (0, 1, 1234)] == ["0 builds", "1 build", "1,234 builds"]
