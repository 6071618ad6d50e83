"""What AWS accepts is accepted, what it rejects is rejected with the same type of error: a table, rule by rule."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.pipelines.model import parse
from tests.pipelines.accepted_definitions import ACCEPTED, Good
from tests.pipelines.documents import accepted
from tests.pipelines.rejected_definitions import REJECTED, Bad

_NAMES = ("Source", "Second", "Built", "Git", "main", "V1", "V2", "RETRY", "SKIP", "AWS", "Custom", "CodeBuild")
_TEXTS = ("", "#{Git.ETag}", "#{variables.TARGET}", "#{", "#{a}", "true", "[]", "{}", "[1]", "\0", "💥", "x" * 1200)
_JUNK: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(_NAMES + _TEXTS),
    st.sampled_from([None, True, 0, -1, 7, 10**30, 1.5, [], {}, [None], [{}], {"": ""}]),
)


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: f"{case.section}: {case.what}")
def test_what_aws_accepts_is_accepted_and_again_as_it_was_stored(case: Good) -> None:
    stored = accepted(case.definition)

    assert accepted(stored) == stored


@pytest.mark.parametrize("case", REJECTED, ids=lambda case: f"{case.section}: {case.what}")
def test_what_aws_rejects_is_rejected_with_its_type_of_error(case: Bad) -> None:
    with pytest.raises(Refused) as refused:
        accepted(case.definition)

    assert (refused.value.code, case.text in refused.value.message) == (case.error, True), refused.value.message


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in it with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


def mutated(definition: Any, draw: st.DrawFn) -> None:
    """Changed at one place: taken away, doubled, exchanged for another part of it or for anything."""
    found = places(definition)
    if not found:
        return
    container, key = draw(st.sampled_from(found))
    kind = draw(st.sampled_from(["remove", "replace", "exchange", "repeat"]))
    if kind == "remove":
        del container[key]
    elif kind == "replace":
        container[key] = copy.deepcopy(draw(_JUNK))
    elif kind == "exchange":
        other, at = draw(st.sampled_from(found))
        container[key] = copy.deepcopy(other[at])
    elif isinstance(container, list):
        container.append(copy.deepcopy(container[key]))


@st.composite
def mutations(draw: st.DrawFn) -> Any:
    """An accepted definition, or its stored form, with a few changes."""
    definition = copy.deepcopy(draw(st.sampled_from(ACCEPTED)).definition)
    if draw(st.booleans()):
        definition = accepted(definition)
    for _ in range(draw(st.integers(1, 4))):
        mutated(definition, draw)
    return definition


@settings(max_examples=150)
@given(mutations())
def test_whatever_is_sent_is_refused_or_stored_so_that_it_is_accepted_again_unchanged(definition: Any) -> None:
    try:
        stored = accepted(definition)
    except Refused:
        return

    assert accepted(stored) == stored
    assert parse(stored).stages
