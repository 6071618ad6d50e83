"""Somebody is asked, once."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from codeyard.errors import Fault
from codeyard.pipelines.actions import ActionFailed, Told, Work
from codeyard.pipelines.actions.approval import ApprovalAction
from tests.pipelines.works import Bench, action, bench_at

TOPIC = "arn:aws:sns:us-east-1:111122223333:reviews"


class Messages:
    """What was sent."""

    def __init__(self, fails: bool = False) -> None:
        self.sent: list[tuple[str | None, str, Any]] = []
        self.fails = fails

    async def __call__(self, work: Work, topic: str | None, subject: str, body: str) -> None:
        if self.fails:
            raise Fault("the topic", "it is not there.", "Make it.")
        self.sent.append((topic, subject, json.loads(body)))


async def asked(bench: Bench, tell: Messages) -> None:
    """Until it waits for an answer."""
    task = asyncio.create_task(ApprovalAction(tell, lambda _: "https://yard/p").run(bench))
    while not tell.sent and not task.done():
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    if not task.cancelled():
        task.result()


async def test_the_message_has_what_a_reviewer_needs(tmp_path: Path) -> None:
    configuration = {"NotificationArn": TOPIC, "CustomData": "look", "ExternalEntityLink": "https://example.com"}
    bench, tell = bench_at(tmp_path, action("Approval/AWS/Manual/1", configuration)), Messages()

    await asked(bench, tell)

    [(topic, subject, body)] = tell.sent
    assert topic == TOPIC
    assert subject == "APPROVAL NEEDED: AWS CodePipeline Pipeline for action Act"
    told = body["approval"]
    assert bench.told == [Told(token=told["token"])]
    assert told["approvalReviewLink"].endswith(told["token"])
    assert (told["customData"], told["externalEntityLink"]) == ("look", "https://example.com")
    assert told["expires"] == "2026-03-01T13:00Z"


async def test_after_a_crash_the_token_is_the_same_and_nothing_is_sent_again(tmp_path: Path) -> None:
    bench, tell = bench_at(tmp_path, action("Approval/AWS/Manual/1")), Messages()
    await asked(bench, tell)

    again = bench.again()
    task = asyncio.create_task(ApprovalAction(tell, lambda _: "page").run(again))
    await asyncio.sleep(0.05)
    task.cancel()

    assert len(tell.sent) == 1
    assert {told.token for told in again.told} == {tell.sent[0][2]["approval"]["token"]}


async def test_a_message_that_cannot_be_sent_fails_the_action(tmp_path: Path) -> None:
    bench = bench_at(tmp_path, action("Approval/AWS/Manual/1", {"NotificationArn": TOPIC}))

    with pytest.raises(ActionFailed, match="could not be sent"):
        await asked(bench, Messages(fails=True))
