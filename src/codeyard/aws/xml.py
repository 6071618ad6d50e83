"""The query protocol's answers: XML by the model's names. Nothing here reads XML."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from codeyard.aws.shapes import Schema, Sort

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"})


def escaped(text: str) -> str:
    """For the content of an element. What XML cannot hold becomes U+FFFD."""
    return _FORBIDDEN.sub("\ufffd", text).translate(_ENTITIES)


def element(tag: str, *content: str) -> str:
    """An element of elements, or of text that was escaped."""
    return f"<{tag}>{''.join(content)}</{tag}>"


def members(schema: Schema, tree: Mapping[str, Any]) -> Iterator[str]:
    """The members of a structure whose leaves are texts."""
    for name, value in tree.items():
        yield from _named(schema.place(name), schema.members[name], value)


def _named(tag: str, schema: Schema, value: Any) -> Iterator[str]:
    if schema.sort is Sort.STRUCTURE:
        yield element(tag, *members(schema, value))
    elif schema.sort is Sort.LIST:
        item = cast(Schema, schema.item)
        if schema.flattened:
            for one in value:
                yield from _named(tag, item, one)
        else:
            within = schema.places.get("item", "member")
            yield element(tag, *(part for one in value for part in _named(within, item, one)))
    elif schema.sort is Sort.MAP:
        entries = [_entry(schema, name, one) for name, one in value.items()]
        if schema.flattened:
            yield from (element(tag, entry) for entry in entries)
        else:
            yield element(tag, *(element("entry", entry) for entry in entries))
    else:
        yield element(tag, escaped(value))


def _entry(schema: Schema, name: str, value: Any) -> str:
    key = element(schema.places.get("key", "key"), escaped(name))
    return key + "".join(_named(schema.places.get("item", "value"), cast(Schema, schema.item), value))
