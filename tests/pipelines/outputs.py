"""What handlers answer, held against botocore's shapes: `faults("GetPipelineState", output)` is empty if right."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import botocore.session

_SERVICE = botocore.session.get_session().get_service_model("codepipeline")
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "timestamp": datetime,
    "list": (list, tuple),
    "map": Mapping,
    "structure": Mapping,
}


def faults(operation: str, output: Any) -> list[str]:
    """Where an output is not as the model has it. A member that is None is not there."""
    shape = _SERVICE.operation_model(operation).output_shape
    if shape is None:
        return [] if output is None else ["it is not empty"]
    return list(_faults(shape, output, ""))


def errors(operation: str) -> set[str]:
    """The types of error that it has."""
    return {shape.name for shape in _SERVICE.operation_model(operation).error_shapes}


def _is(shape: Any, value: Any) -> bool:
    return isinstance(value, _KINDS[shape.type_name])


def _faults(shape: Any, value: Any, at: str) -> Iterator[str]:
    if not _is(shape, value):
        yield f"{at}: {value!r} is no {shape.type_name}"
        return
    yield from _limits(shape, value, at)
    if shape.type_name == "structure":
        there = {name: one for name, one in value.items() if one is not None}
        yield from (f"{at}: lacks {name}" for name in shape.required_members if name not in there)
        yield from (f"{at}: has {name}" for name in there if name not in shape.members)
        for name in there.keys() & shape.members.keys():
            yield from _faults(shape.members[name], there[name], f"{at}.{name}")
    elif shape.type_name == "list":
        for number, one in enumerate(value):
            yield from _faults(shape.member, one, f"{at}[{number}]")
    elif shape.type_name == "map":
        for name, one in value.items():
            yield from _faults(shape.key, name, f"{at}.{name}")
            yield from _faults(shape.value, one, f"{at}.{name}")
    elif shape.type_name == "timestamp" and value.tzinfo is None:
        yield f"{at}: {value} has no time zone"


def _limits(shape: Any, value: Any, at: str) -> Iterator[str]:
    limits = shape.metadata
    if "enum" in limits and value not in limits["enum"]:
        yield f"{at}: {value!r} is none of {limits['enum']}"
    sized = shape.type_name in ("string", "list", "map")
    if sized and not limits.get("min", 0) <= len(value) <= limits.get("max", 10**9):
        yield f"{at}: {str(value)[:50]!r} is too short or too long"
    if shape.type_name == "string" and "pattern" in limits and re.fullmatch(limits["pattern"], value) is None:
        yield f"{at}: {value!r} is not as {limits['pattern']}"
