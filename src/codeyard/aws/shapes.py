"""What AWS's operations take and give, from botocore's models: loaded once, without their prose.

The one walk over a schema that all protocols share is here too: `read` turns what a parser gave into values, `write`
turns values into what a printer takes. A protocol is a table of leaf functions, one for each sort of single value.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from botocore.loaders import Loader

from codeyard.aws.patterns import Pattern, pattern

DEPTH = 64  # no input of these services nests deeper, but two that recurse without end


class Sort(StrEnum):
    """The model's own words."""

    STRUCTURE = "structure"
    LIST = "list"
    MAP = "map"
    STRING = "string"
    INTEGER = "integer"
    LONG = "long"
    DOUBLE = "double"
    FLOAT = "float"
    BOOLEAN = "boolean"
    BLOB = "blob"
    TIMESTAMP = "timestamp"


@dataclass(slots=True, eq=False)
class Schema:
    """One shape of a model. Filled after it is made, because a shape may contain itself; then never changed."""

    name: str
    sort: Sort
    members: dict[str, "Schema"] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    places: dict[str, str] = field(default_factory=dict)  # member → its name in a form or XML, where it is another
    key: "Schema | None" = None
    item: "Schema | None" = None  # of a list; the value of a map
    flattened: bool = False
    min: float | None = None  # of the value, the length or the count, as the sort has it
    max: float | None = None
    pattern: Pattern | None = None
    enum: tuple[str, ...] = ()
    sensitive: bool = False

    def place(self, member: str) -> str:
        """The member's name in a form or XML. A flattened list goes by the name of its items, if they have one."""
        inner = self.members[member]
        if inner.flattened and inner.sort is Sort.LIST and "item" in inner.places:
            return inner.places["item"]
        return self.places.get(member, member)


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """What one operation takes and gives."""

    name: str
    input: Schema
    output: Schema | None
    wrapper: str | None  # the element around the output, in XML


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of the model: the code on the wire, the HTTP status, and whether the service is to blame."""

    code: str
    status: int
    fault: bool


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """One service."""

    service: str
    prefix: str  # of X-Amz-Target, and the service's name in rpc-v2-cbor
    protocols: frozenset[str]
    version: str
    namespace: str  # of XML
    signing_name: str  # in a signature's scope, and before the colon of an IAM action
    operations: Mapping[str, Operation]
    failures: Mapping[str, Failure]  # by the shape's name and by the code


@functools.cache
def model(service: str) -> Model:
    """The newest model of this service, by botocore's name for it. KeyError and the like: there is none."""
    loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    described: Mapping[str, Any] = loader.load_service_model(service, "service-2")
    data, schemas = described["metadata"], _schemas(described["shapes"])
    return Model(
        service,
        data.get("targetPrefix", ""),
        frozenset(data.get("protocols") or [data["protocol"]]),
        data["apiVersion"],
        data.get("xmlNamespace", ""),
        data.get("signingName", data["endpointPrefix"]),
        {name: _operation(name, told, schemas) for name, told in described["operations"].items()},
        _failures(described["shapes"]),
    )


def _operation(name: str, told: Mapping[str, Any], schemas: Mapping[str, Schema]) -> Operation:
    given, output = told.get("input"), told.get("output")
    return Operation(
        name,
        schemas[given["shape"]] if given else Schema("Nothing", Sort.STRUCTURE),
        schemas[output["shape"]] if output else None,
        output.get("resultWrapper") if output else None,
    )


def _failures(shapes: Mapping[str, Any]) -> dict[str, Failure]:
    found: dict[str, Failure] = {}
    for name, told in shapes.items():
        if told.get("exception"):
            error, fault = told.get("error", {}), bool(told.get("fault"))
            failure = Failure(error.get("code", name), error.get("httpStatusCode", 500 if fault else 400), fault)
            found[name] = found[failure.code] = failure
    return found


def _schemas(shapes: Mapping[str, Any]) -> dict[str, Schema]:
    made = {name: _alone(name, told) for name, told in shapes.items()}
    for name, told in shapes.items():
        schema = made[name]
        members = told.get("members", {})
        schema.members = {member: made[ref["shape"]] for member, ref in members.items()}
        schema.places = {member: ref["locationName"] for member, ref in members.items() if "locationName" in ref}
        for part, ref in (("key", told.get("key")), ("item", told.get("member") or told.get("value"))):
            if ref is not None:
                setattr(schema, part, made[ref["shape"]])
                if "locationName" in ref:
                    schema.places[part] = ref["locationName"]
    return made


