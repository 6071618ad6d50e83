r"""Java's regular expressions, matched against whole texts in time that grows with the text: whoever writes them may
be hostile.

What can be matched so is here: alternatives, groups, classes with their unions and intersections, repetitions greedy
or lazy (which is the same where the whole text counts), the flags i and s, `^` and `$` at the ends. What cannot, such
as backreferences and looking around, is told. Source: java.util.regex.Pattern's page; \d, \w and \s are ASCII's. Pure.
"""

import string
import unicodedata
from dataclasses import dataclass, replace

from codeyard.pipelines.automata import ANYTHING, Automaton, Char, Either, Node, One, Ranges, Repeat, Row, Test, size

MOST_STATES = 1000
MOST_WORK = 10_000_000  # the expression's length or states, times the text's length: about a second
_DEEPEST = 50  # groups and classes within one another
_DIGIT = Ranges((("0", "9"),))
_WORD = Ranges((("a", "z"), ("A", "Z"), ("0", "9"), ("_", "_")))
_SPACE = Ranges((("\t", "\r"), (" ", " ")))
_LINE_ENDS = Ranges((("\n", "\n"), ("\r", "\r"), ("\u0085", "\u0085"), ("\u2028", "\u2029")))
_NAMED: dict[str, Test] = {"d": _DIGIT, "w": _WORD, "s": _SPACE, "h": Ranges((("\t", "\t"), (" ", " ")))}
_WRITTEN = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "a": "\a", "e": "\x1b"}
_POSIX: dict[str, Ranges] = {
    "Lower": Ranges((("a", "z"),)),
    "Upper": Ranges((("A", "Z"),)),
    "ASCII": Ranges((("\0", "\x7f"),)),
    "Alpha": Ranges((("a", "z"), ("A", "Z"))),
    "Digit": _DIGIT,
    "Alnum": Ranges((("a", "z"), ("A", "Z"), ("0", "9"))),
    "Punct": Ranges(tuple((mark, mark) for mark in string.punctuation)),
    "Graph": Ranges((("!", "~"),)),
    "Print": Ranges(((" ", "~"),)),
    "Blank": Ranges(((" ", " "), ("\t", "\t"))),
    "Cntrl": Ranges((("\0", "\x1f"), ("\x7f", "\x7f"))),
    "XDigit": Ranges((("0", "9"), ("a", "f"), ("A", "F"))),
    "Space": _SPACE,
}
_CATEGORIES = frozenset(
    "L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp C Cc Cf Cs Co Cn".split()
)


class BadRegex(ValueError):
    """The expression is none, or not one that can be matched here; the text says why."""


class JavaRegex:
    """One expression, made once and matched with many texts. BadRegex."""

    def __init__(self, expression: str) -> None:
        tree = _Parser(expression).whole()
        if size(tree) > MOST_STATES:
            raise BadRegex("it is too large.")
        self._automaton = Automaton(tree)
        self._work = max(self._automaton.states, len(expression))  # at the most, for one character

    def matches(self, text: str) -> bool:
        """Whether the whole text does, as Java's `Pattern.matches`. BadRegex: the text is too long for it."""
        if len(text) * self._work > MOST_WORK:
            raise BadRegex("it is too large for so long a text.")
        return self._automaton.matches(text)


@dataclass(frozen=True, slots=True)
class _Not:
    test: Test

    def __call__(self, character: str) -> bool:
        return not self.test(character)


@dataclass(frozen=True, slots=True)
class _Any:
    tests: tuple[Test, ...]

    def __call__(self, character: str) -> bool:
        return any(test(character) for test in self.tests)


@dataclass(frozen=True, slots=True)
class _All:
    tests: tuple[Test, ...]

    def __call__(self, character: str) -> bool:
        return all(test(character) for test in self.tests)


@dataclass(frozen=True, slots=True)
class _AnyCase:
    """The test in either case: of ASCII's letters alone, as Java's flag i has it."""

    test: Test

    def __call__(self, character: str) -> bool:
        return self.test(character) or (character.isascii() and self.test(character.swapcase()))


@dataclass(frozen=True, slots=True)
class _Category:
    name: str

    def __call__(self, character: str) -> bool:
        return unicodedata.category(character).startswith(self.name)


@dataclass(frozen=True, slots=True)
class _Edge:
    """A `^` (or a `$`), which holds before (or after) all characters: no character passes it."""

    begins: bool

    def __call__(self, _character: str) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class _Flags:
    any_case: bool = False
    dot_all: bool = False


