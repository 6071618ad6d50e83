"""The state machine of a pipeline: (line, event) → (line, effects). Pure; what it decides, others do and write down.

The rules are those of the User Guide's "How pipeline executions work", "Stop", "Retry", "Roll back a stage" and "Stage
conditions". Every event is one turn: it changes the line until nothing follows from it any more. An event about a run
that has ended, or of an execution that is gone, changes nothing: news may come twice, and late.
"""

from dataclasses import replace

from codeyard.aws import Refused
from codeyard.pipelines.happenings import (
    AbandonRun,
    Deleted,
    Effect,
    Event,
    OverrideAsked,
    RetryAsked,
    RollbackAsked,
    RunEnded,
    Started,
    StopAsked,
    TransitionChanged,
    Updated,
)
from codeyard.pipelines.model import ExecutionMode, Moment, Result, RetryMode
from codeyard.pipelines.state import ConditionStatus, Execution, Gate, Line, RunStatus, Status, with_run
from codeyard.pipelines.turn import Mint, Plans, Turn


def advance(line: Line, plans: Plans, event: Event, mint: Mint) -> tuple[Line, tuple[Effect, ...]]:
    """The line after the event, and what is to be done. Refused, by AWS's codes: the event may not be.

    `mint` gives a new uuid at each call. Executions that ended stay in the line that is given back.
    """
    turn = Turn(line, plans, mint)
    match event:
        case Started():
            turn.start(event)
        case RunEnded():
            turn.run_ended(event)
        case StopAsked():
            _stop(turn, event)
        case RetryAsked():
            _retry_asked(turn, event)
        case RollbackAsked():
            _rollback_asked(turn, event)
        case OverrideAsked():
            _override(turn, event)
        case TransitionChanged(stage, transition):
            turn.set_gate(turn.known_gate(stage), transition=transition)
            turn.let_in(stage)
        case Updated(version):
            _update(turn, version)
        case Deleted():
            _delete(turn)
    return turn.line(), tuple(turn.effects)


# ── what people ask for ──


def _known(turn: Turn, id: str) -> Execution:
    execution = turn.executions.get(id)
    if execution is None:
        # The operations that ask for one by hand have no error of its own for this.
        raise Refused("ValidationException", f"The pipeline has no execution with id '{id}'")
    return execution


def _stop(turn: Turn, event: StopAsked) -> None:
    execution = turn.executions.get(event.execution)
    if execution is None or not execution.live:
        raise Refused("PipelineExecutionNotStoppableException", f"The execution {event.execution} is not in progress")
    if execution.status is Status.STOPPING and (execution.abandoning or not event.abandon):
        raise Refused("DuplicatedStopRequestException", f"The execution {event.execution} is being stopped already")
    if execution.status is not Status.STOPPING:
        turn.tell(execution, "STOPPING")
    execution = turn.put(execution, status=Status.STOPPING, abandoning=event.abandon)
    if not execution.inside:
        _withdraw(turn, execution, Status.STOPPED, "STOPPED")
        return
    turn.tell(execution, "STOPPING", turn.stage_of(execution).name)
    run = replace(turn.run_of(execution), status=Status.STOPPING)
    if event.abandon:
        for each in run.runs:
            if each.status is RunStatus.IN_PROGRESS:
                run = with_run(run, each.id, RunStatus.ABANDONED)
                turn.effects.append(AbandonRun(each.id))
    turn.go_on(turn.put_run(execution, run))


def _withdraw(turn: Turn, execution: Execution, status: Status, state: str, summary: str = "") -> None:
    """It waits in front of a stage, and does not any more."""
    gate = turn.gate(turn.stage_of(execution).name)
    if gate is not None:
        stopped = execution.id if status is Status.STOPPED else None
        turn.set_gate(gate, waiting=tuple(id for id in gate.waiting if id != execution.id), stopped=stopped)
    turn.tell(turn.put(execution, status=status, summary=summary), state)


def _retry_asked(turn: Turn, event: RetryAsked) -> None:
    execution, gate = _known(turn, event.execution), turn.gate(event.stage)
    plan = turn.plans[execution.version]
    if gate is None or plan.stage(event.stage) is None:
        raise Refused("StageNotFoundException", f"The pipeline has no stage with name '{event.stage}'")
    if execution.mode is not ExecutionMode.PARALLEL:
        if execution.version != turn.version:
            raise _not_retryable(event.stage, "the structure of the pipeline has changed since")
        if gate.latest != execution.id:
            raise Refused(
                "NotLatestPipelineExecutionException",
                f"The execution {execution.id} is not the latest that entered the stage '{event.stage}'",
            )
    if execution.status is Status.STOPPING:
        raise Refused("ConflictException", f"The execution {execution.id} is being stopped", 409)
    entered = execution.stages.get(event.stage)
    if entered is None or plan.stages[execution.at].name != event.stage or entered.status is Status.SKIPPED:
        raise _not_retryable(event.stage, "the execution did not fail in it")
    broken = not turn.sound(entered) or any(
        each.status is ConditionStatus.FAILED for each in entered.conditions.values()
    )
    if not broken or execution.status in (Status.SUCCEEDED, Status.SUPERSEDED, Status.CANCELLED):
        raise _not_retryable(event.stage, "it has no failed actions")
    if entered.running and event.mode is RetryMode.ALL_ACTIONS:
        raise _not_retryable(event.stage, "actions of it are in progress")
    if any(each.status is ConditionStatus.IN_PROGRESS for each in entered.conditions.values()):
        raise Refused("ConflictException", f"A condition of the stage '{event.stage}' is being looked at", 409)
    if not execution.live:
        turn.check_room()
    turn.retry(execution, event.mode, by_hand=True)


