"""Pipelines, executions and their state as AWS's clients see them: the shapes of the answers. Pure."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from codeyard.pipelines.model import Action, Declaration, ExecutionMode, Moment, Stage
from codeyard.pipelines.state import Execution, Gate, RunStatus, StageRun, Status
from codeyard.pipelines.stored import StoredExecution, StoredPipeline, StoredRun

_SUMMARY = 2048  # characters
_CONDITIONS = {
    Moment.BEFORE_ENTRY: "beforeEntryConditionState",
    Moment.ON_SUCCESS: "onSuccessConditionState",
    Moment.ON_FAILURE: "onFailureConditionState",
}


def given(members: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not there."""
    return {name: value for name, value in members.items() if value is not None}


# ── pipelines ──


def summary(stored: StoredPipeline, plan: Declaration) -> dict[str, Any]:
    """The shape PipelineSummary."""
    return {
        "name": stored.name,
        "version": stored.version,
        "pipelineType": plan.type,
        "executionMode": plan.mode.value,
        "created": stored.created,
        "updated": stored.updated,
    }


# ── executions ──


def execution(stored: StoredExecution) -> dict[str, Any]:
    """The shape PipelineExecution."""
    now, facts = stored.execution, stored.facts
    return given(
        {
            "pipelineName": stored.pipeline,
            "pipelineVersion": now.version,
            "pipelineExecutionId": now.id,
            "status": now.status.value,
            "statusSummary": now.summary or None,
            "artifactRevisions": [
                given(
                    {
                        "name": name,
                        "revisionId": each["id"],
                        "revisionChangeIdentifier": each["change_id"] or None,
                        "revisionSummary": _cut(each["summary"]),
                        "created": _time(each["created"]),
                        "revisionUrl": each["url"] or None,
                    }
                )
                for each in facts.get("revisions", {}).values()
                for name in each["artifacts"]
            ],
            "variables": [{"name": name, "resolvedValue": value} for name, value in facts.get("variables", {}).items()],
            "trigger": facts.get("trigger"),
            "executionMode": now.mode.value,
            "executionType": now.kind.value,
            "rollbackMetadata": _rollback(now),
        }
    )


def execution_summary(stored: StoredExecution) -> dict[str, Any]:
    """The shape PipelineExecutionSummary."""
    now, facts = stored.execution, stored.facts
    return given(
        {
            "pipelineExecutionId": now.id,
            "status": now.status.value,
            "statusSummary": now.summary or None,
            "startTime": stored.started,
            "lastUpdateTime": stored.updated,
            "sourceRevisions": [
                given(
                    {
                        "actionName": action,
                        "revisionId": each["id"],
                        "revisionSummary": _cut(each["summary"]),
                        "revisionUrl": each["url"] or None,
                    }
                )
                for action, each in facts.get("revisions", {}).items()
            ],
            "trigger": facts.get("trigger"),
            "stopTrigger": {"reason": facts["stop"]} if facts.get("stop") else None,
            "executionMode": now.mode.value,
            "executionType": now.kind.value,
            "rollbackMetadata": _rollback(now),
        }
    )


def _rollback(now: Execution) -> dict[str, str] | None:
    return None if now.target is None else {"rollbackTargetPipelineExecutionId": now.target}


# ── runs ──


def action_execution(run: StoredRun, version: int) -> dict[str, Any]:
    """The shape ActionExecutionDetail. What did not succeed has no output artifacts, though places for them."""
    data = run.data
    outputs = data.get("outputs", ()) if run.status in (RunStatus.IN_PROGRESS, RunStatus.SUCCEEDED) else ()
    return given(
        {
            "pipelineExecutionId": run.execution,
            "actionExecutionId": run.id,
            "pipelineVersion": version,
            "stageName": run.stage,
            "actionName": run.name,
            "startTime": run.started,
            "lastUpdateTime": run.updated,
            "updatedBy": data.get("updated_by"),
            "status": run.status.value,
            "input": given(
                {
                    "actionTypeId": type_id(data),
                    "configuration": data.get("configuration", {}),
                    "resolvedConfiguration": data.get("resolved", {}),
                    "roleArn": data.get("role"),
                    "region": data.get("region") or run.owner.region,
                    "inputArtifacts": [artifact(each) for each in data.get("inputs", ())],
                    "namespace": data.get("namespace"),
                }
            ),
            "output": given(
                {
                    "outputArtifacts": [artifact(each) for each in outputs],
                    "executionResult": _result(run),
                    "outputVariables": data.get("variables"),
                }
            ),
        }
    )


