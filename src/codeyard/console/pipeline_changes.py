"""What the forms of the pipelines' pages do: each asks one operation of CodePipeline's."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from codeyard.aws import Refused
from codeyard.console.pipeline_asking import PipelineAsking
from codeyard.errors import Invalid

_VARIABLE = "variable-"
_TOKEN = re.compile(r"[A-Za-z0-9-]{16,64}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A form that was sent."""

    ask: PipelineAsking
    region: str
    pipeline: str
    form: Mapping[str, str]

    def field(self, name: str) -> str:
        """As one wrote it: browsers end lines with CR LF. Refused: it is missing."""
        if name not in self.form:
            raise Refused("ValidationException", f"The form has no field {name}.")
        return self.form[name].replace("\r\n", "\n")

    async def do(self, operation: str, /, **given: object) -> Mapping[str, object]:
        return await self.ask.change(operation, self.region, self.pipeline, **given)


# What a form does; the execution that it leads to, if it leads to another page than it came from.
Change = Callable[[Asked], Awaitable[str | None]]


def execution_id(text: str) -> str:
    """Invalid."""
    if re.fullmatch(r"[0-9a-f-]{36}", text) is None:
        raise Invalid(f"execution {text[:40]!r}", "it is none.", "Go back to the pipeline.")
    return text


async def _start(asked: Asked) -> str | None:
    """Release change. Variables that were left empty take their default values."""
    given = [{"name": name.removeprefix(_VARIABLE), "value": asked.field(name)}
             for name, value in asked.form.items() if name.startswith(_VARIABLE) and value]  # fmt: skip
    token = asked.form.get("once", "")
    answer = await asked.do("StartPipelineExecution", name=asked.pipeline, variables=given or None,
                            clientRequestToken=token if _TOKEN.fullmatch(token) else None)  # fmt: skip
    parallel = await asked.ask.mode_of(asked.region, asked.pipeline) == "PARALLEL"
    return str(answer["pipelineExecutionId"]) if parallel else None


async def _stop(asked: Asked) -> str | None:
    id, reason = execution_id(asked.field("execution")), asked.form.get("reason", "").strip()
    await asked.do("StopPipelineExecution", pipelineName=asked.pipeline, pipelineExecutionId=id,
                   abandon=asked.field("way") == "abandon", reason=reason or None)  # fmt: skip
    return None


async def _retry(asked: Asked) -> str | None:
    id = execution_id(asked.field("execution"))
    await asked.do("RetryStageExecution", pipelineName=asked.pipeline, stageName=asked.field("stage"),
                   pipelineExecutionId=id, retryMode=asked.field("mode"))  # fmt: skip
    return None


async def _roll_back(asked: Asked) -> str | None:
    await asked.do("RollbackStage", pipelineName=asked.pipeline, stageName=asked.field("stage"),
                   targetPipelineExecutionId=execution_id(asked.field("target")))  # fmt: skip
    return None


async def _transition(asked: Asked) -> str | None:
    place = {"pipelineName": asked.pipeline, "stageName": asked.field("stage"), "transitionType": "Inbound"}
    if asked.field("to") == "enable":
        await asked.do("EnableStageTransition", **place)
    else:
        await asked.do("DisableStageTransition", **place, reason=asked.field("reason").strip())
    return None


async def _answer(asked: Asked) -> str | None:
    result = {"status": asked.field("verdict"), "summary": asked.form.get("summary", "").replace("\r\n", "\n").strip()}
    await asked.do("PutApprovalResult", pipelineName=asked.pipeline, stageName=asked.field("stage"),
                   actionName=asked.field("action"), token=asked.field("token"), result=result)  # fmt: skip
    return None


async def _override(asked: Asked) -> str | None:
    id = execution_id(asked.field("execution"))
    await asked.do("OverrideStageCondition", pipelineName=asked.pipeline, stageName=asked.field("stage"),
                   pipelineExecutionId=id, conditionType=asked.field("condition"))  # fmt: skip
    return None


CHANGES: Mapping[str, Change] = {
    "start": _start,
    "stop": _stop,
    "retry": _retry,
    "rollback": _roll_back,
    "transition": _transition,
    "approval": _answer,
    "override": _override,
}
