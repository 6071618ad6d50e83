"""All that clients can read of a campaign of pipelines, once it is over."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from tests.crash import pipelines_story as story
from tests.crash.history import History
from tests.crash.pipelines_places import Places
from tests.crash.pipelines_story import Order

# What a kill may do to an execution, and nothing else: a script that ran on a target when its agent was killed is not
# run a second time, so its event has failed, and with it the deployment (docs/durability.md).
CUT_OFF = "Failing in-progress lifecycle event after an agent restart."
# Where leases are short, whatever was away for longer was given up: its build, its part of a deployment.
GIVEN_UP = ("WORKER_LOST", "Nothing has been heard of the agent for", "None of the targets can be reached")
TICK = timedelta(milliseconds=5)  # two processes of one machine, and the order of what they write
_CUT_SHORT = ("Place", "Install", "Make", "Look")


@dataclass(frozen=True, slots=True)
class Told:
    """See the module."""

    orders: dict[str, Order]  # by execution; a rollback has that of the one that it goes back to
    executions: dict[str, dict[str, Any]]  # by id, PipelineExecutionSummary and its `pipeline`
    actions: list[dict[str, Any]]  # ActionExecutionDetail and its `pipeline`, in the order in which they began
    deployments: dict[str, dict[str, Any]]  # by id, DeploymentInfo and its `targets`, as they were created
    states: dict[str, list[dict[str, Any]]]  # by pipeline, its stageStates
    builds: dict[str, dict[str, Any]]  # by id
    excuses: tuple[str, ...] = (CUT_OFF,)  # one of them is in why something failed by a kill
    revisions: dict[str, dict[int, int]] = field(default_factory=dict)  # by pipeline and version

    @classmethod
    def read(cls, places: Places, history: History) -> "Told":
        codepipeline = places.client("codepipeline")
        orders = {entry["id"]: Order(**entry["order"]) for entry in history.of("acknowledged")}
        executions: dict[str, dict[str, Any]] = {}
        actions: list[dict[str, Any]] = []
        revisions: dict[str, dict[int, int]] = {}
        for name in story.MODES:
            listed = _pages(codepipeline, "list_pipeline_executions", "pipelineExecutionSummaries", pipelineName=name)
            executions |= {each["pipelineExecutionId"]: {**each, "pipeline": name} for each in listed}
            orders[listed[-1]["pipelineExecutionId"]] = story.first(name)
            details = _pages(codepipeline, "list_action_executions", "actionExecutionDetails", pipelineName=name)
            actions += [{**each, "pipeline": name} for each in reversed(details)]
            now = codepipeline.get_pipeline(name=name)["pipeline"]["version"]
            found = {each: codepipeline.get_pipeline(name=name, version=each) for each in range(1, now + 1)}
            revisions[name] = {version: story.revision_of(each["pipeline"]) for version, each in found.items()}
        for id, each in executions.items():
            target = target_of(each)
            if target in orders and id not in orders:
                orders[id] = replace(orders[target], flaky=False, again="", stop="", verb="")
        states = {name: codepipeline.get_pipeline_state(name=name)["stageStates"] for name in story.MODES}
        excuses = (CUT_OFF,) if places.lease is None else (CUT_OFF, *GIVEN_UP)
        return cls(
            orders, executions, actions, _deployments(places), states, _builds(places), excuses, revisions
        )  # fmt: skip

    def of(self, *names: str) -> list[dict[str, Any]]:
        return [each for each in self.actions if each["actionName"] in names]

    def attempts(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        """Of each execution's actions, by its id and their names, all that there were, one after another."""
        found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for each in self.actions:
            found[each["pipelineExecutionId"], each["actionName"]].append(each)
        return found

    def excused(self, action: Mapping[str, Any]) -> bool:
        """Whether a kill is why it failed."""
        why = failure(action)
        return action["actionName"] in _CUT_SHORT and any(each in why for each in self.excuses)

    def mark(self, action: Mapping[str, Any]) -> str:
        return self.mark_of(action["pipelineExecutionId"])

    def mark_of(self, execution: str) -> str:
        order = self.orders.get(execution)
        return "?" if order is None else order.mark

    def latest_version(self, pipeline: str) -> int:
        return max(self.revisions.get(pipeline, {}), default=1)


def target_of(execution: Mapping[str, Any]) -> str:
    """The execution that this one goes back to; "": it is none that does."""
    return str(execution.get("rollbackMetadata", {}).get("rollbackTargetPipelineExecutionId", ""))


def failure(action: Mapping[str, Any]) -> str:
    details = action.get("output", {}).get("executionResult", {}).get("errorDetails", {})
    return f"{details.get('code')}: {details.get('message')}" if details else ""


def external_id(action: Mapping[str, Any]) -> str:
    return str(action.get("output", {}).get("executionResult", {}).get("externalExecutionId", ""))


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
