"""Places are right, and hostile text is refused quickly."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from codeyard import located_yaml
from codeyard.located_yaml import Cursor, Mapping, Scalar, Sequence, read


def test_each_value_knows_its_line_and_column() -> None:
    document = read("a: 1\nb:\n  - x\n  - 'y'\nc: {d: |\n}")
    assert document.root is None  # a block scalar cannot stand in braces

    root = read("a: 1\nb:\n  - x\n  - 'y'\nc: |\n  one\n  two\n").root
    assert isinstance(root, Mapping)
    assert [(key.text, key.line, key.column) for key, _ in root.entries] == [("a", 1, 1), ("b", 2, 1), ("c", 5, 1)]
    items = root.entries[1][1]
    assert isinstance(items, Sequence)
    assert items.items == (Scalar("x", 3, 5, "", 3), Scalar("y", 4, 5, "'", 4))
    block = root.entries[2][1]
    assert isinstance(block, Scalar)
    assert (block.text, block.line, block.column, block.style) == ("one\ntwo\n", 5, 4, "|")


def test_scalars_keep_the_text_that_stood_there() -> None:
    root = read("[1.10, yes, 0x1F, ~, 2024-01-01, '~', !!str 5]").root
    assert isinstance(root, Sequence)
    texts = [(item.text, item.is_null) for item in root.items if isinstance(item, Scalar)]
    assert texts == [
        ("1.10", False),
        ("yes", False),
        ("0x1F", False),
        ("~", True),
        ("2024-01-01", False),
        ("~", False),
        ("5", False),
    ]


def test_merge_keys_give_what_is_not_given() -> None:
    root = read("a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: 3\n").root
    assert isinstance(root, Mapping)
    merged = root.entries[2][1]
    assert isinstance(merged, Mapping)
    values = {key.text: value.text for key, value in merged.entries if isinstance(value, Scalar)}
    assert values == {"x": "3", "y": "1", "z": "2"}


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 20)
)


@pytest.mark.parametrize(
    ("text", "what", "line", "column"),
    [
        (LAUGHS, "more than 50000 values", 5, 25),
        ("- x\n" * 60_000, "more than 50000 values", 50_000, 3),
        ("[" * 100_000, "nested more than 64 deep", 1, 66),
        ("- " * 100_000, "nested more than 64 deep", 1, 131),
        ("".join(f"{' ' * n}a:\n" for n in range(100)), "nested more than 64 deep", 65, 65),
        ("a" * 2_000_000, "the text has 2000000 characters", 0, 0),
        ("a: &a [*a]", "found undefined alias a", 1, 8),
        ("a: !!python/object/apply:os.system [id]", "tag !!python/object/apply:os.system", 1, 4),
        ("a: 1\n? [b]\n: 2", "a key that is not a plain value", 2, 3),
        ("a: 1\n<<: 2", "<< needs a mapping", 2, 1),
        ("a: 1\nb: 2\na: 3", "mapping key a already defined at line 1", 3, 1),
        ("a: \x00", "control characters are not allowed", 1, 4),
        ("a: 1\u2028b: \ud800", "control characters are not allowed", 2, 4),
        ('a: "\\0"', "character U+0000 in a value", 1, 4),
        ("%YAML 1.1\n%YAML 1.1\n---\na", "found duplicate %YAML directive", 2, 1),
        ("a: 'x", "found unexpected end of stream", 1, 6),
        ("--- a\n--- b", "a second document starts", 2, 1),
    ],
)
@pytest.mark.timeout(10)
def test_this_is_refused_at_its_place(text: str, what: str, line: int, column: int) -> None:
    mistakes = read(text).mistakes
    assert [(m.line, m.column) for m in mistakes if what in m.what] == [(line, column)], mistakes


@pytest.mark.parametrize("text", ["? " * 500_000, "a: |\n" + " x\n" * 300_000, "'a' " * 200_000, "#" * 1_000_000])
@pytest.mark.timeout(10)
def test_odd_text_is_read_or_refused_quickly(text: str) -> None:
    read(text)


@pytest.mark.parametrize("text", ["", "# nothing", "---\n", "\ufeff"])
def test_no_value_is_no_mistake_here(text: str) -> None:
    document = read(text)
    assert (document.mistakes, Cursor.root(document).given) == ((), False)


def test_a_cursor_goes_on_after_a_mistake() -> None:
    root = Cursor.root(read("a: [1]\nb: {c: d}\ne: f"))
    keys = root.block("a", "b", "e")

    assert (keys["a"].text(), keys["b"].text(), keys["e"].text()) == (None, None, "f")
    assert [(m.line, m.column, m.what) for m in root.findings.mistakes] == [
        (1, 4, "Cannot unmarshal list to string"),
        (2, 4, "Cannot unmarshal map to string"),
    ]


def test_the_slow_loader_agrees_with_the_fast_one(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: 1\nb: &x\n  - 'y'\nc: *x\nd: |\n  one\n"
    fast = read(text)
    monkeypatch.setattr(located_yaml, "_LOADER", yaml.SafeLoader)

    assert read(text).root == fast.root
    assert read("a: b: c").mistakes[0].what == "mapping values are not allowed in this context at line 1"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abc: -#'\"{}[]\n", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
@settings(max_examples=100, deadline=None)
def test_what_yaml_writes_is_read_as_yaml_reads_it(value: object) -> None:
    text = yaml.safe_dump(value)
    assert _texts(read(text).root) == _strings(yaml.compose(text, Loader=yaml.SafeLoader))


@given(st.text(max_size=100) | st.text("{}[]&*!|>'\"%@`:-#? \n\tab", max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_has_a_mistake_within_it(text: str) -> None:
    document = read(text)
    assert all(0 <= mistake.line <= max(len(document.lines), 1) for mistake in document.mistakes)


def _texts(node: object) -> object:
    if isinstance(node, Mapping):
        return {key.text: _texts(value) for key, value in node.entries}
    if isinstance(node, Sequence):
        return [_texts(item) for item in node.items]
    return node.text if isinstance(node, Scalar) else None


def _strings(node: yaml.Node | None) -> object:
    if isinstance(node, yaml.MappingNode):
        return {key.value: _strings(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_strings(item) for item in node.value]
    return node.value if node is not None else None
