"""Pipelines as their pages show them, from CodePipeline's shapes. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from codeyard.console.pipeline_words import AHEAD, APPROVAL, BY_HAND, IDLE, Standing, moments, standing, trigger, who
from codeyard.console.view import Link, web_link
from codeyard.console.words import duration, took

Shape = Mapping[str, Any]

_BUILD_PAGE = re.compile(r"/console/builds/[a-z0-9-]{1,32}/[A-Za-z0-9_-]{1,255}:[0-9a-f-]{36}")


@dataclass(frozen=True, slots=True)
class Time:
    """When something began and how long it took, or has taken."""

    started: datetime | None
    seconds: float | None
    running: bool

    @property
    def took(self) -> str:
        return duration(self.seconds) if self.running else took(self.seconds)


@dataclass(frozen=True, slots=True)
class Approval:
    """A question that waits for an answer."""

    stage: str
    action: str
    token: str
    asked: str  # CustomData
    link: Link | None  # ExternalEntityLink
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class ActionView:
    """An action, and one execution of it."""

    name: str
    kind: str  # `CodeBuild`, or whatever provides it
    category: str
    standing: Standing
    time: Time
    summary: str
    error: str
    code: str
    percent: int | None
    link: Link | None  # details elsewhere, or our own build
    ours: bool  # the link leads to a build's page here
    revision: Link | None
    by: str
    approval: Approval | None
    execution: str = ""  # the pipeline's execution that it was of
    shape: Shape | None = None  # ActionExecutionDetail


@dataclass(frozen=True, slots=True)
class RuleView:
    name: str
    standing: Standing
    summary: str


@dataclass(frozen=True, slots=True)
class ConditionView:
    """A condition of a stage. `override`: the type that it can be overridden as, if it can."""

    moment: str
    standing: Standing
    rules: tuple[RuleView, ...]
    override: str | None


@dataclass(frozen=True, slots=True)
class Door:
    """The transition into a stage."""

    enabled: bool
    reason: str
    by: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class StageView:
    """A stage as it is now; `door`: None for the first."""

    name: str
    standing: Standing
    execution: str
    rollback: bool  # what is in it is a rollback
    door: Door | None
    waiting: tuple[str, ...]
    actions: tuple[ActionView, ...]
    conditions: tuple[ConditionView, ...]
    retries: int
    retry: bool
    back: bool  # it can be rolled back

    @property
    def shown(self) -> Standing:
        """How it stands, people being asked in it as well."""
        return APPROVAL if self.standing.live and any(each.approval for each in self.actions) else self.standing


@dataclass(frozen=True, slots=True)
class ExecutionRow:
    """An execution, as a line of a list."""

    id: str
    standing: Standing
    summary: str
    trigger: str
    by: str
    revisions: tuple[tuple[str, Link], ...]  # source action, what it found
    time: Time
    target: str | None  # the execution that it went back to
    stopped: str  # why

    @property
    def by_whom(self) -> bool:
        """Whether `by` is who did it, and not what."""
        return self.trigger in BY_HAND


@dataclass(frozen=True, slots=True)
class Segment:
    """A stage in the picture of a pipeline: how it stands; whether its door is shut, and whether somebody waits."""

    name: str
    standing: Standing
    shut: bool
    waiting: bool
    execution: str

    @property
    def title(self) -> str:
        said = f"{self.name}: {self.standing.label}"
        return said + ("; transition disabled" if self.shut else "") + ("; an execution waits" if self.waiting else "")


@dataclass(frozen=True, slots=True)
class Note:
    """What waits for somebody: `stage` is where."""

    kind: str  # waiting, shut
    text: str
    stage: str
    execution: str | None = None


@dataclass(frozen=True, slots=True)
class PipelineRow:
    """A pipeline, as a line of the list."""

    name: str
    type: str
    mode: str
    segments: tuple[Segment, ...]
    notes: tuple[Note, ...]
    latest: ExecutionRow | None
    live: int


@dataclass(frozen=True, slots=True)
class Sight:
    """What views need besides the shapes: the time, and where this console is."""

    now: datetime
    base_url: str = ""


# ── lists ──


def execution_row(shape: Shape, sight: Sight) -> ExecutionRow:
    """Of a PipelineExecutionSummary."""
    kind, by = trigger(shape)
    now = standing(shape.get("status"))
    found = shape.get("sourceRevisions") or ()
    return ExecutionRow(
        id=str(shape["pipelineExecutionId"]),
        standing=now,
        summary=str(shape.get("statusSummary") or ""),
        trigger=kind,
        by=by,
        revisions=tuple((str(each.get("actionName") or ""), revision_link(each)) for each in found),
        time=time_of(shape, now.live, sight.now),
        target=(shape.get("rollbackMetadata") or {}).get("rollbackTargetPipelineExecutionId"),
        stopped=str((shape.get("stopTrigger") or {}).get("reason") or ""),
    )


def time_of(shape: Shape, live: bool, now: datetime) -> Time:
    """Of what has startTime and lastUpdateTime."""
    started, updated = shape.get("startTime"), shape.get("lastUpdateTime")
    ended = now if live else updated
    seconds = max(0.0, (ended - started).total_seconds()) if started and ended else None
    return Time(started, seconds, live)


def revision_link(each: Shape) -> Link:
    """What a source action found: its summary and the first of its id, leading to where it can be seen."""
    id, summary = str(each.get("revisionId") or ""), str(each.get("revisionSummary") or "").strip()
    said = " · ".join(part for part in (id[:12], summary.partition("\n")[0]) if part) or "–"
    return Link(said, web_link(str(each.get("revisionUrl") or "")).href)


def pipeline_row(summary: Shape, state: Shape, executions: Sequence[Shape], runs: Sequence[Shape], sight: Sight) \
        -> PipelineRow:  # fmt: skip
    """A line of the list. In PARALLEL mode the picture is the newest execution's."""
    mode = str(summary.get("executionMode") or "SUPERSEDED")
    rows = [execution_row(each, sight) for each in executions]
    if mode == "PARALLEL":
        newest = rows[0].id if rows else ""
        segments = parallel_segments(state, [run for run in runs if run.get("pipelineExecutionId") == newest])
        asking = [approval_of_run(run, sight) for run in runs]
        notes = [Note("waiting", f"{one.stage} · {one.action}", one.stage, str(run["pipelineExecutionId"]))
                 for run, one in zip(runs, asking, strict=True) if one is not None]  # fmt: skip
    else:
        segments, notes = _segments(state), list(_approval_notes(state))
    shut = [Note("shut", each.name, each.name) for each in segments if each.shut]
    return PipelineRow(
        name=str(summary["name"]),
        type=str(summary.get("pipelineType") or "V1"),
        mode=mode,
        segments=tuple(segments),
        notes=(*notes, *shut),
        latest=rows[0] if rows else None,
        live=sum(row.standing.live for row in rows),
    )


