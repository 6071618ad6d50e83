"""One execution of a pipeline as its page shows it, from CodePipeline's shapes. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from codeyard.console.pipeline_asking import ExecutionPicture
from codeyard.console.pipeline_view import (
    ExecutionRow,
    Sight,
    Time,
    execution_row,
    stage_standing,
)
from codeyard.console.pipeline_words import AHEAD, APPROVAL, IDLE, Standing, standing
from codeyard.console.stage_view import ActionView, RuleView, run_view

Shape = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact that an action made, or was given."""

    name: str
    bucket: str
    key: str
    run: str  # the action execution


@dataclass(frozen=True, slots=True)
class ActionAttempts:
    """An action of one execution: its latest attempt, what that was given and made, and the attempts before."""

    now: ActionView
    run: str
    configuration: tuple[tuple[str, str], ...]
    variables: tuple[tuple[str, str], ...]
    namespace: str
    inputs: tuple[str, ...]
    outputs: tuple[Artifact, ...]
    earlier: tuple[ActionView, ...]


@dataclass(frozen=True, slots=True)
class ExecutionStage:
    """A stage of one execution. `retry`: it ended there, and can be tried again."""

    name: str
    standing: Standing
    actions: tuple[ActionAttempts, ...]
    rules: tuple[tuple[RuleView, Time], ...]
    retry: bool


@dataclass(frozen=True, slots=True)
class ExecutionView:
    """An execution's page."""

    row: ExecutionRow
    version: int | None
    mode: str
    stages: tuple[ExecutionStage, ...]
    variables: tuple[tuple[str, str], ...]
    artifacts: tuple[tuple[str, Artifact], ...]  # who made it


def execution_view(picture: ExecutionPicture, sight: Sight) -> ExecutionView:
    """Of the API's answers."""
    execution, runs = picture.execution, picture.runs
    row = _row(picture, sight)
    stages = tuple(_stage(stage, picture, row.standing, sight) for stage in picture.pipeline.get("stages") or ())
    made = [(f"{stage.name} · {action.now.name}", each)
            for stage in stages for action in stage.actions for each in action.outputs]  # fmt: skip
    return ExecutionView(
        row=replace(row, time=_time(row.time, runs, sight)),
        version=execution.get("pipelineVersion"),
        mode=str(execution.get("executionMode") or "SUPERSEDED"),
        stages=stages,
        variables=tuple(
            (str(each["name"]), str(each.get("resolvedValue", ""))) for each in execution.get("variables") or ()
        ),
        artifacts=tuple(made),
    )


def artifact_of(picture: ExecutionPicture, run: str, name: str) -> tuple[str, str, str] | None:
    """The region, the bucket and the key of an artifact that this action execution made."""
    for each in picture.runs:
        if each.get("actionExecutionId") == run:
            region = str((each.get("input") or {}).get("region") or "")
            return next((((region, one.bucket, one.key)) for one in _outputs(each) if one.name == name), None)
    return None


def _row(picture: ExecutionPicture, sight: Sight) -> ExecutionRow:
    """From the list's line where there is one; else from what GetPipelineExecution says."""
    execution = picture.execution
    if picture.summary is not None:
        return execution_row({**picture.summary, "status": execution.get("status")}, sight)
    revisions = [{**each, "actionName": each.get("name")} for each in execution.get("artifactRevisions") or ()]
    return execution_row({**execution, "sourceRevisions": revisions}, sight)


def _time(known: Time, runs: Sequence[Shape], sight: Sight) -> Time:
    if known.started is not None:
        return known
    begun = [run["startTime"] for run in runs if run.get("startTime")]
    ended = [run["lastUpdateTime"] for run in runs if run.get("lastUpdateTime")]
    if not begun or not ended:
        return known
    started = min(begun)
    until = sight.now if known.running else max(ended)
    return Time(started, max(0.0, (until - started).total_seconds()), known.running)


def _stage(stage: Shape, picture: ExecutionPicture, whole: Standing, sight: Sight) -> ExecutionStage:
    name = str(stage["name"])
    runs = [run for run in picture.runs if run.get("stageName") == name]
    stands = _standing(stage, picture, runs, whole)
    rules = tuple(_rule(rule, sight) for rule in picture.rules if rule.get("stageName") == name)
    return ExecutionStage(
        name=name,
        standing=stands,
        actions=tuple(
            _attempts(each, [run for run in runs if run.get("actionName") == each["name"]], stands, sight)
            for each in stage.get("actions") or ()
        ),
        rules=rules,
        retry=whole.value in ("failed", "stopped") and stands.value in ("failed", "stopped"),
    )


