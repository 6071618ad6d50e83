"""The regular expressions of filter patterns, searched for in time that grows with the text alone.

AWS allows no parentheses: an expression is alternatives of characters and classes, each with a repetition. So it is a
row of states that one number holds, and what follows from a set of states is remembered: nothing goes back.
Source: docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html. This module does no I/O.
"""

import string
from dataclasses import dataclass

_PLAIN = frozenset(string.ascii_letters + string.digits + "_#=@/;,-: ")
_OPERATORS = frozenset("^$?[]{}|\\*+.()")
_WORD = frozenset(string.ascii_letters + string.digits + "_")
_DIGIT = frozenset(string.digits)
_SPACE = frozenset(" \t\r\n\f\v")
_NAMED = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_WRITTEN = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_MOST_STATES = 1000
_MOST_REMEMBERED = 2000
_END = ""  # what is fed after the last character: an alternative that ends in $ is matched only there


class BadRegex(ValueError):
    """The expression is not one of those that are supported; the text says why."""


@dataclass(frozen=True, slots=True)
class _Class:
    """A set of characters, or all others."""

    characters: frozenset[str]
    inverted: bool = False

    def has(self, character: str) -> bool:
        return (character in self.characters) != self.inverted


@dataclass(frozen=True, slots=True)
class _Item:
    matched: _Class
    least: int
    most: int | None


class LinearRegex:
    """One expression, made once and searched for in many texts. BadRegex if it is not supported."""

    def __init__(self, expression: str) -> None:
        self._classes: list[_Class] = []  # of each state: what leads from it to the next
        self._loops = 0  # states that stay when their class comes again
        self._skips: dict[int, int] = {}  # states that may be passed at once: to which
        self._always = 0  # where a match may begin, anywhere
        self._first = 0  # where one may begin, at the text's beginning
        self._accepting = 0
        self._at_end = 0  # accepting, if the text ends here
        for alternative in _alternatives(expression):
            self._add(*alternative)
        self._first = self._closed(self._first | self._always)
        self._always = self._closed(self._always)
        self._leads: dict[str, int] = {}
        self._known: dict[tuple[int, str], int] = {}

    def search(self, text: str) -> bool:
        """Whether it matches anywhere in the text."""
        states, known, accepting = self._first, self._known, self._accepting
        if states & accepting:
            return True
        for character in text:
            following = known.get((states, character))
            if following is None:
                following = self._follow(states, character)
            if following & accepting:
                return True
            states = following
        return bool(states & self._at_end)

    def _add(self, starts: bool, items: list[_Item], ends: bool) -> None:
        begin = len(self._classes)
        for item in items:
            for number in range(item.least + (1 if item.most is None else item.most - item.least)):
                state = len(self._classes)
                self._classes.append(item.matched)
                if number >= item.least:
                    self._skips[state] = state + 1
                    if item.most is None:
                        self._loops |= 1 << state
        final = len(self._classes)
        self._classes.append(_Class(frozenset()))
        if final >= _MOST_STATES:
            raise BadRegex("it is too large.")
        if starts:
            self._first |= 1 << begin
        else:
            self._always |= 1 << begin
        if ends:
            self._at_end |= 1 << final
        else:
            self._accepting |= 1 << final

    def _closed(self, states: int) -> int:
        """The states with those that they may pass to at once. They only lead upwards, one by one."""
        for state, following in self._skips.items():  # in rising order
            if states >> state & 1:
                states |= 1 << following
        return states

    def _follow(self, states: int, character: str) -> int:
        leads = self._leads.get(character)
        if leads is None:
            if len(self._leads) >= _MOST_REMEMBERED:
                self._leads.clear()
            leads = sum(1 << state for state, known in enumerate(self._classes) if known.has(character))
            self._leads[character] = leads
        moved = states & leads
        # A state that loops stays, and may be left at any time by its skip.
        following = self._closed(((moved & ~self._loops) << 1) | (moved & self._loops)) | self._always
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[states, character] = following
        return following


