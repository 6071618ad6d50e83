"""What an action type is: who can do it, what its configuration knows, how many artifacts it takes and gives. Pure.

The shape is ActionType of the API (ListActionTypes). Types of one's own follow "Create and add a custom action".
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from codeyard.aws import Refused
from codeyard.pipelines.model import ActionType

OURS = "Codeyard-"  # providers that begin so are built in
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_URL = re.compile(r"https?://[^\s\x00-\x1f\x7f]+")


class Kind(StrEnum):
    """What a value of a configuration must be; "" says nothing, as of most built-in types."""

    ANY = ""
    STRING = "String"
    NUMBER = "Number"
    BOOLEAN = "Boolean"


class Executor(StrEnum):
    """Who does the work: a part of the server, or a worker that polls for jobs."""

    SERVER = "Server"
    JOB_WORKER = "JobWorker"


@dataclass(frozen=True, slots=True)
class Property:
    """One key of the configuration. `allowed`: the only values there are."""

    name: str
    required: bool = False
    key: bool = True
    secret: bool = False
    queryable: bool = False
    kind: Kind = Kind.ANY
    description: str = ""
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """How many artifacts: both ends included."""

    least: int = 0
    most: int = 0


@dataclass(frozen=True, slots=True)
class ActionTypeSpec:
    """One type. `runs`: whether an action of it can be done here; if not, it fails when its turn comes.

    `open`: its keys are not known to us, so any is taken. `v2`: only pipelines of type V2 may use it.
    """

    id: ActionType
    properties: tuple[Property, ...] = ()
    inputs: Counts = Counts()
    outputs: Counts = Counts()
    settings: Mapping[str, str] = field(default_factory=dict)
    executor: Executor = Executor.SERVER
    runs: bool = True
    v2: bool = False
    open: bool = False

    def known(self, name: str) -> Property | None:
        return next((one for one in self.properties if one.name == name), None)

    @property
    def secrets(self) -> frozenset[str]:
        """The keys whose values are shown to nobody."""
        return frozenset(one.name for one in self.properties if one.secret)

    @property
    def queryable(self) -> Property | None:
        """The key whose value a worker asks jobs by, if there is one."""
        return next((one for one in self.properties if one.queryable), None)


def link(spec: ActionTypeSpec, setting: str, configuration: Mapping[str, str], id: str | None = None) -> str | None:
    """The URL that a setting is a template of: `{Config:Name}` is a value of the configuration; other placeholders are
    `id`, the execution's outside or the revision's. None: there is no such setting, or a placeholder has no value."""
    template, lacking = spec.settings.get(setting), []

    def value(match: re.Match[str]) -> str:
        kind, _, name = match[1].partition(":")
        found = configuration.get(name) if kind == "Config" else id
        if found is None:
            lacking.append(name)
        return quote(found or "", safe="/:@")

    url = _PLACEHOLDER.sub(value, template) if template is not None else None
    return None if lacking else url


class Catalogue:
    """All types of one account and region: those that are built in, and its own."""

    def __init__(self, builtin: Iterable[ActionTypeSpec], custom: Iterable[ActionTypeSpec] = ()) -> None:
        """Of two of the same id the first counts, so nobody's own type hides a built-in one."""
        self._specs: dict[ActionType, ActionTypeSpec] = {}
        for spec in (*builtin, *custom):
            self._specs.setdefault(spec.id, spec)

    def find(self, type: ActionType) -> ActionTypeSpec | None:
        return self._specs.get(type)

    def __iter__(self) -> Iterator[ActionTypeSpec]:
        return iter(self._specs.values())


def to_wire(spec: ActionTypeSpec) -> dict[str, Any]:
    """The shape ActionType."""
    settings = {"settings": dict(spec.settings)} if spec.settings else {}
    return {
        "id": {
            "category": spec.id.category,
            "owner": spec.id.owner,
            "provider": spec.id.provider,
            "version": spec.id.version,
        },
        **settings,
        "actionConfigurationProperties": properties_to_wire(spec.properties),
        "inputArtifactDetails": _counts_to_wire(spec.inputs),
        "outputArtifactDetails": _counts_to_wire(spec.outputs),
    }


