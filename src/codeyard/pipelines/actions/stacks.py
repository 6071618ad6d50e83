"""CloudFormation's stacks and change sets as an action sees them: what is there, what was begun by us, how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from codeyard.pipelines.actions import ActionFailed, ErrorCode, Work
from codeyard.pipelines.actions.asking import Refused, Service, looked

_SKEW = timedelta(minutes=10)  # that our clock may be ahead of CloudFormation's
_PAGES = 30  # of events, 100 each, that are looked through
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
_FOLLOWED = "cancelled"  # as in "Resource creation cancelled": what failed because something else had
MESSAGE = 5000  # characters that an action's error can have


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that is there, or was."""

    id: str
    name: str
    status: str
    reason: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    @property
    def good(self) -> bool:
        """After a creation or an update that ended."""
        return self.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")

    @property
    def failed(self) -> bool:
        """It cannot be updated, only deleted (CloudFormation guide, "Continuous delivery", REPLACE_ON_FAILURE)."""
        return self.status in (
            "CREATE_FAILED", "DELETE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "UPDATE_ROLLBACK_FAILED",
        )  # fmt: skip


class Stacks:
    """Those of an account in a region, for one action execution, whose id is the token of all that it begins."""

    def __init__(self, service: Service, work: Work, pause: float) -> None:
        self.service, self._run, self._began, self._pause = service, work.run, work.began, pause

    async def find(self, name: str) -> Stack | None:
        """The stack of this name, or of this id, also if it is deleted."""
        try:
            answer = await self.service.ask("describe_stacks", StackName=name)
        except Refused as refused:
            if is_absent(refused):
                return None
            raise
        found = next(iter(answer.get("Stacks", ())), None)
        return None if found is None else _stack(found)

    async def ended(self, id: str) -> Stack | None:
        """The stack of this id once nothing is done to it any more; None: it is gone without a trace."""

        async def look() -> tuple[Stack | None] | None:
            found = await self.find(id)
            return None if found is not None and found.busy else (found,)

        return (await looked(look, self._pause))[0]

    async def deployed(self, id: str) -> Stack:
        """The stack once its creation or update has ended well. ActionFailed says which resource failed first."""
        stack = await self.ended(id)
        if stack is not None and stack.good:
            return stack
        status = "DELETE_COMPLETE" if stack is None else stack.status
        raise await self.failure(id, status, stack.reason if stack is not None else "")

    async def deleted(self, id: str) -> None:
        """Nothing, once the stack is gone. ActionFailed: it could not be deleted."""
        stack = await self.ended(id)
        if stack is not None and stack.status != "DELETE_COMPLETE":
            raise await self.failure(id, stack.status, stack.reason)

    async def began(self, name: str) -> bool:
        """Whether this action execution began something on the stack already: a process before this one did."""
        return any(event.get("ClientRequestToken") == self._run for event in await self._events(name))

    async def failure(self, id: str, status: str, reason: str) -> ActionFailed:
        """With the first resource that failed, for the others failed because of it."""
        name = id.split("/")[1] if "/" in id else id
        text = f"The stack {name} is in status {status}"
        failed = [event for event in await self._events(id) if _tells(event, name)]
        first = failed[-1] if failed else None  # events come newest first
        if first is not None:
            resource = f"{first.get('LogicalResourceId')} ({first.get('ResourceType')})"
            return ActionFailed(
                ErrorCode.JOB_FAILED, f"{text}. {resource}: {first.get('ResourceStatusReason')}"[:MESSAGE], text
            )
        return ActionFailed(ErrorCode.JOB_FAILED, (f"{text}. {reason}" if reason else text)[:MESSAGE], text)

    async def _events(self, name: str) -> list[Mapping[str, Any]]:
        """Since this action execution began, newest first. None, if they may not be seen: they only explain."""
        since = self._began - _SKEW
        found: list[Mapping[str, Any]] = []
        more: dict[str, str] = {}
        for _ in range(_PAGES):
            try:
                page = await self.service.ask("describe_stack_events", StackName=name, **more)
            except Refused:
                return found
            for event in page.get("StackEvents", ()):
                if _time(event) < since:
                    return found
                found.append(event)
            if not page.get("NextToken"):
                return found
            more = {"NextToken": page["NextToken"]}
        return found


def is_absent(refused: Refused) -> bool:
    """Whether this says that the stack, or the change set, does not exist."""
    if refused.reason in ("ChangeSetNotFound", "ChangeSetNotFoundException"):
        return True
    return refused.reason == "ValidationError" and "does not exist" in refused.said


def is_empty(text: str) -> bool:
    """Whether the reason of a refusal, or of a failed change set, is that nothing would change."""
    return any(part in text for part in _NO_CHANGES)


def _stack(found: Mapping[str, Any]) -> Stack:
    outputs = {str(each["OutputKey"]): str(each.get("OutputValue", "")) for each in found.get("Outputs", ())}
    reason = str(found.get("StackStatusReason", ""))
    return Stack(str(found["StackId"]), str(found["StackName"]), str(found["StackStatus"]), reason, outputs)


def _tells(event: Mapping[str, Any], stack: str) -> bool:
    """Whether it is of a resource that failed by itself."""
    reason = str(event.get("ResourceStatusReason") or "")
    itself = event.get("LogicalResourceId") == stack and event.get("ResourceType") == "AWS::CloudFormation::Stack"
    failed = str(event.get("ResourceStatus", "")).endswith("_FAILED")
    return failed and bool(reason) and not itself and _FOLLOWED not in reason


def _time(event: Mapping[str, Any]) -> datetime:
    time = event.get("Timestamp")
    return time if isinstance(time, datetime) else datetime.max.replace(tzinfo=UTC)
