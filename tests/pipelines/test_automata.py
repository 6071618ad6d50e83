import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.pipelines.automata import ANYTHING, Automaton, Char, Either, Node, One, Ranges, Repeat, Row, size

# Each tree next to the regular expression that it is.
LEAVES: st.SearchStrategy[tuple[Node, str]] = st.sampled_from(
    [
        (One(Char("a")), "a"),
        (One(Char("b")), "b"),
        (One(ANYTHING), "."),
        (One(Ranges((("a", "b"),), inverted=True)), "[^a-b]"),
        (Row(()), "(?:)"),
    ]
)
COUNTS = st.sampled_from([(0, None), (1, None), (0, 1), (2, 2), (1, 3), (0, 0), (2, None)])


def larger(trees: st.SearchStrategy[tuple[Node, str]]) -> st.SearchStrategy[tuple[Node, str]]:
    several = st.lists(trees, min_size=1, max_size=3)
    return st.one_of(
        several.map(lambda found: (Row(tuple(node for node, _ in found)), "".join(text for _, text in found))),
        several.map(
            lambda found: (Either(tuple(node for node, _ in found)), f"(?:{'|'.join(text for _, text in found)})")
        ),
        st.tuples(trees, COUNTS).map(
            lambda found: (
                Repeat(found[0][0], *found[1]),
                f"(?:{found[0][1]}){{{found[1][0]},{'' if found[1][1] is None else found[1][1]}}}",
            )
        ),
    )


TREES = st.recursive(LEAVES, larger, max_leaves=6)


@given(tree=TREES, text=st.text("abc", max_size=6))
def test_it_matches_what_python_s_own_does(tree: tuple[Node, str], text: str) -> None:
    assert Automaton(tree[0]).matches(text) == (re.fullmatch(tree[1], text, re.DOTALL) is not None)


@given(tree=TREES)
def test_its_size_is_never_more_than_was_foretold(tree: tuple[Node, str]) -> None:
    assert Automaton(tree[0]).states <= size(tree[0])


@pytest.mark.parametrize("most", [None, 40])
def test_repetitions_within_repetitions_do_not_take_exponential_time(most: int | None) -> None:
    tree = Repeat(Repeat(Either((One(Char("a")), One(ANYTHING))), 0, most), 0, most)

    assert not Automaton(Row((tree, One(Char("b"))))).matches("a" * 2000)
