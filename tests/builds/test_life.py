"""What becomes of a stored build."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.builds import life
from codeyard.builds.model import Context, Outcome, Phase, Status
from codeyard.builds.phases import finish_phase
from codeyard.builds.stored import StoredBuild
from tests.builds.projects import NOW, OWNER, project

LATER = NOW + timedelta(minutes=1)
LOST = Context(life.WORKER_LOST, "it is gone")


def a_build(phases: int = 0, status: Status = Status.SUCCEEDED, **given: Any) -> StoredBuild:
    """A build that a worker has, of which so many phases after SUBMITTED ended, the last of them so."""
    stored = life.claimed(life.started(OWNER, project(**given), (), "root", 1, NOW), "one", NOW)
    build = stored.build
    for left in range(phases, 0, -1):
        build = finish_phase(build, Outcome(status if left == 1 else Status.SUCCEEDED), LATER)
    return replace(stored, build=build)


def ended(status: Status, **given: Any) -> StoredBuild:
    """One that ended so, in BUILD."""
    stored = a_build(6, status, autoRetryLimit=2, **given)
    build = stored.build
    while build.phase is not Phase.COMPLETED:
        build = finish_phase(build, Outcome(Status.SUCCEEDED), LATER)
    return replace(stored, build=build)


def test_no_build_is_claimed_before_it_was_submitted() -> None:
    submitted = life.started(OWNER, project(), (), "root", 1, NOW)

    assert life.claimed(submitted, "one", NOW - timedelta(milliseconds=5)).claimed == NOW
    assert life.claimed(submitted, "one", LATER).claimed == LATER


@given(st.integers(0, 8))
def test_a_fault_ends_a_build_wherever_it_is_with_the_reason(phases: int) -> None:
    build = life.faulted(a_build(phases).build, LOST, LATER)

    assert (build.phase, build.ended, build.status) == (Phase.COMPLETED, LATER, Status.FAULT)
    assert any(LOST in record.contexts for record in build.history)


@given(st.text(max_size=30))
def test_a_priority_is_a_number_within_a_thousand_whatever_the_tag_says(text: str) -> None:
    tagged = project(tags=[{"key": life.PRIORITY_TAG, "value": "7"}])
    changed = replace(tagged, tags=(replace(tagged.tags[0], value=text),))

    assert life.priority_of(tagged) == 7
    assert -1000 <= life.priority_of(changed) <= 1000


@pytest.mark.parametrize(
    ("status", "again"),
    [(Status.FAILED, True), (Status.TIMED_OUT, True), (Status.SUCCEEDED, False), (Status.STOPPED, False)],
)
def test_builds_that_failed_are_tried_again(status: Status, again: bool) -> None:
    """https://docs.aws.amazon.com/codebuild/latest/userguide/auto-retry-build.html"""
    assert life.tried_again(ended(status)) is again


def test_a_build_that_somebody_stopped_is_not_tried_again_however_it_ended() -> None:
    """https://docs.aws.amazon.com/codebuild/latest/userguide/stop-build.html"""
    assert not life.tried_again(replace(ended(Status.FAILED), stopping=NOW))


def test_a_build_that_ended_is_not_stopped() -> None:
    """https://docs.aws.amazon.com/codebuild/latest/userguide/stop-build.html"""
    stored = ended(Status.SUCCEEDED)

    assert life.stopped(stored, LATER) is stored


def test_a_build_waits_in_the_queue_no_longer_than_its_project_says() -> None:
    """queuedTimeoutInMinutes: https://docs.aws.amazon.com/codebuild/latest/APIReference/API_CreateProject.html"""
    waiting = life.started(OWNER, project(queuedTimeoutInMinutes=5), (), "root", 1, NOW)

    assert life.timed_out_in_queue(waiting, NOW + timedelta(minutes=5, seconds=-1)) is waiting
    over = life.timed_out_in_queue(waiting, NOW + timedelta(minutes=5))
    assert over.build.status is Status.TIMED_OUT
    assert not life.tried_again(replace(over, retries=replace(over.retries, limit=1)))
