"""What a pipeline is: the shape PipelineDeclaration as it is worked with. Pure.

The shape itself, as the client gave it and with its defaults filled in, is what is stored and shown; `parse` reads it
for the state machine and the actions. It trusts the shape: `rules` has checked it (reference: pipeline structure).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ExecutionMode(StrEnum):
    """How executions of one pipeline meet (User Guide, "Set or change the pipeline execution mode")."""

    SUPERSEDED = "SUPERSEDED"
    QUEUED = "QUEUED"
    PARALLEL = "PARALLEL"


class Result(StrEnum):
    """What a condition, or a stage's failure, leads to."""

    FAIL = "FAIL"
    ROLLBACK = "ROLLBACK"
    RETRY = "RETRY"
    SKIP = "SKIP"


class RetryMode(StrEnum):
    FAILED_ACTIONS = "FAILED_ACTIONS"
    ALL_ACTIONS = "ALL_ACTIONS"


class Moment(StrEnum):
    """When a condition is looked at; the values are those of OverrideStageCondition's conditionType."""

    BEFORE_ENTRY = "BEFORE_ENTRY"
    ON_SUCCESS = "ON_SUCCESS"
    ON_FAILURE = "ON_FAILURE"


@dataclass(frozen=True, slots=True)
class ActionType:
    """`actionTypeId`, or `ruleTypeId`, whose category is Rule."""

    category: str
    owner: str
    provider: str
    version: str = "1"

    def __str__(self) -> str:
        return f"{self.category}/{self.owner}/{self.provider}/{self.version}"


@dataclass(frozen=True, slots=True)
class Output:
    """An output artifact; `files` are patterns, of the Commands action alone."""

    name: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of an action's environment: PLAINTEXT or SECRETS_MANAGER."""

    name: str
    value: str
    type: str = "PLAINTEXT"


@dataclass(frozen=True, slots=True)
class Action:
    """One action, or one rule of a condition, of a stage."""

    name: str
    type: ActionType
    run_order: int = 1
    configuration: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = ()
    namespace: str | None = None
    role: str | None = None
    region: str | None = None
    timeout_minutes: int | None = None
    commands: tuple[str, ...] = ()
    output_variables: tuple[str, ...] = ()
    environment: tuple[Variable, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """Its rules, all of which must succeed; else `result` engages (of ON_FAILURE: if they do)."""

    result: Result | None
    rules: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class OnFailure:
    """Either a plain result (RETRY, ROLLBACK), or a condition."""

    result: Result | None = None
    retry_mode: RetryMode = RetryMode.FAILED_ACTIONS
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    actions: tuple[Action, ...]
    before_entry: Condition | None = None
    on_success: Condition | None = None
    on_failure: OnFailure | None = None

    @property
    def groups(self) -> tuple[tuple[Action, ...], ...]:
        """The actions of each runOrder, in its order."""
        orders = sorted({action.run_order for action in self.actions})
        return tuple(tuple(action for action in self.actions if action.run_order == order) for order in orders)

    def action(self, name: str) -> Action | None:
        return next((action for action in self.actions if action.name == name), None)

    def condition(self, moment: Moment) -> Condition | None:
        if moment is Moment.BEFORE_ENTRY:
            return self.before_entry
        if moment is Moment.ON_SUCCESS:
            return self.on_success
        return None if self.on_failure is None else self.on_failure.condition


@dataclass(frozen=True, slots=True)
class DeclaredVariable:
    """A variable of the pipeline; None: whoever starts it must give the value."""

    name: str
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """An artifact store: a bucket, and the key its objects are encrypted by."""

    bucket: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Declaration:
    """One version of a pipeline's definition."""

    name: str
    role: str
    stages: tuple[Stage, ...]
    version: int = 1
    type: str = "V1"
    mode: ExecutionMode = ExecutionMode.SUPERSEDED
    variables: tuple[DeclaredVariable, ...] = ()
    triggers: tuple[Mapping[str, Any], ...] = ()
    stores: Mapping[str, Store] = field(default_factory=dict)  # by region; "" is the one of `artifactStore`

    def stage(self, name: str) -> Stage | None:
        return next((stage for stage in self.stages if stage.name == name), None)

    def index(self, name: str) -> int | None:
        return next((at for at, stage in enumerate(self.stages) if stage.name == name), None)

    def store(self, region: str) -> Store | None:
        return self.stores.get(region) or self.stores.get("")


def parse(shape: Mapping[str, Any]) -> Declaration:
    """The declaration that this PipelineDeclaration means, which has been checked."""
    one = shape.get("artifactStore")
    many = {"": one} if one else shape.get("artifactStores") or {}
    return Declaration(
        name=shape["name"],
        role=shape["roleArn"],
        stages=tuple(_stage(stage) for stage in shape["stages"]),
        version=shape.get("version") or 1,
        type=shape.get("pipelineType") or "V1",
        mode=ExecutionMode(shape.get("executionMode") or "SUPERSEDED"),
        variables=tuple(DeclaredVariable(v["name"], v.get("defaultValue")) for v in shape.get("variables") or ()),
        triggers=tuple(shape.get("triggers") or ()),
        stores={region: _store(store) for region, store in many.items()},
    )


def _store(shape: Mapping[str, Any]) -> Store:
    return Store(shape["location"], (shape.get("encryptionKey") or {}).get("id"))


def _stage(shape: Mapping[str, Any]) -> Stage:
    failure = shape.get("onFailure")
    return Stage(
        name=shape["name"],
        actions=tuple(_action(action) for action in shape["actions"]),
        before_entry=_condition(shape.get("beforeEntry")),
        on_success=_condition(shape.get("onSuccess")),
        on_failure=None if not failure else _on_failure(failure),
    )


def _on_failure(shape: Mapping[str, Any]) -> OnFailure:
    retry = (shape.get("retryConfiguration") or {}).get("retryMode")
    result = shape.get("result")
    return OnFailure(
        result=Result(result) if result else None,
        retry_mode=RetryMode(retry) if retry else RetryMode.FAILED_ACTIONS,
        condition=_condition(shape),
    )


def _condition(shape: Mapping[str, Any] | None) -> Condition | None:
    conditions = (shape or {}).get("conditions")
    if not conditions:
        return None
    result = conditions[0].get("result")
    return Condition(
        Result(result) if result else None, tuple(_rule(rule) for rule in conditions[0].get("rules") or ())
    )


def _rule(shape: Mapping[str, Any]) -> Action:
    return _action({**shape, "actionTypeId": {"owner": "AWS", "version": "1", **shape["ruleTypeId"]}})


def _action(shape: Mapping[str, Any]) -> Action:
    kind = shape["actionTypeId"]
    return Action(
        name=shape["name"],
        type=ActionType(kind["category"], kind["owner"], kind["provider"], kind["version"]),
        run_order=shape.get("runOrder") or 1,
        configuration=dict(shape.get("configuration") or {}),
        inputs=tuple(artifact["name"] for artifact in shape.get("inputArtifacts") or ()),
        outputs=tuple(
            Output(each["name"], tuple(each.get("files") or ())) for each in shape.get("outputArtifacts") or ()
        ),
        namespace=shape.get("namespace"),
        role=shape.get("roleArn"),
        region=shape.get("region"),
        timeout_minutes=shape.get("timeoutInMinutes"),
        commands=tuple(shape.get("commands") or ()),
        output_variables=tuple(shape.get("outputVariables") or ()),
        environment=tuple(
            Variable(each["name"], each["value"], each.get("type") or "PLAINTEXT")
            for each in shape.get("environmentVariables") or ()
        ),
    )
