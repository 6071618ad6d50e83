"""Inputs and outputs made up from botocore's shapes: right ones, and wrong ones of every kind; and what must never
happen when an operation is asked with them.

`survives(url, service)` is for every service: each operation, in each of its protocols, with many inputs.
"""

import base64
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

import cbor2
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from codeyard.aws import patterns
from tests.wire.served import CBOR, JSON, QUERY, Answer, Asker, protocols, service_model

_DEEPEST = 6  # of a shape that contains itself
_TIMES = st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)).map(
    lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
)
_PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126)
_MADE: WeakKeyDictionary[Any, dict[tuple[str, bool, int], st.SearchStrategy[Any]]] = WeakKeyDictionary()
_BOUNDS = {"integer": 2**31 - 1, "long": 2**53}
_JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["", "\0", "\ud800", "x" * 3000, "é" * 300, "💥", "../../etc/passwd", "' OR 1=1 --", "<a>&b;", "%n"]
    ),
    st.binary(max_size=10),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
    st.just([[[[[[[[]]]]]]]]),
    st.lists(st.text(max_size=4), min_size=150, max_size=150),
)


def valid(shape: Any, full: bool = False, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that the model allows; if `full`, with every member and no list empty, for protocols that lose those."""
    key = (shape.name, full, depth)
    known = _MADE.setdefault(shape._shape_resolver, {})
    if key not in known:
        known[key] = _valid(shape, full, depth)
    return known[key]


def _valid(shape: Any, full: bool, depth: int) -> st.SearchStrategy[Any]:
    match shape.type_name:
        case "structure":
            return _structure(shape, full, depth)
        case "list":
            least = max(shape.metadata.get("min", 0), 1 if full else 0)
            most = least if depth > _DEEPEST else min(shape.metadata.get("max", 3), least + 2)
            return st.lists(valid(shape.member, full, depth + 1), min_size=least, max_size=most)
        case "map":
            least = max(shape.metadata.get("min", 0), 1 if full else 0)
            keys, values = valid(shape.key, full, depth + 1), valid(shape.value, full, depth + 1)
            return st.dictionaries(keys, values, min_size=least, max_size=least + 2)
        case "string":
            return _text(shape)
        case "integer" | "long":
            least, most = shape.metadata.get("min", 0), shape.metadata.get("max", _BOUNDS[shape.type_name])
            return st.integers(int(least), int(min(most, _BOUNDS[shape.type_name])))
        case "double" | "float":
            return st.floats(shape.metadata.get("min", 0), shape.metadata.get("max", 1e6), width=32)
        case "boolean":
            return st.booleans()
        case "blob":
            return st.binary(min_size=max(1, shape.metadata.get("min", 0)), max_size=40)
        case "timestamp":
            return _TIMES
        case other:
            raise AssertionError(other)


def _structure(shape: Any, full: bool, depth: int) -> st.SearchStrategy[Any]:
    members = {name: valid(member, full, depth + 1) for name, member in _members(shape, depth)}
    needed = {name: made for name, made in members.items() if full or name in shape.required_members}
    optional = {name: made for name, made in members.items() if name not in needed}
    if getattr(shape, "is_tagged_union", False):
        return st.one_of(*(st.fixed_dictionaries({name: made}) for name, made in members.items()))
    return st.fixed_dictionaries(needed, optional=optional)


def _members(shape: Any, depth: int) -> list[tuple[str, Any]]:
    everything = [(name, one) for name, one in shape.members.items() if not getattr(one, "is_eventstream", False)]
    everything = [(name, one) for name, one in everything if not one.serialization.get("eventstream")]
    return (
        everything if depth <= _DEEPEST else [(name, one) for name, one in everything if name in shape.required_members]
    )


def _text(shape: Any) -> st.SearchStrategy[str]:
    if shape.enum:
        return st.sampled_from(shape.enum)
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", 2**30)
    found = patterns.pattern(shape.metadata["pattern"]) if "pattern" in shape.metadata else None
    if found is None:
        return st.text(_PRINTABLE | st.sampled_from("é€💥"), min_size=least, max_size=min(most, least + 12))
    letters = "".join(chr(code) for code in range(32, 127) if found.matches(chr(code)))
    if found.linear and letters:
        return st.text(letters, min_size=max(least, 1), max_size=min(most, least + 12))
    simple = re.compile(re.sub("[\ue000-\ue004]", "", patterns.translated(found.text)), re.ASCII)
    made = st.from_regex(simple, fullmatch=True, alphabet=_PRINTABLE)
    return made.map(lambda text: text[:most] if found.matches(text[:most]) else text).filter(
        lambda text: least <= len(text) <= most and found.matches(text)
    )


def invalid(shape: Any) -> st.SearchStrategy[Any]:
    """Values of the shape that have, here or there, something that the model forbids, or that nobody expects."""

    @st.composite
    def bent(draw: st.DrawFn) -> Any:
        value = draw(valid(shape))
        for _ in range(draw(st.integers(1, 3))):
            value = _bend(draw, shape, value)
        return value

    return bent()


def _bend(draw: st.DrawFn, shape: Any, value: Any) -> Any:
    """The value with one thing changed, somewhere in it."""
    if shape.type_name == "structure" and isinstance(value, dict) and draw(st.integers(0, 9)):
        name = draw(st.sampled_from([*shape.members, "unknownMember"]))
        if name not in shape.members:
            return value | {name: draw(_JUNK)}
        if name in value and draw(st.integers(0, 4)) == 0:
            return {key: one for key, one in value.items() if key != name}
        inner = value[name] if name in value else draw(valid(shape.members[name]))
        return value | {name: _bend(draw, shape.members[name], inner)}
    if shape.type_name == "list" and isinstance(value, list) and value and draw(st.booleans()):
        return [*value[:-1], _bend(draw, shape.member, value[-1])]
    if shape.type_name == "map" and isinstance(value, dict) and draw(st.booleans()):
        return value | {draw(st.text(max_size=300)): draw(_JUNK)}
    return draw(st.one_of(_JUNK, *_just_beyond(shape)))


def _just_beyond(shape: Any) -> list[st.SearchStrategy[Any]]:
    """One more, or one less, than the model allows."""
    found: list[st.SearchStrategy[Any]] = []
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.type_name == "string":
        found += [st.just("a" * (most + 1))] if most is not None and most < 100_000 else []
        found += [st.just("a" * (least - 1))] if least else []
        found += [st.sampled_from(shape.enum).map(str.lower)] if shape.enum else [st.just("a b\n\t\x7fé")]
    elif shape.type_name in ("integer", "long", "double"):
        found += [st.just(most + 1)] if most is not None else []
        found += [st.just(least - 1)] if least is not None else []
    return found


def inputs(operation: Any) -> st.SearchStrategy[Any]:
    """Of one operation, right and wrong by turns."""
    shape = operation.input_shape
    if shape is None:
        return _JUNK
    return st.one_of(valid(shape), invalid(shape), invalid(shape))


def knowing(values: st.SearchStrategy[Any], known: Mapping[str, Sequence[Any]]) -> st.SearchStrategy[Any]:
    """The same, but members of these names often have one of these values: of what there is already."""

    @st.composite
    def replaced(draw: st.DrawFn) -> Any:
        return _replaced(draw, draw(values), known)

    return replaced() if known else values


def _replaced(draw: st.DrawFn, value: Any, known: Mapping[str, Sequence[Any]]) -> Any:
    if isinstance(value, dict):
        return {
            name: draw(st.sampled_from(known[name])) if name in known and draw(st.integers(0, 3)) else
            _replaced(draw, one, known)
            for name, one in value.items()
        }  # fmt: skip
    return [_replaced(draw, one, known) for one in value] if isinstance(value, list) else value


def encoded(protocol: str, operation: Any, value: Any) -> bytes:
    """A request's body that says this, however wrong it is."""
    if protocol == CBOR:
        return cbor2.dumps(_without_halves(value), datetime_as_timestamp=True)
    if protocol == JSON:
        return json.dumps(value, default=_json_leaf).encode("utf-8", "surrogatepass")
    version = operation.service_model.metadata["apiVersion"]
    fields = {"Action": operation.name, "Version": version} | dict(_fields("", operation.input_shape, value))
    return urlencode(fields, errors="replace").encode()


def _json_leaf(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value.timestamp()


def _without_halves(value: Any) -> Any:
    """The value with the halves of surrogate pairs replaced, which CBOR's printer does not take."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_without_halves(name): _without_halves(one) for name, one in value.items()}
    return [_without_halves(one) for one in value] if isinstance(value, list) else value


def _fields(name: str, shape: Any, value: Any) -> Iterable[tuple[str, str]]:
    """A form's fields for this value; where it is not of the shape, as good as can be."""
    dot = f"{name}." if name else ""
    kind = shape.type_name if shape is not None else None
    if isinstance(value, Mapping) and kind == "map":
        for at, (key, one) in enumerate(value.items(), 1):
            yield f"{dot}entry.{at}.key", str(key)
            yield from _fields(f"{dot}entry.{at}.value", shape.value, one)
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _fields(f"{dot}{key}", shape.members.get(key) if kind == "structure" else None, one)
    elif isinstance(value, list):
        for at, one in enumerate(value, 1):
            yield from _fields(f"{dot}member.{at}", shape.member if kind == "list" else None, one)
    elif isinstance(value, datetime):
        yield name, value.isoformat()
    elif isinstance(value, bytes):
        yield name, base64.b64encode(value).decode()
    elif value is not None:
        yield name or "x", str(value).lower() if isinstance(value, bool) else str(value)


def check(answer: Answer, protocol: str, service: str, operation: str) -> None:
    """An answer that is no accident: in the request's protocol, read by botocore; an error has its type and text."""
    told = f"{service} {operation} {protocol}: {answer.status} {answer.body[:500]!r}"
    assert answer.status < 500, told
    assert answer.headers.get("x-amzn-requestid"), told
    kinds = {JSON: "application/x-amz-json-1.1", CBOR: "application/cbor", QUERY: "text/xml"}
    assert answer.headers["content-type"] == kinds[protocol], told
    if answer.status == 200 and not answer.body:
        assert service_model(service).operation_model(operation).output_shape is None, told
        return
    shape = service_model(service).operation_model(operation).output_shape
    if answer.status == 200 and getattr(shape, "event_stream_name", None):
        return
    parsed = answer.parsed(protocol, service, operation)
    if answer.status != 200:
        assert re.fullmatch(r"[A-Za-z]\w+", parsed["Error"]["Code"]), told
        assert len(parsed["Error"]["Message"]) > 3, told


def survives(
    url: str,
    service: str,
    operations: Iterable[str] | None = None,
    examples: int = 12,
    known: Mapping[str, Sequence[Any]] | None = None,
    **key: Any,
) -> None:
    """Asks every operation (or these) of the service at this URL, in each protocol it has, with made-up inputs.

    `known` gives values for members by their names, e.g. {"projectName": ["demo"]}, so that operations meet what is
    there; `key` is for an Asker: who asks. AssertionError: an answer is a 5xx, or is not as `check` wants it;
    TimeoutError: there is none.
    """
    model = service_model(service)
    for protocol in protocols(service):
        with closing(Asker(url, **key)) as asker:
            for name in model.operation_names if operations is None else operations:
                _drive(asker, protocol, service, model.operation_model(name), examples, known or {})


def _drive(
    asker: Asker, protocol: str, service: str, operation: Any, examples: int, known: Mapping[str, Sequence[Any]]
) -> None:
    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )  # fmt: skip
    @given(knowing(inputs(operation), known))
    def drive(value: Any) -> None:
        body = encoded(protocol, operation, value)
        check(asker.ask(protocol, service, operation.name, body), protocol, service, operation.name)

    drive()


def same(left: Any, right: Any) -> bool:
    """Whether two outputs are, but for the last digits of a float."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(one, right[name]) for name, one in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(one, other) for one, other in zip(left, right, strict=True))
    if isinstance(left, float) and isinstance(right, int | float):
        return math.isclose(left, right)
    return bool(left == right)
