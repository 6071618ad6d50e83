"""Whether pipelines kept their promises, by the history of a campaign and by all that the API tells afterwards."""

import io
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.crash import pipelines_story as story
from tests.crash import story as builds_story
from tests.crash.checking import log_lines
from tests.crash.history import History
from tests.crash.pipelines_disks import mistakes_of_disks
from tests.crash.pipelines_places import Places
from tests.crash.pipelines_story import Order
from tests.crash.story import Wanted

# What a kill may do to an execution, and nothing else: a script that ran on a target when its agent was killed is not
# run a second time, so its event has failed, and with it the deployment (docs/durability.md).
CUT_OFF = "Failing in-progress lifecycle event after an agent restart."
# Where leases are short, whatever was away for longer was given up: its build, its part of a deployment.
GIVEN_UP = ("WORKER_LOST", "Nothing has been heard of the agent for", "None of the targets can be reached")
_TERMINAL = ("Succeeded", "Failed", "Superseded")
_TICK = timedelta(milliseconds=5)  # two processes of one machine, and the order of what they write


@dataclass(frozen=True, slots=True)
class Told:
    """All that clients can read."""

    orders: dict[str, Order]  # by execution
    executions: dict[str, dict[str, Any]]  # by id, PipelineExecutionSummary and its `pipeline`
    actions: list[dict[str, Any]]  # ActionExecutionDetail and its `pipeline`, in the order in which they began
    deployments: dict[str, dict[str, Any]]  # by id, DeploymentInfo and its `targets`, as they were created
    states: dict[str, list[dict[str, Any]]]  # by pipeline, its stageStates
    builds: dict[str, dict[str, Any]]  # by id
    excuses: tuple[str, ...] = (CUT_OFF,)  # one of them is in why something failed by a kill

    @classmethod
    def read(cls, places: Places, history: History) -> "Told":
        codepipeline = places.client("codepipeline")
        orders = _orders(history)
        executions: dict[str, dict[str, Any]] = {}
        actions: list[dict[str, Any]] = []
        for name in story.MODES:
            listed = _pages(codepipeline, "list_pipeline_executions", "pipelineExecutionSummaries", pipelineName=name)
            executions |= {each["pipelineExecutionId"]: {**each, "pipeline": name} for each in listed}
            orders[listed[-1]["pipelineExecutionId"]] = story.first(name)
            details = _pages(codepipeline, "list_action_executions", "actionExecutionDetails", pipelineName=name)
            actions += [{**each, "pipeline": name} for each in reversed(details)]
        states = {name: codepipeline.get_pipeline_state(name=name)["stageStates"] for name in story.MODES}
        excuses = (CUT_OFF,) if places.lease is None else (CUT_OFF, *GIVEN_UP)
        return cls(orders, executions, actions, _deployments(places), states, _builds(places), excuses)

    def of(self, action: str) -> list[dict[str, Any]]:
        return [each for each in self.actions if each["actionName"] == action]

    def excused(self, action: dict[str, Any]) -> bool:
        return action["actionName"] in ("Place", "Make", "Look") and any(
            each in _failure(action) for each in self.excuses
        )

    def mark(self, action: dict[str, Any]) -> str:
        order = self.orders.get(action["pipelineExecutionId"])
        return "?" if order is None else order.mark


def mistakes(places: Places, history: History, sampled: Path) -> list[str]:
    """Everything that is not as it was promised. What there was is noted in the history."""
    told = Told.read(places, history)
    counted = Counter(f"{each['pipeline']} {each['status']}" for each in told.executions.values())
    cut_off = sum(told.excused(each) for each in told.actions)
    history.write("counted", counted=counted, cut_off=cut_off, deployments=len(told.deployments))
    return [
        *(f"{id} was acknowledged and did not end" for entry in history.of("over") for id in entry["left"]),
        *(f"the server refused: {entry}" for entry in history.of("refused") if entry["code"] not in _NOT_NOW),
        *(f"somebody outside could not go on: {entry}" for entry in history.of("broke")),
        *_executions(told),
        *_actions(told),
        *mistakes_of_stages(told),
        *_approvals(told, history),
        *_jobs(told, history),
        *_requests(told, history),
        *_built(told, places),
        *_released(told),
        *mistakes_of_disks(places, told.deployments, _marks(told), _artifacts(told, places), sampled),
    ]


