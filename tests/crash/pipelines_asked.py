"""Whether what people asked of executions and pipelines had its effect: once if it was acknowledged, once at the most
for each answer that was lost, never if it was refused. And whether a refusal was right."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.crash import pipelines_story as story
from tests.crash.pipelines_told import TICK, Told, target_of

Asked = Mapping[str, Any]  # an entry of the history
# By verb, what a call may be refused by, if no answer was lost before.
_REFUSALS = {
    "stop": ("PipelineExecutionNotStoppableException",),  # it is over
    "retry": ("NotLatestPipelineExecutionException", "StageNotRetryableException"),  # another came, or an update
    "rollback": ("UnableToRollbackStageException", "PipelineExecutionOutdatedException"),  # somebody is in it; the same
}
# And after one was: what was asked for may go on at this moment.
_REFUSALS_AFTER = {**_REFUSALS, "retry": (*_REFUSALS["retry"], "ConflictException")}


def mistakes_of_asking(told: Told, asked: Sequence[Asked]) -> Iterable[str]:
    """`asked` are the history's entries of that name, in their order."""
    for each in asked:
        known = (_REFUSALS_AFTER if each["lost"] else _REFUSALS).get(each["verb"], ())
        if each["came"] != "done" and each["code"] not in known and not _was_removed(each):
            yield f"it was refused: {each}"
    yield from _stops(told, _of(asked, "stop"), _of(asked, "retry"))
    yield from _retries(told, _of(asked, "retry"))
    yield from _rollbacks(told, _of(asked, "rollback"))
    yield from _updates(told, _of(asked, "update"))


def bounds(asked: Iterable[Asked]) -> tuple[int, int]:
    """How often they were done, at the least and at the most."""
    least = most = 0
    for each in asked:
        least += each["came"] == "done"
        most += (each["came"] == "done" and each["code"] == "") + each["lost"]
    return least, max(least, most)


def _was_removed(asked: Asked) -> bool:
    """Whether it is about a stage that not every definition has, and so was refused."""
    return asked.get("stage") == "Extra" and asked["code"] == "StageNotFoundException"


def _of(asked: Iterable[Asked], verb: str) -> list[Asked]:
    return [each for each in asked if each["verb"] == verb]


def _by(asked: Iterable[Asked], *members: str) -> dict[tuple[Any, ...], list[Asked]]:
    found: dict[tuple[Any, ...], list[Asked]] = defaultdict(list)
    for each in asked:
        found[tuple(each[name] for name in members)].append(each)
    return found


def _time(wall: float) -> datetime:
    return datetime.fromtimestamp(wall, UTC)


# ── executions ──


def _stops(told: Told, stops: list[Asked], retries: list[Asked]) -> Iterable[str]:
    """What was stopped is Stopped, nothing of it began afterwards, and only what was told to was abandoned."""
    by_execution = _by((each for each in stops if each["came"] != "refused"), "execution")
    again = {each["execution"] for each in retries if each["came"] != "refused"}
    for id, found in told.executions.items():
        mine = by_execution.get((id,), [])
        if found["status"] == "Stopped" and not mine:
            yield f"execution {id} is Stopped, and nobody stopped it"
        done = [each for each in mine if each["came"] == "done"]
        if not done or id in again:
            continue
        if found["status"] != "Stopped":
            yield f"execution {id} is {found['status']}, and was stopped: {done}"
        late = [each["actionName"] for each in told.actions if each["pipelineExecutionId"] == id
                and each["startTime"] > _time(done[0]["wall"]) + TICK]  # fmt: skip
        if late:
            yield f"{late} of execution {id} began after it was stopped: {done[0]}"
    for each in told.actions:
        asked = by_execution.get((each["pipelineExecutionId"],), [])
        if each["status"] == "Abandoned" and not any(one["abandon"] for one in asked):
            yield f"{each['actionName']} of {each['pipelineExecutionId']} is Abandoned, which nobody wanted"


