"""Another pipeline is started; the action does not wait for it (User Guide, "Invoke a pipeline action").

Whether it should wait is not documented; AWS's console shows the action done as soon as the other has begun. Pipelines
that start each other in a circle would never end: a chain that comes back to a pipeline it went through is refused.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from codeyard.aws import Refused
from codeyard.durable import Answer
from codeyard.pipelines.actions import ActionFailed, ErrorCode, Outcome, Place, Work

# Of the invoking action, the invoked pipeline and its input: the execution that began.
StartPipeline = Callable[[Place, str, Mapping[str, Any]], Awaitable[str]]


class InvokePipeline:
    """`start` starts it, once for the same clientRequestToken. Refused."""

    def __init__(self, start: StartPipeline) -> None:
        self._start = start

    async def run(self, work: Work) -> Outcome:
        configuration, owner = work.declared.configuration, work.place.owner
        name = configuration.get("PipelineName", "")
        arn = f"arn:aws:codepipeline:{owner.region}:{owner.account}:{name}"
        await work.permit("codepipeline:StartPipelineExecution", arn)
        given = {
            "name": name,
            "variables": _list(configuration, "Variables"),
            "sourceRevisions": _list(configuration, "SourceRevisions"),
            "clientRequestToken": work.run,
        }

        async def start() -> Answer:
            try:
                return {"id": await self._start(work.place, name, given)}
            except Refused as refused:
                raise ActionFailed(ErrorCode.CONFIGURATION, f"{refused.code}: {refused.message}") from None

        return Outcome(external_id=(await work.step("start", start))["id"])


def _list(configuration: Mapping[str, str], key: str) -> list[dict[str, str]]:
    text = configuration.get(key)
    if not text:
        return []
    try:
        found = json.loads(text)
        return [{str(name): str(value) for name, value in each.items()} for each in found]
    except (ValueError, AttributeError, TypeError) as error:
        raise ActionFailed(ErrorCode.CONFIGURATION, f"{key} is no JSON array of objects: {error}") from None
