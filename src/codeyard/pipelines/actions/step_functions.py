"""Invoke/AWS/StepFunctions (User Guide, "AWS Step Functions action reference").

An execution of a standard state machine is named after the action execution, so that to start it again is to find it.
An express one is only started: it has no execution that could be asked about, and none that could be found again if we
die while it starts. When the action is stopped or runs out of time, the execution goes on, as with AWS.
"""

from collections.abc import Mapping
from typing import Any

from codeyard.durable import Answer
from codeyard.pipelines.actions import ActionFailed, Artifact, ErrorCode, Outcome, Told, Work
from codeyard.pipelines.actions.artifact_files import text_of, with_file
from codeyard.pipelines.actions.asking import PAUSE, Client, Refused, Service, looked

_INPUT = 262_144  # bytes that Step Functions takes
_NAME = 80  # characters of an execution's name
OUTPUT_FILE = "output.json"
_BAD_ENDS = {"FAILED", "TIMED_OUT", "ABORTED"}


class StepFunctionsAction:
    """Starts an execution, and waits for that of a standard state machine."""

    def __init__(self, client: Client, *, pause: float = PAUSE) -> None:
        self._client, self._pause = client, pause

    async def run(self, work: Work) -> Outcome:
        arn = work.declared.configuration.get("StateMachineArn", "")
        service = Service(self._client, work, "stepfunctions")
        await work.permit("states:DescribeStateMachine", arn)
        await work.permit("states:StartExecution", arn)
        text = await _input(work)

        async def start() -> Answer:
            express = (await service.ask("describe_state_machine", stateMachineArn=arn)).get("type") == "EXPRESS"
            if express and work.outputs:
                why = "An express state machine has no output, so the action can have no output artifact"
                raise ActionFailed(ErrorCode.CONFIGURATION, why)
            return {"execution": await _start(service, arn, _name(work), text), "express": express}

        started = await work.step("start", start)
        execution = started["execution"]
        await work.tell(Told(external_id=execution))
        if started["express"]:
            return Outcome(variables={"StateMachineArn": arn}, external_id=execution)
        await work.permit("states:DescribeExecution", execution)
        ended = await looked(lambda: _ended(service, execution), self._pause)
        return await _outcome(work, arn, execution, ended)


async def _input(work: Work) -> str:
    given = work.declared.configuration
    text = given.get("Input")
    if given.get("InputType", "Literal") != "FilePath":
        return text or "{}"
    if not work.inputs or not text:
        raise ActionFailed(ErrorCode.CONFIGURATION, "InputType FilePath needs an input artifact, and a path in Input")
    return await text_of(work, work.inputs[0], text, _INPUT)


def _name(work: Work) -> str:
    prefix = work.declared.configuration.get("ExecutionNamePrefix")
    name = f"{prefix}-{work.run}" if prefix else work.run
    if len(name) > _NAME:
        text = f"ExecutionNamePrefix can have at most {_NAME - len(work.run) - 1} characters"
        raise ActionFailed(ErrorCode.CONFIGURATION, text)
    return name


async def _start(service: Service, arn: str, name: str, text: str) -> str:
    """The ARN of the execution of this name, which is ours alone; it may have ended already."""
    try:
        answer = await service.ask("start_execution", stateMachineArn=arn, name=name, input=text)
        return str(answer["executionArn"])
    except Refused as refused:
        if refused.reason != "ExecutionAlreadyExists":
            raise
        machine = ":".join(arn.split(":")[:7])  # without a version or an alias
        return f"{machine.replace(':stateMachine:', ':execution:', 1)}:{name}"


async def _ended(service: Service, execution: str) -> Mapping[str, Any] | None:
    found = await service.ask("describe_execution", executionArn=execution)
    status = found.get("status")
    if status in _BAD_ENDS:
        why = ": ".join(str(found[key]) for key in ("error", "cause") if found.get(key))
        text = f"The execution {execution} ended with status {status}"
        raise ActionFailed(ErrorCode.JOB_FAILED, f"{text}. {why}"[:5000] if why else text, text)
    return found if status == "SUCCEEDED" else None


async def _outcome(work: Work, arn: str, execution: str, ended: Mapping[str, Any]) -> Outcome:
    outputs: tuple[Artifact, ...] = ()
    if work.outputs:
        outputs = (await with_file(work, work.outputs[0], OUTPUT_FILE, str(ended.get("output") or "{}").encode()),)
    variables = {"StateMachineArn": arn, "ExecutionArn": execution}
    return Outcome(outputs, variables, external_id=execution)
