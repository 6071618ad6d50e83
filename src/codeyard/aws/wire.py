"""What the gateway asks of a protocol, and the leaves that all of them share."""

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from codeyard.aws.shapes import Leaf, Leaves, Model, Operation, Sort, Unreadable, found

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BOUNDS = {Sort.INTEGER: 2**31, Sort.LONG: 2**63}


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as a caller is told of it."""

    code: str
    message: str
    status: int
    fault: bool = False  # the service's, not the caller's


@dataclass(frozen=True, slots=True)
class Wire:
    """One protocol.

    `decode` gives the input's values from the body (for the query protocol: with the URL's query before it), or raises
    Unreadable; it checks types, not the model's constraints. `encode` gives an answer's body, `refuse` an error's.
    """

    decode: Callable[[Operation, bytes], dict[str, Any]]
    encode: Callable[[Model, Operation, Mapping[str, Any], str], bytes]
    refuse: Callable[[Model | None, Problem, str], bytes]
    unreadable: str  # the code for what `decode` cannot read
    content_type: str
    headers: tuple[tuple[bytes, bytes], ...] = field(default=())


def text(given: Any) -> str:
    if type(given) is not str:
        raise Unreadable(found(given, "a String"))
    if not given.isascii():
        try:
            given.encode()
        except UnicodeEncodeError:
            raise Unreadable("A text has half of a surrogate pair") from None
    return given


def whole(sort: Sort) -> Leaf:
    """Integers of 32 or 64 bits; a float that is whole is one."""
    bound = _BOUNDS[sort]
    wanted = "an Integer" if sort is Sort.INTEGER else "a Long"

    def leaf(given: Any) -> int:
        if type(given) is float and given.is_integer():
            given = int(given)
        if type(given) is not int:
            raise Unreadable(found(given, wanted))
        if not -bound <= given < bound:
            raise Unreadable(f"A number is too large for {wanted}")
        return given

    return leaf


def real(given: Any) -> float:
    if type(given) not in (int, float):
        raise Unreadable(found(given, "a Double"))
    try:
        value = float(given)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise Unreadable("A number is too large for a Double, or is none")
    return value


def flag(given: Any) -> bool:
    if type(given) is not bool:
        raise Unreadable(found(given, "a Boolean"))
    return given


def blob_in_text(given: Any) -> bytes:
    try:
        return base64.b64decode(text(given), validate=True)
    except (binascii.Error, ValueError) as wrong:
        raise wrong if isinstance(wrong, Unreadable) else Unreadable("A blob is not in base64") from None


def epoch_seconds(given: Any) -> datetime:
    if type(given) not in (int, float):
        raise Unreadable(found(given, "milliseconds since epoch"))
    try:
        return EPOCH + timedelta(milliseconds=round(given * 1000))
    except (OverflowError, ValueError):
        raise Unreadable("A timestamp is beyond the years 1 to 9999, or is none") from None


def leaves(**leaf_of: Leaf) -> Leaves:
    """A protocol's leaves: one for text, whole, real, flag, blob and time each. `whole` is made for its two sizes."""
    return {
        Sort.STRING: leaf_of["text"],
        Sort.INTEGER: leaf_of["integer"],
        Sort.LONG: leaf_of["long"],
        Sort.DOUBLE: leaf_of["real"],
        Sort.FLOAT: leaf_of["real"],
        Sort.BOOLEAN: leaf_of["flag"],
        Sort.BLOB: leaf_of["blob"],
        Sort.TIMESTAMP: leaf_of["time"],
    }


def written(kind: type | tuple[type, ...], change: Leaf | None = None) -> Leaf:
    """A leaf for answers: the value must be of this kind. TypeError: a handler's mistake."""

    def leaf(value: Any) -> Any:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise TypeError(f"a handler gave {type(value).__name__} for {kind}")
        return value if change is None else change(value)

    return leaf


def aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise TypeError("a handler gave a time without its zone")
    return value


def _same(given: Any, kind: type, wanted: str) -> Any:
    if not isinstance(given, kind):
        raise Unreadable(found(given, wanted))
    return given


# Of values that are Python's already: for calls within this process.
PLAIN = leaves(
    text=lambda given: text(str(given)) if isinstance(given, str) else text(given),
    integer=whole(Sort.INTEGER),
    long=whole(Sort.LONG),
    real=real,
    flag=flag,
    blob=lambda given: _same(given, bytes, "a Blob"),
    time=lambda given: _same(given, datetime, "a timestamp"),
)
PLAIN_OUT = leaves(
    text=written(str, str),
    integer=written(int),
    long=written(int),
    real=written((int, float), float),
    flag=written(bool),
    blob=written(bytes),
    time=aware,
)