_NOT_NOW = ("ServiceUnavailableException", "ServiceUnavailable")  # a server that ends says so


# ── what is read ──


def _orders(history: History) -> dict[str, Order]:
    return {
        entry["id"]: Order(
            entry["pipeline"], entry["mark"], entry["nap"], entry["bad"], entry["rejected"], entry["rounds"]
        )
        for entry in history.of("acknowledged")
    }


def _pages(client: Any, operation: str, member: str, **given: Any) -> list[Any]:
    return [each for page in client.get_paginator(operation).paginate(**given) for each in page[member]]


def _deployments(places: Places) -> dict[str, dict[str, Any]]:
    client = places.client("codedeploy")
    found = {}
    for id in _pages(client, "list_deployments", "deployments"):
        told = client.get_deployment(deploymentId=id)["deploymentInfo"]
        names = client.list_deployment_targets(deploymentId=id)["targetIds"]
        targets = client.batch_get_deployment_targets(deploymentId=id, targetIds=names) if names else {}
        shown = [each["instanceTarget"] for each in targets.get("deploymentTargets", ())]
        found[id] = {**told, "targets": {each["targetId"]: each for each in shown}}
    return dict(sorted(found.items(), key=lambda each: each[1]["createTime"]))


def _builds(places: Places) -> dict[str, dict[str, Any]]:
    client = places.client("codebuild")
    ids = [id for name in story.PROJECTS for id in _pages(client, "list_builds_for_project", "ids", projectName=name)]
    parts = [ids[first : first + 100] for first in range(0, len(ids), 100)]
    return {build["id"]: build for part in parts for build in client.batch_get_builds(ids=part)["builds"]}


# ── executions ──


def _executions(told: Told) -> Iterable[str]:
    """Each that was acknowledged is there, and ended as it was to; and none is there that nobody asked for."""
    for id in told.executions.keys() - told.orders.keys():
        yield f"execution {id} of {told.executions[id]['pipeline']} was asked for by nobody"
    for id, order in told.orders.items():
        found = told.executions.get(id)
        if found is None:
            yield f"execution {id} ({order.mark}) was acknowledged, and is not there"
        elif found["status"] != order.status and not _excused(told, id, order, found["status"]):
            failed = {each["actionName"]: _failure(each) for each in told.actions
                      if each["pipelineExecutionId"] == id and each["status"] != "Succeeded"}  # fmt: skip
            yield f"execution {id} ({order}) is {found['status']}: {failed}"


def _excused(told: Told, id: str, order: Order, status: str) -> bool:
    if status == "Superseded":
        later = [each for each in told.executions.values() if each["pipeline"] == order.pipeline
                 and each["startTime"] > told.executions[id]["startTime"]]  # fmt: skip
        return order.pipeline == "super" and bool(later)
    mine = [each for each in told.actions if each["pipelineExecutionId"] == id]
    return status == "Failed" and any(told.excused(each) for each in mine)


def _failure(action: dict[str, Any]) -> str:
    details = action.get("output", {}).get("executionResult", {}).get("errorDetails", {})
    return f"{details.get('code')}: {details.get('message')}" if details else ""


def _actions(told: Told) -> Iterable[str]:
    """None runs, none ran twice, and each succeeded but for those that were to fail."""
    often = Counter((each["pipelineExecutionId"], each["actionName"]) for each in told.actions)
    yield from (f"{name} of {id} ran {count} times" for (id, name), count in often.items() if count > 1)
    for each in told.actions:
        order = told.orders.get(each["pipelineExecutionId"])
        if each["status"] == "Succeeded" or order is None:
            continue
        name, why = each["actionName"], _failure(each)
        meant = (name == "Approve" and order.rejected) or (name == "Place" and order.bad)
        if each["status"] != "Failed" or not (meant or told.excused(each)) or not why.startswith("JobFailed"):
            yield f"{name} of {order} is {each['status']}: {why}"
    for each in told.of("Place"):
        if each["status"] == "Succeeded" and told.orders[each["pipelineExecutionId"]].bad:
            yield f"{told.mark(each)} was released though its health check fails"


