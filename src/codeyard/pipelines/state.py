"""Where the executions of one pipeline are: what the state machine reads and gives back, and how it is written. Pure.

A pipeline has a Gate in front of and around each stage: who holds the stage, who waits for it, whether the transition
into it is open. An Execution is in front of one stage, or inside it, or has ended. Executions of PARALLEL mode pass
the gates without holding them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from codeyard.pipelines.model import ExecutionMode, Moment


class Status(StrEnum):
    """Of executions and of stages; Superseded is of executions alone, Skipped of stages alone."""

    IN_PROGRESS = "InProgress"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    SUPERSEDED = "Superseded"
    SKIPPED = "Skipped"

    @property
    def live(self) -> bool:
        return self in (Status.IN_PROGRESS, Status.STOPPING)


class RunStatus(StrEnum):
    """Of an action's execution, and of a rule's."""

    IN_PROGRESS = "InProgress"
    ABANDONED = "Abandoned"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"

    @property
    def is_running(self) -> bool:
        return self is RunStatus.IN_PROGRESS


class ConditionStatus(StrEnum):
    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    ERRORED = "Errored"
    SUCCEEDED = "Succeeded"
    CANCELLED = "Cancelled"
    ABANDONED = "Abandoned"
    OVERRIDDEN = "Overridden"


class Kind(StrEnum):
    """`executionType`."""

    STANDARD = "STANDARD"
    ROLLBACK = "ROLLBACK"


@dataclass(frozen=True, slots=True)
class Run:
    """One action execution, or rule execution, of a stage's current attempt."""

    id: str
    status: RunStatus = RunStatus.IN_PROGRESS


@dataclass(frozen=True, slots=True)
class ConditionRun:
    status: ConditionStatus
    rules: Mapping[str, Run]  # by name


