"""Deploy/AWS/CloudFormation: a template and its values out of artifacts, and what comes of the stack.

A template of up to 51,200 bytes goes with the request. A larger one is put beside its artifact in the bucket of that
name, as the service outside knows it, and CloudFormation is given a URL for it that is good for an hour.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from codeyard.pipelines.actions import Artifact, Outcome, Work
from codeyard.pipelines.actions.artifact_files import input_named, text_of, with_file
from codeyard.pipelines.actions.asking import PAUSE, Client, Service
from codeyard.pipelines.actions.cloudformation_modes import Modes
from codeyard.pipelines.actions.stacks import Stack, Stacks
from codeyard.pipelines.actions.template_values import (
    Attribute,
    FilePointer,
    FromFile,
    TemplateConfiguration,
    Value,
    capabilities,
    overrides,
    pairs,
    param_of,
)

_WITH_REQUEST = 51_200  # bytes of a template (CloudFormation quotas)
_TEMPLATE = 1 << 20  # bytes, in a bucket
_VALUES = 1 << 20  # bytes of a file with values
_URL_SECONDS = 3600


class CloudFormationAction:
    """See the module."""

    def __init__(self, client: Client, *, pause: float = PAUSE) -> None:
        self._client, self._pause = client, pause

    async def run(self, work: Work) -> Outcome:
        given = work.declared.configuration
        stacks = Stacks(Service(self._client, work, "cloudformation"), work, self._pause)

        async def template() -> Mapping[str, Any]:
            return await self._template(work)

        mode = given.get("ActionMode", "")
        if mode not in ("DELETE_ONLY", "CHANGE_SET_EXECUTE") and given.get("TemplateConfiguration"):
            # Asked before anything begins, though the policy is read only when it is needed.
            configuration = await _configuration(work)
            if configuration.policy is not None and mode != "CHANGE_SET_REPLACE":
                arn = stacks.service.arn(f"stack/{given.get('StackName', '')}/*")
                await work.permit("cloudformation:SetStackPolicy", arn)
        stack = await Modes(work, stacks, template, self._pause).run(mode)
        return await _outcome(work, stack)

    async def _template(self, work: Work) -> Mapping[str, Any]:
        given = work.declared.configuration
        configuration = await _configuration(work)
        changed = {
            name: await _resolved(work, value) for name, value in overrides(given.get("ParameterOverrides")).items()
        }
        parameters = {**configuration.parameters, **changed}
        asked: dict[str, Any] = {
            **await self._body(work),
            "Parameters": pairs(parameters, "ParameterKey", "ParameterValue"),
            "Capabilities": capabilities(given.get("Capabilities")),
        }
        if configuration.tags:  # with none, a stack keeps those that it has
            asked["Tags"] = pairs(configuration.tags, "Key", "Value")
        if configuration.policy is not None:
            asked["StackPolicyBody"] = configuration.policy
        return asked

    async def _body(self, work: Work) -> Mapping[str, str]:
        pointer = FilePointer.parse(work.declared.configuration.get("TemplatePath", ""), "TemplatePath")
        artifact = input_named(work, pointer.artifact, "TemplatePath")
        text = await text_of(work, artifact, pointer.path, _TEMPLATE)
        content = text.encode()
        if len(content) <= _WITH_REQUEST:
            return {"TemplateBody": text}
        key = f"{artifact.key}.{hashlib.sha256(content).hexdigest()[:16]}.template"
        await work.permit("s3:PutObject", f"arn:aws:s3:::{artifact.bucket}/{key}")
        bucket = Service(self._client, work, "s3")

        def put(client: Any) -> str:
            client.put_object(Bucket=artifact.bucket, Key=key, Body=content)
            where = {"Bucket": artifact.bucket, "Key": key}
            return str(client.generate_presigned_url("get_object", Params=where, ExpiresIn=_URL_SECONDS))

        return {"TemplateURL": await bucket.with_client(put, "put_object")}


async def _configuration(work: Work) -> TemplateConfiguration:
    given = work.declared.configuration.get("TemplateConfiguration")
    if not given:
        return TemplateConfiguration()
    pointer = FilePointer.parse(given, "TemplateConfiguration")
    artifact = input_named(work, pointer.artifact, "TemplateConfiguration")
    return TemplateConfiguration.parse(await text_of(work, artifact, pointer.path, _VALUES))


async def _resolved(work: Work, value: Value) -> str:
    """The text that a parameter gets."""
    if isinstance(value, str):
        return value
    artifact = input_named(work, value.artifact, "ParameterOverrides")
    if isinstance(value, FromFile):
        return param_of(await text_of(work, artifact, value.path, _VALUES), value)
    return _attribute(await work.zipped(artifact), value, work.declared.region or work.place.owner.region)


def _attribute(artifact: Artifact, wanted: Attribute, region: str) -> str:
    return {
        "BucketName": artifact.bucket,
        "ObjectKey": artifact.key,
        "URL": f"https://s3.{region}.amazonaws.com/{artifact.bucket}/{artifact.key}",
    }[wanted.name]


async def _outcome(work: Work, stack: Stack | None) -> Outcome:
    given = work.declared.configuration
    variables = dict(stack.outputs) if stack is not None else {}
    outputs, path = work.outputs, given.get("OutputFileName")
    if path and outputs:
        content = json.dumps(variables, indent=2, sort_keys=True).encode()
        outputs = (await with_file(work, outputs[0], path, content),)
    id = None if stack is None else stack.id
    summary = f"Stack {given.get('StackName')}: {'gone' if stack is None else stack.status}"
    return Outcome(outputs, variables, summary=summary, external_id=id)