def mistakes_of_stages(told: Told) -> Iterable[str]:
    """No execution is in two stages, nor two executions in one that has a lock; and the gates are free at the end."""
    spans: dict[tuple[str, str], tuple[datetime, datetime]] = {}
    for each in told.actions:
        key = (each["pipelineExecutionId"], each["stageName"])
        began, ended = spans.get(key, (each["startTime"], each["lastUpdateTime"]))
        spans[key] = (min(began, each["startTime"]), max(ended, each["lastUpdateTime"]))
    for id in told.executions:
        mine = [(name, spans[id, name]) for name in story.STAGES if (id, name) in spans]
        for (one, before), (two, after) in pairwise(mine):
            if after[0] < before[1] - _TICK:
                yield f"execution {id} was in {one} until {before[1]}, and in {two} from {after[0]}"
    for name in ("super", "queue"):
        for stage in story.STAGES:
            turns = sorted(span for (id, at), span in spans.items()
                           if at == stage and told.executions[id]["pipeline"] == name)  # fmt: skip
            for before, after in pairwise(turns):
                if after[0] < before[1] - _TICK:
                    yield f"two executions of {name} were in {stage} at {after[0]}"
    for name, stages in told.states.items():
        for each in stages:
            inbound = each.get("inboundExecution") or each.get("inboundExecutions")
            if inbound or each.get("latestExecution", {}).get("status") == "InProgress":
                yield f"the gate of {each['stageName']} of {name} is not free: {each}"


# ── what came from outside, and went there ──


def _approvals(told: Told, history: History) -> Iterable[str]:
    """Each answer that was acknowledged is the one that counted."""
    by_execution = {each["pipelineExecutionId"]: each for each in told.of("Approve")}
    for entry in history.of("approved"):
        found = by_execution.get(entry["execution"])
        result = {} if found is None else found["output"]["executionResult"]
        wanted = "Failed" if entry["status"] == "Rejected" else "Succeeded"
        kept = result.get("externalExecutionSummary") == entry["summary"]
        if found is None or found["status"] != wanted or not kept:
            yield f"{entry} was acknowledged, and the action is {found}"
    answered = {entry["execution"] for entry in history.of("approved")}
    yield from (f"approval of {id} was answered by nobody" for id in by_execution.keys() - answered)


def _jobs(told: Told, history: History) -> Iterable[str]:
    """Each action that counts had its rounds, each of them one job that was given to a worker once."""
    had: dict[str, list[int]] = defaultdict(list)
    for entry in history.of("job"):
        had[entry["run"]].append(entry["number"])
    ids = Counter(entry["id"] for entry in history.of("job"))
    yield from (f"job {id} was done {count} times" for id, count in ids.items() if count > 1)
    counting = {each["actionExecutionId"]: each for each in (*told.of("Scan"), *told.of("Count"))}
    yield from (f"there were jobs of {run}, which is not there" for run in had.keys() - counting.keys())
    for run, each in counting.items():
        rounds = told.orders[each["pipelineExecutionId"]].rounds
        if each["status"] == "Succeeded" and sorted(had[run]) != list(range(1, rounds + 1)):
            yield f"{each['actionName']} of {told.mark(each)} had the jobs {had[run]}, not {rounds}"


def _requests(told: Told, history: History) -> Iterable[str]:
    """Each action that tells had one key, whoever sent its requests; what was done by it was done once."""
    keys: dict[tuple[str, str], set[str]] = defaultdict(set)
    for entry in history.of("told"):
        keys[entry["action"], entry["mark"]].add(entry["key"])
    for each in (*told.of("Announce"), *told.of("Tell")):
        name, mark, run = each["actionName"], told.mark(each), each["actionExecutionId"]
        found = keys.pop((name, mark), set())
        if found != {run}:
            yield f"{name} of {mark} was told by the keys {found}, and is {run}"
    yield from (f"{what} was told, and nobody tells" for what in keys)


