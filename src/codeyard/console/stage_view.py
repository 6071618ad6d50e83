"""A pipeline's stages, actions and conditions as its page shows them, from CodePipeline's shapes. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from codeyard.console.pipeline_view import (
    Approval,
    Sight,
    Time,
    approval_from,
    approval_of_run,
    configuration_of,
    revision_link,
    time_of,
    token_of,
    waiting_before,
)
from codeyard.console.pipeline_words import AHEAD, APPROVAL, IDLE, Standing, moments, standing, who
from codeyard.console.view import Link, web_link

Shape = Mapping[str, Any]

_BUILD_PAGE = re.compile(r"/console/builds/[a-z0-9-]{1,32}/[A-Za-z0-9_-]{1,255}:[0-9a-f-]{36}")


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
        waiting=waiting_before(stage),
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
    configuration = configuration_of(run) or declared.get("configuration") or {}
    token = token_of({"latestExecution": latest})
    stands = standing(latest.get("status")) if latest else AHEAD if now.live else IDLE
    return _view(name, type, APPROVAL if token else stands, latest, run, sight,
                 approval=approval_from(stage, name, token, configuration) if token else None,
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
