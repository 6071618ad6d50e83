"""CloudWatch's filter patterns: terms, space-delimited fields, JSON selectors. This module does no I/O.

Source: docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html and the pages below it. A test
takes time that grows with the message alone, whatever the pattern.
"""

import json
import re
from collections.abc import Callable
from typing import Any, NoReturn

from codeyard.errors import Invalid
from codeyard.logs.linear_regex import BadRegex, LinearRegex

Test = Callable[[str], bool]  # of a message
_Check = Callable[[Any], bool]  # of a field's value

_DEEPEST = 40  # parentheses
_MOST_REGEXES = 2
_TERM = re.compile(r"\s*([?-]?)(?:\"((?:[^\"\\]|\\.)*)\"|%([^%]*)%|([^\s\"%]+))(?=\s|$)", re.DOTALL)
_VALUE = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|%([^%]*)%|([^\s\"%=<>!&|(),{}\]]+)", re.DOTALL)
_COMPARES = re.compile(r"!=|<=|>=|=|<|>")
_SELECTOR = re.compile(r"\$((?:\.?\[(?:\d{1,9}|\*|\"[^\"]*\")\]|\.[\w*-]+)+)")
_STEP = re.compile(r"\.?\[(?:(\d+)|(\*)|\"([^\"]*)\")\]|\.([\w*-]+)")
_FIELD = re.compile(r"\[([^\]]*)\]|\"([^\"]*)\"|(\S+)")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?")


def pattern_test(pattern: str) -> Test:
    """What tells whether a message (without its line's end) is one that the pattern names. Invalid."""
    text = pattern.strip()
    if not text:
        return lambda _message: True
    scanner = _Scanner(text)
    if text.startswith("{"):
        return _json(scanner)
    if text.startswith("["):
        return _fields(scanner)
    return _terms(scanner)


def _terms(scanner: "_Scanner") -> Test:
    wanted: list[Test] = []
    unwanted: list[Test] = []
    some: list[Test] = []
    while not scanner.over():
        match = scanner.take(_TERM)
        if match is None:
            scanner.fail("a term is not written as one")
        sign, quoted, regex, word = match.groups()
        if word is not None and re.fullmatch(r"\w+", word) is None:
            raise _invalid(f"Invalid character(s) in term '{word}'")
        found = scanner.regex(regex) if regex is not None else _contains(_plain(quoted) if word is None else word)
        {"": wanted, "-": unwanted, "?": some}[sign].append(found)
    if wanted or unwanted:
        some = []  # AWS ignores optional terms beside others
    return lambda message: (
        all(test(message) for test in wanted)
        and not any(test(message) for test in unwanted)
        and (not some or any(test(message) for test in some))
    )


def _fields(scanner: "_Scanner") -> Test:
    scanner.expect("[")
    elements: list[_Check | None] = []  # None: the ellipsis
    while True:
        elements.append(_element(scanner))
        if not scanner.word(","):
            break
    scanner.expect("]")
    scanner.finish()
    if elements.count(None) > 1:
        scanner.fail("only one ellipsis may stand in it")

    def test(message: str) -> bool:
        fields = [next(part for part in match.groups() if part is not None) for match in _FIELD.finditer(message)]
        if None not in elements:
            return len(fields) == len(elements) and _all(elements, fields)
        before = elements.index(None)
        after = len(elements) - before - 1
        return (
            len(fields) >= before + after
            and _all(elements[:before], fields[:before])
            and _all(elements[before + 1 :], fields[len(fields) - after :])
        )

    return test


def _all(checks: list[_Check | None], fields: list[str]) -> bool:
    return all(check is None or check(field) for check, field in zip(checks, fields, strict=True))


def _element(scanner: "_Scanner") -> _Check | None:
    if scanner.word("..."):
        return None
    if scanner.peek() in (",", "]"):
        return lambda _field: True
    return _either(scanner, _field_condition, 0)


def _field_condition(scanner: "_Scanner") -> _Check:
    if scanner.take(re.compile(r"[\w.*-]+")) is None:
        scanner.fail("a field has no name")
    return _comparison(scanner) if scanner.peeks(_COMPARES) else lambda _field: True


def _json(scanner: "_Scanner") -> Test:
    scanner.expect("{")
    check = _either(scanner, _json_condition, 0)
    scanner.expect("}")
    scanner.finish()

    def test(message: str) -> bool:
        try:
            document = json.loads(message)
        except (ValueError, RecursionError):
            return False
        return isinstance(document, dict | list) and check(document)

    return test


def _json_condition(scanner: "_Scanner") -> _Check:
    match = scanner.take(_SELECTOR)
    if match is None:
        scanner.fail("a selector like $.name is missing")
    steps = [_step(step) for step in _STEP.finditer(match[1])]
    if scanner.word("NOT"):
        scanner.expect("EXISTS")
        return lambda document: not _selected(document, steps)
    if scanner.word("EXISTS"):
        return lambda document: bool(_selected(document, steps))
    if scanner.word("IS"):
        for name, constant in (("TRUE", True), ("FALSE", False), ("NULL", None)):
            if scanner.word(name):
                return _is(steps, constant)
        scanner.fail("IS goes with TRUE, FALSE or NULL")
    check = _comparison(scanner)
    return lambda document: any(check(found) for found in _selected(document, steps))


def _is(steps: list[str | int | None], constant: bool | None) -> _Check:
    return lambda document: any(found is constant for found in _selected(document, steps))


def _step(match: re.Match[str]) -> str | int | None:
    """A key, a place in a list, or None for all of them."""
    number, every, quoted, name = match.groups()
    if number is not None:
        return int(number)
    return None if every or name == "*" else name or quoted


def _selected(document: Any, steps: list[str | int | None]) -> list[Any]:
    found = [document]
    for step in steps:
        following: list[Any] = []
        for value in found:
            if step is None:
                following += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            elif isinstance(step, str):
                following += [value[step]] if isinstance(value, dict) and step in value else []
            elif isinstance(value, list) and step < len(value):
                following.append(value[step])
        found = following
    return found


def _either(scanner: "_Scanner", condition: Callable[["_Scanner"], _Check], depth: int) -> _Check:
    checks = [_both(scanner, condition, depth)]
    while scanner.word("||"):
        checks.append(_both(scanner, condition, depth))
    return checks[0] if len(checks) == 1 else lambda value: any(check(value) for check in checks)


def _both(scanner: "_Scanner", condition: Callable[["_Scanner"], _Check], depth: int) -> _Check:
    checks = [_single(scanner, condition, depth)]
    while scanner.word("&&"):
        checks.append(_single(scanner, condition, depth))
    return checks[0] if len(checks) == 1 else lambda value: all(check(value) for check in checks)


def _single(scanner: "_Scanner", condition: Callable[["_Scanner"], _Check], depth: int) -> _Check:
    if not scanner.word("("):
        return condition(scanner)
    if depth == _DEEPEST:
        scanner.fail(f"more than {_DEEPEST} parentheses are open")
    check = _either(scanner, condition, depth + 1)
    scanner.expect(")")
    return check


def _comparison(scanner: "_Scanner") -> _Check:
    operator = scanner.take(_COMPARES)
    if operator is None:
        scanner.fail("=, !=, <, >, <= or >= is missing")
    value = scanner.take(_VALUE)
    if value is None:
        scanner.fail("a value is missing")
    quoted, regex, word = value.groups()
    if operator[0] in ("=", "!="):
        equal = _equals(scanner, quoted, regex, word)
        return equal if operator[0] == "=" else lambda found: _scalar(found) is not None and not equal(found)
    if word is None or _NUMBER.fullmatch(word) is None:
        scanner.fail(f"{operator[0]} goes with a number")
    limit = float(word)
    compare = {"<": float.__lt__, ">": float.__gt__, "<=": float.__le__, ">=": float.__ge__}[operator[0]]
    return lambda found: (number := _number(found)) is not None and compare(number, limit)


def _equals(scanner: "_Scanner", quoted: str | None, regex: str | None, word: str | None) -> _Check:
    if regex is not None:
        search = scanner.regex(regex)
        return lambda found: (text := _scalar(found)) is not None and search(text)
    wanted = word if word is not None else _plain(quoted or "")
    if word is not None and _NUMBER.fullmatch(word):
        number = float(word)
        return lambda found: _number(found) == number or found == wanted
    parts = wanted.split("*")
    return lambda found: (text := _scalar(found)) is not None and _like(text, parts)


def _scalar(found: Any) -> str | None:
    """A field's value as text; None if it is a list, an object or null."""
    if isinstance(found, bool):
        return "true" if found else "false"
    return str(found) if isinstance(found, str | int | float) else None


def _number(found: Any) -> float | None:
    """A number, or a field of a line that is written as one."""
    if isinstance(found, str) and len(found) < 400 and _NUMBER.fullmatch(found):
        return float(found)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        return float(found)
    except OverflowError:
        return None


def _like(text: str, parts: list[str]) -> bool:
    """Whether the text is these parts with anything between them."""
    if len(parts) == 1:
        return text == parts[0]
    if len(text) < len(parts[0]) + len(parts[-1]) or not (text.startswith(parts[0]) and text.endswith(parts[-1])):
        return False
    at, end = len(parts[0]), len(text) - len(parts[-1])
    for part in parts[1:-1]:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _contains(term: str) -> Test:
    return lambda message: term in message


def _plain(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)


def _invalid(why: str) -> Invalid:
    return Invalid("filter pattern", why, "See FilterAndPatternSyntax in the CloudWatch Logs guide.")


class _Scanner:
    """A pattern and how far it was read."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._regexes = text, 0, 0

    def over(self) -> bool:
        return not self._text[self._at :].strip()

    def peek(self) -> str:
        self._space()
        return self._text[self._at : self._at + 1]

    def peeks(self, expression: re.Pattern[str]) -> bool:
        self._space()
        return expression.match(self._text, self._at) is not None

    def take(self, expression: re.Pattern[str]) -> re.Match[str] | None:
        self._space()
        match = expression.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        return match

    def word(self, word: str) -> bool:
        """Whether this comes next; it is read then."""
        self._space()
        if not self._text.startswith(word, self._at):
            return False
        after = self._text[self._at + len(word) : self._at + len(word) + 1]
        if word.isalpha() and after.isalnum():
            return False
        self._at += len(word)
        return True

    def expect(self, word: str) -> None:
        if not self.word(word):
            self.fail(f"{word} is missing")

    def finish(self) -> None:
        if not self.over():
            self.fail("something follows its end")

    def regex(self, expression: str) -> Test:
        self._regexes += 1
        if self._regexes > _MOST_REGEXES:
            self.fail(f"it has more than {_MOST_REGEXES} regular expressions")
        try:
            return LinearRegex(expression).search
        except BadRegex as error:
            raise _invalid(f"Invalid filter pattern: in %{expression}% {error}") from None

    def fail(self, why: str) -> NoReturn:
        raise _invalid(f"Invalid filter pattern: {why}, at character {self._at + 1}.")

    def _space(self) -> None:
        while self._text[self._at : self._at + 1].isspace():
            self._at += 1
