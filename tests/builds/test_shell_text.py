"""Commands are cut where a shell would cut them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.builds.shell_text import split


@pytest.mark.parametrize(
    ("command", "statements"),
    [
        ("make", ["make"]),
        ("a && b || c; d | e & f", ["a", "b", "c", "d", "e", "f"]),
        ("a\nb\n\n", ["a", "b"]),
        ("a \\\n  b", ["a b"]),
        (
            "echo 'a; b' \"c && d\" `e; f` $(g; h | (i; j)) ${k:-;}",
            ["echo 'a; b' \"c && d\" `e; f` $(g; h | (i; j)) ${k:-;}"],
        ),
        ("a # b; c\nd", ["a", "d"]),
        ("a#b; c", ["a#b", "c"]),
        ("cat <<EOF; a\nb; c\nEOF\nd", ["cat <<EOF", "a", "d"]),
        ("cat <<-'END' > f\nb; c\n\tEND\nd", ["cat <<-'END' > f", "d"]),
        ("make 2>&1 >x &>y", ["make 2>&1 >x &>y"]),
        ("if [ a ]; then b; else c; fi; d", ["[ a ]", "b", "c", "d"]),
        ("f() { a; b; }; c", ["a", "b", "c"]),
        ("case $x in\n a) b;;\nesac", ["$x in", "a", "b"]),
        ("(a; b) && c", ["a", "b", "c"]),
        ("echo 'open; a", ["echo 'open", "a"]),
    ],
)
def test_the_statements_are(command: str, statements: list[str]) -> None:
    assert [statement.text for statement in split(command)] == statements


@pytest.mark.parametrize(
    ("command", "nested"),
    [
        ("if a; then b; fi; c", [True, True, False]),
        ("while a; do b; done\nc", [True, True, False]),
        ("(a; b); c", [True, True, False]),
        ("{ a; }; c", [True, False]),
        ("f() {\n a\n}\nc", [True, False]),
        ("case x in a) b;; c) d;; esac; e", [True, True, True, True, False]),
        ("echo if; a", [False, False]),
    ],
)
def test_what_stands_inside_something_is_nested(command: str, nested: list[bool]) -> None:
    assert [statement.nested for statement in split(command)] == nested


def test_each_statement_knows_its_line_and_its_neighbours() -> None:
    statements = split("a |\n b\ncat <<E\nx\nE\nc 'two\nlines' && d")

    assert [(s.text.split()[0], s.line, s.before, s.after) for s in statements] == [
        ("a", 0, "", "|"),
        ("b", 1, "|", ";"),
        ("cat", 2, ";", ";"),
        ("c", 5, ";", "&&"),
        ("d", 6, "&&", ""),
    ]


@pytest.mark.parametrize(
    "odd", ["'", '"', "$(", "(", "a;", "<<E\n", "\\", "`", "#", "${", "if ", "<<- ", "'a\"", ")", "{ "]
)
@pytest.mark.timeout(20)
def test_odd_text_is_cut_quickly(odd: str) -> None:
    split(odd * (200_000 // len(odd)))


@given(st.text("ab ;&|\n'\"`$(){}<>#\\E", max_size=60) | st.text(max_size=60))
def test_any_text_is_cut_into_parts_of_it(command: str) -> None:
    lines = command.count("\n")
    assert all(statement.text and 0 <= statement.line <= lines for statement in split(command))
