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

Notify = Callable[[Work, str, str, str], Awaitable[None]]  # of a topic's ARN or a URL, a subject, and a body


class ApprovalAction:
    """`notify` publishes to an SNS topic or posts to a URL; `page` is where people look at a pipeline."""

    def __init__(self, notify: Notify, page: Callable[[Work], str]) -> None:
        self._notify, self._page = notify, page

    async def run(self, work: Work) -> Outcome:
        token = (await work.step("token", _mint))["token"]
        await work.tell(Told(token=token))
        where = work.declared.configuration.get("NotificationArn")
        if where:
            await work.step("notify", lambda: self._tell(work, where, token))
        await asyncio.Event().wait()  # until the runner ends us
        raise AssertionError

    async def _tell(self, work: Work, where: str, token: str) -> Answer:
        place = work.place
        subject = f"APPROVAL NEEDED: AWS CodePipeline {place.pipeline} for action {place.action}"
        try:
            await self._notify(work, where, subject[:100], json.dumps(self._message(work, token)))
        except CodeyardError as error:
            text = f"The message to {where} could not be sent: {error}"
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
