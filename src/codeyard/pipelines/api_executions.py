"""The operations on executions: start, stop, retry, roll back, approve, override; their state and their history."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from codeyard.aws import Call, Refused, Shape, operation
from codeyard.aws.paging import Pages
from codeyard.ident import Owner
from codeyard.pipelines import executions_table, pipelines_table, runs_table
from codeyard.pipelines.api_pipelines import named, pipeline_arn
from codeyard.pipelines.control import PipelineControl
from codeyard.pipelines.model import Moment, RetryMode, parse
from codeyard.pipelines.starting import Trigger
from codeyard.pipelines.state import named_in
from codeyard.pipelines.stored import StoredExecution, StoredRun
from codeyard.pipelines.turns import missing
from codeyard.pipelines.wire import (
    action_execution,
    execution,
    execution_summary,
    rule_execution,
    shown_runs,
    state,
)
from codeyard.store import Database, Tx

_STALE = "InvalidNextTokenException"
_PAGE = 100


def stage_of(call: Call) -> str:
    """The ARN of the stage that a call is about."""
    given = call.input
    return f"{pipeline_arn(call.owner, str(given.get('pipelineName', '')))}/{given.get('stageName', '')}"


def action_of(call: Call) -> str:
    return f"{stage_of(call)}/{call.input.get('actionName', '')}"


class ExecutionOperations:
    """See the module."""

    def __init__(
        self,
        db: Database,
        control: PipelineControl,
        pages: Pages,
        now: Callable[[], datetime],
        live_targets: Callable[[Owner, str], Awaitable[Sequence[Mapping[str, Any]]]],
    ) -> None:
        """`live_targets`: those of the deployment of this id, as `Told` has them; none, if there is no such."""
        self._db, self._control, self._pages, self._now = db, control, pages, now
        self._live_targets = live_targets

    async def exact(self, call: Call, arns: tuple[str, ...]) -> tuple[str, ...]:
        """A policy is asked about the pipeline also where a call names only what an action of it did."""
        id = call.input.get("actionExecutionId")
        if id is None or call.input.get("pipelineName") is not None:
            return arns
        run = await self._db.read(lambda tx: runs_table.load(tx, id))
        return arns if run is None or run.owner != call.owner else (pipeline_arn(call.owner, run.pipeline),)

    # ── what changes something ──

    @operation("StartPipelineExecution", named)
    async def start(self, call: Call) -> Shape:
        trigger = Trigger("StartPipelineExecution", call.caller.arn)
        id = await self._control.start(call.owner, call.input["name"], call.input, trigger)
        return {"pipelineExecutionId": id}

    @operation("StopPipelineExecution", named)
    async def stop(self, call: Call) -> Shape:
        given = call.input
        id, abandon = given["pipelineExecutionId"], bool(given.get("abandon"))
        name, reason = given["pipelineName"], given.get("reason") or ""
        await self._control.stop(call.owner, name, id, abandon=abandon, reason=reason)
        return {"pipelineExecutionId": id}

    @operation("RetryStageExecution", stage_of)
    async def retry(self, call: Call) -> Shape:
        given = call.input
        id, mode = given["pipelineExecutionId"], RetryMode(given["retryMode"])
        await self._control.retry(call.owner, given["pipelineName"], given["stageName"], id, mode)
        return {"pipelineExecutionId": id}

    @operation("RollbackStage", stage_of)
    async def roll_back(self, call: Call) -> Shape:
        given = call.input
        target, by = given["targetPipelineExecutionId"], call.caller.arn
        id = await self._control.roll_back(call.owner, given["pipelineName"], given["stageName"], target, by)
        return {"pipelineExecutionId": id}

    @operation("OverrideStageCondition", stage_of)
    async def override(self, call: Call) -> None:
        given = call.input
        id, moment = given["pipelineExecutionId"], Moment(given["conditionType"])
        await self._control.override(call.owner, given["pipelineName"], given["stageName"], id, moment)

    @operation("EnableStageTransition", stage_of)
    async def enable(self, call: Call) -> None:
        given = call.input
        stage, way = given["stageName"], given["transitionType"]
        by = call.caller.arn
        await self._control.set_transition(call.owner, given["pipelineName"], stage, way, enabled=True, by=by)

    @operation("DisableStageTransition", stage_of)
    async def disable(self, call: Call) -> None:
        given = call.input
        stage, way, by = given["stageName"], given["transitionType"], call.caller.arn
        await self._control.set_transition(
            call.owner, given["pipelineName"], stage, way, enabled=False, reason=given["reason"], by=by
        )

    @operation("PutApprovalResult", action_of)
    async def approve(self, call: Call) -> Shape:
        given = call.input
        at = await self._control.approve(
            call.owner,
            given["pipelineName"],
            given["stageName"],
            given["actionName"],
            given["token"],
            approved=given["result"]["status"] == "Approved",
            summary=given["result"]["summary"],
            by=call.caller.arn,
        )
        return {"approvedAt": at}

    @operation("PutActionRevision", action_of)
    async def put_revision(self, call: Call) -> Shape:
        given = call.input
        revision = given["actionRevision"]
        new, id = await self._control.put_revision(
            call.owner,
            given["pipelineName"],
            given["stageName"],
            given["actionName"],
            (revision["revisionId"], revision["revisionChangeId"]),
        )
        return {"newRevision": new, "pipelineExecutionId": id}

    # ── what is read ──

    @operation("GetPipelineState", named)
    async def get_state(self, call: Call) -> Shape:
        owner, name = call.owner, call.input["name"]

        def work(tx: Tx) -> dict[str, Any]:
            stored = pipelines_table.load(tx, owner, name)
            if stored is None:
                raise missing(owner, name)
            version = pipelines_table.version_of(tx, owner, name, stored.version)
            assert version is not None
            found = executions_table.at_work(tx, owner, name, named_in(stored.line))
            runs = runs_table.these(tx, shown_runs(stored, found))
            return state(stored, parse(version.shape), found, runs)

        return await self._db.read(work)

    @operation("GetPipelineExecution", named)
    async def get_execution(self, call: Call) -> Shape:
        owner, name, id = call.owner, call.input["pipelineName"], call.input["pipelineExecutionId"]
        return {"pipelineExecution": execution(await self._db.read(lambda tx: _execution(tx, owner, name, id)))}

    @operation("ListPipelineExecutions", named)
    async def list_executions(self, call: Call) -> Shape:
        owner, given = call.owner, call.input
        name, limit = given["pipelineName"], given.get("maxResults") or _PAGE
        stage = ((given.get("filter") or {}).get("succeededInStage") or {}).get("stageName")
        token = self._pages.open(call, given.get("nextToken"), _STALE, filter=[name, stage])
        before = None if token is None else int(token)

        def work(tx: Tx) -> list[StoredExecution]:
            _known(tx, owner, name)
            return executions_table.listed(tx, owner, name, before=before, limit=limit + 1, succeeded_in=stage)

        found = await self._db.read(work)
        more = str(found[limit - 1].execution.number) if len(found) > limit else None
        return {
            "pipelineExecutionSummaries": [execution_summary(each) for each in found[:limit]],
            "nextToken": self._pages.seal(call, more, filter=[name, stage]),
        }

    @operation("ListActionExecutions", named)
    async def list_actions(self, call: Call) -> Shape:
        found, versions, token = await self._runs(call, rules=False)
        shown = [action_execution(run, versions[run.execution]) for run in found]
        return {"actionExecutionDetails": shown, "nextToken": token}

    @operation("ListRuleExecutions", named)
    async def list_rules(self, call: Call) -> Shape:
        found, versions, token = await self._runs(call, rules=True)
        shown = [rule_execution(run, versions[run.execution]) for run in found]
        return {"ruleExecutionDetails": shown, "nextToken": token}

    @operation("ListDeployActionExecutionTargets", named)
    async def list_targets(self, call: Call) -> Shape:
        id, name = call.input["actionExecutionId"], call.input.get("pipelineName")
        run = await self._db.read(lambda tx: runs_table.load(tx, id))
        if run is None or run.owner != call.owner or name not in (None, run.pipeline):
            raise Refused("ActionExecutionNotFoundException", f"There is no action execution with id '{id}'")
        wanted = {
            value
            for each in call.input.get("filters") or ()
            if each.get("name") == "TARGET_STATUS"
            for value in each.get("values") or ()
        }
        found = run.data.get("targets", ())
        if run.status.is_running and not found:  # it tells of them once they have ended
            found = await self._live_targets(call.owner, run.data.get("external_id") or "")
        return {"targets": [_target(each) for each in found if not wanted or each.get("status") in wanted]}

    async def _runs(self, call: Call, *, rules: bool) -> tuple[list[StoredRun], dict[str, int], str | None]:
        """A page of runs, the versions of their executions, and the token of the next page."""
        owner, given = call.owner, call.input
        name, limit = given["pipelineName"], given.get("maxResults") or _PAGE
        asked = given.get("filter") or {}
        latest = asked.get("latestInPipelineExecution") or {}
        id = asked.get("pipelineExecutionId") or latest.get("pipelineExecutionId")
        last_only = latest.get("startTimeRange") == "Latest"
        filter = [name, id, last_only]
        token = self._pages.open(call, given.get("nextToken"), _STALE, filter=filter)
        at, _, run = (token or "").partition(" ")
        before = None if token is None else (int(at), run)

        def work(tx: Tx) -> tuple[list[StoredRun], dict[str, int]]:
            _known(tx, owner, name)
            if id is not None:
                _execution(tx, owner, name, id)
            if last_only:  # of one execution, each action's latest attempt, wherever the page begins
                attempts = runs_table.listed(tx, owner, name, rules=rules, execution=id, before=None, limit=100_000)
                found = _latest(attempts, before)
            else:
                found = runs_table.listed(tx, owner, name, rules=rules, execution=id, before=before, limit=limit + 1)
            ids = {each.execution for each in found}
            stored = executions_table.these(tx, ids)
            return found, {id: each.execution.version for id, each in stored.items()}

        found, versions = await self._db.read(work)
        more = None
        if len(found) > limit:
            at_run = runs_table.place_of(found[limit - 1])
            more = f"{at_run[0]} {at_run[1]}"
        return found[:limit], versions, self._pages.seal(call, more, filter=filter)


def _known(tx: Tx, owner: Owner, name: str) -> None:
    if pipelines_table.load(tx, owner, name) is None:
        raise missing(owner, name)


def _latest(attempts: list[StoredRun], before: tuple[int, str] | None) -> list[StoredRun]:
    """Of each action, or rule, the latest attempt: they come newest first."""
    seen: dict[tuple[str, str | None, str], StoredRun] = {}
    for each in attempts:
        seen.setdefault((each.stage, each.moment, each.name), each)
    return [each for each in seen.values() if before is None or runs_table.place_of(each) < before]


def _execution(tx: Tx, owner: Owner, name: str, id: str) -> StoredExecution:
    _known(tx, owner, name)
    found = executions_table.load(tx, owner, name, id)
    if found is None:
        text = f"The pipeline '{name}' has no execution with id '{id}'"
        raise Refused("PipelineExecutionNotFoundException", text)
    return found


def _target(given: Any) -> dict[str, Any]:
    """The shape DeployActionExecutionTarget, whose times are kept as texts."""
    times = {name: datetime.fromisoformat(given[name]) for name in ("startTime", "endTime") if given.get(name)}
    events = [
        {**each, **{name: datetime.fromisoformat(each[name]) for name in ("startTime", "endTime") if each.get(name)}}
        for each in given.get("events", ())
    ]
    return {**given, **times, "events": events}
