"""The patterns of triggers: which names of branches and tags, and which paths of files, one of them means. Pure.

`*` and `?` stay within one part of a path, `**` crosses parts, and `**/` may stand for none at all; `[a-z]`, `[!a]`,
`{one,other}`, and a backslash before what is meant as it stands. The whole text counts, and so does case.
Source: docs.aws.amazon.com/codepipeline/latest/userguide/syntax-glob.html, which words it as Java's PathMatcher; that
`a/**/b` means `a/b` too is AWS's, as the examples of pipelines-filter.html show.
"""

from dataclasses import dataclass, field
from typing import Self

from codeyard.errors import Invalid
from codeyard.pipelines.automata import ANYTHING, Automaton, Char, Either, Node, One, Ranges, Repeat, Row

LONGEST = 255  # characters; GitBranchNamePattern, GitTagNamePattern, GitFilePathPattern
_WITHIN = Ranges((("/", "/"),), inverted=True)
_FIX = "See the syntax of patterns for triggers; a backslash takes the next character as it stands."


@dataclass(frozen=True, slots=True)
class Glob:
    """One pattern. Holding one proves that it can be matched, in time that grows with the text alone."""

    text: str
    _automaton: Automaton = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Invalid if it is no pattern, or longer than AWS takes."""
        if not 1 <= len(text) <= LONGEST:
            raise _invalid(text, f"it has {len(text)} characters, and may have 1 to {LONGEST}.")
        return cls(text, Automaton(_Parser(text).whole()))

    def matches(self, text: str) -> bool:
        """Whether it means all of this text: a branch or tag by its short name, a file by its path from the root."""
        return self._automaton.matches(text)


@dataclass(frozen=True, slots=True)
class _Class:
    """The test of a bracket: never a slash."""

    members: Ranges

    def __call__(self, character: str) -> bool:
        return character != "/" and self.members(character)


class _Parser:
    """Reads one pattern, once, from left to right."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def whole(self) -> Node:
        return self._row(starts_part=True, within_group=False)

    def _row(self, starts_part: bool, within_group: bool) -> Row:
        """Up to the end, or to the comma or brace that ends an alternative."""
        nodes: list[Node] = []
        while (character := self._peek()) and not (within_group and character in ",}"):
            self._at += 1
            if character == "*":
                node, starts_part = self._stars(starts_part)
            elif character == "{":
                node, starts_part = self._group(starts_part, within_group), False
            else:
                node, starts_part = self._one(character), character == "/"
            nodes.append(node)
        return Row(tuple(nodes))

    def _stars(self, starts_part: bool) -> tuple[Node, bool]:
        """After the first star: the node, and whether a part of the path starts after it."""
        if self._peek() != "*":
            return Repeat(One(_WITHIN)), False
        while self._peek() == "*":
            self._at += 1
        if not starts_part or self._peek() != "/":
            return Repeat(One(ANYTHING)), False
        self._at += 1
        return Repeat(Row((Repeat(One(ANYTHING)), One(Char("/")))), 0, 1), True

    def _group(self, starts_part: bool, within_group: bool) -> Node:
        if within_group:
            raise _invalid(self._text, "a { stands within another.")
        rows: list[Node] = []
        while True:
            rows.append(self._row(starts_part, within_group=True))
            end = self._next("a { is not closed.")
            if end == "}":
                return Either(tuple(rows))

    def _one(self, character: str) -> Node:
        if character == "\\":
            return One(Char(self._next("it ends in a backslash.")))
        if character == "?":
            return One(_WITHIN)
        return One(self._bracket()) if character == "[" else One(Char(character))

    def _bracket(self) -> _Class:
        """After the bracket. A dash is one where it comes first, or last; nothing is escaped (PathMatcher)."""
        inverted = self._peek() == "!"
        self._at += inverted
        ranges: list[tuple[str, str]] = []
        while (low := self._next("a [ is not closed.")) != "]":
            high = low
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                high = self._next("a [ is not closed.")
            if "/" in (low, high):
                raise _invalid(self._text, "a slash stands within brackets.")
            if high < low:
                raise _invalid(self._text, f"the range {low}-{high} ends before it begins.")
            ranges.append((low, high))
        if not ranges:
            raise _invalid(self._text, "there is nothing in its brackets.")
        return _Class(Ranges(tuple(ranges), inverted))

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self, missing: str) -> str:
        character = self._peek()
        if not character:
            raise _invalid(self._text, missing)
        self._at += 1
        return character


def _invalid(text: str, why: str) -> Invalid:
    return Invalid(f"pattern {text[:LONGEST]!r}", why, _FIX)
