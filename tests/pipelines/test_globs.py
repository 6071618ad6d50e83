import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.errors import Invalid
from codeyard.pipelines.globs import Glob

# Each pattern next to the regular expression that it means.
PIECES = st.sampled_from(
    [
        ("a", "a"),
        ("b", "b"),
        ("?", "[^/]"),
        ("[ab]", "[ab]"),
        ("[!a]", "[^a/]"),
        ("[a-c]", "[a-c]"),
        ("{a,b*}", "(?:a|b[^/]*)"),
        ("{,ab}", "(?:|ab)"),
        ("\\*", "\\*"),
        (".", "\\."),
        ("*", "[^/]*"),
        ("[*?]", "[*?]"),
    ]
)
PARTS = st.lists(PIECES, min_size=1, max_size=4).filter(
    lambda pieces: not any(one[0] == other[0] == "*" for one, other in itertools.pairwise(pieces))
)
SEGMENTS = st.lists(PARTS | st.just([("**", "")]), min_size=1, max_size=4)
TEXTS = st.text("ab./*c", max_size=8)


def naive(segments: list[list[tuple[str, str]]], parts: list[str]) -> bool:
    """Each way of dividing the parts of a path among the segments of a pattern, tried in turn."""
    if not segments:
        return not parts
    if segments[0][0][0] == "**":
        if len(segments) == 1:
            return bool(parts)
        return any(naive(segments[1:], parts[taken:]) for taken in range(len(parts) + 1))
    expression = "".join(regex for _, regex in segments[0])
    return bool(parts) and re.fullmatch(expression, parts[0]) is not None and naive(segments[1:], parts[1:])


@given(segments=SEGMENTS, text=TEXTS)
def test_it_means_what_a_naive_matcher_finds(segments: list[list[tuple[str, str]]], text: str) -> None:
    pattern = "/".join("".join(glob for glob, _ in segment) for segment in segments)

    assert Glob.parse(pattern).matches(text) == naive(segments, text.split("/"))


@given(text=st.text("ab/*?[]{},!-\\", max_size=14), path=TEXTS)
def test_any_text_is_a_pattern_or_told(text: str, path: str) -> None:
    try:
        Glob.parse(text).matches(path)
    except Invalid as told:
        assert told.why.endswith(".")  # noqa: PT017 - either is right


@given(text=st.text(min_size=1, max_size=60))
def test_what_is_escaped_means_itself_alone(text: str) -> None:
    glob = Glob.parse("".join("\\" + character for character in text))

    assert glob.matches(text)
    assert not glob.matches(text + "x")


@pytest.mark.parametrize(
    ("pattern", "means", "not_means"),
    [
        ("main", ["main"], ["main2", "Main", "a/main", ""]),
        ("feature*", ["feature", "feature-x"], ["feature/x"]),
        ("feature/**", ["feature/x", "feature/x/y"], ["feature", "features/x"]),
        ("**", ["main", "a/b/c", ".x"], []),
        ("**/x", ["x", "a/x", "a/b/x"], ["ax", "x/a"]),
        ("common/**/*.js", ["common/app.js", "common/a/b/app.js"], ["app.js", "common/app.ts"]),
        ("{src,lib}/*.py", ["src/a.py", "lib/.py"], ["src/a/b.py", "test/a.py"]),
        ("{a/**/,**/b}c", ["a/c", "a/x/c", "bc", "x/bc"], ["c", "a"]),
        ("release-[0-9].[!0]", ["release-1.1"], ["release-1.0", "release-a.1", "release-1./"]),
        ("[-a]", ["-", "a"], ["b"]),
        ("[!-a]", ["b"], ["-", "a"]),
        ("[a-]", ["-", "a"], ["b"]),
        ("[\\]", ["\\"], ["]"]),
        ("a**b", ["ab", "a/b", "axb"], ["a", "b"]),
        ("***", ["a/b"], []),
        ("a},b", ["a},b"], ["a"]),
        ("\\{a\\}", ["{a}"], ["a"]),
    ],
)
def test_the_examples_of_the_syntax(pattern: str, means: list[str], not_means: list[str]) -> None:
    glob = Glob.parse(pattern)

    assert [text for text in means + not_means if glob.matches(text)] == means


@pytest.mark.parametrize(
    "pattern", ["", "x" * 256, "{a", "{a,{b}}", "[", "[a", "[]", "[!]", "[b-a]", "[a/b]", "[.-z/]", "a\\", "{a\\"]
)
def test_what_is_no_pattern_is_told(pattern: str) -> None:
    with pytest.raises(Invalid):
        Glob.parse(pattern)


@pytest.mark.parametrize("pattern", ["*a" * 127, "**/" * 85, "*a" + "?" * 250, "{a*,*a}" * 36, "**a" * 85])
def test_the_worst_patterns_end_on_the_worst_text(pattern: str) -> None:
    glob = Glob.parse(pattern)

    assert not glob.matches("a/aa" * 1024 + "\n/b")
