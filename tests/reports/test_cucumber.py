import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.errors import Invalid
from codeyard.reports.cucumber import parse_cucumber
from codeyard.reports.model import CaseStatus, TestCase

SUCCEEDED, FAILED, ERROR, SKIPPED, UNKNOWN = CaseStatus


def parse(value: object) -> list[TestCase]:
    return list(parse_cucumber(json.dumps(value).encode(), "c.json"))


def scenario(*statuses: str, **more: object) -> dict[str, object]:
    steps = [{"keyword": "When ", "name": "I pay", "result": {"status": status}} for status in statuses]
    return {"type": "scenario", "keyword": "Scenario", "name": "Pays", "steps": steps, **more}


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (["passed", "passed"], SUCCEEDED),
        (["passed", "failed", "skipped"], FAILED),
        (["undefined", "failed"], FAILED),
        (["passed", "undefined", "skipped"], ERROR),
        (["ambiguous"], ERROR),
        (["passed", "pending", "skipped"], SKIPPED),
        (["skipped"], SKIPPED),
        (["passed", "unknown"], UNKNOWN),
        (["unknown", "skipped"], SKIPPED),
        ([], UNKNOWN),
    ],
)
def test_the_worst_step_decides(statuses: list[str], status: CaseStatus) -> None:
    (case,) = parse([{"name": "Shop", "elements": [scenario(*statuses)]}])

    assert case.status is status


def test_a_hook_that_fails_fails_its_scenario() -> None:
    after = [{"result": {"status": "failed", "error_message": "no disk"}}]
    (case,) = parse([{"elements": [scenario("passed", after=after)]}])

    assert (case.status, case.message) == (FAILED, "failed\nno disk")


def test_a_background_counts_for_the_next_scenario_only() -> None:
    background = {**scenario("failed"), "type": "background"}
    cases = parse([{"elements": [background, scenario("skipped"), scenario("passed")]}])

    assert [case.status for case in cases] == [FAILED, SUCCEEDED]


@pytest.mark.parametrize(
    ("duration", "expected"),
    [(1500000, 1500000), (1e6, 1000000), (0.0015, 1500000), (-1, 0), (1e300, 0), ("5", 0), (None, 0), (True, 0)],
)
def test_durations_are_nanoseconds_but_seconds_where_they_have_a_fraction(duration: object, expected: int) -> None:
    step = {"result": {"status": "passed", "duration": duration}}
    (case,) = parse([{"elements": [scenario(steps=[step])]}])

    assert case.duration_ns == expected


@pytest.mark.parametrize("value", [{}, "features", [1], [{"elements": {}}], 5, None])
def test_what_is_no_list_of_features_is_refused(value: object) -> None:
    with pytest.raises(Invalid, match="it is not CUCUMBERJSON"):
        parse(value)


def test_a_message_of_lines_is_joined() -> None:
    step = {"keyword": "When", "name": "x", "result": {"status": "failed", "error_message": ["a", 1, "b"]}}
    (case,) = parse([{"elements": [scenario(steps=[step])]}])

    assert case.message == "failed: When x\na\nb"


keys = st.sampled_from(["name", "elements", "steps", "before", "result", "status", "duration", "type", "error_message"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["passed", "failed", "background"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=25,
)


@given(st.lists(st.dictionaries(keys, values, max_size=4), max_size=3))
def test_whatever_the_json_is_it_is_read_or_refused(features: list[dict[str, object]]) -> None:
    data = json.dumps([{**feature, "elements": feature.get("elements") or []} for feature in features]).encode()
    try:
        found = all(isinstance(case, TestCase) for case in parse_cucumber(data, "c.json"))
    except Invalid:
        found = True

    assert found