def rule_execution(run: StoredRun, version: int) -> dict[str, Any]:
    """The shape RuleExecutionDetail."""
    data = run.data
    result = _result(run)
    return given(
        {
            "pipelineExecutionId": run.execution,
            "ruleExecutionId": run.id,
            "pipelineVersion": version,
            "stageName": run.stage,
            "ruleName": run.name,
            "startTime": run.started,
            "lastUpdateTime": run.updated,
            "updatedBy": data.get("updated_by"),
            "status": run.status.value,
            "input": given(
                {
                    "ruleTypeId": type_id(data),
                    "configuration": data.get("configuration", {}),
                    "resolvedConfiguration": data.get("resolved", {}),
                    "roleArn": data.get("role"),
                    "region": data.get("region") or run.owner.region,
                    "inputArtifacts": [artifact(each) for each in data.get("inputs", ())],
                }
            ),
            "output": {"executionResult": {name: value for name, value in result.items() if name != "logStreamARN"}},
        }
    )


def type_id(data: Mapping[str, Any]) -> dict[str, str]:
    category, owner, provider, version = data["type"]
    return {"category": category, "owner": owner, "provider": provider, "version": version}


def artifact(each: Mapping[str, Any]) -> dict[str, Any]:
    """The shape ArtifactDetail. What was handed on as a tree has its place all the same, where a zip would lie."""
    return {"name": each["name"], "s3location": {"bucket": each["bucket"], "key": each["key"]}}


def _result(run: StoredRun) -> dict[str, Any]:
    data = run.data
    external = data.get("external_id") or data.get("token")  # an approval's token, in PARALLEL mode (reference 2.4)
    return given(
        {
            "externalExecutionId": external,
            "externalExecutionSummary": _cut(data.get("summary")),
            "externalExecutionUrl": data.get("external_url"),
            "errorDetails": data.get("error"),
            "logStreamARN": data.get("log_stream"),
        }
    )


# ── the state ──


def state(
    stored: StoredPipeline,
    plan: Declaration,
    executions: Mapping[str, StoredExecution],
    runs: Mapping[str, StoredRun],
) -> dict[str, Any]:
    """The output of GetPipelineState. Of PARALLEL mode it shows the stages alone (reference 2.4)."""
    return {
        "pipelineName": stored.name,
        "pipelineVersion": stored.version,
        "stageStates": [
            _stage(stage, stored.line.gate(stage.name) or Gate(stage.name), plan.mode, executions, runs)
            for stage in plan.stages
        ],
        "created": stored.created,
        "updated": stored.updated,
    }


def _stage(
    stage: Stage,
    gate: Gate,
    mode: ExecutionMode,
    executions: Mapping[str, StoredExecution],
    runs: Mapping[str, StoredRun],
) -> dict[str, Any]:
    door = gate.transition
    shown: dict[str, Any] = {
        "stageName": stage.name,
        "inboundTransitionState": given(
            {
                "enabled": door.enabled,
                "lastChangedBy": door.by,
                "lastChangedAt": door.at,
                "disabledReason": door.reason,
            }
        ),
        "actionStates": [_action(action, runs.get(gate.shown.get(action.name, ""))) for action in stage.actions],
    }
    if mode is ExecutionMode.PARALLEL:
        return {**shown, "actionStates": [_action(action, None) for action in stage.actions]}
    ahead = gate.waiting or ((gate.stopped,) if gate.stopped is not None else ())
    waiting = [_inbound(executions[id].execution) for id in ahead if id in executions]
    if waiting:
        shown["inboundExecution"] = waiting[0]
        if mode is ExecutionMode.QUEUED:
            shown["inboundExecutions"] = waiting
    latest = executions.get(gate.latest or "")
    entered = None if latest is None else latest.execution.stages.get(stage.name)
    if latest is None or entered is None:
        return shown
    shown["latestExecution"] = {**_inbound(latest.execution), "status": entered.status.value}
    if entered.last_retry is not None:
        shown["retryStageMetadata"] = {
            "autoStageRetryAttempt": entered.automatic_retries,
            "manualStageRetryAttempt": entered.manual_retries,
            "latestRetryTrigger": entered.last_retry,
        }
    return shown | dict(_conditions(entered, runs))


