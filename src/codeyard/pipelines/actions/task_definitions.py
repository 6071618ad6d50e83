"""Task definitions of ECS as deploy actions make them: with other images, or from a template.

Registering has no token that would make it happen once. So before it is done again after a crash, the newest revision
is looked at: one that holds what we would register, and was registered since the action began, is ours.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from codeyard.errors import Invalid
from codeyard.pipelines.actions import Work
from codeyard.pipelines.actions.asking import Refused, Service

_SKEW = timedelta(seconds=30)  # that our clock may be ahead of ECS's; an older revision may be another execution's
_ROLES = ("taskRoleArn", "executionRoleArn")


async def register(work: Work, service: Service, wanted: Mapping[str, Any]) -> str:
    """The ARN of a new revision. For a step. ActionFailed: ECS refuses it, or the role may not hand on its roles."""
    for name in _ROLES:
        if wanted.get(name):
            await work.permit("iam:PassRole", str(wanted[name]))
    if wanted.get("tags"):
        await work.permit("ecs:TagResource", service.arn(f"task-definition/{wanted.get('family')}:*"))
    newest = await _newest(service, str(wanted.get("family", "")))
    if newest is not None and _since(newest, work.began) and covers(newest, wanted):
        return str(newest["taskDefinitionArn"])
    answer = await service.ask("register_task_definition", **wanted)
    return str(answer["taskDefinition"]["taskDefinitionArn"])


async def registrable(service: Service, described: Mapping[str, Any]) -> dict[str, Any]:
    """Of a definition as ECS describes or a file has it: what a new one can be registered with."""
    names = await service.with_client(
        lambda client: set(client.meta.service_model.operation_model("RegisterTaskDefinition").input_shape.members),
        "RegisterTaskDefinition",
    )
    return {name: value for name, value in described.items() if name in names and value not in (None, [], "")}


def with_images(definition: Mapping[str, Any], images: Mapping[str, str]) -> dict[str, Any]:
    """The definition, whose containers of these names have these images. Invalid: it has no container of a name."""
    containers = definition.get("containerDefinitions", ())
    names = {each.get("name") for each in containers}
    if unknown := sorted(images.keys() - names):
        why = f"the task definition has no container of the name {unknown[0][:200]!r}."
        raise Invalid("the image definitions", why, "Name the containers as the task definition does.")
    changed = [{**each, "image": images.get(each["name"], each.get("image"))} for each in containers]
    return {**definition, "containerDefinitions": changed}


def image_definitions(text: str) -> dict[str, str]:
    """Of `[{"name": …, "imageUri": …}]`: images by the container's name. Invalid: it is not that."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    whole = isinstance(found, list) and all(
        isinstance(each, dict) and isinstance(each.get("name"), str) and isinstance(each.get("imageUri"), str)
        for each in found
    )
    if not whole or not found:
        why = "it is not a JSON array of objects with name and imageUri."
        raise Invalid("the image definitions file", why, 'Write [{"name": "container", "imageUri": "image"}].')
    return {each["name"]: each["imageUri"] for each in found}


def covers(described: Any, wanted: Any) -> bool:
    """Whether what ECS describes has all that was asked for; it adds defaults of its own."""
    if isinstance(wanted, Mapping):
        return isinstance(described, Mapping) and all(covers(described.get(name), wanted[name]) for name in wanted)
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        if not isinstance(described, Sequence) or len(described) != len(wanted):
            return False
        return all(covers(*pair) for pair in zip(described, wanted, strict=True))
    return bool(described == wanted)


async def _newest(service: Service, family: str) -> Mapping[str, Any] | None:
    try:
        answer = await service.ask("describe_task_definition", taskDefinition=family, include=["TAGS"])
    except Refused:  # there is none yet, or it may not be seen
        return None
    return {**answer["taskDefinition"], "tags": answer.get("tags", [])}


def _since(described: Mapping[str, Any], began: datetime) -> bool:
    at = described.get("registeredAt")
    return isinstance(at, datetime) and at >= began - _SKEW
