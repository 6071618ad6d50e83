"""Patterns of policies: `*` for any run of characters, `?` for any one, `${aws:username}` for what the request says.

What a variable stands for is taken literally, wildcards in it too. Matching takes time proportional to the lengths of
pattern and text multiplied, at the worst: patterns come from callers.
"""

import re
from collections.abc import Callable
from functools import lru_cache

Lookup = Callable[[str], str | None]  # a context key in lower case → its one value, or None if it has none
_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_LITERAL = frozenset("*?$")  # ${*} is an asterisk: IAM user guide, "Policy variables"


def matches(pattern: str, text: str, lookup: Lookup | None = None, ignore_case: bool = False) -> bool:
    """Whether all of the text fits. `lookup` None: the policy is too old for variables; a dollar is a dollar."""
    if pattern == "*":
        return True
    if lookup is None or "${" not in pattern:
        return _compiled(_pieces(pattern), ignore_case).match(text) is not None
    pieces = _filled(pattern, lookup)
    return pieces is not None and _compiled(pieces, ignore_case).match(text) is not None


def matches_arn(pattern: str, text: str, lookup: Lookup | None = None) -> bool:
    """As `matches`, but each of the six parts of an ARN for itself: a `*` does not reach over a colon."""
    if pattern == "*":
        return True
    pieces = _pieces(pattern) if lookup is None else _filled(pattern, lookup)
    parts = text.split(":", 5)
    if pieces is None or len(parts) != 6:
        return False
    wanted: list[list[str]] = [[]]
    for piece in pieces:
        if piece == r"\:" and len(wanted) < 6:
            wanted.append([])
        else:
            wanted[-1].append(piece)
    return len(wanted) == 6 and all(
        _compiled(tuple(want), False).match(part) is not None for want, part in zip(wanted, parts, strict=True)
    )


def filled(text: str, lookup: Lookup | None) -> str | None:
    """The text with its variables filled in, wildcards being nothing special; None if one of them has no value."""
    if lookup is None or "${" not in text:
        return text
    found = [_value(name, lookup) for name in _VARIABLE.findall(text)]
    if None in found:
        return None
    values = iter(found)
    return _VARIABLE.sub(lambda _: next(values) or "", text)


def _pieces(pattern: str) -> tuple[str, ...]:
    """Of a regular expression each: an escaped character, `.` or `*`."""
    return tuple("*" if c == "*" else "." if c == "?" else _escaped(c) for c in pattern)


def _filled(pattern: str, lookup: Lookup) -> tuple[str, ...] | None:
    pieces: list[str] = []
    end = 0
    for found in _VARIABLE.finditer(pattern):
        value = _value(found[1], lookup)
        if value is None:
            return None
        pieces += [*_pieces(pattern[end : found.start()]), *map(_escaped, value)]
        end = found.end()
    return (*pieces, *_pieces(pattern[end:]))


def _value(name: str, lookup: Lookup) -> str | None:
    """`aws:username`, or with a default: `aws:username, 'anonymous'`."""
    if name in _LITERAL:
        return name
    value = lookup(_key(name))
    default = re.search(r",\s*'([^']*)'\s*$", name)
    return default[1] if value is None and default is not None else value


def _key(name: str) -> str:
    return name.partition(",")[0].strip().lower()


def _escaped(character: str) -> str:
    return character if character.isalnum() else f"\\{character}"


def _compiled(pieces: tuple[str, ...], ignore_case: bool) -> re.Pattern[str]:
    # A long pattern is not kept: callers write them, and a cache full of those would cost much memory.
    return _kept(pieces, ignore_case) if len(pieces) <= 512 else _expression(pieces, ignore_case)


@lru_cache(2048)
def _kept(pieces: tuple[str, ...], ignore_case: bool) -> re.Pattern[str]:
    return _expression(pieces, ignore_case)


def _expression(pieces: tuple[str, ...], ignore_case: bool) -> re.Pattern[str]:
    segments: list[list[str]] = [[]]
    for piece in pieces:
        if piece == "*":
            segments.append([])
        else:
            segments[-1].append(piece)
    head, *more = ("".join(segment) for segment in segments)
    # The first place where a part between two stars fits is as good as any: an atomic group never tries another.
    body = "".join(f"(?>.*?{part})" for part in more[:-1] if part) + (f".*{more[-1]}" if more else "")
    return re.compile(rf"{head}{body}\Z", re.DOTALL | (re.IGNORECASE if ignore_case else 0))
