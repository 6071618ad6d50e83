"""Which parameters a list is asked for. Pure.

Sources: Systems Manager API reference, ParameterStringFilter, ParametersFilter.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codeyard.aws import Refused, Shape
from codeyard.secrets import parameter_names
from codeyard.secrets.parameters import Attached, Parameter, Tier, Type

Test = Callable[[Parameter, Attached], bool]

_OF_A_PATH = ("Type", "KeyId", "Label", "DataType", "Tier")
_OF_ALL = ("Path", "Name", "Type", "KeyId", "Tier", "DataType")
_OPTIONS = {"Path": ("OneLevel", "Recursive"), "Name": ("Equals", "BeginsWith", "Contains")}
_KNOWN: dict[str, tuple[str, ...]] = {"Type": tuple(Type), "Tier": tuple(Tier)}


@dataclass(frozen=True, slots=True)
class _Filter:
    key: str
    option: str
    values: tuple[str, ...]


def of_all(call: Shape) -> Test:
    """What DescribeParameters asks for, by the members of either generation. Refused."""
    if call.get("Filters") and call.get("ParameterFilters"):
        raise Refused("ValidationException", "You can use either Filters or ParameterFilters in a single request.")
    old = [{**given, "Option": "BeginsWith"} for given in call.get("Filters") or ()]
    return _test([*old, *(call.get("ParameterFilters") or ())], _OF_ALL)


def of_a_path(call: Shape) -> Test:
    """What GetParametersByPath asks for. Refused."""
    return _test(call.get("ParameterFilters") or (), _OF_A_PATH)


def _test(given: Sequence[Shape], keys: tuple[str, ...]) -> Test:
    filters = [_filter(each, keys) for each in given]
    names = [each.key for each in filters]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Refused(
            "InvalidFilterKey",
            f"The following filter is duplicated in the request: {twice}. A request can contain only one occurrence of "
            "a specific filter.",
        )
    return lambda parameter, borne: all(_fits(each, parameter, borne) for each in filters)


def _filter(given: Shape, keys: tuple[str, ...]) -> _Filter:
    key, values = given["Key"], tuple(given.get("Values") or ())
    tag = key.startswith("tag:") and keys is _OF_ALL
    if not tag and key not in keys:
        listed = ", ".join(keys)
        raise Refused(
            "InvalidFilterKey", f"The following filter key is not valid: {key}. Valid filter keys include: [{listed}]."
        )
    options = _OPTIONS.get(key, ("Equals",) if tag else ("Equals", "BeginsWith"))
    option = given.get("Option") or options[0]
    if option not in options:
        raise Refused(
            "InvalidFilterOption",
            f"The following filter option is not valid: {option}. Valid options include: [{', '.join(options)}].",
        )
    if not values and not tag:
        raise Refused("InvalidFilterValue", f"The following filter values are missing : null for filter key {key}.")
    if (known := _KNOWN.get(key)) and option == "Equals" and (wrong := [v for v in values if v not in known]):
        raise Refused(
            "InvalidFilterValue",
            f"The following filter value is not valid: {wrong[0]}. Valid values include: [{', '.join(known)}].",
        )
    return _Filter(key, option, tuple(parameter_names.path(v) for v in values) if key == "Path" else values)


def _fits(wanted: _Filter, parameter: Parameter, borne: Attached) -> bool:
    if wanted.key.startswith("tag:"):
        held = borne.tags.get(wanted.key.removeprefix("tag:"))
        return held is not None and (not wanted.values or held in wanted.values)
    if wanted.key == "Path":
        return any(_under(path, parameter.name, wanted.option == "Recursive") for path in wanted.values)
    if wanted.key == "Label":
        held_labels = [label for label, version in borne.labels.items() if version == parameter.version]
        return any(_compares(wanted, label) for label in held_labels)
    held = {
        "Name": parameter.name, "Type": parameter.type, "KeyId": parameter.key_id, "Tier": parameter.tier,
        "DataType": parameter.data_type,
    }[wanted.key]  # fmt: skip
    return held is not None and _compares(wanted, held)


def _compares(wanted: _Filter, held: str) -> bool:
    if wanted.option == "BeginsWith":
        return held.startswith(wanted.values)
    if wanted.option == "Contains":
        return any(value in held for value in wanted.values)
    return held in wanted.values


def _under(path: str, name: str, recursive: bool) -> bool:
    if path != "/" and not name.startswith(path):
        return False
    return recursive or "/" not in name[len(path) :]
