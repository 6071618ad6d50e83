"""What clients do with pipelines and their executions: checked, written down in one turn, and a runner told.

A pipeline's document is checked by `rules`, its secrets are sealed apart from it; whatever changes what an execution
does is an event of the state machine (`progress`), and one transaction.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from codeyard.aws import Refused, Shape
from codeyard.errors import Conflict
from codeyard.ident import Owner
from codeyard.pipelines import executions_table, jobs_table, objects_table, pipelines_table, runs_table
from codeyard.pipelines.actions import ErrorCode
from codeyard.pipelines.happenings import (
    Deleted,
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
from codeyard.pipelines.model import Declaration, Moment, RetryMode, parse
from codeyard.pipelines.runners import Runners
from codeyard.pipelines.starting import digest_of, overrides, variables
from codeyard.pipelines.state import Kind, RunStatus, Transition, begin
from codeyard.pipelines.stored import StoredExecution, StoredPipeline, StoredRun, StoredVersion
from codeyard.pipelines.turns import Taken, missing, take, take_held
from codeyard.store import Database, Duplicate, Tx

T = TypeVar("T")
M = TypeVar("M", Taken, Taken | None)
_TRIES = 10
_REASON = re.compile(r"[a-zA-Z0-9!@ ().*?-]{1,300}")


@dataclass(frozen=True, slots=True)
class Trigger:
    """Why an execution began: triggerType and triggerDetail."""

    type: str
    detail: str = ""


class PipelineControl:
    """See the module."""

    def __init__(self, db: Database, now: Callable[[], datetime], runners: Runners) -> None:
        self._db, self._now, self.runners = db, now, runners

    # ── definitions ──

    async def create(
        self, owner: Owner, version: StoredVersion, tags: Mapping[str, str], by: str
    ) -> tuple[StoredPipeline, str]:
        """A new pipeline, and the execution that begins with it. `version` is its first, checked and sealed.

        Refused: PipelineNameInUseException.
        """
        now, plan, id = self._now(), parse(version.shape), str(uuid.uuid4())
        line = begin(1, plan.mode, tuple(stage.name for stage in plan.stages))
        stored = StoredPipeline(owner, plan.name, now, now, line, tags)
        facts = {"trigger": _trigger(Trigger("CreatePipeline", by)), **_given(plan, {}, required=False)}

        def work(tx: Tx) -> Taken:
            if pipelines_table.hold(tx, owner, plan.name) is not None:
                text = f"A pipeline with the name '{plan.name}' already exists in account '{owner.account}'"
                raise Refused("PipelineNameInUseException", text)
            pipelines_table.insert(tx, stored, version)
            return self._take(tx, stored, Started(id), facts)

        taken = await self._turn(work)
        return taken.pipeline, id

    async def update(
        self, owner: Owner, name: str, make: Callable[[Tx, StoredPipeline, StoredVersion], StoredVersion]
    ) -> tuple[StoredPipeline, StoredVersion]:
        """The pipeline with a new version, which `make` makes of the pipeline and its version until now."""
        made: list[StoredVersion] = []

        def work(tx: Tx) -> Taken:
            held = pipelines_table.hold(tx, owner, name)
            if held is None:
                raise missing(owner, name)
            was = pipelines_table.version_of(tx, owner, name, held.version)
            assert was is not None
            version = make(tx, held, was)
            made.append(version)
            pipelines_table.add_version(tx, owner, name, version)
            held = replace(held, updated=self._now())
            pipelines_table.save(tx, held)
            return self._take(tx, held, Updated(version.version))

        taken = await self._turn(work)
        return taken.pipeline, made[-1]

    async def delete(self, owner: Owner, name: str) -> None:
        """With its executions. One that is not there counts as deleted."""

        def work(tx: Tx) -> Taken | None:
            held = pipelines_table.hold(tx, owner, name)
            if held is None:
                return None
            taken = self._take(tx, held, Deleted())
            runs_table.remove(tx, owner, name)
            executions_table.remove(tx, owner, name)
            pipelines_table.remove(tx, owner, name)
            return taken

        await self._turn(work)

    async def pipeline(
        self, owner: Owner, name: str, version: int | None = None
    ) -> tuple[StoredPipeline, StoredVersion]:
        """A pipeline and one version of its definition. Refused: Pipeline-, PipelineVersionNotFoundException."""

        def work(tx: Tx) -> tuple[StoredPipeline, StoredVersion]:
            stored = pipelines_table.load(tx, owner, name)
            if stored is None:
                raise missing(owner, name)
            found = pipelines_table.version_of(tx, owner, name, version or stored.version)
            if found is None:
                text = f"Account '{owner.account}' does not have a pipeline with name '{name}' and version '{version}'"
                raise Refused("PipelineVersionNotFoundException", text)
            return stored, found

        return await self._db.read(work)

    # ── executions ──

    async def start(self, owner: Owner, name: str, given: Shape, trigger: Trigger, *, required: bool = True) -> str:
        """The id of the execution that begins, or that this clientRequestToken began. `given` has the members of
        StartPipelineExecution. `required`: all variables must have values. Refused."""
        id, token = str(uuid.uuid4()), given.get("clientRequestToken")
        digest = digest_of(given)

        def work(tx: Tx) -> tuple[str, Taken | None]:
            held = pipelines_table.hold(tx, owner, name)
            if held is None:
                raise missing(owner, name)
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
            facts = {"trigger": _trigger(trigger), **_given(plan, given, required=required)}
            if token:
                executions_table.use(tx, owner, name, token, id, digest)
            return id, self._take(tx, held, Started(id), facts)

        begun, taken = await self._write(work)
        self._tell(taken)
        return begun

    async def stop(self, owner: Owner, name: str, id: str, *, abandon: bool, reason: str = "") -> None:
        """Refused: PipelineExecutionNotStoppable-, DuplicatedStopRequestException."""

        def work(tx: Tx) -> Taken:
            held = self._held(tx, owner, name)
            stored = executions_table.load(tx, owner, name, id)
            if stored is not None and stored.execution.live and reason:
                executions_table.put(tx, replace(stored, facts={**stored.facts, "stop": reason}), new=False)
            return self._take(tx, held, StopAsked(id, abandon))

        await self._turn(work)

    async def retry(self, owner: Owner, name: str, stage: str, id: str, mode: RetryMode) -> None:
        await self.take(owner, name, RetryAsked(id, stage, mode))

    async def override(self, owner: Owner, name: str, stage: str, id: str, moment: Moment) -> None:
        await self.take(owner, name, OverrideAsked(id, stage, moment))

    async def roll_back(self, owner: Owner, name: str, stage: str, target: str, by: str) -> str:
        """The id of the execution that puts back what the target did in the stage. Refused."""
        id = str(uuid.uuid4())
        facts = {"trigger": _trigger(Trigger("ManualRollback", by))}

        def work(tx: Tx) -> Taken:
            held = self._held(tx, owner, name)
            if held.line.gate(stage) is None:
                raise Refused("StageNotFoundException", f"The pipeline has no stage with name '{stage}'")
            self._check_target(tx, held, stage, target)
            found = executions_table.load(tx, owner, name, target)
            assert found is not None
            return self._take(tx, held, RollbackAsked(id, stage, target), {**_inherited(found), **facts})

        await self._turn(work)
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
            held = self._held(tx, owner, name)
            names = [gate.stage for gate in held.line.gates]
            at = names.index(stage) + (direction == "Outbound") if stage in names else None
            if at is None or not 0 < at < len(names):
                raise Refused("StageNotFoundException", f"The pipeline has no transition '{direction}' of '{stage}'")
            was = held.line.gates[at].transition
            if enabled and was.enabled:
                return Taken(held)
            changed = Transition(enabled, None if enabled else reason, by, self._now())
            return self._take(tx, held, TransitionChanged(names[at], changed))

        await self._turn(work)

    async def put_revision(
        self, owner: Owner, name: str, stage: str, action: str, revision: tuple[str, str]
    ) -> tuple[bool, str]:
        """Whether the revision is new, and the execution that it began, or that had it already. Refused."""
        id, text = str(uuid.uuid4()), json.dumps(revision)
        token = f"revision-{hashlib.sha256(json.dumps([stage, action, revision]).encode()).hexdigest()}"

        def work(tx: Tx) -> tuple[tuple[bool, str], Taken | None]:
            held = self._held(tx, owner, name)
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
                return (False, used[0]), None
            executions_table.use(tx, owner, name, token, id, "")
            facts = {"trigger": _trigger(Trigger("PutActionRevision", text)), **_given(plan, {}, required=False)}
            return (True, id), self._take(tx, held, Started(id), facts)

        answer, taken = await self._write(work)
        self._tell(taken)
        return answer

    # ── runs ──

    async def approve(
        self, owner: Owner, name: str, stage: str, action: str, token: str, *, approved: bool, summary: str, by: str
    ) -> datetime:
        """When the answer was taken; the first one counts. Refused: Invalid-, ApprovalAlreadyCompletedException …"""
        now = self._now()

        def work(tx: Tx) -> Taken:
            held = self._held(tx, owner, name)
            version = pipelines_table.version_of(tx, owner, name, held.version)
            assert version is not None
            declared = parse(version.shape).stage(stage)
            run = _with_token(tx, owner, name, stage, action, token)
            if run is None and declared is None:
                raise Refused("StageNotFoundException", f"The pipeline has no stage with name '{stage}'")
            if run is None and declared is not None and declared.action(action) is None:
                raise Refused("ActionNotFoundException", f"The stage has no action with name '{action}'")
            if run is None:
                raise Refused("InvalidApprovalTokenException", "The approval token is not of an approval that waits")
            if run.status is not RunStatus.IN_PROGRESS:
                answered = run.data.get("answered")
                if answered is not None:
                    raise Refused("ApprovalAlreadyCompletedException", "The approval action was answered already")
                raise Refused("InvalidApprovalTokenException", "The approval token is not of an approval that waits")
            error = None if approved else (ErrorCode.JOB_FAILED, summary)
            more = {"summary": summary, "updated_by": by, "answered": approved}
            return self._end(tx, held, run, error, more)

        await self._turn(work)
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

        await self._turn(work)

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
        ended = replace(run, status=status, updated=self._now(), data=data)
        runs_table.save(tx, ended)
        jobs_table.end(tx, run.id)
        objects_table.keep(tx, run.owner, ended.data.get("outputs", ()) if error is None else ())
        self._keep_revision(tx, ended)
        event = RunEnded(run.execution, run.id, error is None)
        taken = take_held(tx, held, event, runner=self.runners.id, now=self._now(), ended=ended)
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

    # ── what these share ──

    async def take(self, owner: Owner, name: str, event: Event, facts: Mapping[str, Any] | None = None) -> Taken:
        """Any event. Refused."""
        return await self._turn(
            lambda tx: take(tx, owner, name, event, runner=self.runners.id, now=self._now(), facts=facts)
        )

    async def _turn(self, work: Callable[[Tx], M]) -> M:
        taken = await self._write(work)
        self._tell(taken)
        return taken

    def _tell(self, taken: Taken | None) -> None:
        if taken is not None:
            self.runners.touched(taken.abandoned)
            self.runners.begun(taken.begun)

    async def _write(self, work: Callable[[Tx], T]) -> T:
        """Once more where somebody came in between: the same token or name twice at once."""
        for _ in range(_TRIES):
            with suppress(Duplicate, Conflict):
                return await self._db.write(work)
        return await self._db.write(work)

    def _take(self, tx: Tx, held: StoredPipeline, event: Event, facts: Mapping[str, Any] | None = None) -> Taken:
        return take_held(tx, held, event, runner=self.runners.id, now=self._now(), facts=facts)

    @staticmethod
    def _held(tx: Tx, owner: Owner, name: str) -> StoredPipeline:
        held = pipelines_table.hold(tx, owner, name)
        if held is None:
            raise missing(owner, name)
        return held

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


def _trigger(trigger: Trigger) -> dict[str, str]:
    return {"triggerType": trigger.type, "triggerDetail": trigger.detail}


def _given(plan: Declaration, given: Shape, *, required: bool) -> dict[str, Any]:
    found = {"variables": variables(plan, given, required=required), "pinned": overrides(plan, given)}
    return {name: value for name, value in found.items() if value}


def _inherited(target: StoredExecution) -> dict[str, Any]:
    """A rollback has its target's variables and revisions."""
    return {name: target.facts[name] for name in ("variables", "revisions") if name in target.facts}


def _with_token(tx: Tx, owner: Owner, name: str, stage: str, action: str, token: str) -> StoredRun | None:
    """The run of this approval action that has the token, among the latest."""
    for run in runs_table.of_action(tx, owner, name, stage, action, limit=100):
        if run.data.get("token") == token:
            return runs_table.hold(tx, run.id)
    return None