def _segments(state: Shape) -> list[Segment]:
    found = []
    for stage in state.get("stageStates") or ():
        latest = stage.get("latestExecution") or {}
        now = standing(latest.get("status"))
        asks = now.live and any(_token(action) for action in stage.get("actionStates") or ())
        inbound = _waiting(stage)
        found.append(Segment(str(stage["stageName"]), APPROVAL if asks else now, _shut(stage), bool(inbound),
                             str(latest.get("pipelineExecutionId") or "")))  # fmt: skip
    return found


def parallel_segments(state: Shape, runs: Sequence[Shape]) -> list[Segment]:
    """From the newest execution's actions, since the state of PARALLEL mode says nothing of it."""
    found = []
    for stage in state.get("stageStates") or ():
        name = str(stage["stageName"])
        names = [str(each["actionName"]) for each in stage.get("actionStates") or ()]
        here = [run for run in runs if run.get("stageName") == name]
        now = stage_standing(names, here)
        found.append(Segment(name, now, _shut(stage), False, str(here[0]["pipelineExecutionId"]) if here else ""))
    return found


def stage_standing(actions: Sequence[str], runs: Iterable[Shape]) -> Standing:
    """How a stage stands by the executions of its actions, the newest first: of each the latest counts."""
    latest: dict[str, Shape] = {}
    for run in runs:
        latest.setdefault(str(run.get("actionName")), run)
    found = {str(run.get("status")) for run in latest.values()}
    if not latest:
        return IDLE
    if any(_asks(run) for run in latest.values()):
        return APPROVAL
    for status in ("InProgress", "Failed", "Abandoned"):
        if status in found:
            return standing("Stopped" if status == "Abandoned" else status)
    return standing("Succeeded" if set(actions) <= latest.keys() else "InProgress")


