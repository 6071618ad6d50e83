"""The query protocol: a form comes in, XML goes out.

Lists are `Name.member.1`, maps `Name.entry.1.key` and `.value`, structures `Name.Member`; where the model says
flattened, without the middle. https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
"""

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import parse_qsl

from codeyard.aws import shapes
from codeyard.aws.shapes import DEPTH, Model, Operation, Schema, Sort, Unreadable
from codeyard.aws.wire import Problem, Wire, aware, blob_in_text, epoch_seconds, leaves, real, text, whole, written
from codeyard.aws.xml import element, escaped, members

_FIELDS = 20_000  # of a form
_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")
_REAL = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")


def fields(form: bytes) -> dict[str, str]:
    """A form's fields. Unreadable: it is not one, has too many, or has one twice."""
    try:
        pairs = parse_qsl(
            form.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS, errors="strict", separator="&"
        )
    except ValueError:  # and UnicodeDecodeError, which is one
        raise Unreadable("The request's body is not a form that can be read") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable("A field of the form is there twice")
    return found


def _integer(sort: Sort) -> shapes.Leaf:
    bounded = whole(sort)

    def leaf(given: Any) -> int:
        value: int = bounded(int(given) if _NUMBER.fullmatch(text(given)) else given)
        return value

    return leaf


def _real(given: Any) -> float:
    return real(float(given) if _REAL.fullmatch(text(given)) else given)


def _flag(given: Any) -> bool:
    if text(given) not in ("true", "false"):
        raise Unreadable("A Boolean is neither true nor false")
    return bool(given == "true")


def _time(given: Any) -> datetime:
    if _REAL.fullmatch(text(given)):
        return epoch_seconds(float(given))
    try:
        value = datetime.fromisoformat(given)
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unreadable("A timestamp is not in ISO 8601") from None


def _time_text(value: datetime) -> str:
    stamp = aware(value).astimezone(UTC)
    return stamp.isoformat(timespec="milliseconds" if stamp.microsecond >= 1000 else "seconds")[:-6] + "Z"


_READ = leaves(
    text=text, integer=_integer(Sort.INTEGER), long=_integer(Sort.LONG), real=_real, flag=_flag, blob=blob_in_text,
    time=_time,
)  # fmt: skip
_WRITE = leaves(
    text=written(str, str),
    integer=written(int, str),
    long=written(int, str),
    real=written((int, float), str),
    flag=written(bool, lambda value: "true" if value else "false"),
    blob=written(bytes, lambda value: base64.b64encode(value).decode()),
    time=_time_text,
)


def _decode(operation: Operation, form: bytes) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in fields(form).items():
        _plant(tree, name, value)
    values: dict[str, Any] = shapes.read(operation.input, _shaped(operation.input, tree), _READ)
    return values


def _plant(tree: dict[str, Any], name: str, value: str) -> None:
    *branches, last = name.split(".")
    if len(branches) > 2 * DEPTH:
        raise Unreadable("The input is nested too deeply")
    for branch in branches:
        tree = tree.setdefault(branch, {})
        if not isinstance(tree, dict):
            raise Unreadable(f"A field is both a value and a structure, at '{name:.200}'")
    if isinstance(tree.get(last), dict):
        raise Unreadable(f"A field is both a value and a structure, at '{name:.200}'")
    tree[last] = value


def _shaped(schema: Schema, given: Any) -> Any:
    """The tree of a form with lists for lists, maps for maps, and the members' own names: what `read` takes."""
    if schema.sort not in (Sort.STRUCTURE, Sort.LIST, Sort.MAP):
        return given
    if given == "":  # how clients send what is empty
        return [] if schema.sort is Sort.LIST else {}
    if not isinstance(given, dict):
        return given
    if schema.sort is Sort.STRUCTURE:
        found = ((name, given.get(schema.place(name))) for name in schema.members)
        return {name: _shaped(schema.members[name], one) for name, one in found if one is not None}
    item = cast(Schema, schema.item)
    if schema.sort is Sort.LIST:
        within = given if schema.flattened else given.get(schema.places.get("item", "member"), {})
        return [_shaped(item, one) for one in _numbered(within)]
    return dict(_pair(schema, entry) for entry in _numbered(given if schema.flattened else given.get("entry", {})))


def _pair(schema: Schema, entry: Any) -> tuple[str, Any]:
    key, value = schema.places.get("key", "key"), schema.places.get("item", "value")
    if not isinstance(entry, dict) or not isinstance(entry.get(key), str):
        raise Unreadable("An entry of a map has no key")
    return entry[key], _shaped(cast(Schema, schema.item), entry.get(value, ""))


def _numbered(tree: Any) -> list[Any]:
    """The items by their numbers, wherever those begin."""
    if not isinstance(tree, dict) or not all(_NUMBER.fullmatch(name) for name in tree):
        raise Unreadable("A list's items are not numbered")
    return [tree[name] for name in sorted(tree, key=int)]


def _encode(model: Model, operation: Operation, output: Mapping[str, Any], request_id: str) -> bytes:
    result = ""
    if operation.output is not None:
        inside = "".join(members(operation.output, shapes.write(operation.output, output, _WRITE)))
        result = element(operation.wrapper, inside) if operation.wrapper else inside
    metadata = element("ResponseMetadata", element("RequestId", request_id))
    name = f"{operation.name}Response"
    return f'<{name} xmlns="{model.namespace}">{result}{metadata}</{name}>'.encode()


def _refuse(model: Model | None, problem: Problem, request_id: str) -> bytes:
    namespace = f' xmlns="{model.namespace}"' if model is not None else ""
    error = element(
        "Error",
        element("Type", "Receiver" if problem.fault else "Sender"),
        element("Code", escaped(problem.code)),
        element("Message", escaped(problem.message)),
    )
    return f"<ErrorResponse{namespace}>{error}{element('RequestId', request_id)}</ErrorResponse>".encode()


QUERY = Wire(_decode, _encode, _refuse, "MalformedInput", "text/xml")
