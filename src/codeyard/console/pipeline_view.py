"""Pipelines and executions as lists show them, and what their pages share, from CodePipeline's shapes. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from codeyard.console.pipeline_words import APPROVAL, BY_HAND, IDLE, Standing, standing, trigger
from codeyard.console.view import Link, web_link
from codeyard.console.words import duration, took

Shape = Mapping[str, Any]


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
        asks = now.live and any(token_of(action) for action in stage.get("actionStates") or ())
        inbound = waiting_before(stage)
        found.append(Segment(str(stage["stageName"]), APPROVAL if asks else now, is_shut(stage), bool(inbound),
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
        found.append(Segment(name, now, is_shut(stage), False, str(here[0]["pipelineExecutionId"]) if here else ""))
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
            if token_of(action):
                name = str(stage["stageName"])
                yield Note("waiting", f"{name} · {action['actionName']}", name)


def token_of(action: Shape) -> str:
    latest = action.get("latestExecution") or {}
    return str(latest.get("token") or "") if latest.get("status") == "InProgress" else ""


def is_shut(stage: Shape) -> bool:
    return (stage.get("inboundTransitionState") or {}).get("enabled") is False


def waiting_before(stage: Shape) -> tuple[str, ...]:
    many = stage.get("inboundExecutions") or [each for each in (stage.get("inboundExecution"),) if each]
    return tuple(str(each["pipelineExecutionId"]) for each in many)


# ── approvals ──


def approval_of_run(run: Shape, sight: Sight) -> Approval | None:
    """The question of an approval that waits; its token stands where others have the id of what they started."""
    if not _asks(run):
        return None
    result = (run.get("output") or {}).get("executionResult") or {}
    return approval_from(str(run.get("stageName")), str(run.get("actionName")), str(result["externalExecutionId"]),
                     configuration_of(run))  # fmt: skip


def _asks(run: Shape) -> bool:
    type = (run.get("input") or {}).get("actionTypeId") or {}
    result = (run.get("output") or {}).get("executionResult") or {}
    asks = type.get("category") == "Approval" and run.get("status") == "InProgress"
    return asks and bool(result.get("externalExecutionId"))


def configuration_of(run: Shape | None) -> Shape:
    given = (run or {}).get("input") or {}
    found: Shape = given.get("resolvedConfiguration") or given.get("configuration") or {}
    return found


def approval_from(stage: str, action: str, token: str, configuration: Shape) -> Approval:
    link = str(configuration.get("ExternalEntityLink") or "")
    return Approval(stage, action, token, str(configuration.get("CustomData") or ""), web_link(link) if link else None)
