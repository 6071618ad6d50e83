import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.pipelines.java_regex import BadRegex, JavaRegex

ATOMS = st.sampled_from(
    ["a", "b", "A", ".", "[ab]", "[^a]", "[a-c]", "\\d", "\\W", "\\x61", "\\.", "1", "[^\\d]", "\\s", "[]a]", "[a-]"]
)
REPEATS = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,}", "{0,2}", "*?", "??"])


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.builds("({}){}".format, inner, REPEATS),
        st.builds("(?:{}|{})".format, inner, inner),
        st.builds("(?i:{})".format, inner),
    )


EXPRESSIONS = st.recursive(st.builds("{}{}".format, ATOMS, REPEATS), larger, max_leaves=6)


@given(expression=EXPRESSIONS, text=st.text("abcA1. \n", max_size=8))
def test_it_matches_what_python_s_own_does(expression: str, text: str) -> None:
    assert JavaRegex(expression).matches(text) == (re.fullmatch(expression, text, re.ASCII) is not None)


@given(expression=st.text("ab|*+?{}[]^$\\.,12-(:i)&QEp", max_size=14))
def test_any_text_is_an_expression_or_told(expression: str) -> None:
    try:
        JavaRegex(expression).matches("ab12")
    except BadRegex as told:
        assert str(told).endswith(".")  # noqa: PT017 - either is right


@given(text=st.text(max_size=20).filter(lambda text: "\\E" not in text))
def test_what_is_quoted_matches_itself(text: str) -> None:
    assert JavaRegex(f"\\Q{text}\\E").matches(text)


@pytest.mark.parametrize(
    ("expression", "matches", "not_matches"),
    [
        ("^main$", ["main"], ["main\n", "amain"]),
        ("(^main$)|(^dev$)", ["main", "dev"], ["maindev"]),
        ("^(?:a|b)$|c", ["a", "b", "c"], ["ac"]),
        ("\\Aa\\z", ["a"], ["a\n"]),
        ("(?<name>a)b", ["ab"], ["a"]),
        ("(?i)MAIN", ["main", "MaIn"], ["máin"]),
        ("(?i)[^a]", ["b", "1"], ["a", "A"]),
        ("(?i)a(?-i)b", ["Ab", "ab"], ["aB"]),
        ("((?i)a)b", ["Ab"], ["AB"]),
        (".", ["a", "é"], ["\n", "\r", "\u2028", ""]),
        ("(?s).", ["a", "\n"], []),
        ("[a-z&&[^bc]]", ["a", "d"], ["b", "c", "&"]),
        ("[a-c[x-z]]", ["b", "y"], ["d", "["]),
        ("[a&b]", ["&"], ["c"]),
        ("\\p{L}+", ["aé", "Ж"], ["1", ""]),
        ("\\p{Lu}\\pL", ["Éa"], ["éa"]),
        ("\\p{Alpha}\\P{Digit}", ["ab"], ["a1", "éa"]),
        ("\\u0041\\x42", ["AB"], ["ab"]),
        ("\\Qa.b\\E+", ["a.bb"], ["axb", "a.ba.b"]),
        ("a{2,3}", ["aa", "aaa"], ["a", "aaaa"]),
        ("\\s", ["\x0b", " "], ["\u00a0"]),
        ("", [""], ["a"]),
        ("a]", ["a]"], ["a"]),
    ],
)
def test_it_matches_as_java_does(expression: str, matches: list[str], not_matches: list[str]) -> None:
    regex = JavaRegex(expression)

    assert [text for text in matches + not_matches if regex.matches(text)] == matches


@pytest.mark.parametrize(
    "expression",
    [
        *"( ) a) * a** a++ a{2 a{2,1} a{9999} (a{100}){100} (?=a) (?<!a) (?>a) (?x)a (a)\\1 \\k<n> \\b a^b".split(),
        *"a$b (a$)b \\ [a [ [b-a] \\x1 \\u00 \\p{Nope} \\p [a&&] [\\w-a&& (?i (? a*^b ^* (?<1>a)".split(),
        *["(" * 60 + ")" * 60, "[" * 60 + "a" + "]" * 60, "((()){1000}){1000}"],
    ],
)
def test_what_is_not_supported_is_told(expression: str) -> None:
    with pytest.raises(BadRegex):
        JavaRegex(expression)


@pytest.mark.parametrize("expression", ["(a+)+b", "(a|aa)*b", "(.*)*.*b", "(a|a)*b", "(a*)*b", "([a-z]+)*b"])
def test_the_worst_expressions_end(expression: str) -> None:
    assert not JavaRegex(expression).matches("a" * 100_000)