class _Parser:
    """Reads one expression, once, from left to right."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth = text, 0, 0
        self._flags = _Flags()

    def whole(self) -> Node:
        tree = self._alternatives()
        if self._peek():
            raise BadRegex("a ) closes nothing.")
        return _without_edges(tree, begins=True, ends=True)

    def _alternatives(self) -> Node:
        """Up to the end, or to the parenthesis that closes the group."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise BadRegex("its groups are nested too deep.")
        rows = [self._row()]
        while self._peek() == "|":
            self._at += 1
            rows.append(self._row())
        self._depth -= 1
        return rows[0] if len(rows) == 1 else Either(tuple(rows))

    def _row(self) -> Node:
        nodes: list[Node] = []
        while (character := self._peek()) and character not in "|)":
            self._at += 1
            if character == "\\" and self._peek() == "Q":
                self._at += 1
                nodes += self._quoted()
            elif (node := self._atom(character)) is not None:
                nodes.append(self._repeated(node))
        return nodes[0] if len(nodes) == 1 else Row(tuple(nodes))

    def _quoted(self) -> list[Node]:
        r"""After \Q: the text up to \E as it stands. A repetition is of its last character."""
        end = self._text.find("\\E", self._at)
        text = self._text[self._at :] if end < 0 else self._text[self._at : end]
        self._at = len(self._text) if end < 0 else end + 2
        nodes: list[Node] = [One(self._cased(Char(each))) for each in text]
        return [*nodes[:-1], self._repeated(nodes[-1])] if nodes else []

    def _atom(self, character: str) -> Node | None:
        if character == "(":
            return self._group()
        if character == "[":
            return One(self._class())
        if character == ".":
            return One(ANYTHING if self._flags.dot_all else _Not(_LINE_ENDS))
        if character in "*+?{":
            raise BadRegex(f"{character} repeats nothing.")
        if character in "^$":
            return One(_Edge(character == "^"))
        if character == "\\" and self._peek() in ("A", "z", "Z"):
            return One(_Edge(self._next() == "A"))
        return One(self._escaped() if character == "\\" else self._cased(Char(character)))

    def _cased(self, test: Char | Ranges) -> Test:
        return _AnyCase(test) if self._flags.any_case else test

    def _group(self) -> Node | None:
        """After its parenthesis. None: it only set flags, for what comes after it."""
        before = self._flags
        if self._peek() == "?":
            self._at += 1
            if self._text.startswith("<", self._at) and self._text[self._at + 1 : self._at + 2].isalpha():
                name, closed, _ = self._text[self._at + 1 :].partition(">")
                if not closed or not (name.isascii() and name.isalnum()):
                    raise BadRegex("a group's name is of letters and digits.")
                self._at += len(name) + 2
            elif self._set_flags():
                return None
        tree = self._alternatives()
        if self._peek() != ")":
            raise BadRegex("a ( is not closed.")
        self._at += 1
        self._flags = before
        return tree

    def _set_flags(self) -> bool:
        """After `(?`: whether they hold for the rest of the group around, and not for one that begins here."""
        on = True
        while (character := self._next()) not in ":)":
            if character == "-":
                on = False
            elif character == "i":
                self._flags = replace(self._flags, any_case=on)
            elif character == "s":
                self._flags = replace(self._flags, dot_all=on)
            elif character != "m":  # ^ and $ stand at the ends only, where m changes nothing
                raise BadRegex("lookaround, atomic groups, and flags other than i, s and m are not supported.")
        return character == ")"

    def _repeated(self, node: Node) -> Node:
        character = self._peek()
        if not character or character not in "*+?{":
            return node
        self._at += 1
        if character == "{":
            least, most = self._counts()
        else:
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[character]
        if self._peek() == "+":
            raise BadRegex("possessive repetitions are not supported.")
        if self._peek() == "?":  # lazy: where the whole text counts, that is the same
            self._at += 1
        if size(repeated := Repeat(node, least, most)) > MOST_STATES:
            raise BadRegex("a repetition is too large.")
        return repeated

    def _counts(self) -> tuple[int, int | None]:
        inside, closed, _ = self._text[self._at :].partition("}")
        low, comma, high = inside.partition(",")
        plain = low.isascii() and low.isdecimal() and high.isascii() and (high.isdecimal() or not high)
        if not closed or not plain or max(len(low), len(high)) > 4:
            raise BadRegex("{ begins a repetition like {2}, {2,} or {2,5}.")
        self._at += len(inside) + 1
        most = (int(high) if high else None) if comma else int(low)
        if most is not None and most < int(low):
            raise BadRegex("a repetition ends before it begins.")
        return int(low), most

    def _class(self) -> Test:
        """After its bracket: a union of its members, or an intersection of unions."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise BadRegex("its classes are nested too deep.")
        inverted = self._peek() == "^"
        self._at += inverted
        unions: list[Test] = []
        members: list[Test] = []
        while (character := self._next("a [ is not closed.")) != "]" or not (members or unions):
            if character == "&" and self._peek() == "&":
                self._at += 1
                unions.append(_Any(tuple(members)))
                members = []
            elif character == "[":
                members.append(self._class())
            else:
                members.append(self._member(character))
        self._depth -= 1
        unions.append(_Any(tuple(members)))
        if not all(union.tests for union in unions if isinstance(union, _Any)):
            raise BadRegex("&& stands between two classes.")
        whole = unions[0] if len(unions) == 1 else _All(tuple(unions))
        return _Not(whole) if inverted else whole

    def _member(self, character: str) -> Test:
        low = self._named() if character == "\\" else character
        rest = self._text[self._at + 1 : self._at + 2]
        if not isinstance(low, str):
            return low
        if self._peek() != "-" or rest in ("]", "[", ""):
            return self._cased(Char(low))
        self._at += 1
        character = self._next()
        high = self._named() if character == "\\" else character
        if not isinstance(high, str) or high < low:
            raise BadRegex("a range ends before it begins.")
        return self._cased(Ranges(((low, high),)))

    def _escaped(self) -> Test:
        found = self._named()
        return self._cased(Char(found)) if isinstance(found, str) else found

    def _named(self) -> Test | str:
        """After its backslash: a class, or one character."""
        character = self._next("it ends in a backslash.")
        if character in _WRITTEN:
            return _WRITTEN[character]
        if character in "xu":
            return self._hexadecimal(2 if character == "x" else 4)
        if character in "pP":
            return _Not(self._property()) if character == "P" else self._property()
        if character.lower() in _NAMED:
            return _Not(_NAMED[character.lower()]) if character.isupper() else _NAMED[character]
        if character.isascii() and character.isalnum():
            raise BadRegex(f"\\{character} is not supported.")
        return character

    def _hexadecimal(self, digits: int) -> str:
        written = self._text[self._at : self._at + digits]
        if len(written) < digits or not set(written) <= set(string.hexdigits):
            raise BadRegex(f"\\x needs two and \\u four hexadecimal digits, not {written!r}.")
        self._at += digits
        return chr(int(written, 16))

    def _property(self) -> Test:
        name, closed, _ = self._text[self._at :].partition("}")
        written = name if name.startswith("{") and closed else "{" + self._text[self._at : self._at + 1]
        self._at += len(name) + 1 if name.startswith("{") and closed else 1
        short = written[1:].removeprefix("Is")
        if written[1:] in _POSIX:
            return self._cased(_POSIX[written[1:]])
        if short in _CATEGORIES:
            return _Category(short)
        raise BadRegex(f"there is no category {written[1:][:40]!r}, or it is not supported.")

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self, missing: str = "it ends too soon.") -> str:
        character = self._peek()
        if not character:
            raise BadRegex(missing)
        self._at += 1
        return character


def _without_edges(node: Node, begins: bool, ends: bool) -> Node:
    """The tree with nothing in place of edges, which match nothing where they hold. BadRegex: one stands within."""
    match node:
        case One(_Edge(at_start)):
            if not (begins if at_start else ends):
                raise BadRegex("^ and $ stand at the beginning and at the end only.")
            return Row(())
        case One():
            return node
        case Repeat(inner, least, most):
            return Repeat(_without_edges(inner, begins=False, ends=False), least, most)
        case Either(nodes):
            return Either(tuple(_without_edges(each, begins, ends) for each in nodes))
        case Row(nodes):
            edges = [isinstance(each, One) and isinstance(each.test, _Edge) for each in nodes]
            return Row(
                tuple(
                    _without_edges(each, begins and all(edges[:at]), ends and all(edges[at + 1 :]))
                    for at, each in enumerate(nodes)
                )
            )