def _rollback_asked(turn: Turn, event: RollbackAsked) -> None:
    gate = turn.known_gate(event.stage)
    if turn.mode is ExecutionMode.PARALLEL:
        raise _no_rollback(event.stage, "pipelines in PARALLEL mode have no rollback")
    if gate is turn.gates[0]:
        raise _no_rollback(event.stage, "it is the source stage")
    if gate.holder is not None:
        raise _no_rollback(event.stage, "it is running")
    turn.enter_back(event.id, event.stage, event.target)


def _override(turn: Turn, event: OverrideAsked) -> None:
    execution, gate = _known(turn, event.execution), turn.known_gate(event.stage)
    parallel = execution.mode is ExecutionMode.PARALLEL
    if gate.latest != execution.id and not parallel:
        raise Refused(
            "NotLatestPipelineExecutionException",
            f"The execution {execution.id} is not the latest that entered the stage '{event.stage}'",
        )
    entered = execution.stages.get(event.stage)
    condition = None if entered is None else entered.conditions.get(event.moment)
    declared = turn.plans[execution.version].stage(event.stage)
    wanted = None if declared is None else declared.condition(event.moment)
    open_to = (ConditionStatus.IN_PROGRESS, ConditionStatus.FAILED)
    here = turn.stage_of(execution).name == event.stage and execution.status in (Status.IN_PROGRESS, Status.FAILED)
    same = parallel or execution.version == turn.version
    if (
        event.moment is Moment.ON_FAILURE
        or condition is None
        or condition.status not in open_to
        or not here
        or not same
        or (wanted is not None and wanted.result is Result.SKIP)
    ):
        raise Refused(
            "ConditionNotOverridableException",
            f"The {event.moment} condition of the stage '{event.stage}' cannot be overridden now",
        )
    if not execution.live:
        turn.check_room()
    run = turn.run_of(execution)
    for each in condition.rules.values():
        if each.status is RunStatus.IN_PROGRESS:
            run = with_run(run, each.id, RunStatus.ABANDONED)
            turn.effects.append(AbandonRun(each.id))
    if execution.status is Status.FAILED:
        turn.tell(execution, "RESUMED")
        turn.tell(execution, "RESUMED", event.stage)
    execution = turn.put_run(execution, replace(run, status=Status.IN_PROGRESS))
    execution = turn.put_condition(execution, event.moment, ConditionStatus.OVERRIDDEN)
    execution = turn.put(execution, status=Status.IN_PROGRESS, inside=True)
    if not parallel:
        turn.set_gate(gate, holder=execution.id)
    turn.passed(execution, event.moment)


# ── the definition ──


def _update(turn: Turn, version: int) -> None:
    """Another definition: what runs by the old one comes to its end, what waits is cancelled (PARALLEL goes on)."""
    plan = turn.plans[version]
    for execution in tuple(turn.executions.values()):
        if execution.live and not execution.inside and execution.mode is not ExecutionMode.PARALLEL:
            _withdraw(turn, execution, Status.CANCELLED, "CANCELED", "The pipeline definition was updated.")
    old = {gate.stage: gate for gate in turn.gates}
    turn.version, turn.mode = version, plan.mode
    # Executions of another version are no measure for a rollback, so nobody has succeeded yet.
    turn.gates = [replace(old.get(stage.name) or _gate_of(turn, stage.name), succeeded=None) for stage in plan.stages]
    for execution in tuple(turn.executions.values()):
        if execution.live and execution.inside and execution.mode is not ExecutionMode.PARALLEL:
            execution = turn.put(execution, outdated=True)
            if not turn.run_of(execution).running:
                turn.go_on(execution)


def _gate_of(turn: Turn, stage: str) -> Gate:
    """Of a stage that the version before did not have; an execution of a still older one may yet be in it."""
    inside = (
        each.id
        for each in turn.executions.values()
        if each.inside and each.mode is not ExecutionMode.PARALLEL and turn.stage_of(each).name == stage
    )
    holder = next(inside, None)
    return Gate(stage, holder=holder, latest=holder)


def _delete(turn: Turn) -> None:
    for execution in turn.executions.values():
        for run in (each for stage in execution.stages.values() for each in stage.runs):
            if run.status is RunStatus.IN_PROGRESS:
                turn.effects.append(AbandonRun(run.id))
    turn.gates, turn.executions = [], {}


def _not_retryable(stage: str, why: str) -> Refused:
    return Refused("StageNotRetryableException", f"The stage '{stage}' cannot be retried: {why}")


def _no_rollback(stage: str, why: str) -> Refused:
    return Refused("UnableToRollbackStageException", f"The stage '{stage}' cannot be rolled back: {why}")