@dataclass(frozen=True, slots=True)
class StageRun:
    """What an execution did in a stage: of each action the latest attempt."""

    status: Status = Status.IN_PROGRESS
    actions: Mapping[str, Run] = field(default_factory=dict)  # by name; not there: it was not reached
    conditions: Mapping[Moment, ConditionRun] = field(default_factory=dict)
    automatic_retries: int = 0
    manual_retries: int = 0
    last_retry: str | None = None  # AutomatedStageRetry, ManualStageRetry

    @property
    def runs(self) -> tuple[Run, ...]:
        """All of it, actions and rules."""
        rules = (run for condition in self.conditions.values() for run in condition.rules.values())
        return (*self.actions.values(), *rules)

    @property
    def running(self) -> bool:
        return any(run.status is RunStatus.IN_PROGRESS for run in self.runs)


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of a pipeline."""

    id: str
    number: int  # the order in which a pipeline's executions began
    version: int  # of the definition that it began with
    mode: ExecutionMode
    kind: Kind = Kind.STANDARD
    target: str | None = None  # of a ROLLBACK: the execution whose artifacts and variables it uses
    status: Status = Status.IN_PROGRESS
    at: int = 0  # index of the stage that it is in, or in front of
    inside: bool = False
    abandoning: bool = False  # it is stopped, and what ran was abandoned
    outdated: bool = False  # its definition was replaced: it ends when what runs has ended
    summary: str = ""
    stages: Mapping[str, StageRun] = field(default_factory=dict)  # by name, as they were entered

    @property
    def live(self) -> bool:
        return self.status.live


@dataclass(frozen=True, slots=True)
class Transition:
    """Whether executions may enter a stage; who said so last, and why not."""

    enabled: bool = True
    reason: str | None = None
    by: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """A stage as executions meet it."""

    stage: str
    transition: Transition = Transition()
    holder: str | None = None  # the execution inside, which locks it
    waiting: tuple[str, ...] = ()  # in front of it; of SUPERSEDED mode one at the most
    stopped: str | None = None  # the execution that was stopped while it waited, until another comes
    latest: str | None = None  # the execution that entered last
    succeeded: tuple[str, int] | None = None  # the latest STANDARD execution that succeeded here, and its version
    shown: Mapping[str, str] = field(default_factory=dict)  # by action: its latest run, of whichever execution


@dataclass(frozen=True, slots=True)
class Line:
    """A pipeline's gates, and those of its executions that matter to them: the live ones, and each gate's latest."""

    version: int
    mode: ExecutionMode
    gates: tuple[Gate, ...]
    executions: Mapping[str, Execution] = field(default_factory=dict)
    last: int = 0  # the number of the execution that began last

    def gate(self, stage: str) -> Gate | None:
        return next((gate for gate in self.gates if gate.stage == stage), None)


def begin(version: int, mode: ExecutionMode, stages: tuple[str, ...]) -> Line:
    """A pipeline that nothing has happened to."""
    return Line(version, mode, tuple(Gate(stage) for stage in stages))


# ── as text ──


def gates_json(line: Line) -> dict[str, Any]:
    """The line without its executions."""
    return {
        "version": line.version,
        "mode": line.mode,
        "last": line.last,
        "gates": [_gate(gate) for gate in line.gates],
    }


def parse_gates(given: Mapping[str, Any]) -> Line:
    gates = tuple(_parse_gate(gate) for gate in given["gates"])
    return Line(given["version"], ExecutionMode(given["mode"]), gates, last=given["last"])


def named_in(line: Line) -> set[str]:
    """The executions that its gates name."""
    named = (name for gate in line.gates for name in (gate.holder, gate.latest, gate.stopped, *gate.waiting))
    return {name for name in named if name is not None}


def _gate(gate: Gate) -> dict[str, Any]:
    door = gate.transition
    return {
        "stage": gate.stage,
        "transition": [door.enabled, door.reason, door.by, None if door.at is None else door.at.isoformat()],
        "holder": gate.holder,
        "waiting": list(gate.waiting),
        "stopped": gate.stopped,
        "latest": gate.latest,
        "succeeded": None if gate.succeeded is None else list(gate.succeeded),
        "shown": dict(gate.shown),
    }


def _parse_gate(given: Mapping[str, Any]) -> Gate:
    enabled, reason, by, at = given["transition"]
    return Gate(
        given["stage"],
        Transition(enabled, reason, by, None if at is None else datetime.fromisoformat(at)),
        given["holder"],
        tuple(given["waiting"]),
        given["stopped"],
        given["latest"],
        None if given["succeeded"] is None else (given["succeeded"][0], given["succeeded"][1]),
        given["shown"],
    )


def execution_json(execution: Execution) -> dict[str, Any]:
    """All of it but the id, the number and the version, which are columns."""
    return {
        "mode": execution.mode,
        "kind": execution.kind,
        "target": execution.target,
        "status": execution.status,
        "at": execution.at,
        "inside": execution.inside,
        "abandoning": execution.abandoning,
        "outdated": execution.outdated,
        "summary": execution.summary,
        "stages": {name: _stage_run(run) for name, run in execution.stages.items()},
    }


def parse_execution(id: str, number: int, version: int, given: Mapping[str, Any]) -> Execution:
    return Execution(
        id=id,
        number=number,
        version=version,
        mode=ExecutionMode(given["mode"]),
        kind=Kind(given["kind"]),
        target=given["target"],
        status=Status(given["status"]),
        at=given["at"],
        inside=given["inside"],
        abandoning=given["abandoning"],
        outdated=given["outdated"],
        summary=given["summary"],
        stages={name: _parse_stage_run(run) for name, run in given["stages"].items()},
    )


def _stage_run(run: StageRun) -> dict[str, Any]:
    return {
        "status": run.status,
        "actions": _runs(run.actions),
        "conditions": {moment: [each.status, _runs(each.rules)] for moment, each in run.conditions.items()},
        "retries": [run.automatic_retries, run.manual_retries, run.last_retry],
    }


def _parse_stage_run(given: Mapping[str, Any]) -> StageRun:
    automatic, manual, last = given["retries"]
    return StageRun(
        Status(given["status"]),
        _parse_runs(given["actions"]),
        {
            Moment(moment): ConditionRun(ConditionStatus(status), _parse_runs(rules))
            for moment, (status, rules) in given["conditions"].items()
        },
        automatic,
        manual,
        last,
    )


def _runs(runs: Mapping[str, Run]) -> dict[str, list[str]]:
    return {name: [run.id, run.status] for name, run in runs.items()}


def _parse_runs(given: Mapping[str, list[str]]) -> dict[str, Run]:
    return {name: Run(id, RunStatus(status)) for name, (id, status) in given.items()}


def with_run(run: StageRun, id: str, status: RunStatus) -> StageRun:
    """With this action's or rule's execution in that status."""
    actions = {name: replace(each, status=status) if each.id == id else each for name, each in run.actions.items()}
    conditions = {
        moment: replace(
            condition,
            rules={
                name: replace(each, status=status) if each.id == id else each for name, each in condition.rules.items()
            },
        )
        for moment, condition in run.conditions.items()
    }
    return replace(run, actions=actions, conditions=conditions)
