"""State machines that moto runs."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from codeyard.pipelines.actions import ActionFailed, ErrorCode, Told
from codeyard.pipelines.actions.step_functions import OUTPUT_FILE, StepFunctionsAction
from tests.pipelines.actions.services import Outside, forget
from tests.pipelines.works import RUN, Bench, a_tree, action, bench_at

PASS = {"Type": "Pass", "End": True}
FAIL = {"Type": "Fail", "Error": "Broken", "Cause": "the cause"}


def a_machine(outside: Outside, state: dict[str, Any], type: str = "STANDARD") -> str:
    """The ARN of one with this one state."""
    definition = json.dumps({"StartAt": "One", "States": {"One": state}})
    role = "arn:aws:iam::123456789012:role/machine"
    client = outside.plain("stepfunctions")
    made = client.create_state_machine(name=f"m-{uuid.uuid4().hex}", definition=definition, roleArn=role, type=type)
    return str(made["stateMachineArn"])


def a_bench(home: Path, machine: str, outputs: tuple[str, ...] = (), /, **given: str) -> Bench:
    declared = action(
        "Invoke/AWS/StepFunctions/1", {"StateMachineArn": machine, **given}, inputs=["In"], outputs=outputs
    )
    return bench_at(home, declared, [a_tree(home, "In", {"in.json": b'{"from": "file"}'})])


@pytest.mark.parametrize(
    ("given", "name", "output"),
    [
        ({}, RUN, {}),
        ({"Input": '{"a": 1}', "ExecutionNamePrefix": "p"}, f"p-{RUN}", {"a": 1}),
        ({"InputType": "FilePath", "Input": "in.json"}, RUN, {"from": "file"}),
    ],
)
async def test_an_execution_is_named_after_the_action_and_waited_for(
    outside: Outside, tmp_path: Path, given: dict[str, str], name: str, output: Any
) -> None:
    machine = a_machine(outside, PASS)
    bench = a_bench(tmp_path, machine, ("Out",), **given)
    outcome = await StepFunctionsAction(outside.client, pause=0).run(bench)
    execution = f"{machine.replace(':stateMachine:', ':execution:')}:{name}"

    assert json.loads(bench.files(outcome.outputs[0])[OUTPUT_FILE]) == output
    assert outcome.variables == {"StateMachineArn": machine, "ExecutionArn": execution}
    assert bench.told == [Told(external_id=execution)]
    assert bench.permitted == [
        ("states:DescribeStateMachine", machine),
        ("states:StartExecution", machine),
        ("states:DescribeExecution", execution),
    ]


async def test_a_dead_process_s_execution_is_found_again(outside: Outside, tmp_path: Path) -> None:
    machine = a_machine(outside, PASS)
    bench = a_bench(tmp_path, machine)
    first = await StepFunctionsAction(outside.client, pause=0).run(bench)
    forget(tmp_path, "start")
    second = await StepFunctionsAction(outside.client, pause=0).run(bench.again())
    executions = outside.plain("stepfunctions").list_executions(stateMachineArn=machine)["executions"]

    assert (first.external_id, len(executions)) == (second.external_id, 1)


async def test_an_execution_that_fails_says_why(outside: Outside, tmp_path: Path) -> None:
    machine = a_machine(outside, FAIL)

    with pytest.raises(ActionFailed, match=r"ended with status FAILED\. Broken: the cause") as failed:
        await StepFunctionsAction(outside.client, pause=0).run(a_bench(tmp_path, machine))
    assert failed.value.code is ErrorCode.JOB_FAILED


async def test_an_express_one_is_only_started(outside: Outside, tmp_path: Path) -> None:
    machine = a_machine(outside, FAIL, "EXPRESS")
    outcome = await StepFunctionsAction(outside.client).run(a_bench(tmp_path / "1", machine))

    assert outcome.variables == {"StateMachineArn": machine}
    assert "DescribeExecution" not in outside.calls
    with pytest.raises(ActionFailed, match="no output artifact"):
        await StepFunctionsAction(outside.client).run(a_bench(tmp_path / "2", machine, ("Out",)))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"InputType": "FilePath"}, "a path in Input"),
        ({"InputType": "FilePath", "Input": "no.json"}, "was not found"),
        ({"ExecutionNamePrefix": "p" * 44}, "at most 43 characters"),
        ({"StateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:none"}, "StateMachineDoesNotExist"),
    ],
)
async def test_a_wrong_configuration_starts_nothing(
    outside: Outside, tmp_path: Path, given: dict[str, str], text: str
) -> None:
    bench = a_bench(tmp_path, a_machine(outside, PASS), **given)

    with pytest.raises(ActionFailed, match=text) as failed:
        await StepFunctionsAction(outside.client).run(bench)
    assert failed.value.code is ErrorCode.CONFIGURATION
    assert "StartExecution" not in outside.calls
