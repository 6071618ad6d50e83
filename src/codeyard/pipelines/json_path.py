"""JSONPath for the filters of webhooks: the dialect of Jayway's library as far as it only selects. Pure.

Names by dot or in brackets, indexes (also from the end, several, and slices), `*`, and `..` for any depth. Not here:
filter expressions, functions, and several names at once. Each step goes over what it has found at most once, and the
whole of it is bounded, whatever the document. Source: github.com/json-path/JsonPath.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

MOST_VISITED = 300_000  # values of a document that one path may look at: a tenth of a second
_LONGEST = 1000  # characters; AWS takes 150
_NAME = re.compile(r"[^.\[\]()\s'\"]+")
_QUOTED = re.compile(r"\[\s*(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\")\s*\]", re.DOTALL)
_ALL = re.compile(r"\[\s*\*\s*\]")
_INDEXES = re.compile(r"\[\s*(-?\d{1,9}(?:\s*,\s*-?\d{1,9})*)\s*\]", re.ASCII)
_SLICE = re.compile(r"\[\s*(-?\d{1,9})?\s*:\s*(-?\d{1,9})?\s*\]", re.ASCII)


class BadPath(ValueError):
    """It is no path, or one that is not supported; the text says why."""


class TooLarge(ValueError):
    """The document has more than a path may look at."""


@dataclass(frozen=True, slots=True)
class _Member:
    name: str


@dataclass(frozen=True, slots=True)
class _Items:
    indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Slice:
    start: int | None
    end: int | None


@dataclass(frozen=True, slots=True)
class _All:
    """Each member or item."""


@dataclass(frozen=True, slots=True)
class _Depths:
    """The value itself, and all within it."""


_Step = _Member | _Items | _Slice | _All | _Depths


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A path that was read."""

    steps: tuple[_Step, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """BadPath. What does not begin with `$` is taken to begin with `$.`, as by Jayway."""
        if not 1 <= len(text) <= _LONGEST:
            raise BadPath("it is empty or too long.")
        path = text if text.startswith("$") else "$." + text
        steps: list[_Step] = []
        at = 1
        while at < len(path):
            if path.startswith("..", at):
                steps.append(_Depths())
                at += 2
                dotted = path[at : at + 1] != "["
            else:
                dotted = path[at] == "."
                at += dotted
            step, at = _dotted(path, at) if dotted else _bracket(path, at)
            steps.append(step)
        return cls(tuple(steps))

    def select(self, document: Any) -> list[Any]:
        """The values of this JSON document that it leads to, without repetition; none: it leads nowhere. TooLarge."""
        found: list[Any] = [document]
        left = MOST_VISITED
        for step in self.steps:
            following: dict[int, Any] = {}  # by identity: what `..` finds twice is gone over once
            for value in _followed(step, found):
                left -= 1
                if left < 0:
                    raise TooLarge("the document is too large for this path.")
                following[id(value)] = value
            found = list(following.values())
        return found


def _dotted(path: str, at: int) -> tuple[_Step, int]:
    name = _NAME.match(path, at)
    if name is None:
        raise BadPath(f"a name is missing at character {at}.")
    if path[name.end() : name.end() + 1] == "(":
        raise BadPath("functions are not supported.")
    return (_All() if name[0] == "*" else _Member(name[0])), name.end()


def _bracket(path: str, at: int) -> tuple[_Step, int]:
    if match := _QUOTED.match(path, at):
        return _Member(re.sub(r"\\(.)", r"\1", match[1] or match[2] or "", flags=re.DOTALL)), match.end()
    if match := _ALL.match(path, at):
        return _All(), match.end()
    if match := _INDEXES.match(path, at):
        return _Items(tuple(map(int, match[1].split(",")))), match.end()
    if match := _SLICE.match(path, at):
        start, end = (int(bound) if bound else None for bound in match.groups())
        return _Slice(start, end), match.end()
    if path.startswith("[?", at):
        raise BadPath("filter expressions are not supported.")
    raise BadPath(f"what stands at character {at} is not understood.")


def _followed(step: _Step, values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        match step:
            case _Member(name):
                if isinstance(value, dict) and name in value:
                    yield value[name]
            case _Items(indexes):
                if isinstance(value, list):
                    yield from (value[index] for index in indexes if -len(value) <= index < len(value))
            case _Slice(start, end):
                if isinstance(value, list):
                    yield from value[start:end]
            case _All():
                yield from _children(value)
            case _Depths():
                yield from _within(value)


def _children(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _within(value: Any) -> Iterator[Any]:
    waiting = [value]
    while waiting:
        here = waiting.pop()
        yield here
        waiting.extend(_children(here))
