"""What clients and runners do with executions: checked, written down in one turn, and a runner told.

Whatever changes what an execution does is an event of the state machine (`progress`), and one transaction.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from codeyard.aws import Refused, Shape
from codeyard.ident import Owner
from codeyard.pipelines import executions_table, jobs_table, objects_table, pipelines_table, runs_table
from codeyard.pipelines.actions import ErrorCode
from codeyard.pipelines.definitions import Definitions
from codeyard.pipelines.happenings import (
    OverrideAsked,
    RetryAsked,
    RollbackAsked,
    RunEnded,
    Started,
    StopAsked,
    TransitionChanged,
)
from codeyard.pipelines.model import ExecutionMode, Moment, RetryMode, parse
from codeyard.pipelines.runners import Runners
from codeyard.pipelines.starting import Trigger, digest_of, given_facts, inherited
from codeyard.pipelines.state import Kind, RunStatus, Transition
from codeyard.pipelines.stored import StoredPipeline, StoredRun
from codeyard.pipelines.taking import Taking
from codeyard.pipelines.turns import Taken
from codeyard.store import Database, Tx

_REASON = re.compile(r"[a-zA-Z0-9!@ ().*?-]{1,300}")
_STALE = "The approval token is not of an approval that waits"


class PipelineControl:
    """See the module."""

    def __init__(self, db: Database, now: Callable[[], datetime], runners: Runners) -> None:
        self._taking, self.runners = Taking(db, now, runners), runners
        self.definitions = Definitions(self._taking)

    # ── executions ──

    async def start(self, owner: Owner, name: str, given: Shape, trigger: Trigger, *, required: bool = True) -> str:
        """The id of the execution that begins, or that this clientRequestToken began. `given` has the members of
        StartPipelineExecution. `required`: all variables must have values. Refused."""
        id, token = str(uuid.uuid4()), given.get("clientRequestToken")
        digest = digest_of(given)

        def work(tx: Tx) -> tuple[str, Taken | None]:
            held = self._taking.held(tx, owner, name)
            used = executions_table.used(tx, owner, name, token) if token else None
            if used is not None:
                if used[1] != digest:
                    text = "The clientRequestToken was used with other parameters"
                    raise Refused("ValidationException", text)
                return used[0], None
            if executions_table.load(tx, owner, name, id) is not None:  # the commit's answer was lost on the way
                return id, None
            version = pipelines_table.version_of(tx, owner, name, held.version)
            assert version is not None
            plan = parse(version.shape)
            facts = {"trigger": trigger.shape, **given_facts(plan, given, required=required)}
            if token:
                executions_table.use(tx, owner, name, token, id, digest)
            return id, self._taking.take(tx, held, Started(id, by_hand=required), facts)

        begun, taken = await self._taking.write(work)
        self._taking.tell(taken)
        return begun

    async def stop(self, owner: Owner, name: str, id: str, *, abandon: bool, reason: str = "") -> None:
        """Refused: PipelineExecutionNotStoppable-, DuplicatedStopRequestException."""

        def work(tx: Tx, held: StoredPipeline) -> Taken:
            stored = executions_table.load(tx, owner, name, id)
            if stored is not None and stored.execution.live and reason:
                executions_table.put(tx, replace(stored, facts={**stored.facts, "stop": reason}), new=False)
            return self._taking.take(tx, held, StopAsked(id, abandon))

        await self._taking.once(owner, name, work)

    async def retry(self, owner: Owner, name: str, stage: str, id: str, mode: RetryMode) -> None:
        asked = RetryAsked(id, stage, mode)
        await self._taking.once(owner, name, lambda tx, held: self._taking.take(tx, held, asked))

    async def override(self, owner: Owner, name: str, stage: str, id: str, moment: Moment) -> None:
        asked = OverrideAsked(id, stage, moment)
        await self._taking.once(owner, name, lambda tx, held: self._taking.take(tx, held, asked))

    async def roll_back(self, owner: Owner, name: str, stage: str, target: str, by: str) -> str:
        """The id of the execution that puts back what the target did in the stage. Refused."""
        id = str(uuid.uuid4())
        facts = {"trigger": Trigger("ManualRollback", by).shape}

        def work(tx: Tx, held: StoredPipeline) -> Taken:
            if held.line.gate(stage) is None:
                raise Refused("StageNotFoundException", f"The pipeline has no stage with name '{stage}'")
            self._check_target(tx, held, stage, target)
            found = executions_table.load(tx, owner, name, target)
            assert found is not None
            return self._taking.take(tx, held, RollbackAsked(id, stage, target), {**inherited(found.facts), **facts})

        await self._taking.once(owner, name, work)
        return id

    async def set_transition(
        self, owner: Owner, name: str, stage: str, direction: str, *, enabled: bool, reason: str = "", by: str
    ) -> None:
        """Outbound of a stage is Inbound of the next. Refused: StageNotFoundException, ValidationException."""
        if not enabled and _REASON.fullmatch(reason) is None:
            raise Refused(
                "ValidationException", "The reason must be 1 to 300 characters of a-z A-Z 0-9 ! @ ( ) . * ? - and space"
            )

        def work(tx: Tx) -> Taken:
            held = self._taking.held(tx, owner, name)
            names = [gate.stage for gate in held.line.gates]
            at = names.index(stage) + (direction == "Outbound") if stage in names else None
            if at is None or not 0 < at < len(names):
                raise Refused("StageNotFoundException", f"The pipeline has no transition '{direction}' of '{stage}'")
            was = held.line.gates[at].transition
            if enabled and was.enabled:
                return Taken(held)
            changed = Transition(enabled, None if enabled else reason, by, self._taking.now())
            return self._taking.take(tx, held, TransitionChanged(names[at], changed))

        await self._taking.turn(work)

    async def put_revision(
        self, owner: Owner, name: str, stage: str, action: str, revision: tuple[str, str]
    ) -> tuple[bool, str]:
        """Whether the revision is new, and the execution that it began, or that had it already. Refused."""
        id, text = str(uuid.uuid4()), json.dumps(revision)
        token = f"revision-{hashlib.sha256(json.dumps([stage, action, revision]).encode()).hexdigest()}"

        def work(tx: Tx) -> tuple[tuple[bool, str], Taken | None]:
            held = self._taking.held(tx, owner, name)
            version = pipelines_table.version_of(tx, owner, name, held.version)
            assert version is not None
            plan = parse(version.shape)
            declared = plan.stage(stage)
            if declared is None:
                raise Refused("StageNotFoundException", f"The pipeline has no stage with name '{stage}'")
            if declared.action(action) is None:
                raise Refused("ActionNotFoundException", f"The stage has no action with name '{action}'")
            used = executions_table.used(tx, owner, name, token)
            if used is not None:
                return (used[0] == id, used[0]), None  # ours: the commit's answer was lost on the way
            executions_table.use(tx, owner, name, token, id, "")
            facts = {"trigger": Trigger("PutActionRevision", text).shape, **given_facts(plan, {}, required=False)}
            return (True, id), self._taking.take(tx, held, Started(id), facts)

        answer, taken = await self._taking.write(work)
        self._taking.tell(taken)
        return answer

    # ── runs ──

    async def approve(
        self, owner: Owner, name: str, stage: str, action: str, token: str, *, approved: bool, summary: str, by: str
    ) -> datetime:
        """When the answer was taken; the first one counts. Refused: Invalid-, ApprovalAlreadyCompletedException …"""
        now = self._taking.now()

        def work(tx: Tx, held: StoredPipeline) -> Taken:
            version = pipelines_table.version_of(tx, owner, name, held.version)
            assert version is not None
            declared = parse(version.shape).stage(stage)
            run = _with_token(tx, held, stage, action, token)
            if run is None and declared is None:
                raise Refused("StageNotFoundException", f"The pipeline has no stage with name '{stage}'")
            if run is None and declared is not None and declared.action(action) is None:
                raise Refused("ActionNotFoundException", f"The stage has no action with name '{action}'")
            if run is None:
                raise Refused("InvalidApprovalTokenException", _STALE)
            if run.status is not RunStatus.IN_PROGRESS:
                if "answered" in run.data:
                    raise Refused("ApprovalAlreadyCompletedException", "The approval action was answered already")
                raise Refused("InvalidApprovalTokenException", _STALE)
            error = None if approved else (ErrorCode.JOB_FAILED, summary or f"Rejected by {by}")
            more = {"summary": summary, "updated_by": by, "answered": approved}
            return self._end(tx, held, run, error, more)

        await self._taking.once(owner, name, work)
        return now

    async def end_run(
        self,
        run: StoredRun,
        error: tuple[ErrorCode, str] | None,
        more: Mapping[str, Any],
        generation: int | None = None,
    ) -> None:
        """It came to its end, by an error's code and text if it failed; `more` is written down of it.

        Twice is as good as once. `generation`: only if the run is still the runner's that has this one.
        """

        def work(tx: Tx) -> Taken | None:
            held = pipelines_table.hold(tx, run.owner, run.pipeline)
            now = runs_table.hold(tx, run.id)
            if held is None or now is None or now.status is not RunStatus.IN_PROGRESS:
                return None
            if generation is not None and now.generation != generation:
                return None
            return self._end(tx, held, now, error, more)

        await self._taking.turn(work)

    def _end(
        self,
        tx: Tx,
        held: StoredPipeline,
        run: StoredRun,
        error: tuple[ErrorCode, str] | None,
        more: Mapping[str, Any],
    ) -> Taken:
        data = {**run.data, **more}
        data.pop("percent", None)
        if error is not None:
            data["error"] = {"code": error[0].value, "message": error[1][:5000]}
        status = RunStatus.SUCCEEDED if error is None else RunStatus.FAILED
        ended = replace(run, status=status, updated=self._taking.now(), data=data)
        runs_table.save(tx, ended)
        jobs_table.end(tx, run.id)
        objects_table.keep(tx, run.owner, ended.data.get("outputs", ()) if error is None else ())
        self._keep_revision(tx, ended)
        event = RunEnded(run.execution, run.id, error is None)
        taken = self._taking.take(tx, held, event, ended=ended)
        return replace(taken, abandoned=(*taken.abandoned, run.id))

    def _keep_revision(self, tx: Tx, run: StoredRun) -> None:
        """What a source found belongs to the execution: lists show it."""
        revision = run.data.get("revision")
        if revision is None or run.moment is not None:
            return
        stored = executions_table.load(tx, run.owner, run.pipeline, run.execution)
        if stored is not None:
            names = [each["name"] for each in run.data.get("outputs", ())]
            revisions = {**stored.facts.get("revisions", {}), run.name: {**revision, "artifacts": names}}
            executions_table.put(tx, replace(stored, facts={**stored.facts, "revisions": revisions}), new=False)

    @staticmethod
    def _check_target(tx: Tx, held: StoredPipeline, stage: str, target: str) -> None:
        found = executions_table.load(tx, held.owner, held.name, target)
        if found is None:
            text = f"The pipeline has no execution with id '{target}'"
            raise Refused("PipelineExecutionNotFoundException", text)
        if found.execution.version != held.version:
            text = f"The execution '{target}' was of version {found.execution.version} of the pipeline"
            raise Refused("PipelineExecutionOutdatedException", text)
        good = found.execution.kind is Kind.STANDARD and executions_table.has_succeeded(tx, target, stage)
        if not good:
            text = f"The execution '{target}' is no standard execution that succeeded in the stage '{stage}'"
            raise Refused("UnableToRollbackStageException", text)


def _with_token(tx: Tx, held: StoredPipeline, stage: str, action: str, token: str) -> StoredRun | None:
    """The run of this approval action that has the token; none if a later one asks anew."""
    # Who waits is found by the live executions: it may be older than any number of others that were answered.
    stages = (
        each.execution.stages.get(stage) for each in executions_table.at_work(tx, held.owner, held.name, ()).values()
    )
    asked = (each.actions.get(action) for each in stages if each is not None)
    waiting = [each.id for each in asked if each is not None and each.status is RunStatus.IN_PROGRESS]
    for run in runs_table.these(tx, waiting).values():
        if run.data.get("token") == token:
            return runs_table.hold(tx, run.id)
    newer: set[str] = set()
    for run in runs_table.of_action(tx, held.owner, held.name, stage, action, limit=100):
        if run.data.get("token") == token:
            # Where executions take turns, whichever asked last is the one that counts.
            stale = run.execution in newer if held.line.mode is ExecutionMode.PARALLEL else bool(newer)
            return None if stale else run
        newer.add(run.execution)
    return None
