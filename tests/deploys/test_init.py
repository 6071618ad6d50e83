"""What servers and machines say to each other, there and back, and nothing else."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.artifacts import Digest
from codeyard.deploys import (
    EVENTS,
    MAX_TAIL,
    Assignment,
    ErrorCode,
    EventReport,
    EventStatus,
    Kind,
    assignment_from_json,
    report_from_json,
    report_to_json,
    to_json,
)
from codeyard.errors import Invalid

ONE = Assignment("d-0A1B2C3D4", Kind.RELEASE, Digest("a" * 64), "app", "prod", "g-1", options={"path": "/srv"})
_NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=100)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
_TIMES = st.none() | st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@given(
    st.from_regex("d-[A-Z0-9]{9}", fullmatch=True),
    st.sampled_from(Kind),
    _NAMES,
    st.dictionaries(_NAMES, _TEXTS.filter(lambda text: "\0" not in text), max_size=5),
)
def test_an_assignment_comes_back_as_it_went(id: str, kind: Kind, name: str, options: dict[str, str]) -> None:
    sent = Assignment(id, kind, Digest("b" * 64), name, name, "g_2", "codeDeployRollback", options)

    assert assignment_from_json(json.loads(json.dumps(to_json(sent)))) == sent


@given(st.sampled_from(EventStatus), st.sampled_from(ErrorCode), _TIMES, _TEXTS)
def test_a_report_comes_back_as_it_went(status: EventStatus, code: ErrorCode, at: datetime | None, text: str) -> None:
    sent = EventReport(EVENTS[Kind.IN_PLACE][0], status, at, at, code, text, text, text)

    assert report_from_json(json.loads(json.dumps(report_to_json(sent)))) == sent


@pytest.mark.parametrize(
    "change",
    [
        {"deployment": "d-0A1B2C3D"},
        {"deployment": "../../etc"},
        {"deployment": None},
        {"kind": "CANARY"},
        {"tree": "abc"},
        {"application": ""},
        {"application": "a\nb"},
        {"group": "x" * 101},
        {"groupId": "../g"},
        {"groupId": ""},
        {"options": {"path": 3}},
        {"options": []},
        {"options": {"path": "a\0b"}},
        {"options": {f"o{number}": "" for number in range(33)}},
    ],
)
def test_an_assignment_of_another_form_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        assignment_from_json({**to_json(ONE), **change})


@pytest.mark.parametrize(
    "change",
    [{"name": "Explode"}, {"status": "Good"}, {"errorCode": "Oops"}, {"started": "now"}, {"ended": -1}, {"message": 1}],
)
def test_a_report_of_another_form_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        report_from_json({**report_to_json(EventReport("Install", EventStatus.SUCCEEDED)), **change})


@pytest.mark.parametrize("found", [None, [], "text", 3])
def test_what_is_no_object_is_refused(found: object) -> None:
    for read in (assignment_from_json, report_from_json):
        with pytest.raises(Invalid):
            read(found)


def test_a_long_tail_is_cut_at_its_beginning() -> None:
    sent = EventReport("Install", EventStatus.FAILED, log_tail="x" * 5000 + "end")

    assert report_from_json(report_to_json(sent)).log_tail == "x" * (MAX_TAIL - 3) + "end"
