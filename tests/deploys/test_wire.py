"""Deployments as clients see them; most of it is in test_api, by boto3."""

from dataclasses import replace

from codeyard.deploys import ErrorCode, EventStatus, progress
from codeyard.deploys.wire import target_to_wire
from tests.deploys.deployments import NOW, begun, event, later


def test_only_the_event_that_failed_tells_why_a_machine_was_given_up() -> None:
    was = begun(1)
    target = progress.reported(was.targets[0], event("Verify", error_code=ErrorCode.SUCCESS), NOW)
    target = progress.reported(target, event("Place", EventStatus.IN_PROGRESS), NOW)
    gone = progress.unheard(replace(was, targets=(target,)), target.id, later(30), "Nothing was heard.")

    shown = target_to_wire(gone, gone.targets[0])["instanceTarget"]["lifecycleEvents"]

    assert [each["status"] for each in shown[:3]] == ["Succeeded", "Failed", "Skipped"]
    assert [each["diagnostics"]["message"] for each in shown[:2]] == ["", "Nothing was heard."]