def _inbound(now: Execution) -> dict[str, str]:
    status = now.status if now.status is not Status.SUPERSEDED else Status.CANCELLED
    return {"pipelineExecutionId": now.id, "status": status.value, "type": now.kind.value}


def _action(action: Action, run: StoredRun | None) -> dict[str, Any]:
    shown: dict[str, Any] = {"actionName": action.name}
    if run is None:
        return shown
    data = run.data
    revision = data.get("revision")
    if revision is not None:
        shown["currentRevision"] = {
            "revisionId": revision["id"],
            "revisionChangeId": revision["change_id"] or revision["id"],
            "created": _time(revision["created"]) or run.updated,
        }
        shown["revisionUrl"] = revision["url"] or None
    waits = run.status.is_running
    shown["latestExecution"] = given(
        {
            "actionExecutionId": run.id,
            "status": run.status.value,
            "summary": _cut(data.get("summary")),
            "lastStatusChange": run.started if waits else run.updated,
            "token": data.get("token") if waits else None,
            "lastUpdatedBy": data.get("updated_by"),
            "externalExecutionId": data.get("external_id"),
            "externalExecutionUrl": data.get("external_url"),
            "percentComplete": data.get("percent"),
            "errorDetails": data.get("error"),
            "logStreamARN": data.get("log_stream"),
        }
    )
    shown["entityUrl"] = data.get("entity_url") or data.get("external_url")
    return given(shown)


def _conditions(entered: StageRun, runs: Mapping[str, StoredRun]) -> Iterable[tuple[str, Any]]:
    for moment, condition in entered.conditions.items():
        status = {"status": condition.status.value}
        rules = [
            {"ruleName": name, "latestExecution": _rule(run.id, run.status.value, runs.get(run.id))}
            for name, run in condition.rules.items()
        ]
        changed = max((runs[run.id].updated for run in condition.rules.values() if run.id in runs), default=None)
        one = {"latestExecution": given({**status, "lastStatusChange": changed}), "ruleStates": rules}
        yield _CONDITIONS[moment], {"latestExecution": status, "conditionStates": [one]}


def _rule(id: str, status: str, run: StoredRun | None) -> dict[str, Any]:
    data = run.data if run is not None else {}
    return given(
        {
            "ruleExecutionId": id,
            "status": status,
            "summary": _cut(data.get("summary")),
            "lastStatusChange": None if run is None else run.updated,
            "externalExecutionId": data.get("external_id"),
            "externalExecutionUrl": data.get("external_url"),
            "errorDetails": data.get("error"),
        }
    )


def shown_runs(stored: StoredPipeline, executions: Mapping[str, StoredExecution]) -> set[str]:
    """The runs that `state` needs."""
    found = {run for gate in stored.line.gates for run in gate.shown.values()}
    for gate in stored.line.gates:
        latest = executions.get(gate.latest or "")
        entered = None if latest is None else latest.execution.stages.get(gate.stage)
        if entered is not None:
            found |= {run.id for condition in entered.conditions.values() for run in condition.rules.values()}
    return found


def _cut(text: str | None) -> str | None:
    """As much of it as the model's summaries have room for; None: it is empty."""
    return text[:_SUMMARY] if text else None


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def sealed_json(secrets: Mapping[str, str]) -> bytes:
    """What is sealed of a definition's secrets."""
    return json.dumps(dict(secrets), sort_keys=True).encode()
