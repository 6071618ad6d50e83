"""One turn of a pipeline's state machine: a copy of the line that changes, until nothing follows any more. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from codeyard.aws import Refused
from codeyard.pipelines.happenings import Changed, Effect, RolledBack, RunEnded, Started, StartRun
from codeyard.pipelines.model import Condition, Declaration, ExecutionMode, Moment, Result, RetryMode, Stage
from codeyard.pipelines.state import (
    ConditionRun,
    ConditionStatus,
    Execution,
    Gate,
    Kind,
    Line,
    Run,
    RunStatus,
    StageRun,
    Status,
    with_run,
)

MANY = 50  # executions of a pipeline at once, in QUEUED and PARALLEL mode
_AT_ONCE = 5  # actions of one execution at once, in PARALLEL mode
AUTOMATED, MANUAL = "AutomatedStageRetry", "ManualStageRetry"
Plans = Mapping[int, Declaration]  # by version: the line's own, and those of its executions
Mint = Callable[[], str]


class Turn:
    """One turn: a copy of the line that changes, and the effects so far."""

    def __init__(self, line: Line, plans: Plans, mint: Mint) -> None:
        self.version, self.mode = line.version, line.mode
        self.gates = list(line.gates)
        self.executions = dict(line.executions)
        self.plans, self.mint, self._last = plans, mint, line.last
        self.effects: list[Effect] = []

    def line(self) -> Line:
        return Line(self.version, self.mode, tuple(self.gates), self.executions, self._last)

    def _next(self) -> int:
        self._last += 1
        return self._last

    # ── where things are ──

    def stage_of(self, execution: Execution) -> Stage:
        return self.plans[execution.version].stages[execution.at]

    def run_of(self, execution: Execution) -> StageRun:
        return execution.stages[self.stage_of(execution).name]

    def gate(self, stage: str) -> Gate | None:
        return next((gate for gate in self.gates if gate.stage == stage), None)

    def known_gate(self, stage: str) -> Gate:
        gate = self.gate(stage)
        if gate is None:
            raise Refused("StageNotFoundException", f"The pipeline has no stage with name '{stage}'")
        return gate

    def set_gate(self, gate: Gate, **changes: object) -> None:
        at = next(at for at, each in enumerate(self.gates) if each.stage == gate.stage)
        self.gates[at] = replace(self.gates[at], **changes)  # type: ignore[arg-type]

    def put(self, execution: Execution, **changes: object) -> Execution:
        changed = replace(execution, **changes)  # type: ignore[arg-type]
        self.executions[execution.id] = changed
        return changed

    def put_run(self, execution: Execution, run: StageRun) -> Execution:
        return self.put(execution, stages={**execution.stages, self.stage_of(execution).name: run})

    def tell(self, execution: Execution, state: str, stage: str | None = None) -> None:
        self.effects.append(Changed(execution.id, stage, state))

    # ── starting, waiting, entering ──

    def start(self, event: Started) -> None:
        if event.by_hand:
            self.check_room()
        execution = Execution(event.id, self._next(), self.version, self.mode)
        if self._full():
            self.tell(self.put(execution, status=Status.FAILED), "FAILED")
            return
        self.executions[event.id] = execution
        self.arrive(execution)

    def _full(self) -> bool:
        live = sum(each.live for each in self.executions.values())
        return self.mode is not ExecutionMode.SUPERSEDED and live >= MANY

    def check_room(self) -> None:
        """Refused: no more executions may be live."""
        if self._full():
            raise Refused(
                "ConcurrentPipelineExecutionsLimitExceededException",
                f"The pipeline has reached the limit of {MANY} concurrent executions in {self.mode} mode",
            )

    def arrive(self, execution: Execution) -> None:
        """In front of its stage: in, or into the line, or in the place of an older one that waits."""
        name = self.stage_of(execution).name
        gate = self.gate(name)
        if execution.mode is ExecutionMode.PARALLEL or gate is None:
            self.enter(execution)
            return
        self.set_gate(gate, stopped=None)
        if execution.mode is ExecutionMode.SUPERSEDED:
            both = sorted((*(self.executions[id] for id in gate.waiting), execution), key=lambda each: each.number)
            for older in both[:-1]:
                self.put(older, status=Status.SUPERSEDED)
                self.tell(older, "SUPERSEDED")
            self.set_gate(gate, waiting=(both[-1].id,))
        else:
            waiting = sorted((*gate.waiting, execution.id), key=lambda each: self.executions[each].number)
            self.set_gate(gate, waiting=tuple(waiting))
        self.let_in(name)

    def let_in(self, stage: str) -> None:
        """The first who waits, if the stage is free and the transition open; none leads into the first stage."""
        gate = self.gate(stage)
        if gate is None or gate.holder is not None or not gate.waiting:
            return
        if not gate.transition.enabled and gate is not self.gates[0]:
            return
        first, *others = gate.waiting
        self.set_gate(gate, waiting=tuple(others))
        self.enter(self.executions[first])

    def enter(self, execution: Execution) -> None:
        stage = self.stage_of(execution)
        gate = self.gate(stage.name)
        if gate is not None and execution.mode is not ExecutionMode.PARALLEL:
            self.set_gate(gate, holder=execution.id, latest=execution.id)
        if not execution.stages:
            self.tell(execution, "STARTED")
        self.tell(execution, "STARTED", stage.name)
        execution = self.put(execution, inside=True, stages={**execution.stages, stage.name: StageRun()})
        self.begin_stage(execution)

    def begin_stage(self, execution: Execution) -> None:
        condition = self.stage_of(execution).before_entry
        # What a rollback puts back has passed the way in already.
        if condition is not None and condition.rules and execution.kind is Kind.STANDARD:
            self._ask(execution, Moment.BEFORE_ENTRY, condition)
        else:
            self.go_on(execution)

    # ── inside a stage ──

    def go_on(self, execution: Execution) -> None:
        """Begin what may begin now; or see that the stage is done, or broken, and nothing of it runs."""
        run, stage = self.run_of(execution), self.stage_of(execution)
        if execution.status is Status.STOPPING or execution.outdated:
            if not run.running:
                self._end_early(execution)
            return
        if not self.sound(run):
            if not run.running:
                self._failed(execution)
            return
        for group in stage.groups:
            if all(self._done(run, action.name) for action in group):
                continue
            waiting = [action.name for action in group if action.name not in run.actions]
            self._begin(execution, waiting)
            return
        self._actions_done(execution)

    @staticmethod
    def sound(run: StageRun) -> bool:
        """Whether none of its actions has failed."""
        return not any(each.status in (RunStatus.FAILED, RunStatus.ABANDONED) for each in run.actions.values())

    @staticmethod
    def _done(run: StageRun, action: str) -> bool:
        return action in run.actions and run.actions[action].status is RunStatus.SUCCEEDED

    def _begin(self, execution: Execution, names: list[str]) -> None:
        run, stage = self.run_of(execution), self.stage_of(execution)
        if execution.mode is ExecutionMode.PARALLEL:
            running = sum(each.status is RunStatus.IN_PROGRESS for each in run.actions.values())
            names = names[: max(0, _AT_ONCE - running)]
        begun = {name: Run(self.mint()) for name in names}
        self.put_run(execution, replace(run, actions={**run.actions, **begun}))
        gate = self.gate(stage.name)
        if gate is not None and execution.mode is not ExecutionMode.PARALLEL:
            self.set_gate(gate, shown={**gate.shown, **{name: each.id for name, each in begun.items()}})
        self.effects += [StartRun(execution.id, stage.name, name, each.id) for name, each in begun.items()]

    def run_ended(self, event: RunEnded) -> None:
        execution = self.executions.get(event.execution)
        if execution is None or not execution.live or not execution.inside:
            return
        run = self.run_of(execution)
        found = next((each for each in run.runs if each.id == event.run), None)
        if found is None or found.status is not RunStatus.IN_PROGRESS:
            return
        status = RunStatus.SUCCEEDED if event.succeeded else RunStatus.FAILED
        execution = self.put_run(execution, with_run(run, event.run, status))
        asked = self._asking(execution)
        if asked is None or execution.status is Status.STOPPING or execution.outdated:
            self.go_on(execution)
        else:
            self._hear(execution, asked)

    def _actions_done(self, execution: Execution) -> None:
        condition = self.stage_of(execution).on_success
        if condition is not None and condition.rules and execution.kind is Kind.STANDARD:
            self._ask(execution, Moment.ON_SUCCESS, condition)
        else:
            self._succeeded(execution)

    def _failed(self, execution: Execution) -> None:
        """An action failed, and nothing runs any more: tried again, asked about, or the end."""
        on_failure, run = self.stage_of(execution).on_failure, self.run_of(execution)
        if on_failure is None or execution.kind is Kind.ROLLBACK:
            self._fail(execution)
        elif on_failure.result is Result.RETRY and run.automatic_retries == 0:
            self.retry(execution, on_failure.retry_mode, by_hand=False)
        elif on_failure.condition is not None and on_failure.condition.rules:
            self._ask(execution, Moment.ON_FAILURE, on_failure.condition)
        else:
            self._fail(execution, roll_back=on_failure.result is Result.ROLLBACK)

    # ── conditions ──

    def _ask(self, execution: Execution, moment: Moment, condition: Condition) -> None:
        rules = {rule.name: Run(self.mint()) for rule in condition.rules}
        run, stage = self.run_of(execution), self.stage_of(execution)
        asked = ConditionRun(ConditionStatus.IN_PROGRESS, rules)
        self.put_run(execution, replace(run, conditions={**run.conditions, moment: asked}))
        self.effects += [StartRun(execution.id, stage.name, name, each.id, moment) for name, each in rules.items()]

    def _asking(self, execution: Execution) -> Moment | None:
        conditions = self.run_of(execution).conditions.items()
        return next((moment for moment, each in conditions if each.status is ConditionStatus.IN_PROGRESS), None)

    def _hear(self, execution: Execution, moment: Moment) -> None:
        """What the condition says, once all its rules have ended."""
        run = self.run_of(execution)
        condition = run.conditions[moment]
        if any(each.status is RunStatus.IN_PROGRESS for each in condition.rules.values()):
            return
        good = all(each.status is RunStatus.SUCCEEDED for each in condition.rules.values())
        status = ConditionStatus.SUCCEEDED if good else ConditionStatus.FAILED
        execution = self.put_condition(execution, moment, status)
        declared = self.stage_of(execution).condition(moment)
        result = declared.result if declared is not None else None
        if moment is Moment.ON_FAILURE:  # here the rules tell of the bad sign that the result is for
            self._fail(execution, roll_back=good and result is Result.ROLLBACK)
        elif good:
            self.passed(execution, moment)
        elif moment is Moment.BEFORE_ENTRY and result is Result.SKIP:
            self._leave(execution, Status.SKIPPED)
        else:
            self._fail(execution, roll_back=result is Result.ROLLBACK)

    def passed(self, execution: Execution, moment: Moment) -> None:
        if moment is Moment.BEFORE_ENTRY:
            self.go_on(execution)
        else:
            self._succeeded(execution)

    def put_condition(self, execution: Execution, moment: Moment, status: ConditionStatus) -> Execution:
        run = self.run_of(execution)
        changed = replace(run.conditions[moment], status=status)
        return self.put_run(execution, replace(run, conditions={**run.conditions, moment: changed}))

    # ── leaving a stage ──

    def _succeeded(self, execution: Execution) -> None:
        gate = self.gate(self.stage_of(execution).name)
        counts = execution.kind is Kind.STANDARD and execution.mode is not ExecutionMode.PARALLEL
        if gate is not None and counts and execution.version == self.version:
            self.set_gate(gate, succeeded=(execution.id, execution.version))
        self._leave(execution, Status.SUCCEEDED)

    def _leave(self, execution: Execution, status: Status) -> None:
        """Through the stage and on to the next: the stage is free before the next one is asked for."""
        stage = self.stage_of(execution)
        execution = self.put_run(execution, replace(self.run_of(execution), status=status))
        self.tell(execution, "SUCCEEDED", stage.name)
        last = execution.at + 1 == len(self.plans[execution.version].stages)
        if last or execution.kind is Kind.ROLLBACK:
            execution = self.put(execution, status=Status.SUCCEEDED, inside=False)
            self.tell(execution, "SUCCEEDED")
            self._free(execution)
        else:
            self._free(execution, follow=False)
            self.arrive(self.put(execution, at=execution.at + 1, inside=False))
        self.let_in(stage.name)

    def _fail(self, execution: Execution, *, roll_back: bool = False) -> None:
        stage = self.stage_of(execution)
        execution = self.put_run(execution, replace(self.run_of(execution), status=Status.FAILED))
        execution = self.put(execution, status=Status.FAILED, inside=False)
        self.tell(execution, "FAILED", stage.name)
        self.tell(execution, "FAILED")
        if roll_back and self.roll_back(execution):
            return
        self._free(execution)

    def _end_early(self, execution: Execution) -> None:
        """Stopped, or cancelled because its definition was replaced."""
        stopped = execution.status is Status.STOPPING
        status, state = (Status.STOPPED, "STOPPED") if stopped else (Status.CANCELLED, "CANCELED")
        stage, run = self.stage_of(execution), self.run_of(execution)
        conditions = {
            moment: replace(each, status=ConditionStatus.ABANDONED if stopped else ConditionStatus.CANCELLED)
            if each.status is ConditionStatus.IN_PROGRESS
            else each
            for moment, each in run.conditions.items()
        }
        execution = self.put_run(execution, replace(run, status=status, conditions=conditions))
        summary = execution.summary or ("" if stopped else "The pipeline definition was updated.")
        execution = self.put(execution, status=status, inside=False, summary=summary)
        self.tell(execution, state, stage.name)
        self.tell(execution, state)
        self._free(execution)

    def _free(self, execution: Execution, *, follow: bool = True) -> None:
        stage = self.stage_of(execution).name
        gate = self.gate(stage)
        if gate is not None and gate.holder == execution.id:
            self.set_gate(gate, holder=None)
            if follow:
                self.let_in(stage)

    # ── again, and back ──

    def retry(self, execution: Execution, mode: RetryMode, *, by_hand: bool) -> None:
        """Back into the stage, with new executions of its failed actions, or of all."""
        stage, run = self.stage_of(execution), self.run_of(execution)
        kept = {
            name: each
            for name, each in run.actions.items()
            if mode is RetryMode.FAILED_ACTIONS and each.status in (RunStatus.SUCCEEDED, RunStatus.IN_PROGRESS)
        }
        entry = run.conditions.get(Moment.BEFORE_ENTRY)
        passed = entry is None or entry.status in (ConditionStatus.SUCCEEDED, ConditionStatus.OVERRIDDEN)
        run = replace(
            run,
            status=Status.IN_PROGRESS,
            actions=kept,
            conditions={Moment.BEFORE_ENTRY: entry} if entry is not None and passed else {},
            automatic_retries=run.automatic_retries + (not by_hand),
            manual_retries=run.manual_retries + by_hand,
            last_retry=MANUAL if by_hand else AUTOMATED,
        )
        execution = self.put(execution, status=Status.IN_PROGRESS, inside=True, abandoning=False, summary="")
        gate = self.gate(stage.name)
        if gate is not None and execution.mode is not ExecutionMode.PARALLEL:
            self.set_gate(gate, holder=execution.id)
        self.tell(execution, "RESUMED")
        self.tell(execution, "RESUMED", stage.name)
        execution = self.put_run(execution, run)
        if passed:
            self.go_on(execution)
        else:
            self.begin_stage(execution)

    def roll_back(self, failed: Execution) -> bool:
        """Begin a rollback of the stage that failed, which stays locked; False: there is nothing to go back to."""
        gate = self.gate(self.stage_of(failed).name)
        if gate is None or failed.mode is ExecutionMode.PARALLEL or failed.kind is Kind.ROLLBACK:
            return False
        if gate.succeeded is None or gate.succeeded[1] != self.version or gate.succeeded[0] == failed.id:
            return False
        id, target = self.mint(), gate.succeeded[0]
        self.effects.append(RolledBack(id, gate.stage, target, failed.id))
        self.enter_back(id, gate.stage, target)
        return True

    def enter_back(self, id: str, stage: str, target: str) -> None:
        at = next(at for at, gate in enumerate(self.gates) if gate.stage == stage)
        self.enter(Execution(id, self._next(), self.version, self.mode, Kind.ROLLBACK, target, at=at))
