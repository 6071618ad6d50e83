"""A pipeline's state machine for tests, driven as `turns` drives it: from rows, with nothing else in memory.

    line = OneLine(plan("QUEUED", stage("Source", "a"), stage("Build", "b", "c")))
    line.start("E1")
    line.ends("E1", "a")
    line.where("E1")    # "Build": in it; "<Build": in front of it; or the status that it ended with

After each event everything is read back from its JSON, and every promise of the state machine is looked at.
"""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import botocore.session

from codeyard.aws import Refused
from codeyard.pipelines.happenings import (
    AbandonRun,
    Changed,
    Deleted,
    Effect,
    Event,
    OverrideAsked,
    RetryAsked,
    RollbackAsked,
    RolledBack,
    RunEnded,
    Started,
    StartRun,
    StopAsked,
    TransitionChanged,
    Updated,
)
from codeyard.pipelines.model import (
    Action,
    ActionType,
    Condition,
    Declaration,
    ExecutionMode,
    Moment,
    OnFailure,
    Result,
    RetryMode,
    Stage,
)
from codeyard.pipelines.progress import advance
from codeyard.pipelines.state import (
    Execution,
    Kind,
    Line,
    Run,
    RunStatus,
    Status,
    Transition,
    begin,
    execution_json,
    gates_json,
    named_in,
    parse_execution,
    parse_gates,
)

_SERVICE = botocore.session.get_session().get_service_model("codepipeline")
_OPERATIONS: Mapping[type[Event], str] = {
    Started: "StartPipelineExecution",
    StopAsked: "StopPipelineExecution",
    RetryAsked: "RetryStageExecution",
    RollbackAsked: "RollbackStage",
    OverrideAsked: "OverrideStageCondition",
    TransitionChanged: "EnableStageTransition",
}
_BUILD, _RULE = ActionType("Build", "Custom", "Nothing"), ActionType("Rule", "AWS", "Nothing")


def stage(
    name: str,
    *actions: str,
    entry: str | None = None,
    success: str | None = None,
    failure: str | None = None,
    rules: int = 1,
) -> Stage:
    """Actions are `name`, or `name:runOrder`. `entry`, `success` and `failure` are results; a failure's that ends in
    `?` is asked of rules, and RETRY is of failed actions, RETRY ALL of all."""

    def asked(result: str) -> Condition:
        return Condition(Result(result), tuple(Action(f"rule{at}", _RULE) for at in range(rules)))

    def on_failure(text: str) -> OnFailure:
        if text.endswith("?"):
            return OnFailure(condition=asked(text[:-1]))
        mode = RetryMode.ALL_ACTIONS if text.endswith(" ALL") else RetryMode.FAILED_ACTIONS
        return OnFailure(Result(text.removesuffix(" ALL")), mode)

    return Stage(
        name,
        tuple(Action(each.partition(":")[0], _BUILD, int(each.partition(":")[2] or 1)) for each in actions),
        before_entry=None if entry is None else asked(entry),
        on_success=None if success is None else asked(success),
        on_failure=None if failure is None else on_failure(failure),
    )


def plan(mode: str, *stages: Stage, version: int = 1) -> Declaration:
    return Declaration("p", "role", stages, version, "V2", ExecutionMode(mode))


def _check_code(event: Event, refused: Refused) -> None:
    """AWS's operation has the error."""
    operation = _SERVICE.operation_model(_OPERATIONS[type(event)])
    assert refused.code in {error.name for error in operation.error_shapes}