def _retries(told: Told, retries: list[Asked]) -> Iterable[str]:
    """Each action ran once, and once more for each time that it was tried again; what had succeeded only with all."""
    by_stage = _by(retries, "execution", "stage")
    attempts = told.attempts()
    for (id, name), found in attempts.items():
        asked = by_stage.get((id, found[0]["stageName"]), [])
        _, most = bounds(asked)
        least, _ = bounds(each for each in asked if name in _surely(each))
        if all(each["mode"] == "FAILED_ACTIONS" and name not in each["broken"] for each in asked):
            most = 0
        if not least <= len(found) - 1 <= most:
            yield f"{name} of {id} ran {len(found)} times, and was tried again {least} to {most} times: {asked}"
        for before in found[:-1]:
            if before["status"] == "Succeeded" and not any(each["mode"] == "ALL_ACTIONS" for each in asked):
                yield f"{name} of {id} ran again, and had succeeded: {asked}"
    for (id, stage), asked in by_stage.items():
        refused = [each for each in asked if each["came"] == "refused" and not _was_removed(each)]
        if refused and told.executions[id]["pipeline"] == "parallel":
            yield f"{stage} of {id} could not be tried again, and nothing was in the way: {refused}"


def _surely(asked: Asked) -> tuple[str, ...]:
    """The actions that run again whatever comes of the others: those that begin with the stage, if it is all."""
    if asked["mode"] != "ALL_ACTIONS":
        return tuple(asked["broken"])
    actions = story.ACTIONS[asked["stage"]]
    return actions[: story.TOGETHER.get(asked["stage"], len(actions))]


def _rollbacks(told: Told, asked: list[Asked]) -> Iterable[str]:
    """Each is an execution of its own, in that stage alone, of what was asked for."""
    found = {id: each for id, each in told.executions.items() if each["executionType"] == "ROLLBACK"}
    by_target = _by(asked, "pipeline", "target")
    often = Counter((each["pipeline"], target_of(each)) for each in found.values())
    for key in by_target.keys() | often.keys():
        least, most = bounds(by_target.get(key, ()))
        if not least <= often[key] <= most:
            yield f"{often[key]} rollbacks of {key}, which was asked for {least} to {most} times"
    for each in asked:
        if each["came"] == "done" and target_of(found.get(each["given"], {})) != each["target"]:
            yield f"the rollback {each} is {found.get(each['given'])}"
    for each in told.actions:
        if each["pipelineExecutionId"] in found and each["stageName"] != "Release":
            yield f"{each['actionName']} ran in the rollback {each['pipelineExecutionId']}"


# ── pipelines ──


def _updates(told: Told, asked: list[Asked]) -> Iterable[str]:
    """Each is a version of its own; where executions take turns, none of an older version begins anything more."""
    by_revision = _by(asked, "pipeline", "revision")
    for name, versions in told.revisions.items():
        often = Counter(versions.values())
        for revision, count in often.items():
            least, most = bounds(by_revision.get((name, revision), ())) if revision else (1, 1)
            if not least <= count <= most:
                yield f"{count} versions of {name} are its revision {revision}, asked for {least} to {most} times"
        if [*versions.values()] != sorted(versions.values()):
            yield f"the versions of {name} are its revisions {versions}"
    for each in asked:
        name, version = each["pipeline"], each["given"]
        if each["came"] != "done":
            continue
        if told.revisions[name].get(version) != each["revision"]:
            yield f"{each} was acknowledged, and the versions are {told.revisions[name]}"
        for action in told.actions if name != "parallel" else ():
            older = action["pipeline"] == name and action["pipelineVersion"] < version
            if older and action["startTime"] > _time(each["wall"]) + TICK:
                id = action["pipelineExecutionId"]
                yield f"{action['actionName']} of {id} began after its definition was replaced: {each}"


def mistakes_of_doors(told: Told, closings: Iterable[Asked], openings: Iterable[Asked]) -> Iterable[str]:
    """While a transition is closed nobody comes through, but for those who try again, or go back, in the stage."""
    opening = _by(openings, "pipeline", "stage")
    attempts = told.attempts()
    for closed in closings:
        if not closed["shown"]:
            yield f"a transition was closed, and its state did not say so: {closed}"
        if closed["pipeline"] == "parallel":
            continue
        ends = [each["wall"] for each in opening[closed["pipeline"], closed["stage"]] if each["wall"] > closed["wall"]]
        first = story.ACTIONS[closed["stage"]][0]
        for (id, name), found in attempts.items():
            execution = told.executions[id]
            if name != first or execution["pipeline"] != closed["pipeline"] or target_of(execution):
                continue
            if _time(closed["wall"]) + TICK < found[0]["startTime"] < _time(min(ends)) - TICK:
                yield f"execution {id} came into {closed['stage']} at {found[0]['startTime']}, closed since {closed}"
    for name, stages in told.states.items():
        for each in stages:
            if not each.get("inboundTransitionState", {}).get("enabled", True):
                yield f"the transition into {each['stageName']} of {name} is closed: {each}"