def _approval_notes(state: Shape) -> Iterable[Note]:
    for stage in state.get("stageStates") or ():
        for action in stage.get("actionStates") or ():
            if _token(action):
                name = str(stage["stageName"])
                yield Note("waiting", f"{name} · {action['actionName']}", name)


def _token(action: Shape) -> str:
    latest = action.get("latestExecution") or {}
    return str(latest.get("token") or "") if latest.get("status") == "InProgress" else ""


def _shut(stage: Shape) -> bool:
    return (stage.get("inboundTransitionState") or {}).get("enabled") is False


def _waiting(stage: Shape) -> tuple[str, ...]:
    many = stage.get("inboundExecutions") or [each for each in (stage.get("inboundExecution"),) if each]
    return tuple(str(each["pipelineExecutionId"]) for each in many)


# ── stages ──


def stage_views(pipeline: Shape, state: Shape, runs: Sequence[Shape], sight: Sight) -> tuple[StageView, ...]:
    """The stages of a pipeline as they are now, in order."""
    known = {str(run.get("actionExecutionId")): run for run in runs}
    declared = {str(stage["name"]): stage for stage in pipeline.get("stages") or ()}
    parallel = pipeline.get("executionMode") == "PARALLEL"
    return tuple(
        _stage(stage, declared.get(str(stage["stageName"])) or {}, known, at, parallel, sight)
        for at, stage in enumerate(state.get("stageStates") or ())
    )


def _stage(stage: Shape, declared: Shape, runs: Mapping[str, Shape], at: int, parallel: bool, sight: Sight) \
        -> StageView:  # fmt: skip
    latest = stage.get("latestExecution") or {}
    now, name = standing(latest.get("status")), str(stage["stageName"])
    id = str(latest.get("pipelineExecutionId") or "")
    actions = {str(each["name"]): each for each in declared.get("actions") or ()}
    door = stage.get("inboundTransitionState") or {}
    again = stage.get("retryStageMetadata") or {}
    conditions = tuple(_conditions(stage, now))
    return StageView(
        name=name,
        standing=now,
        execution=id,
        rollback=latest.get("type") == "ROLLBACK",
        door=None if at == 0 else Door(door.get("enabled") is not False, str(door.get("disabledReason") or ""),
                                       who(str(door.get("lastChangedBy") or "")), door.get("lastChangedAt")),
        waiting=_waiting(stage),
        actions=tuple(_action(each, actions.get(str(each["actionName"])) or {}, name, id, now, runs, sight)
                      for each in stage.get("actionStates") or ()),
        conditions=conditions,
        retries=int(again.get("autoStageRetryAttempt") or 0) + int(again.get("manualStageRetryAttempt") or 0),
        retry=now.value in ("failed", "stopped") and bool(id),
        back=at > 0 and bool(id) and not now.live and not parallel,
    )  # fmt: skip


def _action(action: Shape, declared: Shape, stage: str, execution: str, now: Standing, runs: Mapping[str, Shape],
            sight: Sight) -> ActionView:  # fmt: skip
    latest = action.get("latestExecution") or {}
    run = runs.get(str(latest.get("actionExecutionId")))
    if run is not None and execution and run.get("pipelineExecutionId") != execution:
        latest, run = {}, None  # what an earlier execution did here
    name, type = str(action["actionName"]), declared.get("actionTypeId") or {}
    configuration = _configuration(run) or declared.get("configuration") or {}
    token = _token({"latestExecution": latest})
    stands = standing(latest.get("status")) if latest else AHEAD if now.live else IDLE
    return _view(name, type, APPROVAL if token else stands, latest, run, sight,
                 approval=_approval(stage, name, token, configuration) if token else None,
                 revision=action.get("currentRevision"), url=action.get("revisionUrl"))  # fmt: skip


