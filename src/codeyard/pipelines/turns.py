"""One turn of a pipeline, in one transaction: its rows read, the state machine asked, and what it decides written down.

Whoever changes several rows holds the pipeline's first, then executions', then runs'.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from codeyard.aws import Refused
from codeyard.ident import Owner
from codeyard.pipelines import executions_table, jobs_table, outbox_table, pipelines_table, runs_table
from codeyard.pipelines.happenings import AbandonRun, Changed, Effect, Event, RolledBack, StartRun, Updated
from codeyard.pipelines.model import Action, Declaration
from codeyard.pipelines.news import News
from codeyard.pipelines.progress import advance
from codeyard.pipelines.run_data import declared_data
from codeyard.pipelines.starting import Trigger, inherited
from codeyard.pipelines.state import Execution, Kind, Line, RunStatus, Status, named_in
from codeyard.pipelines.stored import StoredExecution, StoredPipeline, StoredRun
from codeyard.pipelines.timeouts import timeout_of
from codeyard.store import Tx

Facts = Mapping[str, Any]
_ENDED = {RunStatus.SUCCEEDED: "SUCCEEDED", RunStatus.FAILED: "FAILED", RunStatus.ABANDONED: "ABANDONED"}


@dataclass(frozen=True, slots=True)
class Taken:
    """A turn that was made."""

    pipeline: StoredPipeline
    begun: tuple[StoredRun, ...] = ()
    abandoned: tuple[str, ...] = ()
    executions: Mapping[str, StoredExecution] = field(default_factory=dict)  # those that matter, as they are now


def missing(owner: Owner, name: str) -> Refused:
    return Refused(
        "PipelineNotFoundException", f"Account '{owner.account}' does not have a pipeline with name '{name}'"
    )


def take_held(
    tx: Tx,
    held: StoredPipeline,
    event: Event,
    *,
    runner: str | None,
    now: datetime,
    facts: Facts | None = None,
    ended: StoredRun | None = None,
) -> Taken:
    """Make the turn of a pipeline whose row is held. Refused: the event may not be.

    `runner` does the runs that begin; `facts` are those of an execution that begins by this event; `ended` is the run
    that the event is about, as it was just saved.
    """
    owner, name = held.owner, held.name
    asked = getattr(event, "execution", None)
    wanted = named_in(held.line) | ({asked} if asked is not None else set())
    stored = executions_table.at_work(tx, owner, name, wanted)
    versions = {held.version, *(each.execution.version for each in stored.values())}
    if isinstance(event, Updated):
        versions.add(event.version)
    plans = pipelines_table.plans_of(tx, owner, name, versions)
    before = replace(held.line, executions={id: each.execution for id, each in stored.items()})
    after, effects = advance(before, plans, event, lambda: str(uuid.uuid4()))
    turn = _Written(tx, held, stored, plans, runner, now)
    return turn.write(after, effects, facts or {}, ended)


class _Written:
    """What a turn decided, on its way into the rows."""

    def __init__(
        self,
        tx: Tx,
        held: StoredPipeline,
        stored: Mapping[str, StoredExecution],
        plans: Mapping[int, Declaration],
        runner: str | None,
        now: datetime,
    ) -> None:
        self._tx, self._held, self._stored = tx, held, dict(stored)
        self._plans, self._runner, self._now = plans, runner, now
        self._news = News(held.owner, held.name, now, lambda: str(uuid.uuid4()))

    def write(self, after: Line, effects: tuple[Effect, ...], facts: Facts, ended: StoredRun | None) -> Taken:
        gates = replace(after, executions={})
        pipeline = replace(self._held, line=gates)
        if gates != replace(self._held.line, executions={}):
            pipelines_table.save(self._tx, pipeline)
        self._write_executions(after, effects, facts)
        begun = self._write_runs(after, effects)
        abandoned = self._abandon(after, effects)
        self._tell(after, effects, begun, ended)
        outbox_table.add(self._tx, self._now, self._news.events)
        return Taken(pipeline, begun, abandoned, self._stored)

    def _write_executions(self, after: Line, effects: tuple[Effect, ...], facts: Facts) -> None:
        back = {each.id: each for each in effects if isinstance(each, RolledBack)}
        for id, execution in after.executions.items():
            was = self._stored.get(id)
            if was is not None and was.execution == execution:
                continue
            if was is None:
                mine = self._rollback_facts(back[id]) if id in back else facts
                new = StoredExecution(self._held.owner, self._held.name, execution, self._now, self._now, mine)
            else:
                new = replace(was, execution=execution, updated=self._now)
            executions_table.put(self._tx, new, new=was is None)
            self._stored[id] = new
            self._note_successes(was.execution if was is not None else None, execution)

    def _rollback_facts(self, back: RolledBack) -> Facts:
        target = executions_table.load(self._tx, self._held.owner, self._held.name, back.target)
        detail = json.dumps({"FailedPipelineExecutionId": back.failed}, separators=(",", ":"))
        return {
            **(inherited(target.facts) if target is not None else {}),
            "trigger": Trigger("AutomatedRollback", detail).shape,
            "rolled_back": back.failed,
        }

    def _note_successes(self, was: Execution | None, now: Execution) -> None:
        """For ListPipelineExecutions' `succeededInStage`, and what may be rolled back to."""
        if now.kind is Kind.ROLLBACK:
            return
        for stage, run in now.stages.items():
            before = was.stages.get(stage) if was is not None else None
            if run.status is Status.SUCCEEDED and (before is None or before.status is not Status.SUCCEEDED):
                executions_table.succeeded(self._tx, now.id, stage)

    def _write_runs(self, after: Line, effects: tuple[Effect, ...]) -> tuple[StoredRun, ...]:
        begun: list[StoredRun] = []
        for number, effect in enumerate(each for each in effects if isinstance(each, StartRun)):
            execution = after.executions[effect.execution]
            action = self._declared(execution, effect)
            started = self._now + timedelta(microseconds=number)  # so that they have an order
            run = StoredRun(
                id=effect.run,
                owner=self._held.owner,
                pipeline=self._held.name,
                execution=effect.execution,
                stage=effect.stage,
                name=effect.name,
                moment=effect.moment,
                started=started,
                updated=started,
                deadline=self._now + timeout_of(action),
                runner=self._runner,
                generation=1,
                data=declared_data(action, action.configuration),
            )
            runs_table.insert(self._tx, run)
            begun.append(run)
        return tuple(begun)

    def _declared(self, execution: Execution, effect: StartRun) -> Action:
        stage = self._plans[execution.version].stage(effect.stage)
        assert stage is not None
        if effect.moment is None:
            found = stage.action(effect.name)
        else:
            condition = stage.condition(effect.moment)
            rules = condition.rules if condition is not None else ()
            found = next((rule for rule in rules if rule.name == effect.name), None)
        assert found is not None
        return found

    def _abandon(self, after: Line, effects: tuple[Effect, ...]) -> tuple[str, ...]:
        ids = tuple(each.run for each in effects if isinstance(each, AbandonRun))
        for id in ids:
            run = runs_table.hold(self._tx, id)  # what its action says at this moment is not written over
            if run is None:
                continue
            ended = replace(run, status=RunStatus.ABANDONED, updated=self._now)
            runs_table.save(self._tx, ended)
            jobs_table.end(self._tx, run.id)
            if run.execution in after.executions:
                self._news.action(ended, after.executions[run.execution].version, "ABANDONED")
        return ids

    def _tell(
        self, after: Line, effects: tuple[Effect, ...], begun: tuple[StoredRun, ...], ended: StoredRun | None
    ) -> None:
        if ended is not None and ended.execution in after.executions:
            self._news.action(ended, after.executions[ended.execution].version, _ENDED[ended.status])
        by_id = {run.id: run for run in begun}
        for effect in effects:
            match effect:
                case Changed(id, None, state):
                    stored = self._stored[id]
                    more = _more(stored, state)
                    self._news.pipeline(id, stored.execution.version, stored.started, state, more)
                case Changed(id, str(stage), state):
                    self._news.stage(id, self._stored[id].execution.version, stage, state)
                case StartRun(execution=id, run=run):
                    self._news.action(by_id[run], self._stored[id].execution.version, "STARTED")


def _more(stored: StoredExecution, state: str) -> dict[str, Any]:
    attempts = sum(run.manual_retries + run.automatic_retries for run in stored.execution.stages.values())
    more: dict[str, Any] = {"pipeline-execution-attempt": float(attempts + 1)}
    trigger = stored.facts.get("trigger") or {}
    if state == "STARTED" and trigger:
        more["execution-trigger"] = {
            "trigger-type": trigger.get("triggerType"),
            "trigger-detail": trigger.get("triggerDetail", ""),
        }
    if state == "STOPPING" and stored.facts.get("stop"):
        more["stop-execution-comments"] = stored.facts["stop"]
    return more
