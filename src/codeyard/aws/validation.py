"""Every rule of the model that an input breaks, in AWS's words.

The words are those of AWS's own services, e.g. "2 validation errors detected: Value 'x' at 'name' failed to satisfy
constraint: Member must have length greater than or equal to 2; Value null at …". A value of a sensitive shape is not
repeated. Lists and maps of single values name all rules of their items at once, as AWS does.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, cast

from codeyard.aws.shapes import Schema, Sort

_SHOWN = 256  # characters of a value
_NAMED = 50  # violations in one text
_COUNTED = 1000  # after which no more are looked for
_CONTAINERS = (Sort.STRUCTURE, Sort.LIST, Sort.MAP)
_NUMBERS = (Sort.INTEGER, Sort.LONG, Sort.DOUBLE, Sort.FLOAT)
# What is kept as bytes of a file or sealed, not in a column of text: it may contain a NUL, which PostgreSQL's cannot.
_WITH_NUL = frozenset({"EventMessage", "SecretStringType", "PSParameterValue"})
_NUL = r"Member must satisfy regular expression pattern: [^\u0000]*"
_NULL = "Member must not be null"


def violations(schema: Schema, value: Any) -> str | None:
    """The text for the caller, or None: the input is as the model wants it."""
    all_of_them = list(islice(_broken(schema, value, ""), _COUNTED))
    if not all_of_them:
        return None
    many = "validation error" if len(all_of_them) == 1 else "validation errors"
    named = "; ".join(all_of_them[:_NAMED])
    return f"{len(all_of_them)} {many} detected: {named}" + ("; …" if len(all_of_them) > _NAMED else "")


def _broken(schema: Schema, value: Any, path: str) -> Iterator[str]:
    if schema.sort is Sort.STRUCTURE:
        yield from _in_structure(schema, value, path)
        return
    for rule in _rules_broken(schema, value):
        yield f"{_told(schema, value)} at '{path}' failed to satisfy constraint: {rule}"
    if schema.sort not in _CONTAINERS or (schema.max is not None and len(value) > schema.max):
        return  # what is too long is not looked into
    if schema.sort is Sort.LIST:
        yield from _in_list(schema, value, path)
    elif schema.sort is Sort.MAP:
        yield from _in_map(schema, value, path)


def _in_structure(schema: Schema, value: dict[str, Any], path: str) -> Iterator[str]:
    for name in schema.required:
        if name not in value:
            yield f"Value null at '{_joined(path, name)}' failed to satisfy constraint: {_NULL}"
    for name, one in value.items():
        yield from _broken(schema.members[name], one, _joined(path, name))


def _in_list(schema: Schema, value: Sequence[Any], path: str) -> Iterator[str]:
    item = cast(Schema, schema.item)
    if item.sort in _CONTAINERS:
        for at, one in enumerate(value, 1):
            place = f"{path}.{at}.member"
            if one is None:
                yield f"Value null at '{place}' failed to satisfy constraint: {_NULL}"
            else:
                yield from _broken(item, one, place)
    elif any(one is None or any(True for _ in _rules_broken(item, one)) for one in value):
        yield f"{_told(schema, value)} at '{path}' failed to satisfy constraint: {_each('Member', item, value)}"


def _in_map(schema: Schema, value: dict[str, Any], path: str) -> Iterator[str]:
    key, item = cast(Schema, schema.key), cast(Schema, schema.item)
    if any(any(True for _ in _rules_broken(key, name)) for name in value):
        text = _each("Map keys", key, tuple(value))
        yield f"{_told(schema, value)} at '{path}' failed to satisfy constraint: {text}"
    if item.sort in _CONTAINERS:
        for name, one in value.items():
            place = f"{path}.{name:.100}.member"
            if one is None:
                yield f"Value null at '{place}' failed to satisfy constraint: {_NULL}"
            else:
                yield from _broken(item, one, place)
    elif any(one is None or any(True for _ in _rules_broken(item, one)) for one in value.values()):
        text = _each("Map value", item, tuple(value.values()))
        yield f"{_told(schema, value)} at '{path}' failed to satisfy constraint: {text}"


def _rules_broken(schema: Schema, value: Any) -> Iterator[str]:
    """Of this value alone, not of what it contains."""
    size = value if schema.sort in _NUMBERS else _length(schema, value)
    if size is not None:
        if schema.max is not None and size > schema.max:
            yield _at_most(schema)
        if schema.min is not None and size < schema.min:
            yield _at_least(schema)
    if schema.sort is Sort.STRING:
        if schema.pattern is not None and not schema.pattern.matches(value):
            yield _pattern(schema)
        if schema.enum and value not in schema.enum:
            yield _enum(schema)
        if "\0" in value and schema.name not in _WITH_NUL:
            yield _NUL


def _length(schema: Schema, value: Any) -> int | None:
    return len(value) if schema.sort in (Sort.STRING, Sort.BLOB, Sort.LIST, Sort.MAP) else None


def _each(what: str, item: Schema, values: Sequence[Any]) -> str:
    """All rules of the items, whichever are broken; NUL, which AWS does not speak of, only if it is there."""
    rules = [_at_most(item)] if item.max is not None else []
    rules += [_at_least(item)] if item.min is not None else []
    rules += [_pattern(item)] if item.pattern is not None else []
    rules += [_enum(item)] if item.enum else []
    rules += [_NUL] if any(isinstance(value, str) and "\0" in value for value in values) else []
    return f"{what} must satisfy constraint: [{', '.join([*rules, _NULL])}]"


def _at_most(schema: Schema) -> str:
    return f"Member must have {_measure(schema)} less than or equal to {schema.max}"


def _at_least(schema: Schema) -> str:
    return f"Member must have {_measure(schema)} greater than or equal to {schema.min}"


def _measure(schema: Schema) -> str:
    return "value" if schema.sort in _NUMBERS else "length"


def _pattern(schema: Schema) -> str:
    assert schema.pattern is not None
    return f"Member must satisfy regular expression pattern: {schema.pattern.text}"


def _enum(schema: Schema) -> str:
    return f"Member must satisfy enum value set: [{', '.join(schema.enum)}]"


def _joined(path: str, name: str) -> str:
    """AWS names a member by its name in Java, whatever the wire calls it."""
    name = name[0].lower() + name[1:]
    return f"{path}.{name}" if path else name


def _told(schema: Schema, value: Any) -> str:
    return "Value" if _secret(schema) else f"Value '{_shown(schema, value)}'"


def _secret(schema: Schema) -> bool:
    """Whether this or anything directly in it must not be repeated."""
    return schema.sensitive or any(part is not None and part.sensitive for part in (schema.key, schema.item))


def _shown(schema: Schema, value: Any) -> str:
    if schema.sort is Sort.LIST:
        text = f"[{', '.join(_shown_in(schema.item, one) for one in value[:20])}{', …' if len(value) > 20 else ''}]"
    elif schema.sort is Sort.MAP:
        pairs = [f"{name}={_shown_in(schema.item, one)}" for name, one in list(value.items())[:20]]
        text = f"{{{', '.join(pairs)}{', …' if len(value) > 20 else ''}}}"
    elif schema.sort is Sort.BLOB:
        text = f"{len(value)} bytes"
    else:
        text = str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _shown_in(item: Schema | None, value: Any) -> str:
    assert item is not None
    return "null" if value is None else "…" if item.sort in _CONTAINERS else _shown(item, value)
