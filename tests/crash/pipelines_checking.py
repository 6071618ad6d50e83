"""Whether pipelines kept their promises, by the history of a campaign and by all that the API tells afterwards."""

import io
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.crash import pipelines_story as story
from tests.crash import story as builds_story
from tests.crash.checking import log_lines
from tests.crash.history import History
from tests.crash.pipelines_asked import mistakes_of_asking, mistakes_of_doors
from tests.crash.pipelines_deployed import marks_of, mistakes_of_deployments
from tests.crash.pipelines_disks import mistakes_of_disks
from tests.crash.pipelines_places import Places
from tests.crash.pipelines_told import TICK, Told, external_id, failure, target_of
from tests.crash.story import Wanted


def mistakes(places: Places, history: History, sampled: Path) -> list[str]:
    """Everything that is not as it was promised. What there was is noted in the history."""
    told = Told.read(places, history)
    counted = Counter(f"{each['pipeline']} {each['status']}" for each in told.executions.values())
    cut_off = sum(told.excused(each) for each in told.actions)
    asked = Counter(f"{each['verb']} {each['came']}" for each in history.of("asked"))
    history.write("counted", counted=counted, cut_off=cut_off, deployments=len(told.deployments), asked=asked)
    return [
        *(f"{id} was acknowledged and did not end" for entry in history.of("over") for id in entry["left"]),
        *(f"the server refused: {entry}" for entry in history.of("refused") if entry["code"] not in _NOT_NOW),
        *(f"somebody outside could not go on: {entry}" for entry in history.of("broke")),
        *mistakes_of_executions(told),
        *_actions(told),
        *mistakes_of_stages(told),
        *mistakes_of_asking(told, history.of("asked")),
        *mistakes_of_doors(told, history.of("closed"), history.of("opening")),
        *_approvals(told, history),
        *_jobs(told, history),
        *_requests(told, history),
        *_built(told, places),
        *mistakes_of_deployments(told),
        *mistakes_of_disks(places, told.deployments, marks_of(told), _artifacts(told, places), sampled),
    ]


_NOT_NOW = ("ServiceUnavailableException", "ServiceUnavailable")  # a server that ends says so


# ── executions ──


def mistakes_of_executions(told: Told) -> Iterable[str]:
    """Each that was acknowledged is there, and ended as it may; and none is there that nobody asked for."""
    for id, found in told.executions.items():
        if id not in told.orders:
            yield f"execution {id} of {found['pipeline']} was asked for by nobody"
    attempts = told.attempts()
    for id, order in told.orders.items():
        execution = told.executions.get(id)
        if execution is None:
            yield f"execution {id} ({order.mark}) was acknowledged, and is not there"
            continue
        latest = {name: each[-1] for (of, name), each in attempts.items() if of == id}
        why = _wrong_end(told, execution, latest)
        if why:
            ended = {name: f"{each['status']} {failure(each)}" for name, each in latest.items()}
            yield f"execution {id} ({order}) is {execution['status']}: {why}: {ended}"


def _wrong_end(told: Told, execution: dict[str, Any], latest: dict[str, dict[str, Any]]) -> str:
    """Why the execution may not have ended so; "": it may. That some were Stopped is for others to judge."""
    name, turns = execution["pipeline"], execution["pipeline"] != "parallel"
    version = next((each["pipelineVersion"] for each in latest.values()), 1)
    match execution["status"]:
        case "Succeeded":
            stages = ("Release",) if target_of(execution) else story.stages(told.revisions[name][version])
            wanted = {action for stage in stages for action in story.ACTIONS[stage]}
            good = {action for action, each in latest.items() if each["status"] == "Succeeded"}
            return "" if good == wanted else f"it did {sorted(good)}, not {sorted(wanted)}"
        case "Failed":
            broken = [each for each in latest.values() if each["status"] in ("Failed", "Abandoned")]
            return "" if broken else "nothing of it has failed"
        case "Superseded":
            later = any(each["pipeline"] == name and each["startTime"] > execution["startTime"]
                        for each in told.executions.values())  # fmt: skip
            return "" if name == "super" and later else "nothing could take its place"
        case "Cancelled":
            return "" if turns and version < told.latest_version(name) else "its definition was not replaced"
        case "Stopped":
            return ""
    return "it has not ended"


def _actions(told: Told) -> Iterable[str]:
    """None runs, and each succeeded but for those that were to fail, or were abandoned."""
    flaky = Counter(told.mark(each) for each in told.of("Scan") if each["status"] == "Failed")
    yield from (f"Scan of {mark} failed {count} times" for mark, count in flaky.items() if count > 1)
    for each in told.actions:
        order = told.orders.get(each["pipelineExecutionId"])
        if each["status"] in ("Succeeded", "Abandoned") or order is None:
            continue
        name, why = each["actionName"], failure(each)
        meant = {"Approve": order.rejected, "Place": order.bad, "Install": order.bad, "Scan": order.flaky}
        if each["status"] != "Failed" or not (meant.get(name) or told.excused(each)) or not why.startswith("JobFailed"):
            yield f"{name} of {order} is {each['status']}: {why}"
    for each in told.of("Place", "Install"):
        if each["status"] == "Succeeded" and told.orders[each["pipelineExecutionId"]].bad:
            yield f"{told.mark(each)} was deployed ({each['actionName']}) though its health check fails"


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
            if after[0] < before[1] - TICK:
                yield f"execution {id} was in {one} until {before[1]}, and in {two} from {after[0]}"
    for name in ("super", "queue"):
        for stage in story.STAGES:
            turns = sorted(span for (id, at), span in spans.items()
                           if at == stage and told.executions[id]["pipeline"] == name)  # fmt: skip
            for before, after in pairwise(turns):
                if after[0] < before[1] - TICK:
                    yield f"two executions of {name} were in {stage} at {after[0]}"
    for name, stages in told.states.items():
        for each in stages:
            inbound = each.get("inboundExecution") or each.get("inboundExecutions")
            if inbound or each.get("latestExecution", {}).get("status") in ("InProgress", "Stopping"):
                yield f"the gate of {each['stageName']} of {name} is not free: {each}"


