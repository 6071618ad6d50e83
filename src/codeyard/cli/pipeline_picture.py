"""An execution of a pipeline as it is at a moment, made of what the API answers. Pure.

A Picture shows one execution in all stages, or a pipeline: then each stage has its own latest execution, as
GetPipelineState has it. Where the state shows a stage of another execution, or of PARALLEL mode nothing at all, what
an execution did there comes from its action executions alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Shape = Mapping[str, Any]  # of the API's answers
RUNNING = frozenset({"InProgress", "Stopping"})
_MOMENTS = {"beforeEntry": "before entry", "onSuccess": "on success", "onFailure": "on failure"}


@dataclass(frozen=True, slots=True)
class ActionNow:
    """An action, or a rule of a condition, and its latest attempt."""

    name: str
    provider: str
    moment: str = ""  # of a rule: when its condition is looked at
    run: str = ""  # "": it was not reached, and so with all that follows
    status: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    summary: str = ""
    error: str = ""
    url: str = ""
    percent: int | None = None
    token: str = ""  # of an approval that waits
    question: str = ""
    look: str = ""  # the URL that whoever approves is to look at

    @property
    def asks(self) -> bool:
        return bool(self.token)


@dataclass(frozen=True, slots=True)
class Closed:
    """A transition that lets nobody in."""

    by: str
    at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class StageNow:
    name: str
    actions: tuple[ActionNow, ...]
    status: str = ""  # "": the execution has not entered it
    execution: str = ""  # that is shown
    closed: Closed | None = None
    waiting: tuple[str, ...] = ()  # executions in front of it
    holder: str = ""  # the execution inside
    retries: int = 0

    @property
    def started(self) -> datetime | None:
        return min((each.started for each in self.actions if each.started), default=None)

    @property
    def ended(self) -> datetime | None:
        if self.status in RUNNING or not self.status:
            return None
        return max((each.ended for each in self.actions if each.ended), default=None)


@dataclass(frozen=True, slots=True)
class Picture:
    pipeline: str
    version: int
    mode: str
    stages: tuple[StageNow, ...]
    at: datetime
    execution: str = ""  # "": a pipeline is shown, not one execution
    status: str = ""
    summary: str = ""  # why it ended so
    trigger: str = ""
    target: str = ""  # of a rollback: the execution whose work it puts back
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def over(self) -> bool:
        return bool(self.status) and self.status not in RUNNING


def picture(
    definition: Shape,
    state: Shape,
    actions: Iterable[Shape],
    rules: Iterable[Shape],
    at: datetime,
    execution: Shape | None = None,
    listed: Shape | None = None,
) -> Picture:
    """Made of a PipelineDeclaration, GetPipelineState, Action- and RuleExecutionDetails of the executions that are
    shown, and for a picture of one execution its PipelineExecution and PipelineExecutionSummary."""
    found, mode = execution or {}, definition.get("executionMode", "SUPERSEDED")
    id = found.get("pipelineExecutionId", "")
    ran = _latest(actions, "actionName")
    states = _states(definition, state, [stage for one, stage, _ in ran if one == id], id)
    tried = _latest(rules, "ruleName")
    status = found.get("status", "")
    trigger = found.get("trigger") or {}
    return Picture(
        pipeline=definition["name"],
        version=found.get("pipelineVersion") or definition.get("version", 1),
        mode=found.get("executionMode") or mode,
        stages=tuple(_stage(stage, states.get(stage["name"], {}), ran, tried, found) for stage in definition["stages"]),
        at=at,
        execution=id,
        status=status,
        summary=found.get("statusSummary", ""),
        trigger=" by ".join(part for part in (trigger.get("triggerType"), trigger.get("triggerDetail")) if part),
        target=(found.get("rollbackMetadata") or {}).get("rollbackTargetPipelineExecutionId", ""),
        started=(listed or {}).get("startTime"),
        ended=(listed or {}).get("lastUpdateTime") if status and status not in RUNNING else None,
    )


def _states(definition: Shape, state: Shape, entered: Sequence[str], id: str) -> dict[str, Shape]:
    """StageStates by name. The state was asked for before the actions: of stages before the last one that the execution
    has entered by these, it says that they go on though they are over."""
    names = [stage["name"] for stage in definition["stages"]]
    states = {each["stageName"]: each for each in state.get("stageStates", ())}
    for name in names[: max((names.index(stage) for stage in entered if stage in names), default=0)]:
        latest = states.get(name, {}).get("latestExecution", {})
        if latest.get("pipelineExecutionId") == id and latest.get("status") in RUNNING:
            states[name] = {**states[name], "latestExecution": {**latest, "status": None}}
    return states


def shown_executions(state: Shape) -> list[str]:
    """Those that a picture of the whole pipeline shows something of."""
    latest = (stage.get("latestExecution", {}).get("pipelineExecutionId") for stage in state.get("stageStates", ()))
    return list(dict.fromkeys(id for id in latest if id))


def _latest(details: Iterable[Shape], name: str) -> dict[tuple[str, str, str], Shape]:
    """By execution, stage and name, the newest attempt."""
    found: dict[tuple[str, str, str], Shape] = {}
    for each in details:
        key = (each["pipelineExecutionId"], each["stageName"], each[name])
        if key not in found or each["startTime"] > found[key]["startTime"]:
            found[key] = each
    return found


def _stage(
    declared: Shape,
    state: Shape,
    ran: Mapping[tuple[str, str, str], Shape],
    tried: Mapping[tuple[str, str, str], Shape],
    execution: Shape,
) -> StageNow:
    name, latest, focus = declared["name"], state.get("latestExecution", {}), execution.get("pipelineExecutionId", "")
    inside = latest.get("pipelineExecutionId", "")
    id = focus or inside
    ours = inside == id
    live = {each["actionName"]: each.get("latestExecution", {}) for each in state.get("actionStates", ())}
    revisions = _revisions(declared, state, execution)
    actions = tuple(
        _action(each, ran.get((id, name, each["name"])), live.get(each["name"], {}), revisions.get(each["name"], ""))
        for each in sorted(declared["actions"], key=lambda each: each.get("runOrder", 1))
    )
    before, after = _rules(declared, id, tried)
    return StageNow(
        name=name,
        actions=(*before, *actions, *after),
        status=latest["status"]
        if ours and latest.get("status")
        else _status(declared, actions, before, after, execution),
        execution=id,
        closed=_closed(state.get("inboundTransitionState", {})),
        waiting=_waiting(state),
        holder=inside if latest.get("status") in RUNNING else "",
        retries=sum(
            state.get("retryStageMetadata", {}).get(key, 0)
            for key in ("autoStageRetryAttempt", "manualStageRetryAttempt")
        )
        if ours
        else 0,
    )


def _waiting(state: Shape) -> tuple[str, ...]:
    one = state.get("inboundExecution")
    many = state.get("inboundExecutions") or ([one] if one else [])
    return tuple(each["pipelineExecutionId"] for each in many if each.get("status", "InProgress") in RUNNING)


def _closed(transition: Shape) -> Closed | None:
    if transition.get("enabled", True):
        return None
    return Closed(
        transition.get("lastChangedBy", ""), transition.get("lastChangedAt"), transition.get("disabledReason", "")
    )


def _status(
    declared: Shape,
    actions: Sequence[ActionNow],
    before: Sequence[ActionNow],
    after: Sequence[ActionNow],
    execution: Shape,
) -> str:
    """Of a stage whose state shows another execution, or none: what its actions and rules came to."""
    reached = [each.status for each in actions if each.run]
    whole = execution.get("status", "")
    if "InProgress" in reached:
        return "InProgress"
    if "Failed" in reached:
        return "Failed"
    if "Abandoned" in reached:
        return "Stopped"
    if reached and len(reached) == len(actions):
        held = whole == "Failed" and any(
            each.moment == _MOMENTS["onSuccess"] and each.status == "Failed" for each in after
        )
        return "Failed" if held else "Succeeded"
    if reached:
        return whole if whole != "Succeeded" else "InProgress"
    if any(each.status == "InProgress" for each in before):
        return "InProgress"
    if not any(each.status == "Failed" for each in before):
        return ""
    skips = any(each.get("result") == "SKIP" for each in declared["beforeEntry"]["conditions"])
    return "Skipped" if skips else "Failed"


def _action(declared: Shape, detail: Shape | None, live: Shape, revision: str) -> ActionNow:
    provider = declared["actionTypeId"]["provider"]
    if detail is None:
        return ActionNow(declared["name"], provider)
    id, status = detail["actionExecutionId"], detail["status"]
    if live.get("actionExecutionId") != id:
        live = {}
    told = (detail.get("output") or {}).get("executionResult") or {}
    asked = detail.get("input") or {}
    configuration = {**asked.get("configuration", {}), **asked.get("resolvedConfiguration", {})}
    approval = declared["actionTypeId"]["category"] == "Approval" and status == "InProgress"
    error = live.get("errorDetails") or told.get("errorDetails") or {}
    return ActionNow(
        name=declared["name"],
        provider=provider,
        run=id,
        status=status,
        started=detail["startTime"],
        ended=None if status == "InProgress" else detail["lastUpdateTime"],
        summary=live.get("summary") or told.get("externalExecutionSummary") or revision,
        error=error.get("message", "") or error.get("code", "") if status != "InProgress" else "",
        url=live.get("externalExecutionUrl") or told.get("externalExecutionUrl") or "",
        percent=live.get("percentComplete") if status == "InProgress" else None,
        token=(live.get("token") or told.get("externalExecutionId") or "") if approval else "",
        question=configuration.get("CustomData", "") if approval else "",
        look=configuration.get("ExternalEntityLink", "") if approval else "",
    )


def _rules(
    declared: Shape, id: str, tried: Mapping[tuple[str, str, str], Shape]
) -> tuple[tuple[ActionNow, ...], tuple[ActionNow, ...]]:
    """The rules that come before the actions, and those after them."""
    found: dict[str, list[ActionNow]] = {moment: [] for moment in _MOMENTS}
    for moment in _MOMENTS:
        for condition in (declared.get(moment) or {}).get("conditions") or ():
            for rule in condition.get("rules") or ():
                found[moment].append(_rule(rule, moment, tried.get((id, declared["name"], rule["name"]))))
    # Of an execution that goes well, rules on failure are never looked at: they are shown if they were.
    after = [*found["onSuccess"], *(each for each in found["onFailure"] if each.run)]
    return tuple(found["beforeEntry"]), tuple(after)


def _rule(declared: Shape, moment: str, detail: Shape | None) -> ActionNow:
    provider, when = declared["ruleTypeId"]["provider"], _MOMENTS[moment]
    if detail is None:
        return ActionNow(declared["name"], provider, when)
    told = (detail.get("output") or {}).get("executionResult") or {}
    running = detail["status"] == "InProgress"
    return ActionNow(
        declared["name"], provider, when, detail["ruleExecutionId"], detail["status"], detail["startTime"],
        None if running else detail["lastUpdateTime"], told.get("externalExecutionSummary", ""),
        "" if running else (told.get("errorDetails") or {}).get("message", ""), told.get("externalExecutionUrl", ""),
    )  # fmt: skip


def _revisions(declared: Shape, state: Shape, execution: Shape) -> dict[str, str]:
    """By action: what a source found."""
    found = {
        each["actionName"]: each["currentRevision"]["revisionId"]
        for each in state.get("actionStates", ())
        if each.get("currentRevision") and not execution
    }
    revisions = {each.get("name"): each for each in execution.get("artifactRevisions", ())}
    for action in declared["actions"]:
        for output in action.get("outputArtifacts") or ():
            if (revision := revisions.get(output["name"])) and action["actionTypeId"]["category"] == "Source":
                parts = (_short_revision(revision.get("revisionId", "")), revision.get("revisionSummary", ""))
                found[action["name"]] = " ".join(part for part in parts if part)
    return found


def _short_revision(id: str) -> str:
    """Of a commit, as much as people use."""
    return id[:10] if len(id) == 40 and set(id) <= set("0123456789abcdef") else id


def waits_for(stage: StageNow, picture: Picture) -> str:
    """Why executions stand in front of the stage: of a picture of one, that one."""
    waiting = [id for id in stage.waiting if not picture.execution or id == picture.execution]
    if not waiting or picture.over:
        return ""
    if stage.closed is not None:
        return "the transition is disabled"
    if stage.holder:
        ahead = stage.waiting.index(waiting[0])
        more = f" and {ahead} before it" if ahead else ""
        return f"{stage.holder[:8]} is in the stage{more}"
    return "it is next"
