"""Manual approval: somebody is asked, and their answer ends the action (User Guide, "Manual approval action").

The answer comes by PutApprovalResult, which ends the run itself; what waits here only asks.
"""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from codeyard.durable import Answer
from codeyard.errors import CodeyardError
from codeyard.pipelines.actions import ActionFailed, ErrorCode, Outcome, Told, Work

Tell = Callable[[Work, str | None, str, str], Awaitable[None]]  # of the topic's ARN, if any, a subject, and a body


class ApprovalAction:
    """`tell` publishes the message; `page` is where people look at a pipeline."""

    def __init__(self, tell: Tell, page: Callable[[Work], str]) -> None:
        self._tell, self._page = tell, page

    async def run(self, work: Work) -> Outcome:
        token = (await work.step("token", _mint))["token"]
        await work.tell(Told(token=token))
        await work.step("message", lambda: self._send(work, token))
        await asyncio.Event().wait()  # until the runner ends us
        raise AssertionError

    async def _send(self, work: Work, token: str) -> Answer:
        place, topic = work.place, work.declared.configuration.get("NotificationArn")
        subject = f"APPROVAL NEEDED: AWS CodePipeline {place.pipeline} for action {place.action}"
        try:
            await self._tell(work, topic, subject[:100], json.dumps(self._message(work, token)))
        except CodeyardError as error:
            text = f"The message about the approval could not be sent: {error}"
            raise ActionFailed(ErrorCode.CONFIGURATION, text) from error
        return {}

    def _message(self, work: Work, token: str) -> Mapping[str, Any]:
        place, page, configuration = work.place, self._page(work), work.declared.configuration
        approval = {
            "pipelineName": place.pipeline,
            "stageName": place.stage,
            "actionName": place.action,
            "token": token,
            "expires": work.deadline.strftime("%Y-%m-%dT%H:%MZ"),
            "externalEntityLink": configuration.get("ExternalEntityLink"),
            "approvalReviewLink": f"{page}/{place.stage}/{place.action}/approve/{token}",
            "customData": configuration.get("CustomData"),
        }
        told = {name: value for name, value in approval.items() if value is not None}
        return {"region": place.owner.region, "consoleLink": page, "approval": told}


async def _mint() -> Answer:
    return {"token": str(uuid.uuid4())}
