"""Frozen values as the members of AWS's shapes, and back: `git_clone_depth` of a dataclass is `gitCloneDepth` there.

One walk over a dataclass's fields and their types does for all: what is None is left out, a tuple is a list, an enum
is its text. What the shapes allow was checked before, against AWS's model.
"""

from collections.abc import Hashable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from codeyard.aws import Refused, Shape

T = TypeVar("T")


def to_members(value: Any) -> dict[str, Any]:
    """The members of a dataclass: plain values, lists, maps, and the datetimes as they are."""
    given = ((_camel(each.name), getattr(value, each.name)) for each in fields(value))
    return {name: _written(member) for name, member in given if member is not None}


def read_members(kind: type[Any], given: Shape) -> dict[str, Any]:
    """By field name, the value of each member that is given and that `kind` has. Refused: an unknown enum."""
    return {
        field: _read(hint, given[member])
        for field, (member, hint) in _fields_of(kind).items()
        if given.get(member) is not None
    }


def from_members(kind: type[T], given: Shape) -> T:
    """The value itself; what is not given has the field's default. Refused: a member is missing, an unknown enum."""
    read = read_members(kind, given)
    try:
        return kind(**read)
    except TypeError:
        missing = [member for field, (member, _) in _fields_of(kind).items() if field not in read]
        raise Refused("InvalidInputException", f"One of {', '.join(missing)} is required") from None


def _fields_of(kind: type[Any]) -> dict[str, tuple[str, Any]]:
    """By field name: the member's name and its type."""
    return _fields(kind)  # type: ignore[arg-type]  # mypy does not take a class for hashable


@cache
def _fields(kind: Hashable) -> dict[str, tuple[str, Any]]:
    return {field: (_camel(field), _bare(hint)) for field, hint in get_type_hints(kind).items()}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other[:1].upper() + other[1:] for other in others)


def _bare(hint: Any) -> Any:
    """The type without its `| None`."""
    if isinstance(hint, UnionType):
        return next(part for part in get_args(hint) if part is not NoneType)
    return hint


def _written(value: Any) -> Any:
    if is_dataclass(value):
        return to_members(value)
    if isinstance(value, tuple):
        return [_written(item) for item in value]
    return value.value if isinstance(value, StrEnum) else value


def _read(hint: Any, given: Any) -> Any:
    if get_origin(hint) is tuple:
        return tuple(_read(get_args(hint)[0], item) for item in given)
    if is_dataclass(hint) and isinstance(given, Mapping):
        return from_members(hint, given)  # type: ignore[arg-type]  # a class, not one of its instances
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _enum(hint, given)
    return datetime.fromisoformat(given) if hint is datetime and isinstance(given, str) else given


def _enum(kind: type[StrEnum], given: str) -> StrEnum:
    try:
        return kind(given)
    except ValueError:
        raise Refused("InvalidInputException", f"Invalid type provided: {str(given)[:100]}") from None
