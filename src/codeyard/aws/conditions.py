"""The Condition element of a policy: which operators there are, and whether what a request says meets one.

See "IAM JSON policy elements: Condition operators" in the IAM user guide.
"""

import base64
import binascii
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from codeyard.aws.wildcards import Lookup, filled, matches, matches_arn

Context = Mapping[str, str | tuple[str, ...]]  # what a request says: keys in lower case; several values in a tuple
Test = Callable[[str, str, Lookup | None], bool]  # the policy's value, the request's, variables


class Quantifier(StrEnum):
    """What a key with several values has to do."""

    NONE = ""
    ANY = "ForAnyValue"
    ALL = "ForAllValues"


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator over one key, with the values of which one must fit (or, of a negated operator, none may)."""

    operator: str  # without prefix and suffix
    key: str  # lower case
    values: tuple[str, ...]
    quantifier: Quantifier = Quantifier.NONE
    if_exists: bool = False

    def met(self, context: Context, lookup: Lookup | None) -> bool:
        """Whether the request meets it. `lookup` gives the values of variables, None where there are none."""
        given = context.get(self.key)
        if self.operator == "Null":
            return any((not given) is (value.lower() == "true") for value in self.values)
        present = (given,) if isinstance(given, str) else given or ()
        positive = self.operator.replace("Not", "", 1)
        negated = positive != self.operator
        if not present:
            return self._met_by_nothing(negated)
        test = TESTS[positive]
        fits = [any(test(value, each, lookup) for value in self.values) is not negated for each in present]
        every = self.quantifier is Quantifier.ALL or (self.quantifier is Quantifier.NONE and negated)
        return all(fits) if every else any(fits)

    def _met_by_nothing(self, negated: bool) -> bool:
        if self.if_exists or self.quantifier is Quantifier.ALL:
            return True
        return negated and self.quantifier is Quantifier.NONE


def parse_operator(text: str) -> tuple[str, Quantifier, bool] | None:
    """`ForAnyValue:StringLikeIfExists` → its operator, quantifier, and whether it ends in IfExists; None: unknown."""
    prefix, colon, name = text.rpartition(":")
    if colon and prefix not in (Quantifier.ANY, Quantifier.ALL):
        return None
    operator = name.removesuffix("IfExists")
    if operator not in OPERATORS or (operator == "Null" and name != operator):
        return None
    return operator, Quantifier(prefix), operator != name


def mistaken(operator: str, value: str) -> bool:
    """Whether the value cannot be compared by this operator: a word for a number."""
    kind = operator.replace("Not", "", 1)
    if kind in ("Null", "Bool"):
        return value.lower() not in ("true", "false") and "${" not in value
    if kind.startswith("Numeric"):
        return _number(value) is None
    if kind.startswith("Date"):
        return _time(value) is None
    if kind == "IpAddress":
        return _network(value) is None
    return kind == "BinaryEquals" and _bytes(value) is None


def _equal(value: str, given: str, lookup: Lookup | None) -> bool:
    return filled(value, lookup) == given


def _equal_ignoring_case(value: str, given: str, lookup: Lookup | None) -> bool:
    wanted = filled(value, lookup)
    return wanted is not None and wanted.casefold() == given.casefold()


def _bool(value: str, given: str, _lookup: Lookup | None) -> bool:
    return value.lower() == given.lower()


def _binary(value: str, given: str, _lookup: Lookup | None) -> bool:
    wanted = _bytes(value)
    return wanted is not None and wanted == _bytes(given)


def _ip(value: str, given: str, _lookup: Lookup | None) -> bool:
    network = _network(value)
    try:
        return network is not None and ipaddress.ip_address(given) in network
    except ValueError:
        return False


def _numeric(compare: Callable[[Decimal, Decimal], bool]) -> Test:
    def test(value: str, given: str, _lookup: Lookup | None) -> bool:
        wanted, have = _number(value), _number(given)
        return wanted is not None and have is not None and compare(have, wanted)

    return test


def _date(compare: Callable[[float, float], bool]) -> Test:
    def test(value: str, given: str, _lookup: Lookup | None) -> bool:
        wanted, have = _time(value), _time(given)
        return wanted is not None and have is not None and compare(have, wanted)

    return test


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _time(text: str) -> float | None:
    """Seconds since 1970, of ISO 8601 or of that very number."""
    number = _number(text)
    if number is not None and "-" not in text:
        return float(number)
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


# Of the negated operators each is the contrary of the one without "Not".
TESTS: Mapping[str, Test] = {
    "StringEquals": _equal,
    "StringEqualsIgnoreCase": _equal_ignoring_case,
    "StringLike": matches,
    "NumericEquals": _numeric(lambda have, wanted: have == wanted),
    "NumericLessThan": _numeric(lambda have, wanted: have < wanted),
    "NumericLessThanEquals": _numeric(lambda have, wanted: have <= wanted),
    "NumericGreaterThan": _numeric(lambda have, wanted: have > wanted),
    "NumericGreaterThanEquals": _numeric(lambda have, wanted: have >= wanted),
    "DateEquals": _date(lambda have, wanted: have == wanted),
    "DateLessThan": _date(lambda have, wanted: have < wanted),
    "DateLessThanEquals": _date(lambda have, wanted: have <= wanted),
    "DateGreaterThan": _date(lambda have, wanted: have > wanted),
    "DateGreaterThanEquals": _date(lambda have, wanted: have >= wanted),
    "Bool": _bool,
    "BinaryEquals": _binary,
    "IpAddress": _ip,
    "ArnEquals": matches_arn,  # ArnEquals and ArnLike "behave identically"
    "ArnLike": matches_arn,
}
_NEGATED = {
    "StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "NumericNotEquals", "DateNotEquals",
    "NotIpAddress", "ArnNotEquals", "ArnNotLike",
}  # fmt: skip
OPERATORS = frozenset({*TESTS, *_NEGATED, "Null"})