def _alternatives(expression: str) -> list[tuple[bool, list[_Item], bool]]:
    found: list[tuple[bool, list[_Item], bool]] = []
    at = 0
    while True:
        starts = expression[at : at + 1] == "^"
        at += starts
        items: list[_Item] = []
        ends = False
        while at < len(expression) and expression[at] != "|":
            if expression[at] == "$":
                ends, at = True, at + 1
                if expression[at : at + 1] not in ("", "|"):
                    raise BadRegex("$ stands only at the end.")
                break
            matched, at = _class(expression, at)
            least, most, at = _repetition(expression, at)
            items.append(_Item(matched, least, most))
        found.append((starts, items, ends))
        if at >= len(expression):
            return found
        at += 1


def _class(expression: str, at: int) -> tuple[_Class, int]:
    character = expression[at]
    if character == ".":
        return _Class(frozenset("\n"), inverted=True), at + 1
    if character == "\\":
        return _escaped(expression, at + 1)
    if character == "[":
        return _bracket(expression, at + 1)
    if character in _OPERATORS or character not in _PLAIN:
        raise BadRegex(f"{character!r} is not supported there.")
    return _Class(frozenset(character)), at + 1


def _escaped(expression: str, at: int) -> tuple[_Class, int]:
    character = expression[at : at + 1]
    if character == "x":
        digits = expression[at + 1 : at + 3]
        if len(digits) < 2 or not set(digits) <= set(string.hexdigits):
            raise BadRegex("\\x needs two hexadecimal digits.")
        return _Class(frozenset(chr(int(digits, 16)))), at + 3
    if character.lower() in _NAMED and character:
        return _Class(_NAMED[character.lower()], inverted=character.isupper()), at + 1
    if character in _WRITTEN:
        return _Class(frozenset(_WRITTEN[character])), at + 1
    if not character or character.isalnum() or not character.isascii():
        raise BadRegex(f"\\{character} is not supported.")
    return _Class(frozenset(character)), at + 1


def _bracket(expression: str, at: int) -> tuple[_Class, int]:
    inverted = expression[at : at + 1] == "^"
    at += inverted
    members: set[str] = set()
    last: str | None = None
    first = True
    while (character := expression[at : at + 1]) != "]" or first:
        if not character:
            raise BadRegex("[ is not closed.")
        first = False
        if character == "-" and last is not None and expression[at + 1 : at + 2] not in ("]", ""):
            upto, at = _member(expression, at + 1)
            if len(upto) != 1 or (ceiling := min(upto)) < last:
                raise BadRegex("a range ends before it begins.")
            members |= {chr(code) for code in range(ord(last), ord(ceiling) + 1)}
            last = None
            continue
        found, at = _member(expression, at)
        members |= found
        last = min(found) if len(found) == 1 else None
    return _Class(frozenset(members), inverted), at + 1


def _member(expression: str, at: int) -> tuple[frozenset[str], int]:
    if expression[at] == "\\":
        matched, at = _escaped(expression, at + 1)
        if matched.inverted:
            raise BadRegex("\\D, \\S and \\W do not stand in brackets.")
        return matched.characters, at
    if not expression[at].isascii():
        raise BadRegex("characters of several bytes are not supported.")
    return frozenset(expression[at]), at + 1


def _repetition(expression: str, at: int) -> tuple[int, int | None, int]:
    character = expression[at : at + 1]
    if character and character in "*+?":
        least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[character]
        after = at + 1
    elif character == "{":
        end = expression.find("}", at)
        low, comma, high = expression[at + 1 : end].partition(",") if end > at else ("", "", "")
        plain = low.isdecimal() and (high.isdecimal() or not high) and low.isascii() and high.isascii()
        if not plain or len(low) > 4 or len(high) > 4:
            raise BadRegex("{ begins a repetition like {2}, {2,} or {2,5}.")
        least, most, after = int(low), (int(high) if high else None) if comma else int(low), end + 1
        if (most is not None and most < least) or max(least, most or 0) > _MOST_STATES:
            raise BadRegex("a repetition is too large, or ends before it begins.")
    else:
        return 1, 1, at
    if expression[after : after + 1] and expression[after] in "*+?{":
        raise BadRegex("a repetition is not repeated.")
    return least, most, after
