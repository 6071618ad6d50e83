"""What becomes of deployments: AWS's states, stops, losses and rollbacks, and that each of them ends."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.artifacts import Digest
from codeyard.deploys import EventStatus, progress
from codeyard.deploys.model import (
    ROLLBACK,
    Code,
    Deployment,
    RollbackEvent,
    Status,
    Target,
    TargetStatus,
)
from codeyard.deploys.waves import PREDEFINED, Minimum, Revision, Rule
from tests.deploys.deployments import NOW, OWNER, begun, deployment, event, event_statuses, later, statuses, targets

ALL = PREDEFINED["CodeDeployDefault.AllAtOnce"]
BOTH = frozenset({RollbackEvent.FAILURE, RollbackEvent.REQUEST})


def test_one_target_after_another_until_all_have_succeeded() -> None:
    first = begun(2)
    second = progress.ended(first, "t0", True, "", later(1))
    third = progress.ended(second, "t1", True, "", later(2))

    assert [statuses(each) for each in (first, second, third)] == [
        ["InProgress", "Pending"],
        ["Succeeded", "InProgress"],
        ["Succeeded", "Succeeded"],
    ]
    assert (third.status, third.completed, third.error) == (Status.SUCCEEDED, later(2), None)


def test_a_failure_leaves_out_the_targets_that_wait() -> None:
    found = progress.ended(begun(3), "t0", False, "no", NOW)

    assert (found.status, statuses(found)) == (Status.FAILED, ["Failed", "Skipped", "Skipped"])
    assert found.error is not None
    assert found.error.code is Code.HEALTH_CONSTRAINTS
    assert event_statuses(found.target("t1")) == ["Skipped"] * 6


@pytest.mark.parametrize(
    ("count", "minimum", "code"),
    [
        (0, ALL, Code.NO_INSTANCES),
        (2, Minimum(Rule.HOST_COUNT, 2), Code.HEALTH_CONSTRAINTS_INVALID),
        (1001, ALL, Code.OVER_MAX_INSTANCES),
    ],
)
def test_what_cannot_begin_has_failed(count: int, minimum: Minimum, code: Code) -> None:
    found = progress.begun(deployment(minimum=minimum), targets(count), NOW)

    assert found.status is Status.FAILED
    assert found.error is not None
    assert (found.error.code, found.completed, found.touched) == (code, NOW, False)


def test_a_second_report_of_an_event_changes_nothing_and_an_end_is_final() -> None:
    target = begun(1).targets[0]
    running = progress.reported(target, event("Verify", EventStatus.IN_PROGRESS), later(1))
    over = progress.reported(running, event("Verify"), later(2))

    again = progress.reported(over, event("Verify", EventStatus.IN_PROGRESS), later(3))

    assert running.event_began == later(1)
    assert again == over
    assert event_statuses(over) == ["Succeeded", *["Pending"] * 5]


def test_a_stop_lets_targets_finish_and_leaves_out_the_rest() -> None:
    asked = progress.stop_asked(begun(3), False, later(1))
    done = progress.ended(asked, "t0", False, "", later(2))

    assert (asked.status, statuses(asked)) == (Status.IN_PROGRESS, ["InProgress", "Skipped", "Skipped"])
    assert (done.status, statuses(done)) == (Status.STOPPED, ["Skipped", "Skipped", "Skipped"])
    assert done.error is not None
    assert done.error.code is Code.MANUAL_STOP


def test_what_waits_is_stopped_at_once() -> None:
    found = progress.stop_asked(replace(deployment(), status=Status.QUEUED), False, NOW)

    assert found.status is Status.STOPPED


def test_a_target_of_which_nothing_is_heard_fails_in_the_event_that_it_was_in() -> None:
    one = begun(1)
    told = progress.reported(one.targets[0], event("Verify"), NOW)
    told = progress.reported(told, event("Place", EventStatus.IN_PROGRESS), NOW)

    found = progress.unheard(replace(one, targets=(told,)), "t0", later(40), "silence")

    assert event_statuses(found.target("t0")) == ["Succeeded", "Failed", *["Skipped"] * 4]
    assert found.error is not None
    assert (found.status, found.error.code) == (Status.FAILED, Code.AGENT_ISSUE)


def test_after_twelve_hours_it_is_over() -> None:
    found = progress.time_over(begun(2), later(12 * 3600))

    assert found.error is not None
    assert (found.status, found.error.code, statuses(found)) == (Status.FAILED, Code.TIMEOUT, ["Failed", "Skipped"])
    assert progress.time_over(begun(2), later(12 * 3600 - 1)).status is Status.IN_PROGRESS


@pytest.mark.parametrize(
    ("on", "creator", "asked", "failed", "stopped"),
    [
        (BOTH, "user", False, True, True),
        (frozenset({RollbackEvent.FAILURE}), "user", False, True, False),
        (frozenset({RollbackEvent.REQUEST}), "user", False, False, True),
        (frozenset(), "user", False, False, False),
        (frozenset(), "user", True, False, True),
        (BOTH, ROLLBACK, True, False, False),
    ],
)
def test_a_rollback_follows_from_what_is_configured(
    on: frozenset[RollbackEvent], creator: str, asked: bool, failed: bool, stopped: bool
) -> None:
    one = begun(1, roll_back_on=on, creator=creator)
    broken = progress.ended(one, "t0", False, "", NOW)
    halted = progress.ended(progress.stop_asked(one, asked, NOW), "t0", False, "", NOW)

    assert (progress.wants_rollback(broken), progress.wants_rollback(halted)) == (failed, stopped)
    assert not progress.wants_rollback(progress.begun(deployment(roll_back_on=BOTH), (), NOW))


def test_a_rollback_is_the_good_revision_on_the_targets_that_can_be_reached() -> None:
    good = deployment(tree=Digest("b" * 64), options={"keep": "3"})
    failed = progress.unheard(begun(3, roll_back_on=BOTH), "t0", later(40), "silence")
    here = {
        each.id: Target(each.id, OWNER, each.name, {}, NOW, later(1 if each.id == "t0" else 50))
        for each in failed.targets
        if each.id != "t2"
    }

    request = progress.rollback_request(failed, good)
    found = progress.rollback_targets(failed, here, {"t1": (True, Revision.CURRENT)})

    assert (request.tree, request.options, request.creator) == (Digest("b" * 64), {"keep": "3"}, ROLLBACK)
    assert [(each.id, each.status) for each in found] == [("t0", TargetStatus.SKIPPED), ("t1", TargetStatus.PENDING)]


facts = st.lists(st.sampled_from(["good", "bad", "lost", "stop", "again"]), min_size=0, max_size=40)


@given(
    st.integers(1, 6), st.booleans(), st.integers(0, 6), facts, st.randoms(use_true_random=False)
)  # fmt: skip
def test_every_deployment_ends_with_all_its_targets_and_events_ended(
    count: int, healthy: bool, least: int, happening: list[str], chance: random.Random
) -> None:
    """Whatever is told in whatever order, and however often; and what has ended changes no more."""
    found: Deployment = begun(count, healthy=healthy, minimum=Minimum(Rule.HOST_COUNT, least))
    for what in [*happening, *["good"] * count]:
        working = [target.id for target in found.targets if target.status is TargetStatus.IN_PROGRESS]
        assert found.ended or working, "nothing would ever move it on"
        any_id = chance.choice([target.id for target in found.targets])
        over = found if found.ended else None
        id = chance.choice(working) if working else any_id
        if what == "stop":
            found = progress.stop_asked(found, False, NOW)
        elif what == "lost":
            found = progress.unheard(found, id, NOW, "silence")
        else:
            found = progress.ended(found, any_id if what == "again" else id, what != "bad", "", NOW)
        assert over is None or found == over

    assert found.ended
    assert found.completed == NOW
    assert all(target.ended for target in found.targets)
    assert {status for target in found.targets for status in event_statuses(target)} <= {
        "Succeeded", "Failed", "Skipped", "Unknown",
    }  # fmt: skip