def _built(told: Told, places: Places) -> Iterable[str]:
    """Each build action had one build, whose log is whole; no other build was made."""
    building = {each["actionExecutionId"]: each for each in (*told.of("Make"), *told.of("Look"))}
    by_build = {each["output"]["executionResult"].get("externalExecutionId"): each for each in building.values()}
    for id in told.builds.keys() - by_build.keys():
        yield f"build {id} belongs to no action"
    if len(by_build) != len(building):
        yield f"{len(building)} actions have {len(by_build)} builds"
    for id, action in by_build.items():
        build, mark = told.builds.get(id), told.mark(action)
        if told.excused(action):
            continue
        if build is None or not build["buildComplete"] or build["buildStatus"] != "SUCCEEDED":
            yield f"build {id} of {mark} is {build and build['buildStatus']}"
            continue
        lines = log_lines(places.yard, build)
        if action["actionName"] == "Make":
            wrong, _ = builds_story.mistakes_of_log(Wanted("make", mark, "0", False), lines)
            yield from (f"build {id} of {mark}: {each}" for each in wrong)
        elif sum(line == f"looked at 6 lines of {mark}" for line in lines) != 1:
            yield f"build {id} of {mark} did not look once at what was made: {lines}"


# ── releases ──


def _marks(told: Told) -> dict[str, str]:
    """Whose tree each deployment has: that of its execution; of a rollback that of the last one that was good."""
    mine = {each["output"]["executionResult"].get("externalExecutionId"): told.mark(each) for each in told.of("Place")}
    marks: dict[str, str] = {}
    good: dict[str, str] = {}  # by pipeline
    begun = [each for each in told.deployments.items() if "startTime" in each[1]]
    for id, found in sorted(begun, key=lambda each: each[1]["startTime"]):
        name = found["applicationName"]
        marks[id] = mine.get(id) or good.get(name, "?")
        if found["status"] == "Succeeded":
            good[name] = marks[id]
    return marks


def _released(told: Told) -> Iterable[str]:
    """Each Release made one deployment, and each that failed one that goes back, if there was something to go back to;
    no other deployment was made."""
    marks = _marks(told)
    mine: dict[str, dict[str, Any]] = {}
    for each in told.of("Place"):
        id = each["output"]["executionResult"].get("externalExecutionId")
        if id in mine or id not in told.deployments:
            yield f"Place of {told.mark(each)} has the deployment {id}"
            continue
        mine[id] = each
        status = told.deployments[id]["status"]
        if status != each["status"]:
            yield f"Place of {told.mark(each)} is {each['status']}, its deployment {id} {status}"
    back: Counter[str] = Counter()
    for id, found in told.deployments.items():
        info = found.get("rollbackInfo", {})
        back[info.get("rollbackTriggeringDeploymentId", "")] += 1
        if id not in mine and "rollbackTriggeringDeploymentId" not in info:
            yield f"deployment {id} belongs to no action"
        if found["status"] not in ("Succeeded", "Failed"):
            yield f"deployment {id} of {marks.get(id)} is {found['status']}"
        elif found["status"] == "Failed" and id in mine and "rollbackDeploymentId" not in info:
            yield f"deployment {id} of {marks.get(id)} failed, and nothing goes back: {info}"
        elif found["status"] == "Failed" and id not in mine and not _was_cut_off(told, found):
            yield f"deployment {id}, which goes back to {marks.get(id)}, failed: {found}"
    yield from (f"{count} deployments go back from {id}" for id, count in back.items() if id and count > 1)


def _was_cut_off(told: Told, deployment: dict[str, Any]) -> bool:
    events = [event for target in deployment["targets"].values() for event in target["lifecycleEvents"]]
    texts = [event.get("diagnostics", {}).get("message", "") for event in events]
    texts.append(deployment.get("errorInformation", {}).get("message", ""))
    return any(excuse in text for text in texts for excuse in told.excuses)


def _artifacts(told: Told, places: Places) -> dict[str, dict[str, bytes]]:
    """By mark, the files of the site that its build made, as the artifact bucket gives them."""
    s3, found = places.client("s3"), {}
    for each in told.of("Make"):
        outputs = {output["name"]: output["s3location"] for output in each["output"].get("outputArtifacts", ())}
        if each["status"] == "Succeeded":
            place = outputs["Site"]
            content = s3.get_object(Bucket=place["bucket"], Key=place["key"])["Body"].read()
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                found[told.mark(each)] = {name: archive.read(name) for name in archive.namelist()}
    return found
