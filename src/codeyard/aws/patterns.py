r"""AWS's regular expressions as Python's: they are Java's, match the whole text, and know Unicode's categories.

A `\p{L}` would stand for hundreds of ranges, slow to compile. So where an expression has one, each character of a text
that is not ASCII is matched as a stand-in for its category.
An expression that could take exponential time, or that Python does not know, is not checked: `pattern` gives None.
"""

import functools
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

# Beyond this many characters only an expression that needs one step for each of them is tried.
LONGEST = 8192
_CATEGORY = re.compile(r"\\p\{(\w)\}")
# What a category has of ASCII, and its stand-in for all else; these are of Unicode's area for private use.
_MEMBERS = {
    "L": "a-zA-Z\ue000",
    "N": "0-9\ue001",
    "Z": " \ue002",
    "M": "\ue003",
    "P": re.escape("!\"#%&'()*,-./:;?@[\\]_{}") + "\ue004",
}
_STAND_INS = {category: members[-1] for category, members in _MEMBERS.items()}
_OTHER = "\ue005"
# Written by hand in models, and not what they were meant to be in any dialect.
_SUPPLEMENTARY = (r"\u10000-\u10FFFF", "\U00010000-\U0010ffff")
_DASH_AFTER_WORD = re.compile(r"\\w-(?!\])")


@dataclass(frozen=True, slots=True)
class Pattern:
    """An expression that a whole text must match."""

    text: str  # as the model has it
    linear: bool

    def matches(self, text: str) -> bool:
        """Whether the whole text does. One that is too long to be tried does not."""
        if len(text) > LONGEST and not self.linear:
            return False
        if not text.isascii() and _CATEGORY.search(self.text):
            text = "".join(one if one.isascii() else _stand_in(one) for one in text)
        return _compiled(self.text).fullmatch(text) is not None


@functools.cache
def pattern(text: str) -> Pattern | None:
    """The expression, if it can be checked at no risk."""
    try:
        tree = re._parser.parse(translated(text), re.ASCII)  # type: ignore[attr-defined]
    except re.error:
        return None
    if _risky(tree, repeated=False):
        return None
    inner = [op for op in tree if str(op[0]) != "AT"]
    return Pattern(text, linear=len(inner) == 1 and str(inner[0][0]) == "MAX_REPEAT" and len(inner[0][1][2]) == 1)


def _risky(tree: Any, repeated: bool) -> bool:
    """Whether something of varying length that can begin anywhere is itself repeated without end.

    A repeated group that begins with a letter of its own, as in `(/[a-z]+)*`, can be split in one way only.
    """
    for op, argument in tree:
        kind = str(op)
        if kind in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, inside = argument
            if repeated and most - least > 1:
                return True
            if _risky(inside, repeated=most > 16 and not _begins_with_literal(inside)):
                return True
        elif kind == "SUBPATTERN":
            if _risky(argument[3], repeated):
                return True
        elif kind == "BRANCH":
            if any(_risky(branch, repeated) for branch in argument[1]):
                return True
        elif kind in ("ASSERT", "ASSERT_NOT") and _risky(argument[1], repeated):
            return True
    return False


def _begins_with_literal(tree: Any) -> bool:
    first, argument = tree[0]
    return _begins_with_literal(argument[3]) if str(first) == "SUBPATTERN" else str(first) == "LITERAL"


@functools.cache
def _compiled(text: str) -> re.Pattern[str]:
    # \w, \d and \s are ASCII's in Java.
    return re.compile(translated(text), re.ASCII)


def translated(text: str) -> str:
    text = _DASH_AFTER_WORD.sub(r"\\w\\-", text.replace(*_SUPPLEMENTARY))
    return _CATEGORY.sub(lambda match: _MEMBERS[match[1]], text)


def _stand_in(character: str) -> str:
    return _STAND_INS.get(unicodedata.category(character)[0], _OTHER)
