"""Variables in paths and names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.artifacts import Selection
from codeyard.builds.expansion import below, expand_selection, expand_text, names_in, texts_of

PATHS = st.text("ab/.$", max_size=12)


def test_names_are_found_once_in_order() -> None:
    assert names_in(["$B/${A}", "${B}x$_1", "$$ $1 ${} ${A-x} $(id)"]) == ("B", "A", "_1")


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$A", "one"), ("${A}b", "oneb"), ("$Ab", ""), ("$NONE/x", "/x"), ("$(A)", "$(A)"), ("$1", "$1"),
        ("${A", "${A"), ("$A$A", "oneone"), ("\\$A", "\\one"), ("$B", "$A"),
    ],
)  # fmt: skip
def test_only_names_are_replaced_and_values_are_not_looked_at_again(text: str, expanded: str) -> None:
    assert expand_text(text, {"A": "one", "B": "$A"}) == expanded


@given(PATHS, PATHS)
def test_what_is_below_is_relative_and_all_else_is_as_it_was(path: str, inside: str) -> None:
    root = f"/{inside.strip('/')}x"

    assert below(f"{root}/{path}", root) == path
    assert below(root, root) == "."
    assert below(path, "/else") == path
    assert below(f"{root}er/{path}", root) == f"{root}er/{path}"


@given(st.text("ab$/{}", max_size=20))
def test_a_text_without_names_stays(text: str) -> None:
    assert expand_text(text, {}) == text or names_in([text])


def test_a_selection_is_expanded_in_every_part() -> None:
    selection = Selection(("$A/x", "/src/y", "/other/z"), base_directory="$A", exclude_paths=("$A/**",))
    found = expand_selection(selection, {"A": "/src"}, "/src")

    assert (found.files, found.base_directory, found.exclude_paths) == (("x", "y", "/other/z"), ".", ("**",))


def test_the_texts_of_a_selection_are_all_that_may_hold_variables() -> None:
    selection = Selection(("$A",), base_directory="$B", exclude_paths=("$C",))

    assert names_in(texts_of(selection)) == ("A", "B", "C")