def _alone(name: str, told: Mapping[str, Any]) -> Schema:
    return Schema(
        name,
        Sort(told["type"]),
        required=tuple(told.get("required", ())),
        flattened=bool(told.get("flattened")),
        min=told.get("min"),
        max=told.get("max"),
        pattern=pattern(told["pattern"]) if "pattern" in told else None,
        enum=tuple(told.get("enum", ())),
        sensitive=bool(told.get("sensitive")),
    )


class Unreadable(ValueError):
    """What came is not of the model's type. `at` names the place, innermost last."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        self.path: list[str] = []

    def __str__(self) -> str:
        return f"{self.why}, at '{'.'.join(reversed(self.path))}'" if self.path else self.why


Leaf = Callable[[Any], Any]
Leaves = Mapping[Sort, Leaf]


def read(schema: Schema, given: Any, leaves: Leaves, depth: int = 0) -> Any:
    """The values in what a parser gave. Members that are null or unknown are left out, as AWS does. Unreadable."""
    if (leaf := leaves.get(schema.sort)) is not None:
        return leaf(given)
    if depth > DEPTH:
        raise Unreadable("The input is nested too deeply")
    if schema.sort is Sort.LIST:
        return _read_list(cast(Schema, schema.item), given, leaves, depth + 1)
    if not isinstance(given, Mapping):
        raise Unreadable(found(given, "a structure or map"))
    if schema.sort is Sort.MAP:
        return _read_map(schema, given, leaves, depth + 1)
    values = {}
    for name, item in given.items():
        if item is not None and (member := schema.members.get(name)) is not None:
            try:
                values[name] = read(member, item, leaves, depth + 1)
            except Unreadable as wrong:
                wrong.path.append(name)
                raise
    return values


def _read_list(item: Schema, given: Any, leaves: Leaves, depth: int) -> list[Any]:
    if not isinstance(given, list | tuple):
        raise Unreadable(found(given, "a list"))
    at = 0
    try:
        values = []
        for at, one in enumerate(given, 1):  # noqa: B007 - the place, should it be unreadable
            values.append(None if one is None else read(item, one, leaves, depth))
        return values
    except Unreadable as wrong:
        wrong.path.append(f"{at}.member")
        raise


def _read_map(schema: Schema, given: Mapping[Any, Any], leaves: Leaves, depth: int) -> dict[str, Any]:
    values = {}
    for name, one in given.items():
        try:
            value = None if one is None else read(cast(Schema, schema.item), one, leaves, depth)
            values[read(cast(Schema, schema.key), name, leaves, depth)] = value
        except Unreadable as wrong:
            wrong.path.append(f"{name!r:.100}")
            raise
    return values


def write(schema: Schema, value: Any, leaves: Leaves) -> Any:
    """What a printer takes, from a handler's value. Members that are None are left out.

    TypeError: the value is not of the schema, or has a member that the schema does not have: a handler's mistake.
    """
    if (leaf := leaves.get(schema.sort)) is not None:
        return leaf(value)
    if schema.sort is Sort.LIST:
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
            raise TypeError(f"{schema.name} is a list, not {type(value).__name__}")
        return [write(cast(Schema, schema.item), one, leaves) for one in value]
    if not isinstance(value, Mapping):
        raise TypeError(f"{schema.name} is a {schema.sort}, not {type(value).__name__}")
    if schema.sort is Sort.MAP:
        return {str(name): write(cast(Schema, schema.item), one, leaves) for name, one in value.items()}
    tree = {}
    for name, one in value.items():
        if one is not None:
            if name not in schema.members:
                raise TypeError(f"{schema.name} has no member {name}")
            tree[name] = write(schema.members[name], one, leaves)
    return tree


def found(given: Any, wanted: str) -> str:
    """AWS's words for a value of the wrong type."""
    if isinstance(given, Mapping):
        return "Start of structure or map found where not expected."
    if isinstance(given, list | tuple):
        return "Start of list found where not expected"
    name = {bool: "TRUE_VALUE" if given else "FALSE_VALUE", int: "NUMBER_VALUE", float: "NUMBER_VALUE"}
    return f"{name.get(type(given), 'STRING_VALUE')} can not be converted to {wanted}"
