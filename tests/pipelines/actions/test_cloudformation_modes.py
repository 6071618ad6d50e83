"""Stacks that take their time, fail, and were begun by a process that died: played here, for moto's do none of it."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from codeyard.aws import Refused
from codeyard.pipelines.actions import ActionFailed, ErrorCode, Told
from codeyard.pipelines.actions.cloudformation import CloudFormationAction
from tests.pipelines.actions.services import Played, forget, playing
from tests.pipelines.works import NOON, Bench, a_tree, action, bench_at

ARN = "arn:aws:cloudformation:us-east-1:111122223333:stack/s/"


class Stacks:
    """CloudFormation with one name for stacks, `s`. Each look brings a stack one step further along `course`."""

    def __init__(self, played: Played) -> None:
        self.client, self.calls = played.client, played.calls
        self.there: list[str] = []  # the stack's status now, and those that follow
        self.course = ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"]
        self.number = 0
        self.events: list[dict[str, Any]] = []
        self.change_set: dict[str, Any] | None = None
        for operation, part in (
            ("DescribeStacks", self.describe), ("DescribeStackEvents", self.tell), ("CreateStack", self.create),
            ("UpdateStack", self.update), ("DeleteStack", self.delete), ("DescribeChangeSet", self.look),
            ("ExecuteChangeSet", self.execute),
        ):  # fmt: skip
            played.parts[operation] = part

    def describe(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        if given["StackName"] not in ("s", ARN + str(self.number)):
            return {"Stacks": [self._stack(given["StackName"], "DELETE_COMPLETE")]}
        if not self.there:
            raise Refused("ValidationError", "Stack with id s does not exist")
        status = self.there.pop(0) if len(self.there) > 1 else self.there[0]
        if status == "DELETE_COMPLETE" and given["StackName"] == "s":
            raise Refused("ValidationError", "Stack with id s does not exist")
        return {"Stacks": [self._stack(ARN + str(self.number), status)]}

    def tell(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"StackEvents": self.events}

    def create(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        self.number += 1
        return self._begun(given)

    def update(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._begun(given)

    def execute(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        self.change_set = None
        self._begun(given)
        return {}

    def delete(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        assert given["StackName"].startswith(ARN)
        self.there = ["DELETE_IN_PROGRESS", "DELETE_COMPLETE"]
        return {}

    def look(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.change_set is None:
            raise Refused("ChangeSetNotFound", "ChangeSet [c] does not exist", 404)
        return self.change_set

    def happen(self, resource: str, status: str, reason: str = "", minutes: int = 0, token: str = "") -> None:
        """An event; the newest is the last to be told."""
        about = {"StackId": ARN, "EventId": str(len(self.events)), "StackName": "s", "LogicalResourceId": resource}
        more = {"ResourceType": "AWS::SNS::Topic", "Timestamp": NOON + timedelta(minutes=minutes)}
        words = {"ResourceStatus": status, "ResourceStatusReason": reason, "ClientRequestToken": token}
        self.events.insert(0, {**about, **more, **words})

    def _begun(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        self.there = list(self.course)
        self.happen("s", self.course[0], token=given["ClientRequestToken"])
        return {"StackId": ARN + str(self.number)}

    @staticmethod
    def _stack(id: str, status: str) -> Mapping[str, Any]:
        return {"StackId": id, "StackName": "s", "StackStatus": status, "CreationTime": NOON}

    @property
    def effects(self) -> list[str]:
        return [call for call in self.calls if not call.startswith("Describe")]


@pytest.fixture
def stacks() -> Iterator[Stacks]:
    with playing("cloudformation") as played:
        yield Stacks(played)


def a_bench(home: Path, mode: str = "CREATE_UPDATE", **given: str) -> Bench:
    configuration = {
        "ActionMode": mode,
        "StackName": "s",
        "TemplatePath": "In::t",
        "RoleArn": "arn:aws:iam::1:role/r",
        **given,
    }
    declared = action("Deploy/AWS/CloudFormation/1", configuration, inputs=["In"])
    return bench_at(home, declared, [a_tree(home, "In", {"t": b"{}"})])


async def act(stacks: Stacks, bench: Bench) -> None:
    await CloudFormationAction(stacks.client, pause=0).run(bench)


@pytest.mark.parametrize(
    ("mode", "there", "effect"),
    [
        ("CREATE_UPDATE", [], "CreateStack"),
        ("CREATE_UPDATE", ["CREATE_COMPLETE"], "UpdateStack"),
        ("REPLACE_ON_FAILURE", ["UPDATE_ROLLBACK_COMPLETE"], "UpdateStack"),
        ("CHANGE_SET_EXECUTE", ["REVIEW_IN_PROGRESS"], "ExecuteChangeSet"),
    ],
)
async def test_what_a_dead_process_began_is_only_waited_for(
    stacks: Stacks, tmp_path: Path, mode: str, there: list[str], effect: str
) -> None:
    stacks.there = there
    stacks.change_set = {"Status": "CREATE_COMPLETE", "StackId": f"{ARN}0"}
    bench = a_bench(tmp_path, mode, ChangeSetName="c")
    await act(stacks, bench)
    forget(tmp_path, "execute" if effect == "ExecuteChangeSet" else "deploy")
    stacks.there = list(stacks.course)
    await act(stacks, bench.again())

    assert stacks.effects == [effect]
    assert bench.told[-1] == Told(external_id=ARN + str(stacks.number))


@pytest.mark.parametrize("step", ["delete failed stack", "deploy"])
async def test_a_failed_stack_is_replaced_once(stacks: Stacks, tmp_path: Path, step: str) -> None:
    stacks.there = ["ROLLBACK_COMPLETE"]
    bench = a_bench(tmp_path, "REPLACE_ON_FAILURE")
    await act(stacks, bench)
    forget(tmp_path, step)
    await act(stacks, bench.again())

    assert stacks.effects == ["DeleteStack", "CreateStack"]


async def test_the_first_resource_that_failed_is_told_of(stacks: Stacks, tmp_path: Path) -> None:
    stacks.course = ["CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE"]
    stacks.happen("Old", "CREATE_FAILED", "of another time", minutes=-60)
    stacks.happen("Other", "CREATE_FAILED", "Resource creation cancelled", minutes=1)
    stacks.happen("Topic", "CREATE_FAILED", "The name is taken", minutes=2)
    stacks.happen("Late", "CREATE_FAILED", "because of it", minutes=3)

    with pytest.raises(
        ActionFailed, match=r"ROLLBACK_COMPLETE\. Topic \(AWS::SNS::Topic\): The name is taken"
    ) as failed:
        await act(stacks, a_bench(tmp_path))
    assert (failed.value.code, failed.value.summary) == (
        ErrorCode.JOB_FAILED, "The stack s is in status ROLLBACK_COMPLETE",
    )  # fmt: skip


async def test_a_failed_stack_is_neither_updated_nor_deleted(stacks: Stacks, tmp_path: Path) -> None:
    stacks.there = ["CREATE_FAILED"]

    with pytest.raises(ActionFailed, match="is in status CREATE_FAILED and cannot be updated"):
        await act(stacks, a_bench(tmp_path))
    assert stacks.effects == []


async def test_a_stack_that_cannot_be_deleted_fails_it(stacks: Stacks, tmp_path: Path) -> None:
    stacks.there = ["DELETE_IN_PROGRESS", "DELETE_FAILED"]

    with pytest.raises(ActionFailed, match="DELETE_FAILED"):
        await act(stacks, a_bench(tmp_path, "DELETE_ONLY"))


async def test_a_change_set_that_failed_says_why(stacks: Stacks, tmp_path: Path) -> None:
    stacks.there = ["CREATE_COMPLETE"]
    stacks.change_set = {"Status": "FAILED", "StatusReason": "Parameter X is unknown", "StackId": f"{ARN}0"}

    with pytest.raises(ActionFailed, match="could not be created: Parameter X is unknown"):
        await act(stacks, a_bench(tmp_path, "CHANGE_SET_EXECUTE", ChangeSetName="c"))