def _standing(stage: Shape, picture: ExecutionPicture, runs: Sequence[Shape], whole: Standing) -> Standing:
    """As the pipeline's state has it; once another execution has entered, by what its actions and rules came to."""
    name, id = str(stage["name"]), picture.execution.get("pipelineExecutionId")
    stands = stage_standing([str(each["name"]) for each in stage.get("actions") or ()], runs)
    for each in picture.state.get("stageStates") or ():
        latest = each.get("latestExecution") or {}
        if each.get("stageName") == name and latest.get("pipelineExecutionId") == id and stands is not APPROVAL:
            return standing(latest.get("status"))
    if stands is IDLE and (result := _failed_condition(stage, "beforeEntry", picture)):
        return standing("Skipped" if result == "SKIP" else "Failed")
    if stands is IDLE:
        return AHEAD if whole.live else IDLE
    if stands.label == "In progress" and not whole.live:  # what is missing will not come any more
        return standing("Stopped")
    ended_here = whole.value == "failed" and not _went_on(name, picture)  # else the condition was overridden
    if stands.value == "succeeded" and ended_here and _failed_condition(stage, "onSuccess", picture):
        return standing("Failed")
    return stands


def _failed_condition(stage: Shape, moment: str, picture: ExecutionPicture) -> str:
    """The result of the stage's condition, if the latest execution of one of its rules Failed."""
    latest: dict[str, str] = {}
    for rule in picture.rules:
        if rule.get("stageName") == stage["name"]:
            latest.setdefault(str(rule.get("ruleName")), str(rule.get("status")))
    for condition in (stage.get(moment) or {}).get("conditions") or ():
        if any(latest.get(str(rule["name"])) == "Failed" for rule in condition.get("rules") or ()):
            return str(condition.get("result") or "FAIL")
    return ""


def _went_on(stage: str, picture: ExecutionPicture) -> bool:
    names = [str(each["name"]) for each in picture.pipeline.get("stages") or ()]
    later = names[names.index(stage) + 1 :]
    return any(run.get("stageName") in later for run in picture.runs)


def _attempts(declared: Shape, runs: Sequence[Shape], stage: Standing, sight: Sight) -> ActionAttempts:
    """`runs`: the newest first."""
    if not runs:
        return ActionAttempts(_ahead(declared, stage), "", (), (), "", (), (), ())
    latest, given = runs[0], runs[0].get("input") or {}
    return ActionAttempts(
        now=run_view(latest, sight),
        run=str(latest.get("actionExecutionId") or ""),
        configuration=_pairs(given.get("resolvedConfiguration") or given.get("configuration")),
        variables=_pairs((latest.get("output") or {}).get("outputVariables")),
        namespace=str(given.get("namespace") or ""),
        inputs=tuple(str(each.get("name")) for each in given.get("inputArtifacts") or ()),
        outputs=_outputs(latest),
        earlier=tuple(run_view(run, sight) for run in runs[1:]),
    )


def _ahead(declared: Shape, stage: Standing) -> ActionView:
    type = declared.get("actionTypeId") or {}
    stands = AHEAD if stage.live or stage is AHEAD else IDLE
    return ActionView(str(declared["name"]), str(type.get("provider") or ""), str(type.get("category") or ""), stands,
                      Time(None, None, False), "", "", "", None, None, False, None, "", None)  # fmt: skip


def _pairs(given: Mapping[str, Any] | None) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), str(value)) for name, value in (given or {}).items())


def _outputs(run: Shape) -> tuple[Artifact, ...]:
    found: list[Artifact] = []
    if run.get("status") != "Succeeded":  # the place is known before there is anything
        return ()
    for each in (run.get("output") or {}).get("outputArtifacts") or ():
        place = each.get("s3location") or {}
        found.append(Artifact(str(each.get("name") or ""), str(place.get("bucket") or ""), str(place.get("key") or ""),
                              str(run.get("actionExecutionId") or "")))  # fmt: skip
    return tuple(found)


def _rule(rule: Shape, sight: Sight) -> tuple[RuleView, Time]:
    result = (rule.get("output") or {}).get("executionResult") or {}
    said = (result.get("errorDetails") or {}).get("message") or result.get("externalExecutionSummary") or ""
    stands = standing(rule.get("status"))
    started, updated = rule.get("startTime"), rule.get("lastUpdateTime")
    ended = sight.now if stands.live else updated
    seconds = max(0.0, (ended - started).total_seconds()) if started and ended else None
    return RuleView(str(rule.get("ruleName")), stands, str(said)), Time(started, seconds, stands.live)
