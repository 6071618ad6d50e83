"""Tag filters and tag sets, as CodeDeploy's guide has them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.deploys.selection import Filter, Match, Selection, filter_of, selection_json, selection_of

TAGS = {"role": "web", "env": "prod"}


@pytest.mark.parametrize(
    ("given_filter", "selects"),
    [
        ({"Key": "role", "Value": "web", "Type": "KEY_AND_VALUE"}, True),
        ({"Key": "role", "Value": "db", "Type": "KEY_AND_VALUE"}, False),
        ({"Key": "role", "Type": "KEY_ONLY"}, True),
        ({"Key": "web", "Type": "KEY_ONLY"}, False),
        ({"Value": "prod", "Type": "VALUE_ONLY"}, True),
        ({"Value": "env", "Type": "VALUE_ONLY"}, False),
        ({"Key": "role", "Value": "web"}, True),
    ],
)
def test_a_filter_looks_at_what_its_type_says(given_filter: dict[str, Any], selects: bool) -> None:
    found = filter_of(given_filter)

    assert found is not None
    assert found.selects(TAGS) is selects


@pytest.mark.parametrize("broken", [{}, {"Type": "KEY_ONLY"}, {"Key": "a", "Type": "NO"}, {"Key": "k" * 129}])
def test_a_filter_that_could_select_nothing_is_none(broken: dict[str, Any]) -> None:
    assert filter_of(broken) is None


def test_lists_are_alternatives_within_and_conditions_among_each_other() -> None:
    web, db = Filter(Match.KEY_AND_VALUE, "role", "web"), Filter(Match.KEY_AND_VALUE, "role", "db")
    prod = Filter(Match.KEY_AND_VALUE, "env", "prod")

    assert Selection((((web, db), (prod,)),)).selects(TAGS)
    assert not Selection((((db,), (prod,)),)).selects(TAGS)
    assert Selection((((db,),), ((prod,),))).selects(TAGS)
    assert not Selection().selects(TAGS)
    assert not Selection(((),)).selects(TAGS)


filters = st.builds(Filter, st.sampled_from(Match), st.text(max_size=3), st.text(max_size=3))
lists = st.lists(st.lists(filters, min_size=1, max_size=3).map(tuple), max_size=3).map(tuple)


@given(st.lists(lists, max_size=3).map(tuple), st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3))
def test_what_is_stored_of_a_selection_selects_the_same(found: Any, tags: dict[str, str]) -> None:
    """And another alternative never selects less."""
    selection = Selection(found)

    assert selection_of(selection_json(selection)) == selection
    assert not selection.selects(tags) or Selection((*found, ((Filter(Match.KEY_ONLY, "x"),),))).selects(tags)
