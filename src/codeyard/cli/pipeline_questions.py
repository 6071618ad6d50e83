"""What the commands for pipelines ask a server, as any AWS client would: executions, approvals, and how all stands."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from codeyard.cli import remote
from codeyard.cli.pipeline_picture import RUNNING, Picture, picture, shown_executions
from codeyard.errors import Conflict, Invalid, NotFound

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LIVE_AT_MOST = 50  # executions of a pipeline (Quotas)
Shape = dict[str, Any]


def executions(codepipeline: Any, name: str, **given: Any) -> Iterator[Shape]:
    """Summaries, the newest first."""
    return remote.pages(codepipeline.list_pipeline_executions, "pipelineExecutionSummaries", pipelineName=name, **given)


def find_execution(codepipeline: Any, name: str, wanted: str) -> Shape:
    """The summary of the execution that an id, or its beginning, means. NotFound, Invalid."""
    found = []
    for each in executions(codepipeline, name):
        if each["pipelineExecutionId"].startswith(wanted):
            found.append(each)
            if _UUID.fullmatch(wanted) is not None:
                break
    if not found:
        fix = f"See what there is: codeyard pipeline executions {name}"
        raise NotFound(f"execution {wanted!r} of {name}", "there is none.", fix)
    if len(found) > 1:
        raise Invalid(f"execution {wanted!r} of {name}", f"{len(found)} begin so.", "Give more of the id.")
    return found[0]


def newest_execution(codepipeline: Any, name: str) -> Shape | None:
    return next(iter(codepipeline.list_pipeline_executions(pipelineName=name, maxResults=1)
                     ["pipelineExecutionSummaries"]), None)  # fmt: skip


def live_executions(codepipeline: Any, name: str) -> list[Shape]:
    """Those that run, the newest first, among the last ones."""
    recent = codepipeline.list_pipeline_executions(pipelineName=name, maxResults=2 * _LIVE_AT_MOST)
    return [each for each in recent["pipelineExecutionSummaries"] if each["status"] in RUNNING]


def execution_meant(codepipeline: Any, name: str, wanted: str | None) -> str:
    """The id of the execution that is named; else of the only one that runs. NotFound, Conflict, Invalid."""
    if wanted is not None:
        return str(find_execution(codepipeline, name, wanted)["pipelineExecutionId"])
    live = live_executions(codepipeline, name)
    if not live:
        raise Conflict(f"pipeline {name}", "no execution runs.", f"See: codeyard pipeline executions {name}")
    if len(live) > 1:
        ids = ", ".join(each["pipelineExecutionId"] for each in live)
        raise Invalid(f"pipeline {name}", f"{len(live)} executions run: {ids}.", "Say which.")
    return str(live[0]["pipelineExecutionId"])


# ── stages ──


def stage_state(codepipeline: Any, name: str, stage: str) -> Shape:
    """A StageState. NotFound."""
    for each in codepipeline.get_pipeline_state(name=name)["stageStates"]:
        if each["stageName"] == stage:
            return dict(each)
    raise NotFound(f"stage {stage!r} of {name}", "there is none.", f"See: codeyard pipeline status {name}")


def to_retry(codepipeline: Any, name: str, stage: str, wanted: str | None) -> str:
    """The execution to retry a stage of: that is named, else the one that is shown there. NotFound, Conflict."""
    if wanted is not None:
        return str(find_execution(codepipeline, name, wanted)["pipelineExecutionId"])
    latest = stage_state(codepipeline, name, stage).get("latestExecution")
    if latest is not None:
        return str(latest["pipelineExecutionId"])
    for each in executions(codepipeline, name):  # of PARALLEL mode stages show none
        if each["status"] in ("Failed", "Stopped"):
            return str(each["pipelineExecutionId"])
    raise Conflict(f"stage {stage} of {name}", "no execution failed there.", f"See: codeyard pipeline status {name}")


def to_override(codepipeline: Any, name: str, stage: str, wanted: str | None, kind: str | None) -> tuple[str, str]:
    """The execution, and the type of its condition: what is named, else what holds up the stage. NotFound, Conflict."""
    state = stage_state(codepipeline, name, stage)
    id = str(find_execution(codepipeline, name, wanted)["pipelineExecutionId"]) if wanted is not None else ""
    shown = str(state.get("latestExecution", {}).get("pipelineExecutionId", ""))
    conditions = {"BEFORE_ENTRY": "beforeEntryConditionState", "ON_SUCCESS": "onSuccessConditionState"}
    stands = {each: state.get(member, {}).get("latestExecution", {}) for each, member in conditions.items()}
    open_to = (each for each, latest in stands.items() if latest.get("status") in ("InProgress", "Failed"))
    kind = kind or next(open_to, None) if id in ("", shown) else kind
    if kind is None or not (id or shown):  # of PARALLEL mode the state has none
        why = "no condition is seen there that failed, or is looked at."
        fix = f"Say which: codeyard pipeline override {name} {stage} EXECUTION --type BEFORE_ENTRY, or ON_SUCCESS"
        raise Conflict(f"stage {stage} of {name}", why, fix)
    return id or shown, kind


def to_go_back_to(codepipeline: Any, name: str, stage: str) -> str:
    """The execution that succeeded in the stage before the one whose work is there now. NotFound, Conflict.

    Where a rollback is there now, that is the one before its target: going back twice goes back by two.
    """
    shown = stage_state(codepipeline, name, stage).get("latestExecution", {}).get("pipelineExecutionId")
    now = next((each for each in executions(codepipeline, name) if each["pipelineExecutionId"] == shown), None)
    target = (now or {}).get("rollbackMetadata", {}).get("rollbackTargetPipelineExecutionId")
    if target:
        now = find_execution(codepipeline, name, target)
    good = executions(codepipeline, name, filter={"succeededInStage": {"stageName": stage}})
    for each in good:
        earlier = now is None or each["startTime"] < now["startTime"]
        if earlier and each.get("executionType", "STANDARD") == "STANDARD":
            return str(each["pipelineExecutionId"])
    raise Conflict(f"stage {stage} of {name}", "no earlier execution succeeded there.", "Start one, and repair it.")


# ── approvals ──


@dataclass(frozen=True, slots=True)
class Waiting:
    """An approval that waits."""

    stage: str
    action: str
    execution: str
    token: str


def approvals(codepipeline: Any, name: str) -> list[Waiting]:
    """Those of a pipeline that wait. In PARALLEL mode the state has none: their tokens are in the action executions."""
    definition = codepipeline.get_pipeline(name=name)["pipeline"]
    if definition.get("executionMode") == "PARALLEL":
        return [
            found
            for each in live_executions(codepipeline, name)
            for detail in actions_of(codepipeline, name, each["pipelineExecutionId"])
            if (found := _parallel(detail)) is not None
        ]
    return [
        Waiting(stage["stageName"], action["actionName"], stage["latestExecution"]["pipelineExecutionId"], token)
        for stage in codepipeline.get_pipeline_state(name=name)["stageStates"]
        for action in stage.get("actionStates", ())
        if (token := action.get("latestExecution", {}).get("token")) and "latestExecution" in stage
    ]


def _parallel(detail: Shape) -> Waiting | None:
    kind = (detail.get("input") or {}).get("actionTypeId", {})
    token = ((detail.get("output") or {}).get("executionResult") or {}).get("externalExecutionId")
    if kind.get("category") != "Approval" or detail["status"] != "InProgress" or not token:
        return None
    return Waiting(detail["stageName"], detail["actionName"], detail["pipelineExecutionId"], token)


# ── how it stands ──


def actions_of(codepipeline: Any, name: str, execution: str) -> list[Shape]:
    """Of each action of an execution the latest attempt."""
    return _details(codepipeline.list_action_executions, "actionExecutionDetails", name, execution)


def _details(ask: Any, key: str, name: str, execution: str) -> list[Shape]:
    latest = {"pipelineExecutionId": execution, "startTimeRange": "Latest"}
    return list(remote.pages(ask, key, pipelineName=name, filter={"latestInPipelineExecution": latest}))


class Watch:
    """A pipeline, or one execution of it, that is looked at again and again."""

    def __init__(self, codepipeline: Any, name: str, execution: str | None, now: Callable[[], datetime]) -> None:
        self._codepipeline, self._name, self._execution, self._now = codepipeline, name, execution, now
        self._definitions: dict[int, Shape] = {}
        self._listed: Shape | None = None

    def look(self) -> Picture:
        """As it is now."""
        asked, name, id = self._codepipeline, self._name, self._execution
        execution = None
        if id is not None:  # before the rest, so that of one that has ended all is seen
            found = asked.get_pipeline_execution(pipelineName=name, pipelineExecutionId=id)
            execution = found["pipelineExecution"]
        state = asked.get_pipeline_state(name=name)
        version = execution["pipelineVersion"] if execution else state["pipelineVersion"]
        if version not in self._definitions:
            self._definitions[version] = asked.get_pipeline(name=name, version=version)["pipeline"]
        definition = self._definitions[version]
        ids = [id] if id is not None else shown_executions(state)
        actions = [each for one in ids for each in actions_of(asked, name, one)]
        rules = self._rules(definition, ids)
        return picture(definition, state, actions, rules, self._now(), execution, self._summary(execution))

    def _rules(self, definition: Shape, ids: list[str]) -> list[Shape]:
        moments = ("beforeEntry", "onSuccess", "onFailure")
        if not any((stage.get(moment) or {}).get("conditions") for stage in definition["stages"] for moment in moments):
            return []
        ask = self._codepipeline.list_rule_executions
        return [each for id in ids for each in _details(ask, "ruleExecutionDetails", self._name, id)]

    def _summary(self, execution: Shape | None) -> Shape | None:
        """When it began, and once it has ended, when that was."""
        if execution is None:
            return None
        if self._listed is None or self._listed["status"] != execution["status"]:
            self._listed = find_execution(self._codepipeline, self._name, execution["pipelineExecutionId"])
        return self._listed