def from_wire(shape: Mapping[str, Any]) -> ActionTypeSpec:
    """The type of one's own that `to_wire` made this of."""
    given = shape["id"]
    return ActionTypeSpec(
        ActionType(given["category"], given["owner"], given["provider"], given["version"]),
        tuple(_property(one) for one in shape.get("actionConfigurationProperties") or ()),
        _counts(shape["inputArtifactDetails"]),
        _counts(shape["outputArtifactDetails"]),
        dict(shape.get("settings") or {}),
        Executor.JOB_WORKER,
    )


def created(input: Mapping[str, Any]) -> ActionTypeSpec:
    """The type that this input of CreateCustomActionType describes. Refused: ValidationException, by the first fault.

    Lengths and counts were held against the model before.
    """
    spec = ActionTypeSpec(
        ActionType(input["category"], "Custom", input["provider"], input["version"]),
        tuple(_property(one) for one in input.get("configurationProperties") or ()),
        _counts(input["inputArtifactDetails"]),
        _counts(input["outputArtifactDetails"]),
        {name: url for name, url in (input.get("settings") or {}).items() if url is not None},
        Executor.JOB_WORKER,
    )
    wrong = _faults(spec)
    if wrong:
        raise Refused("ValidationException", wrong[0])
    return spec


def _faults(spec: ActionTypeSpec) -> list[str]:
    faults = []
    if spec.id.category == "Compute":
        faults.append("Custom actions of the category Compute are not supported")
    if spec.id.provider.startswith(OURS):
        faults.append(f"Provider names that begin with {OURS} are reserved")
    for what, counts in (("input", spec.inputs), ("output", spec.outputs)):
        if counts.least > counts.most:
            faults.append(
                f"The minimum count of {what} artifacts ({counts.least}) is greater than the maximum ({counts.most})"
            )
    if spec.id.category == "Source" and spec.inputs.most > 0:
        faults.append("A source action takes no input artifacts")
    return [*faults, *_property_faults(spec.properties), *_url_faults(spec)]


def _property_faults(properties: Sequence[Property]) -> Iterator[str]:
    for name, times in Counter(one.name for one in properties).items():
        if times > 1:
            yield f"Configuration property names must be unique: {name}"
    asked = [one for one in properties if one.queryable]
    if len(asked) > 1:
        yield "An action type may have at most one queryable configuration property"
    for one in asked:
        if not one.required or one.secret:
            yield f"The queryable configuration property {one.name} must be required and must not be secret"


def _url_faults(spec: ActionTypeSpec) -> Iterator[str]:
    """`{Config:Name}` must name a property that is required and not secret."""
    for setting, url in spec.settings.items():
        if not _URL.fullmatch(url):
            yield f"The value of settings.{setting} is not a URL"
        for placeholder in _PLACEHOLDER.findall(url) if setting != "thirdPartyConfigurationUrl" else ():
            kind, _, name = placeholder.partition(":")
            one = spec.known(name)
            if kind == "Config" and (one is None or not one.required or one.secret):
                yield f"settings.{setting} refers to {name}, which is not a required, non-secret property"
            elif kind not in ("Config", "ExternalExecutionId", "RevisionId"):
                yield f"settings.{setting} has the unknown placeholder {{{placeholder}}}"


def properties_to_wire(properties: Iterable[Property]) -> list[dict[str, Any]]:
    """The shapes ActionConfigurationProperty, or RuleConfigurationProperty, which is the same."""
    return [_property_to_wire(one) for one in properties]


def _property_to_wire(one: Property) -> dict[str, Any]:
    told = {"description": one.description or None, "type": one.kind.value or None}
    return {
        "name": one.name,
        "required": one.required,
        "key": one.key,
        "secret": one.secret,
        "queryable": one.queryable,
        **{name: value for name, value in told.items() if value is not None},
    }


def _property(shape: Mapping[str, Any]) -> Property:
    return Property(
        shape["name"],
        shape["required"],
        shape["key"],
        shape["secret"],
        bool(shape.get("queryable")),
        Kind(shape.get("type") or ""),
        shape.get("description") or "",
    )


def _counts(shape: Mapping[str, Any]) -> Counts:
    return Counts(shape["minimumCount"], shape["maximumCount"])


def _counts_to_wire(counts: Counts) -> dict[str, int]:
    return {"minimumCount": counts.least, "maximumCount": counts.most}
