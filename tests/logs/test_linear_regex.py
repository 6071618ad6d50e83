import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.logs.linear_regex import BadRegex, LinearRegex

ATOM = st.sampled_from(["a", "b", "c", ".", "[ab]", "[^a]", "[a-c]", "\\d", "\\W", "\\x61", "\\.", "1"])
REPEAT = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,}", "{0,2}"])
ROW = st.tuples(st.booleans(), st.lists(st.builds("{}{}".format, ATOM, REPEAT), max_size=5), st.booleans()).map(
    lambda row: ("^" if row[0] else "") + "".join(row[1]) + ("$" if row[2] else "")
)
EXPRESSION = st.lists(ROW, min_size=1, max_size=3).map("|".join)


@given(expression=EXPRESSION, text=st.text("abc1. ", max_size=12))
def test_it_finds_what_python_s_own_finds(expression: str, text: str) -> None:
    assert LinearRegex(expression).search(text) == (re.search(expression, text) is not None)


@pytest.mark.parametrize("expression", ["(a)", "a**", "[a", "a{", "a{2,1}", "a$b", "!", "é", "\\q", "a{9999}", "\\x1"])
def test_what_is_not_supported_is_told(expression: str) -> None:
    with pytest.raises(BadRegex):
        LinearRegex(expression)


@given(expression=st.text("ab|*+?{}[]^$\\.,12-(", max_size=12))
def test_any_text_is_an_expression_or_told(expression: str) -> None:
    try:
        LinearRegex(expression).search("ab12")
    except BadRegex as told:
        assert str(told).endswith(".")  # noqa: PT017 - either is right


def test_a_mebibyte_is_searched_in_time_for_the_worst_expression() -> None:
    regex = LinearRegex("a*a*a*a*a*a*b")
    began = time.monotonic()
    found = regex.search("a" * (1 << 20))

    assert not found
    assert time.monotonic() - began < 5
