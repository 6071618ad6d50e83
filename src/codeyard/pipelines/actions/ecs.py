"""Deploy/AWS/ECS (User Guide, "Amazon Elastic Container Service deploy action reference"): new images for a service.

The service's task definition is registered again with the images of imagedefinitions.json, and the service updated to
it. It is deployed once its tasks run and those of earlier deployments are gone.
"""

from collections.abc import Mapping
from typing import Any

from codeyard.durable import Answer
from codeyard.pipelines.actions import ActionFailed, ErrorCode, Outcome, Told, Work
from codeyard.pipelines.actions.artifact_files import text_of
from codeyard.pipelines.actions.asking import PAUSE, Client, Service, looked
from codeyard.pipelines.actions.task_definitions import image_definitions, register, registrable, with_images

_FILE = 100 * 1024  # bytes (quotas: image definitions JSON file)


class EcsAction:
    """See the module. Its time is limited by whoever runs it: DeploymentTimeout, an hour at most."""

    def __init__(self, client: Client, *, pause: float = PAUSE) -> None:
        self._client, self._pause = client, pause

    async def run(self, work: Work) -> Outcome:
        given = work.declared.configuration
        cluster, name = given.get("ClusterName", ""), given.get("ServiceName", "")
        ecs = Service(self._client, work, "ecs")
        if not work.inputs:
            raise ActionFailed(ErrorCode.CONFIGURATION, "The action has no input artifact")
        arn = ecs.arn(f"service/{cluster.rpartition('/')[2]}/{name.rpartition('/')[2]}")
        if not (cluster in (cluster.rpartition("/")[2], ecs.arn(f"cluster/{cluster.rpartition('/')[2]}"))
                and name in (name.rpartition("/")[2], arn)):  # fmt: skip
            text = "ClusterName and ServiceName must be names, or ARNs of this account and region that go together"
            raise ActionFailed(ErrorCode.CONFIGURATION, text)
        for operation, resource in (
            ("DescribeServices", arn), ("DescribeTaskDefinition", "*"), ("RegisterTaskDefinition", "*"),
            ("UpdateService", arn),
        ):  # fmt: skip
            await work.permit(f"ecs:{operation}", resource)

        async def make() -> Answer:
            text = await text_of(work, work.inputs[0], given.get("FileName") or "imagedefinitions.json", _FILE)
            images = image_definitions(text)
            service = await _service(ecs, cluster, name)
            asked = {"taskDefinition": service["taskDefinition"], "include": ["TAGS"]}
            found = await ecs.ask("describe_task_definition", **asked)
            known = {**found["taskDefinition"], "tags": found.get("tags", [])}
            return {"arn": await register(work, ecs, with_images(await registrable(ecs, known), images))}

        made = (await work.step("register", make))["arn"]

        async def update() -> Answer:
            # Asked twice, this changes nothing the second time: the service has the definition already.
            answer = await ecs.ask("update_service", cluster=cluster, service=name, taskDefinition=made)
            return {"deployment": _primary(answer["service"])}

        deployment = (await work.step("update", update))["deployment"]
        await work.tell(Told(external_id=deployment))
        await looked(lambda: _deployed(ecs, cluster, name, deployment), self._pause)
        return Outcome(external_id=deployment, summary=f"{name} runs {made.rpartition('/')[2]}")


async def _service(ecs: Service, cluster: str, name: str) -> Mapping[str, Any]:
    answer = await ecs.ask("describe_services", cluster=cluster, services=[name])
    found: Mapping[str, Any] | None = next(iter(answer.get("services", ())), None)
    if found is None or found.get("status") == "INACTIVE":
        text = f"The service {name} was not found in the cluster {cluster}"
        raise ActionFailed(ErrorCode.CONFIGURATION, text)
    controller = found.get("deploymentController", {}).get("type", "ECS")
    if controller != "ECS":
        text = f"The service {name} is deployed by {controller}; this action needs the deployment controller ECS"
        raise ActionFailed(ErrorCode.CONFIGURATION, text)
    return found


def _primary(service: Mapping[str, Any]) -> str | None:
    return next((str(each["id"]) for each in service.get("deployments", ()) if each.get("status") == "PRIMARY"), None)


async def _deployed(ecs: Service, cluster: str, name: str, deployment: str | None) -> bool | None:
    """True once it is. ActionFailed: it failed, was rolled back, or another took its place."""
    service = await _service(ecs, cluster, name)
    deployments = service.get("deployments", ())
    ours = next((each for each in deployments if each.get("id") == deployment), None)
    if ours is not None and ours.get("rolloutState") == "FAILED":
        why = ours.get("rolloutStateReason") or "its tasks did not start"
        raise ActionFailed(ErrorCode.JOB_FAILED, f"The deployment {deployment} of {name} failed: {why}")
    if ours is None or ours.get("status") != "PRIMARY":
        text = f"The deployment {deployment} of {name} was rolled back, or another took its place"
        raise ActionFailed(ErrorCode.JOB_FAILED, text)
    running, desired = ours.get("runningCount", 0), ours.get("desiredCount", 0)
    return True if len(deployments) == 1 and running == desired else None