@dataclass
class OneLine:
    """See the module."""

    declared: Declaration
    plans: dict[int, Declaration] = field(default_factory=dict)
    rows: dict[str, str] = field(default_factory=dict)  # executions, as JSON
    numbers: dict[str, tuple[int, int]] = field(default_factory=dict)  # of each its number and version
    gates: str = ""
    running: dict[str, StartRun] = field(default_factory=dict)  # runs that were begun, and not ended nor abandoned
    over: list[StartRun] = field(default_factory=list)
    told: list[Changed] = field(default_factory=list)
    effects: tuple[Effect, ...] = ()  # of the last event
    ids: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.plans[self.declared.version] = self.declared
        names = tuple(each.name for each in self.declared.stages)
        self._write(begin(self.declared.version, self.declared.mode, names))

    # ── events ──

    def do(self, event: Event) -> tuple[Effect, ...]:
        """Refused: it is one of those that the operation has."""
        before = self.line(getattr(event, "execution", None))
        untouched = json.dumps(gates_json(before), sort_keys=True)
        was = dict(self.rows)
        try:
            after, effects = advance(before, self.plans, event, lambda: f"run{next(self.ids)}")
        except Refused as refused:
            _check_code(event, refused)
            raise
        assert json.dumps(gates_json(before), sort_keys=True) == untouched
        self._write(after)
        self._follow(after, effects)
        self.effects = effects
        self._check(before, was, event)
        return effects

    def start(self, *ids: str) -> None:
        for id in ids:
            self.do(Started(id))

    def ends(self, execution: str, *names: str, good: bool = True) -> None:
        """These runs of it, which are under way, end."""
        for name in names:
            found = next(each for each in self.running.values() if (each.execution, each.name) == (execution, name))
            self.do(RunEnded(execution, found.run, good))

    def fails(self, execution: str, *names: str) -> None:
        self.ends(execution, *names, good=False)

    def through(self, execution: str, *names: str) -> None:
        """All that is under way of it ends well, and what follows, for as long as it is in one of these stages."""
        while self.where(execution) in names:
            self.ends(execution, *self.under_way(execution))

    def stop(self, execution: str, *, abandon: bool = False) -> None:
        self.do(StopAsked(execution, abandon))

    def retry(self, execution: str, stage: str, mode: str = "FAILED_ACTIONS") -> None:
        self.do(RetryAsked(execution, stage, RetryMode(mode)))

    def roll_back(self, id: str, stage: str, target: str) -> None:
        self.do(RollbackAsked(id, stage, target))

    def override(self, execution: str, stage: str, moment: str) -> None:
        self.do(OverrideAsked(execution, stage, Moment(moment)))

    def door(self, stage: str, *, enabled: bool) -> None:
        self.do(TransitionChanged(stage, Transition(enabled, None if enabled else "shut", "me")))

    def update(self, declared: Declaration) -> None:
        self.plans[declared.version] = declared
        self.do(Updated(declared.version))

    def delete(self) -> None:
        self.do(Deleted())

    # ── what is to be seen ──

    def line(self, asked: str | None = None) -> Line:
        """As a turn reads it: gates, live executions, and those that are named."""
        line = parse_gates(json.loads(self.gates))
        named = named_in(line) | {asked}
        found = {id: self.execution(id) for id in self.rows}
        return replace(line, executions={id: each for id, each in found.items() if each.live or id in named})

    def execution(self, id: str) -> Execution:
        return parse_execution(id, *self.numbers[id], json.loads(self.rows[id]))

    def executions(self) -> list[Execution]:
        return [self.execution(id) for id in self.rows]

    def where(self, id: str) -> str:
        now = self.execution(id)
        if not now.live:
            return now.status.value
        name = self.plans[now.version].stages[now.at].name
        return name if now.inside else f"<{name}"

    def places(self, *ids: str) -> list[str]:
        return [self.where(id) for id in ids]

    def under_way(self, execution: str) -> list[str]:
        """The names of its runs."""
        return [each.name for each in self.running.values() if each.execution == execution]

    def states(self, execution: str, stage: str | None = None) -> list[str]:
        """What was told of it, or of a stage of it."""
        return [each.state for each in self.told if (each.execution, each.stage) == (execution, stage)]

    def rolled_back(self) -> RolledBack | None:
        """What the last event began."""
        return next((each for each in self.effects if isinstance(each, RolledBack)), None)

    # ── what every event keeps ──

    def _write(self, line: Line) -> None:
        self.gates = json.dumps(gates_json(line))
        for id, each in line.executions.items():
            self.rows[id] = json.dumps(execution_json(each))
            self.numbers[id] = each.number, each.version
            assert self.execution(id) == each, "it is read as it was written"
        if not line.gates:  # the pipeline was deleted
            self.rows.clear()
        assert parse_gates(json.loads(self.gates)) == replace(line, executions={})

    def _follow(self, after: Line, effects: tuple[Effect, ...]) -> None:
        known = {*self.running, *(each.run for each in self.over)}
        for effect in effects:
            match effect:
                case StartRun():
                    assert effect.run not in known, "a run is begun once"
                    assert after.executions[effect.execution].live, "nothing is begun of what ended"
                    known.add(effect.run)
                    self.running[effect.run] = effect
                case AbandonRun(run):
                    self.over.append(self.running.pop(run))
                case Changed():
                    self.told.append(effect)

    def _check(self, before: Line, was: Mapping[str, str], event: Event) -> None:
        if isinstance(event, RunEnded) and event.run in self.running:
            self.over.append(self.running.pop(event.run))
        line = self.line()
        everyone = self.executions()
        self._check_places(line, everyone)
        self._check_runs(everyone)
        self._check_ended(was, event)
        self._check_superseded(before, line, everyone)
        self._check_order(everyone)

    def _check_places(self, line: Line, everyone: list[Execution]) -> None:
        for gate in line.gates:
            if gate.holder is not None:
                assert self.where(gate.holder) == gate.stage, "who holds a stage is in it, and lives"
                assert self.execution(gate.holder).mode is not ExecutionMode.PARALLEL
            if line.mode is ExecutionMode.SUPERSEDED:
                assert len(gate.waiting) <= 1
            assert sorted(gate.waiting, key=self.numbers.__getitem__) == list(gate.waiting)
            for id in gate.waiting:
                assert self.where(id) == f"<{gate.stage}"
            shut = not gate.transition.enabled and gate is not line.gates[0]
            assert not gate.waiting or gate.holder is not None or shut, "nobody waits in front of a free stage"
        for each in everyone:
            assert each.live or not each.inside
            if each.live and each.mode is not ExecutionMode.PARALLEL:
                held = [gate.stage for gate in line.gates if gate.holder == each.id]
                queued = [gate.stage for gate in line.gates if each.id in gate.waiting]
                here = self.plans[each.version].stages[each.at].name
                gone = each.outdated and line.gate(here) is None
                assert held + queued == ([] if gone else [here]), "it is in one place, and holds no other"
                assert bool(held) == each.inside or gone

    def _check_runs(self, everyone: list[Execution]) -> None:
        known: dict[str, Run] = {}
        for each in everyone:
            mine = [run for entered in each.stages.values() for run in entered.runs]
            known |= {run.id: run for run in mine}
            busy = [run for run in mine if run.status.is_running]
            assert bool(busy) == each.inside, "what is inside has something under way, and nothing else has"
            if each.mode is ExecutionMode.PARALLEL:
                begun = [r for entered in each.stages.values() for r in entered.actions.values() if r in busy]
                assert len(begun) <= 5
        assert {id for id, run in known.items() if run.status is RunStatus.IN_PROGRESS} == set(self.running)

    def _check_ended(self, was: Mapping[str, str], event: Event) -> None:
        again = event.execution if isinstance(event, RetryAsked | OverrideAsked) else None
        for id, row in was.items():
            if id != again and id in self.rows and not Status(json.loads(row)["status"]).live:
                assert self.rows[id] == row, "what has ended stays as it is"

    def _check_superseded(self, before: Line, line: Line, everyone: list[Execution]) -> None:
        for each in everyone:
            then = before.executions.get(each.id)
            if each.status is Status.SUPERSEDED and then is not None and then.live:
                assert not then.inside
                gate = line.gate(self.plans[each.version].stages[each.at].name)
                assert gate is not None
                newer = [id for id in (*gate.waiting, gate.holder) if id is not None]
                assert any(self.numbers[id][0] > each.number for id in newer), "a newer one took its place"

    def _check_order(self, everyone: list[Execution]) -> None:
        """Nobody overtakes, but a rollback, which goes in wherever it may."""
        if not everyone:
            return
        entered: dict[str, int] = {}
        for change in self.told:
            if change.stage is None or change.state != "STARTED" or change.execution not in self.rows:
                continue
            number, now = self.numbers[change.execution][0], self.execution(change.execution)
            if now.mode is not ExecutionMode.PARALLEL and now.kind is Kind.STANDARD:
                assert entered.get(change.stage, 0) < number
                entered[change.stage] = number
