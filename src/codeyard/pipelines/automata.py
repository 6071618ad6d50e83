"""Patterns as rows of states: a whole text is matched in time that grows with the text and the pattern, never more.

A pattern is a tree of character tests; each test is a state, and a set of states is one number. What follows from a
set is found at once and remembered, so nothing ever goes back (Glushkov's construction). Pure.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

Test = Callable[[str], bool]  # of one character; equal tests should compare equal, for each is asked once
_MOST_REMEMBERED = 2000


@dataclass(frozen=True, slots=True)
class One:
    """One character that passes the test."""

    test: Test


@dataclass(frozen=True, slots=True)
class Row:
    """Each of them in turn; none: the empty text."""

    nodes: tuple["Node", ...] = ()


@dataclass(frozen=True, slots=True)
class Either:
    """Any of them."""

    nodes: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same, `least` to `most` times; None: without end."""

    node: "Node"
    least: int = 0
    most: int | None = None


Node = One | Row | Either | Repeat


@dataclass(frozen=True, slots=True)
class Char:
    """The test for one character alone."""

    character: str

    def __call__(self, character: str) -> bool:
        return character == self.character


@dataclass(frozen=True, slots=True)
class Ranges:
    """The test for the characters of these ranges, both ends within; or for all others."""

    ranges: tuple[tuple[str, str], ...]
    inverted: bool = False

    def __call__(self, character: str) -> bool:
        return any(low <= character <= high for low, high in self.ranges) != self.inverted


ANYTHING = Ranges((), inverted=True)


def size(node: Node) -> int:
    """How many states it makes, at the most; at least 1, so that it bounds the work too."""
    match node:
        case One():
            return 1
        case Repeat(inner, least, most):
            return size(inner) * max(1, least if most is None else most)
        case Row(nodes) | Either(nodes):
            return max(1, sum(map(size, nodes)))


@dataclass(frozen=True, slots=True)
class _Part:
    """Of a part of the tree: whether it matches the empty text, and its first and last states."""

    empty: bool
    first: int
    last: int


class Automaton:
    """A tree made ready. Its size is for the caller to bound."""

    def __init__(self, tree: Node) -> None:
        self._tests: list[Test] = []
        self._follow: list[int] = []
        self._whole = self._add(tree)
        # Of most states the next one follows, and nothing else: they all move by one shift.
        self._shifting = sum(1 << state for state, after in enumerate(self._follow) if after == 2 << state)
        self._masks: dict[Test, int] = {}
        for state, test in enumerate(self._tests):
            self._masks[test] = self._masks.get(test, 0) | 1 << state
        self._passing: dict[str, int] = {}
        self._known: dict[tuple[int, str], tuple[int, int]] = {}

    @property
    def states(self) -> int:
        """How many there are: a character of a text costs at most so many steps."""
        return len(self._tests)

    def matches(self, text: str) -> bool:
        """Whether the whole text does."""
        if not text:
            return self._whole.empty
        here, awaited, known = 0, self._whole.first, self._known
        for character in text:
            step = known.get((awaited, character))
            here, awaited = step if step is not None else self._step(awaited, character)
            if not here:
                return False
        return bool(here & self._whole.last)

    def _step(self, awaited: int, character: str) -> tuple[int, int]:
        """The states that this character leads to, and those that may come after."""
        here = awaited & self._passed_by(character)
        after = (here & self._shifting) << 1
        for state in _bits(here & ~self._shifting):
            after |= self._follow[state]
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[awaited, character] = here, after
        return here, after

    def _passed_by(self, character: str) -> int:
        found = self._passing.get(character)
        if found is None:
            if len(self._passing) >= _MOST_REMEMBERED:
                self._passing.clear()
            found = sum(mask for test, mask in self._masks.items() if test(character))
            self._passing[character] = found
        return found

    def _add(self, node: Node) -> _Part:
        match node:
            case One(test):
                self._tests.append(test)
                self._follow.append(0)
                bit = 1 << (len(self._tests) - 1)
                return _Part(False, bit, bit)
            case Row(nodes):
                whole = _Part(True, 0, 0)
                for each in nodes:
                    whole = self._joined(whole, self._add(each))
                return whole
            case Either(nodes):
                parts = [self._add(each) for each in nodes]
                first, last = _union(part.first for part in parts), _union(part.last for part in parts)
                return _Part(any(part.empty for part in parts), first, last)
            case Repeat(inner, least, most):
                return self._repeated(inner, least, most)

    def _repeated(self, inner: Node, least: int, most: int | None) -> _Part:
        whole = _Part(True, 0, 0)
        for number in range(max(1, least) if most is None else most):
            part = self._add(inner)
            if most is None and number == max(1, least) - 1:
                self._lead(part.last, part.first)
            whole = self._joined(whole, _Part(part.empty or number >= least, part.first, part.last))
        return whole

    def _joined(self, left: _Part, right: _Part) -> _Part:
        self._lead(left.last, right.first)
        first = left.first | right.first if left.empty else left.first
        last = left.last | right.last if right.empty else right.last
        return _Part(left.empty and right.empty, first, last)

    def _lead(self, states: int, after: int) -> None:
        for state in _bits(states):
            self._follow[state] |= after


def _bits(states: int) -> Iterator[int]:
    while states:
        lowest = states & -states
        yield lowest.bit_length() - 1
        states ^= lowest


def _union(sets: Iterator[int]) -> int:
    whole = 0
    for each in sets:
        whole |= each
    return whole
