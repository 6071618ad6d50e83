"""Whether each deployment of a campaign was made once, by its action or as the way back of one that failed."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tests.crash import pipelines_story as story
from tests.crash.pipelines_told import Told, external_id

_DEPLOYS = {"Place": lambda name: name, "Install": story.application}  # by action: the application, of a pipeline


def marks_of(told: Told) -> dict[str, str]:
    """Whose tree each deployment has: that of its execution; of a rollback that of the last one that was good."""
    marks: dict[str, str] = {}
    good: dict[str, str] = {}  # by application
    begun = [each for each in told.deployments.items() if "startTime" in each[1]]
    for id, found in sorted(begun, key=lambda each: each[1]["startTime"]):
        name = found["applicationName"]
        marks[id] = good.get(name, "?") if _goes_back(found) else told.mark_of(_execution(found))
        if found["status"] == "Succeeded":
            good[name] = marks[id]
    return marks


def _execution(deployment: Mapping[str, Any]) -> str:
    """Whose action asked for it, as its description says: PIPELINE EXECUTION."""
    return str(deployment.get("description", "")).rpartition(" ")[2]


def _goes_back(deployment: Mapping[str, Any]) -> bool:
    return "rollbackTriggeringDeploymentId" in deployment.get("rollbackInfo", {})


def mistakes_of_deployments(told: Told) -> Iterable[str]:
    """Each action made one deployment, and each that failed one that goes back; no other deployment was made. An
    action that was abandoned may have made one, and not have said so any more."""
    marks, mine = marks_of(told), set[str]()
    unsaid: Counter[tuple[str, str]] = Counter()  # by execution and application
    for each in told.of("Place", "Install"):
        id, status = external_id(each), each["status"]
        if not id and status == "Abandoned":
            unsaid[each["pipelineExecutionId"], _DEPLOYS[each["actionName"]](each["pipeline"])] += 1
            continue
        if id in mine or id not in told.deployments:
            yield f"{each['actionName']} of {told.mark(each)} has the deployment {id}"
            continue
        mine.add(id)
        found = told.deployments[id]
        if status not in ("Abandoned", found["status"]):
            yield f"{each['actionName']} of {told.mark(each)} is {status}, its deployment {id} {found['status']}"
    back: Counter[str] = Counter()
    for id, found in told.deployments.items():
        info, about = found.get("rollbackInfo", {}), f"deployment {id} of {marks.get(id)}"
        back[info.get("rollbackTriggeringDeploymentId", "")] += 1
        if id not in mine and not _goes_back(found):
            unsaid[_execution(found), found["applicationName"]] -= 1
        if found["status"] not in ("Succeeded", "Failed"):
            yield f"{about} is {found['status']}"
        elif found["status"] == "Failed" and not _goes_back(found) and "rollbackDeploymentId" not in info:
            yield f"{about} failed, and nothing goes back: {info}"
        elif found["status"] == "Failed" and _goes_back(found) and not _was_cut_off(told, found):
            yield f"{about}, which goes back, failed: {found}"
    yield from (f"{count} deployments go back from {id}" for id, count in back.items() if id and count > 1)
    yield from (f"deployments of {what} belong to no action" for what, count in unsaid.items() if count < 0)


def _was_cut_off(told: Told, deployment: Mapping[str, Any]) -> bool:
    events = [event for target in deployment["targets"].values() for event in target["lifecycleEvents"]]
    texts = [event.get("diagnostics", {}).get("message", "") for event in events]
    texts.append(deployment.get("errorInformation", {}).get("message", ""))
    return any(excuse in text for text in texts for excuse in told.excuses)
