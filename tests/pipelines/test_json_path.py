from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.pipelines.json_path import BadPath, JsonPath, TooLarge

PUSH = {
    "ref": "refs/heads/main",
    "repository": {"full_name": "o/r", "owner": {"name": "o"}},
    "commits": [{"id": "1", "added": ["a", "b"]}, {"id": "2", "added": []}],
    "it's": {"a.b": 1},
}
NAMES = st.sampled_from(["a", "b", "c d", "é", "x.y", "'"])
DOCUMENTS = st.recursive(
    st.integers(0, 5) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)
STEPS = st.lists(NAMES | st.integers(-3, 2), max_size=4)


def naive(document: Any, steps: list[Any]) -> list[Any]:
    for step in steps:
        if isinstance(document, list) != isinstance(step, int) or not isinstance(document, list | dict):
            return []
        if step not in (range(-len(document), len(document)) if isinstance(document, list) else document):
            return []
        document = document[step]
    return [document]


def written(step: str | int) -> str:
    return f"[{step}]" if isinstance(step, int) else "['{}']".format(step.replace("'", "\\'"))


@given(document=DOCUMENTS, steps=STEPS)
def test_names_and_indexes_lead_where_they_say(document: Any, steps: list[str | int]) -> None:
    assert JsonPath.parse("$" + "".join(map(written, steps))).select(document) == naive(document, steps)


@given(path=st.text("$.[]'\"*0a-:,?(@\\ ", min_size=1, max_size=12), document=DOCUMENTS)
def test_any_text_is_a_path_or_told(path: str, document: Any) -> None:
    try:
        JsonPath.parse(path).select(document)
    except BadPath as told:
        assert str(told).endswith(".")  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", [PUSH]),
        ("$.ref", ["refs/heads/main"]),
        ("ref", ["refs/heads/main"]),
        ("$['ref']", ["refs/heads/main"]),
        ('$["repository"].full_name', ["o/r"]),
        ("$.repository['owner']['name']", ["o"]),
        ("$.commits[0].id", ["1"]),
        ("$.commits[-1].id", ["2"]),
        ("$.commits[2].id", []),
        ("$.commits[*].id", ["1", "2"]),
        ("$.commits.*.id", ["1", "2"]),
        ("$.commits[0, 1].id", ["1", "2"]),
        ("$.commits[1:].id", ["2"]),
        ("$.commits[:-1].id", ["1"]),
        ("$.commits..id", ["1", "2"]),
        ("$..name", ["o"]),
        ("$..added[0]", ["a"]),
        ("$..['full_name']", ["o/r"]),
        ("$['it\\'s']['a.b']", [1]),
        ("$.ref.nothing", []),
        ("$.ref[0]", []),
        ("$.commits.id", []),
    ],
)
def test_a_path_selects_what_jayway_s_does(path: str, found: list[Any]) -> None:
    selected = JsonPath.parse(path).select(PUSH)

    assert sorted(map(repr, selected)) == sorted(map(repr, found))


@pytest.mark.parametrize(
    "path",
    [
        *["", "$.", "$..", "$.a.", "$a", "$[", "$[a]", "$['a", "$['a','b']", "$[?(@.a)]", "$.a.length()"],
        *["$. a", "x" * 1001, "$[1234567890]", "$[٣]"],
    ],
)
def test_what_is_no_path_is_told(path: str) -> None:
    with pytest.raises(BadPath):
        JsonPath.parse(path)


@pytest.mark.parametrize("path", ["$" + "..*" * 40, "$" + "..a" * 40, "$" + "[*]" * 40])
def test_a_hostile_path_ends_on_a_hostile_document(path: str) -> None:
    document: Any = {}
    for _ in range(400):
        document = {"a": document, "b": [document]}

    try:
        found = JsonPath.parse(path).select(document)
    except TooLarge:
        found = []
    assert len(found) <= 1200
