"""S3's XML: answers rendered, and the few requests that have any, read with care."""

from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from codeyard.aws import Refused

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'

Tag = tuple[str, "str | int | bool | list[Tag] | None"]  # a name and what is in it; None: it is left out


def document(name: str, tags: list[Tag], *, plain: bool = False) -> bytes:
    """The answer. `plain`: in no namespace, as errors are."""
    namespace = "" if plain else f' xmlns="{NAMESPACE}"'
    return f"{_HEAD}<{name}{namespace}>{''.join(_rendered(tags))}</{name}>".encode()


def parse(content: bytes, root: str) -> Element:
    """The request's root, if it is called so. MalformedXML."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        found: Any = fromstring(content, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        raise malformed() from None
    if not isinstance(found, Element) or _name(found) != root:
        raise malformed()
    return found


def children(parent: Element, name: str) -> list[Element]:
    """Those of this name, of whatever namespace."""
    return [child for child in parent if _name(child) == name]


def text(parent: Element, name: str) -> str | None:
    """What is in the first child of this name; None if there is none."""
    return next(((child.text or "") for child in children(parent, name)), None)


def malformed() -> Refused:
    told = "The XML you provided was not well-formed or did not validate against our published schema"
    return Refused("MalformedXML", told)


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _rendered(tags: list[Tag]) -> Iterator[str]:
    for name, value in tags:
        if value is None:
            continue
        if isinstance(value, list):
            inner = "".join(_rendered(value))
        elif isinstance(value, bool):
            inner = "true" if value else "false"
        else:
            inner = _escaped(str(value))
        yield f"<{name}>{inner}</{name}>"


def _escaped(value: str) -> str:
    """Control characters as references, as S3 does; lists for clients that would fail over them are url-encoded."""
    quoted = escape(value, {'"': "&quot;"})
    return "".join(c if c >= " " and c not in "\x7f\ufffe\uffff" else f"&#x{ord(c):x};" for c in quoted)