# ── what came from outside, and went there ──


def _approvals(told: Told, history: History) -> Iterable[str]:
    """Each answer that was acknowledged is the one that counted."""
    by_token = {external_id(each): each for each in told.of("Approve")}
    for entry in history.of("approved"):
        found = by_token.get(entry["token"])
        result = {} if found is None else found["output"]["executionResult"]
        wanted = "Failed" if entry["status"] == "Rejected" else "Succeeded"
        kept = result.get("externalExecutionSummary") == entry["summary"]
        if found is None or found["status"] != wanted or not kept:
            yield f"{entry} was acknowledged, and the action is {found}"
    answered = {entry["token"] for entry in (*history.of("approved"), *history.of("perhaps_approved"))}
    for token, each in by_token.items():
        if each["status"] != "Abandoned" and token not in answered:
            yield f"approval {each} was answered by nobody"


def _jobs(told: Told, history: History) -> Iterable[str]:
    """Each action that counts had its rounds, each of them one job that was given to a worker once."""
    had: dict[str, list[int]] = defaultdict(list)
    for entry in history.of("job"):
        had[entry["run"]].append(entry["number"])
    ids = Counter(entry["id"] for entry in history.of("job"))
    yield from (f"job {id} was done {count} times" for id, count in ids.items() if count > 1)
    counting = {each["actionExecutionId"]: each for each in told.of("Scan", "Count")}
    yield from (f"there were jobs of {run}, which is not there" for run in had.keys() - counting.keys())
    for run, each in counting.items():
        rounds = told.orders[each["pipelineExecutionId"]].rounds
        if each["status"] == "Succeeded" and sorted(had[run]) != list(range(1, rounds + 1)):
            yield f"{each['actionName']} of {told.mark(each)} had the jobs {had[run]}, not {rounds}"


def _requests(told: Told, history: History) -> Iterable[str]:
    """Each action that tells had one key, whoever sent its requests; what was done by it was done once. It told by the
    definition that its execution began with."""
    keys: dict[str, dict[str, Any]] = {}
    for entry in history.of("told"):
        keys[entry["key"]] = entry
    for each in told.of("Announce", "Hint", "Tell"):
        name, mark = each["actionName"], told.mark(each)
        entry = keys.pop(each["actionExecutionId"], {})
        revision = told.revisions[each["pipeline"]].get(each["pipelineVersion"])
        if not entry:
            if each["status"] == "Succeeded":
                yield f"{name} of {mark} told nothing"
        elif (entry["action"], entry["mark"], entry["revision"]) != (name, mark, revision):
            yield f"{name} of {mark}, of revision {revision}, told {entry}"
    yield from (f"{what} was told, and nobody tells" for what in keys.values())


def _built(told: Told, places: Places) -> Iterable[str]:
    """Each build action had one build, whose log is whole; no other build was made."""
    building = told.of("Make", "Look")
    by_build = {id: each for each in building if (id := external_id(each))}
    cut_short = Counter(_mark_and_project(told, each) for each in building if not external_id(each))
    for id, build in told.builds.items():
        if id in by_build:
            continue
        values = {each["name"]: each["value"] for each in build["environment"]["environmentVariables"]}
        cut_short[values.get("MARK", "?"), build["projectName"]] -= 1
    yield from (f"builds of {what} belong to no action" for what, count in cut_short.items() if count < 0)
    if len(by_build) != sum(external_id(each) != "" for each in building):
        yield f"{len(building)} actions have {len(by_build)} builds"
    for each in building:
        if each["status"] != "Abandoned":
            yield from _mistakes_of_build(told, places, each)


def _mark_and_project(told: Told, action: dict[str, Any]) -> tuple[str, str]:
    return told.mark(action), action["actionName"].lower()


def _mistakes_of_build(told: Told, places: Places, action: dict[str, Any]) -> Iterable[str]:
    id, mark = external_id(action), told.mark(action)
    build = told.builds.get(id)
    if told.excused(action):
        return
    if build is None or not build["buildComplete"] or build["buildStatus"] != "SUCCEEDED":
        yield f"build {id} of {mark} is {build and build['buildStatus']}"
        return
    lines = log_lines(places.yard, build)
    if action["actionName"] == "Make":
        wrong, _ = builds_story.mistakes_of_log(Wanted("make", mark, "0", False), lines)
        yield from (f"build {id} of {mark}: {each}" for each in wrong)
    elif sum(line == f"looked at 6 lines of {mark}" for line in lines) != 1:
        yield f"build {id} of {mark} did not look once at what was made: {lines}"


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
