"""Values as the members of AWS's shapes, and back."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.builds.members import from_members, read_members, to_members


class Colour(StrEnum):
    RED = "RED"


@dataclass(frozen=True, slots=True)
class Inner:
    v_cpu: int
    colour: Colour | None = None


@dataclass(frozen=True, slots=True)
class Outer:
    s3_logs: Inner
    at: datetime
    many: tuple[Inner, ...] = ()
    words: tuple[str, ...] | None = None
    on: bool = False


AT = datetime(2026, 1, 2, tzinfo=UTC)
INNER = st.builds(Inner, st.integers(), st.none() | st.just(Colour.RED))


def test_names_are_in_camel_case_and_what_is_none_is_left_out() -> None:
    value = Outer(Inner(2, Colour.RED), AT, (Inner(3),))

    assert to_members(value) == {
        "s3Logs": {"vCpu": 2, "colour": "RED"},
        "at": AT,
        "many": [{"vCpu": 3}],
        "on": False,
    }


@given(st.builds(Outer, INNER, st.just(AT), st.lists(INNER).map(tuple), st.none() | st.just(("a",)), st.booleans()))
def test_what_was_written_is_read_back_the_same(value: Outer) -> None:
    assert from_members(Outer, to_members(value)) == value


def test_only_what_is_given_is_read_and_null_is_not_given() -> None:
    assert read_members(Outer, {"on": True, "words": None, "other": 1}) == {"on": True}


def test_a_missing_member_and_an_unknown_enum_are_refused() -> None:
    with pytest.raises(Refused, match="vCpu is required"):
        from_members(Inner, {"colour": "RED"})
    with pytest.raises(Refused, match="Invalid type provided: BLUE"):
        from_members(Inner, {"vCpu": 1, "colour": "BLUE"})
