"""Deploy/AWS/CodeDeployToECS (User Guide, "Amazon ECS and CodeDeploy blue-green deploy action reference").

A task definition made of a template and the URIs of images is registered, and CodeDeploy is asked for a deployment with
an AppSpec that names it. The deployment's description names the action execution: by it, one that was created before a
crash is found again.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from codeyard.durable import Answer
from codeyard.errors import Invalid
from codeyard.pipelines.actions import ActionFailed, ErrorCode, Outcome, Told, Work
from codeyard.pipelines.actions.artifact_files import input_named, text_of
from codeyard.pipelines.actions.asking import PAUSE, Client, Service, looked
from codeyard.pipelines.actions.task_definitions import register, registrable

_FILE = 3 << 20  # bytes (quotas: 3 MB for input artifacts)
_SKEW = timedelta(minutes=10)  # that our clock may be ahead of CodeDeploy's
_BATCH = 25  # deployments that BatchGetDeployments gives at once
_PAGES = 10
_TASK = "<TASK_DEFINITION>"


class CodeDeployToEcsAction:
    """See the module."""

    def __init__(self, client: Client, *, pause: float = PAUSE) -> None:
        self._client, self._pause = client, pause

    async def run(self, work: Work) -> Outcome:
        given = work.declared.configuration
        application, group = given.get("ApplicationName", ""), given.get("DeploymentGroupName", "")
        ecs, deploy = (Service(self._client, work, name) for name in ("ecs", "codedeploy"))
        arn = deploy.arn(f"deploymentgroup:{application}/{group}")
        await work.permit("ecs:RegisterTaskDefinition", "*")
        await work.permit("codedeploy:CreateDeployment", arn)
        await work.permit("codedeploy:GetDeployment", arn)

        async def make() -> Answer:
            text = await _file(work, "TaskDefinitionTemplate", "taskdef.json")
            definition = task_definition(text, await _images(work))
            return {"arn": await register(work, ecs, await registrable(ecs, definition))}

        task = (await work.step("register", make))["arn"]

        async def create() -> Answer:
            text = (await _file(work, "AppSpecTemplate", "appspec.yaml")).replace(_TASK, task)
            content = {"content": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}
            names = {"applicationName": application, "deploymentGroupName": group}
            found = await _created(deploy, work, names)
            if found is not None:
                return {"id": found}
            revision = {"revisionType": "AppSpecContent", "appSpecContent": content}
            answer = await deploy.ask("create_deployment", **names, revision=revision, description=_description(work))
            return {"id": str(answer["deploymentId"])}

        id = (await work.step("deploy", create))["id"]
        await work.tell(Told(external_id=id))
        await looked(lambda: _succeeded(deploy, id), self._pause)
        return Outcome(external_id=id, summary="Deployment Succeeded")


def task_definition(text: str, images: Mapping[str, str]) -> dict[str, Any]:
    """Of the template, with `<NAME>` replaced by the image of that name. Invalid: it is no JSON object."""
    for name, image in images.items():
        text = text.replace(f"<{name}>", json.dumps(image)[1:-1])
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Invalid("the task definition template", "it is not a JSON object.", "Correct the file.")
    return found


def image_uri(text: str, artifact: str) -> str:
    """ImageURI of an imageDetail.json. Invalid."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    uri = found.get("ImageURI") if isinstance(found, dict) else None
    if not isinstance(uri, str) or not uri:
        raise Invalid(f"imageDetail.json of {artifact}", "it has no ImageURI.", 'Write {"ImageURI": "image"}.')
    return uri


async def _images(work: Work) -> dict[str, str]:
    """By placeholder, from the artifacts that the configuration names."""
    given, found = work.declared.configuration, {}
    for at in range(1, 5):
        artifact, name = given.get(f"Image{at}ArtifactName"), given.get(f"Image{at}ContainerName")
        if bool(artifact) != bool(name):
            text = f"Image{at}ArtifactName and Image{at}ContainerName go together"
            raise ActionFailed(ErrorCode.CONFIGURATION, text)
        if artifact and name:
            source = input_named(work, artifact, f"Image{at}ArtifactName")
            found[name] = image_uri(await text_of(work, source, "imageDetail.json", _FILE), artifact)
    return found


async def _file(work: Work, key: str, usual: str) -> str:
    given = work.declared.configuration
    artifact = input_named(work, given.get(f"{key}Artifact", ""), f"{key}Artifact")
    try:
        return await text_of(work, artifact, given.get(f"{key}Path") or usual, _FILE)
    except ActionFailed as failed:
        what = "task definition" if key.startswith("Task") else "app spec"
        text = f"Exception while trying to read the {what} artifact file from: {artifact.name}. {failed.message}"
        raise ActionFailed(failed.code, text) from None


def _description(work: Work) -> str:
    return f"Pipeline {work.place.pipeline}, action execution {work.run}"


async def _created(deploy: Service, work: Work, names: Mapping[str, str]) -> str | None:
    """The deployment that a process before this one created."""
    more: dict[str, Any] = {"createTimeRange": {"start": work.began - _SKEW}}
    for _ in range(_PAGES):
        page = await deploy.ask("list_deployments", **names, **more)
        ids = list(page.get("deployments", ()))
        for start in range(0, len(ids), _BATCH):
            batch = await deploy.ask("batch_get_deployments", deploymentIds=ids[start : start + _BATCH])
            for each in batch.get("deploymentsInfo", ()):
                if each.get("description") == _description(work):
                    return str(each["deploymentId"])
        if not page.get("nextToken"):
            return None
        more["nextToken"] = page["nextToken"]
    return None


async def _succeeded(deploy: Service, id: str) -> bool | None:
    found = (await deploy.ask("get_deployment", deploymentId=id))["deploymentInfo"]
    status = found.get("status")
    if status in ("Failed", "Stopped"):
        why = found.get("errorInformation", {}).get("message", "")
        text = f"Deployment {id} {'failed' if status == 'Failed' else 'was stopped'}"
        raise ActionFailed(ErrorCode.JOB_FAILED, f"{text}. {why}".rstrip(". "), text)
    return True if status == "Succeeded" else None