def _view(name: str, type: Shape, now: Standing, latest: Shape, run: Shape | None, sight: Sight, *,
          approval: Approval | None, revision: Shape | None, url: str | None = None) -> ActionView:  # fmt: skip
    """`latest`: the shape ActionExecution, or what has its members."""
    error = latest.get("errorDetails") or {}
    link, ours = details_link(str(latest.get("externalExecutionUrl") or ""), sight.base_url)
    since = latest.get("lastStatusChange")
    time = time_of(run, now.live, sight.now) if run is not None else Time(since, None, False)
    if run is None and now.live and since is not None:
        time = Time(since, max(0.0, (sight.now - since).total_seconds()), True)
    percent = latest.get("percentComplete")
    return ActionView(
        name=name,
        kind=str(type.get("provider") or ""),
        category=str(type.get("category") or ""),
        standing=now,
        time=time,
        summary=str(latest.get("summary") or "").strip(),
        error=str(error.get("message") or "").strip(),
        code=str(error.get("code") or ""),
        percent=min(100, max(0, int(percent))) if percent is not None and now.live else None,
        link=link,
        ours=ours,
        revision=None if not revision or not latest else revision_link({**revision, "revisionUrl": url}),
        by=who(str(latest.get("lastUpdatedBy") or "")),
        approval=approval,
        execution=str((run or {}).get("pipelineExecutionId") or ""),
        shape=run,
    )


def run_view(run: Shape, sight: Sight) -> ActionView:
    """Of an ActionExecutionDetail: one attempt of an action."""
    result = (run.get("output") or {}).get("executionResult") or {}
    type = (run.get("input") or {}).get("actionTypeId") or {}
    approval = approval_of_run(run, sight)
    latest = {
        "status": run.get("status"),
        "summary": result.get("externalExecutionSummary"),
        "errorDetails": result.get("errorDetails"),
        "externalExecutionUrl": result.get("externalExecutionUrl"),
        "lastUpdatedBy": run.get("updatedBy"),
    }
    now = APPROVAL if approval is not None else standing(run.get("status"))
    return _view(str(run.get("actionName")), type, now, latest, run, sight, approval=approval, revision=None)


def approval_of_run(run: Shape, sight: Sight) -> Approval | None:
    """The question of an approval that waits; its token stands where others have the id of what they started."""
    if not _asks(run):
        return None
    result = (run.get("output") or {}).get("executionResult") or {}
    return _approval(str(run.get("stageName")), str(run.get("actionName")), str(result["externalExecutionId"]),
                     _configuration(run))  # fmt: skip


def _asks(run: Shape) -> bool:
    type = (run.get("input") or {}).get("actionTypeId") or {}
    result = (run.get("output") or {}).get("executionResult") or {}
    asks = type.get("category") == "Approval" and run.get("status") == "InProgress"
    return asks and bool(result.get("externalExecutionId"))


def _configuration(run: Shape | None) -> Shape:
    given = (run or {}).get("input") or {}
    found: Shape = given.get("resolvedConfiguration") or given.get("configuration") or {}
    return found


def _approval(stage: str, action: str, token: str, configuration: Shape) -> Approval:
    link = str(configuration.get("ExternalEntityLink") or "")
    return Approval(stage, action, token, str(configuration.get("CustomData") or ""), web_link(link) if link else None)


def details_link(url: str, base_url: str) -> tuple[Link | None, bool]:
    """Where an action's details are, and whether that is a build's page of this console."""
    path = url.removeprefix(base_url.rstrip("/")) if base_url else url
    if _BUILD_PAGE.fullmatch(path):
        return Link("Log", path), True
    found = web_link(url)
    return (Link("Details", found.href) if found.href else None), False


def _conditions(stage: Shape, now: Standing) -> Iterable[ConditionView]:
    for member, (moment, kind) in moments().items():
        given = stage.get(member)
        if not given:
            continue
        stands = standing((given.get("latestExecution") or {}).get("status"))
        rules = [rule for each in given.get("conditionStates") or () for rule in each.get("ruleStates") or ()]
        open_to = stands.label in ("In progress", "Failed") and kind != "ON_FAILURE"
        views = tuple(_rule(rule) for rule in rules)
        yield ConditionView(moment, stands, views, kind if open_to and now.value in ("failed", "running") else None)


def _rule(rule: Shape) -> RuleView:
    latest = rule.get("latestExecution") or {}
    error = (latest.get("errorDetails") or {}).get("message")
    return RuleView(str(rule["ruleName"]), standing(latest.get("status")), str(error or latest.get("summary") or ""))
