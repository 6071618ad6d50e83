"""What each ActionMode of Deploy/AWS/CloudFormation does to a stack (User Guide, "AWS CloudFormation deploy action
reference").

Each effect is in a step, and has the action execution's id as its token. Taken up again after a crash in a step, it is
looked for among the stack's events first: what is there was begun by us, and is only waited for.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from codeyard.durable import Answer
from codeyard.pipelines.actions import ActionFailed, ErrorCode, Told, Work
from codeyard.pipelines.actions.asking import Refused, looked
from codeyard.pipelines.actions.stacks import MESSAGE, Stack, Stacks, is_absent, is_empty

# What CreateStack, UpdateStack and CreateChangeSet are given beside names; made only once it is needed.
Template = Callable[[], Awaitable[Mapping[str, Any]]]
_STACK = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}", re.ASCII)
# What each mode needs beside the names of itself and of the stack.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "CREATE_UPDATE": ("RoleArn", "TemplatePath"),
    "REPLACE_ON_FAILURE": ("RoleArn", "TemplatePath"),
    "DELETE_ONLY": ("RoleArn",),
    "CHANGE_SET_REPLACE": ("ChangeSetName", "RoleArn", "TemplatePath"),
    "CHANGE_SET_EXECUTE": ("ChangeSetName",),
}
_TAKEN = ("AlreadyExistsException", "TokenAlreadyExistsException")


class Modes:
    """The modes, for one action execution. Each gives the stack, or None if there is none afterwards."""

    def __init__(self, work: Work, stacks: Stacks, template: Template, pause: float) -> None:
        self._work, self._stacks, self._template, self._pause = work, stacks, template, pause
        given = work.declared.configuration
        self._name, self._change_set = given.get("StackName", ""), given.get("ChangeSetName", "")
        self._role = given.get("RoleArn") or None

    async def run(self, mode: str) -> Stack | None:
        """ActionFailed: what it was to do failed, or there is no such mode."""
        modes = {
            "CREATE_UPDATE": self._create_update,
            "REPLACE_ON_FAILURE": self._replace_on_failure,
            "DELETE_ONLY": self._delete_only,
            "CHANGE_SET_REPLACE": self._change_set_replace,
            "CHANGE_SET_EXECUTE": self._change_set_execute,
        }
        if mode not in modes:
            raise ActionFailed(ErrorCode.CONFIGURATION, f"ActionMode is none of {', '.join(modes)}")
        # Observed. Without a role CloudFormation would act as we do, and the pipeline's could do all that we can.
        for key in (key for key in _NEEDS[mode] if not self._work.declared.configuration.get(key)):
            text = f"Configuration Property {key} should not be empty in current ActionMode"
            raise ActionFailed(ErrorCode.CONFIGURATION, text)
        for name in (self._name, self._change_set or "none"):
            if _STACK.fullmatch(name) is None:  # an ARN would name another than the role is asked about
                text = f"{name[:200]!r} is no name of a stack or a change set: it has letters, digits and - alone"
                raise ActionFailed(ErrorCode.CONFIGURATION, text)
        return await modes[mode]()

    # ── stacks ──

    async def _create_update(self) -> Stack:
        await self._permit("DescribeStacks", "CreateStack", "UpdateStack")
        await self._pass_role()
        return await self._put()

    async def _replace_on_failure(self) -> Stack:
        await self._permit("DescribeStacks", "CreateStack", "UpdateStack", "DeleteStack")
        await self._pass_role()
        await self._delete("delete failed stack", only_failed=True)
        return await self._put()

    async def _delete_only(self) -> None:
        await self._permit("DescribeStacks", "DeleteStack")
        await self._pass_role()
        await self._delete("delete stack", only_failed=False)

    async def _put(self) -> Stack:
        begun = await self._work.step("deploy", self._begin)
        await self._work.tell(Told(external_id=begun["stack"]))
        if begun["same"]:
            found = await self._stacks.find(begun["stack"])
            if found is not None:
                return found
        return await self._stacks.deployed(begun["stack"])

    async def _begin(self) -> Answer:
        stack = await self._stacks.find(self._name)
        if stack is not None and await self._stacks.began(stack.id):
            return {"stack": stack.id, "same": False}
        if stack is not None and stack.failed:
            text = f"The stack {self._name} is in status {stack.status} and cannot be updated"
            raise ActionFailed(ErrorCode.JOB_FAILED, f"{text}. {stack.reason}".rstrip(". "), text)
        given = {**await self._template(), **self._roles(), "ClientRequestToken": self._work.run}
        if stack is None:
            answer = await self._stacks.service.ask("create_stack", StackName=self._name, **given)
            return {"stack": str(answer["StackId"]), "same": False}
        try:
            await self._stacks.service.ask("update_stack", StackName=self._name, **given)
        except Refused as refused:
            if is_empty(refused.said):
                return {"stack": stack.id, "same": True}
            if refused.reason not in _TAKEN:
                raise
        return {"stack": stack.id, "same": False}

    async def _delete(self, step: str, *, only_failed: bool) -> None:
        """Nothing, once there is no such stack; or none that is in a failed state, if those alone are wanted gone."""

        async def begin() -> Answer:
            stack = await self._stacks.find(self._name)
            going = stack is not None and stack.status == "DELETE_IN_PROGRESS"
            if stack is None or (only_failed and not stack.failed and not going):
                return {"stack": None}
            if not going:
                token = f"{self._work.run}-delete"  # of another request than the creation that may follow
                given = {**self._roles(), "ClientRequestToken": token}
                await self._stacks.service.ask("delete_stack", StackName=stack.id, **given)
            return {"stack": stack.id}

        begun = await self._work.step(step, begin)
        if begun["stack"] is not None:
            await self._work.tell(Told(external_id=begun["stack"]))
            await self._stacks.deleted(begun["stack"])

    # ── change sets ──

    async def _change_set_replace(self) -> Stack | None:
        await self._permit("DescribeStacks", "DescribeChangeSet", "DeleteChangeSet", "CreateChangeSet")
        await self._pass_role()
        await self._work.step("clear", self._clear)
        made = (await self._work.step("create change set", self._create_change_set))["id"]
        await self._work.tell(Told(external_id=made))

        async def look() -> Mapping[str, Any] | None:
            found = await self._describe(made)
            if found is None:
                text = f"The change set {self._change_set} was deleted while it was created"
                raise ActionFailed(ErrorCode.JOB_FAILED, text)
            return None if found["Status"] in ("CREATE_PENDING", "CREATE_IN_PROGRESS") else found

        _must_be_usable(self._change_set, await looked(look, self._pause))
        return await self._stacks.find(self._name)

    async def _clear(self) -> Answer:
        """There is no change set of the name any more."""
        if await self._describe() is not None:
            names = {"ChangeSetName": self._change_set, "StackName": self._name}
            await self._stacks.service.ask("delete_change_set", **names)

        async def look() -> bool | None:
            found = await self._describe()
            if found is not None and found["Status"] == "DELETE_FAILED":
                text = f"The change set {self._change_set} could not be deleted: {found.get('StatusReason', '')}"
                raise ActionFailed(ErrorCode.JOB_FAILED, text[:MESSAGE])
            return True if found is None else None

        await looked(look, self._pause)
        return {}

    async def _create_change_set(self) -> Answer:
        description = f"Action execution {self._work.run} of the pipeline {self._work.place.pipeline}"
        found = await self._describe()
        if found is not None and found.get("Description") == description:
            return {"id": found["ChangeSetId"]}
        stack = await self._stacks.find(self._name)
        new = stack is None or stack.status == "REVIEW_IN_PROGRESS"
        answer = await self._stacks.service.ask(
            "create_change_set",
            StackName=self._name,
            ChangeSetName=self._change_set,
            ChangeSetType="CREATE" if new else "UPDATE",
            Description=description,
            ClientToken=self._work.run,
            **{name: value for name, value in (await self._template()).items() if name != "StackPolicyBody"},
            **self._roles(),
        )
        return {"id": str(answer["Id"])}

    async def _change_set_execute(self) -> Stack | None:
        await self._permit("DescribeStacks", "DescribeChangeSet", "ExecuteChangeSet")
        begun = await self._work.step("execute", self._execute)
        if begun["stack"] is None:
            return await self._stacks.find(self._name)
        await self._work.tell(Told(external_id=begun["stack"]))
        return await self._stacks.deployed(begun["stack"])

    async def _execute(self) -> Answer:
        stack = await self._stacks.find(self._name)
        if stack is not None and await self._stacks.began(stack.id):
            return {"stack": stack.id}
        found = await self._describe()
        if found is None or stack is None:
            text = f"The change set {self._change_set} of the stack {self._name} does not exist"
            raise ActionFailed(ErrorCode.CONFIGURATION, text)
        if _must_be_usable(self._change_set, found):
            return {"stack": None}
        names = {"ChangeSetName": self._change_set, "StackName": self._name}
        try:
            await self._stacks.service.ask("execute_change_set", ClientRequestToken=self._work.run, **names)
        except Refused as refused:
            if refused.reason not in _TAKEN:
                raise
        return {"stack": str(found.get("StackId") or stack.id)}

    async def _describe(self, id: str | None = None) -> Mapping[str, Any] | None:
        """The change set. Its own stack's name is left out where an id names it."""
        given = {"ChangeSetName": id} if id else {"ChangeSetName": self._change_set, "StackName": self._name}
        try:
            return await self._stacks.service.ask("describe_change_set", **given)
        except Refused as refused:
            if is_absent(refused):
                return None
            raise

    # ── rights ──

    async def _permit(self, *operations: str) -> None:
        for each in operations:
            await self._work.permit(f"cloudformation:{each}", self._stacks.service.arn(f"stack/{self._name}/*"))

    async def _pass_role(self) -> None:
        assert self._role is not None, "the modes that hand it on need it"
        await self._work.permit("iam:PassRole", self._role)

    def _roles(self) -> dict[str, str]:
        return {} if self._role is None else {"RoleARN": self._role}


def _must_be_usable(name: str, found: Mapping[str, Any]) -> bool:
    """Whether the change set is empty, which is no failure. ActionFailed: it could not be created."""
    reason = str(found.get("StatusReason") or "")
    if found["Status"] != "FAILED":
        return False
    if is_empty(reason):
        return True
    text = f"The change set {name} could not be created"
    raise ActionFailed(ErrorCode.JOB_FAILED, f"{text}: {reason}"[:MESSAGE], text)
