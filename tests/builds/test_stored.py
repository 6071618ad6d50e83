"""A build as it is stored, and what becomes of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.artifacts import Digest
from codeyard.builds import life
from codeyard.builds.handed import Handed, HandedSource
from codeyard.builds.model import Context, Outcome, Phase, Status, Variable, VariableType
from codeyard.builds.phases import finish_phase
from codeyard.builds.queue import Size
from codeyard.builds.stored import Standing, StoredBuild, parse, progress_json, request_json
from codeyard.errors import Conflict
from codeyard.events import Event, PhaseEnded, PhaseStarted
from tests.builds.projects import LATER, NOW, OWNER, project

OUTCOMES = st.sampled_from([Outcome(status) for status in Status if status is not Status.IN_PROGRESS])


def a_build(**given: Any) -> StoredBuild:
    """One that waits, of a project with these members."""
    return life.started(OWNER, project(**given), (Variable("A", "1", VariableType.PLAINTEXT),), "root", 1, NOW)


def read_back(stored: StoredBuild) -> StoredBuild:
    return parse(
        request_json(stored),
        progress_json(stored),
        id=stored.id,
        owner=stored.owner,
        number=stored.number,
        need=stored.need,
        queue_until=stored.queue_until,
        priority=stored.priority,
        limit=stored.limit,
        worker=stored.worker,
        version=stored.version,
    )


@given(st.lists(OUTCOMES, min_size=1, max_size=12), st.booleans())
def test_what_is_stored_is_read_back_the_same(outcomes: list[Outcome], asked: bool) -> None:
    stored = life.claimed(a_build(autoRetryLimit=2), "one", NOW)
    build = stored.build
    for number, outcome in enumerate(outcomes):
        if build.phase is not Phase.COMPLETED:
            build = finish_phase(build, outcome, NOW + timedelta(seconds=number))
    stored = life.finished(life.stopped(stored, LATER) if asked else stored, build, {"exported": {"A": "ü"}})

    assert read_back(stored) == stored


@given(st.lists(OUTCOMES, min_size=11, max_size=11), st.integers(0, 60))
def test_events_tell_a_build_as_it_is_even_if_they_are_heard_twice(outcomes: list[Outcome], cut: int) -> None:
    stored = life.claimed(a_build(), "one", NOW)
    build, events = stored.build, list[Event]()
    for outcome in [Outcome(Status.SUCCEEDED), *outcomes]:
        if build.phase is Phase.FINALIZING:
            break
        at = build.phase_started + timedelta(seconds=1)
        events += [
            PhaseStarted(at=build.phase_started, phase=build.phase),
            PhaseEnded(at=at, phase=build.phase, status=outcome.status, code="", message="", seconds=1.0),
        ]
        build = finish_phase(build, outcome, at)
        if build.phase is Phase.COMPLETED:
            return
    events.append(PhaseStarted(at=build.phase_started, phase=build.phase))
    for event in (*events[: cut % (len(events) + 1)], *events):
        stored = life.heard(stored, event)

    assert stored.build == build


def test_a_build_needs_what_its_compute_type_says() -> None:
    environment = {"type": "LINUX_CONTAINER", "image": "busybox", "computeType": "BUILD_GENERAL1_MEDIUM"}

    assert a_build(environment=environment).need == Size(4, 8 << 30)


@pytest.mark.parametrize(("value", "priority"), [("7", 7), ("-3", -3), ("99999", 1000), ("high", 0), ("", 0)])
def test_a_tag_gives_a_priority(value: str, priority: int) -> None:
    assert a_build(tags=[{"key": "codeyard:priority", "value": value}]).priority == priority


def test_a_waiting_build_is_stopped_at_once() -> None:
    stopped = life.stopped(a_build(), LATER)

    assert stopped.standing is Standing.ENDED
    assert stopped.build.status is Status.STOPPED
    assert [(record.phase, record.status) for record in stopped.build.records] == [
        (Phase.SUBMITTED, Status.SUCCEEDED),
        (Phase.QUEUED, Status.STOPPED),
        (Phase.COMPLETED, None),
    ]


def test_a_running_build_is_asked_to_stop_once() -> None:
    running = life.claimed(a_build(), "one", NOW)

    asked = life.stopped(running, NOW)

    assert asked.standing is Standing.RUNNING
    assert life.stopped(asked, LATER) is asked


def test_a_build_times_out_in_the_queue_only() -> None:
    waiting = a_build(queuedTimeoutInMinutes=5)
    late = NOW + timedelta(minutes=5)

    assert life.timed_out_in_queue(waiting, late - timedelta(seconds=1)) is waiting
    assert life.timed_out_in_queue(waiting, late).build.status is Status.TIMED_OUT
    assert life.timed_out_in_queue(life.claimed(waiting, "one", NOW), late).build.status is Status.IN_PROGRESS


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in (Phase.SUBMITTED, Phase.COMPLETED)])
def test_a_lost_build_ends_with_a_fault_and_the_reason_from_every_phase(phase: Phase) -> None:
    running = life.claimed(a_build(), "one", NOW)
    running = replace(running, build=replace(running.build, phase=phase))

    lost = life.lost(running, "it is gone", LATER)

    assert lost.build.status is Status.FAULT
    assert lost.build.phase is Phase.COMPLETED
    assert lost.lost
    assert Context(life.WORKER_LOST, "it is gone") in [
        context for record in lost.build.history for context in record.contexts
    ]


def ended(status: Status, **given: Any) -> StoredBuild:
    stored = life.claimed(a_build(autoRetryLimit=1), "one", NOW)
    return replace(stored, build=replace(stored.build, status=status, phase=Phase.COMPLETED, ended=LATER), **given)


@pytest.mark.parametrize(
    ("build", "again"),
    [
        (ended(Status.FAILED), True),
        (ended(Status.FAULT), True),
        (ended(Status.TIMED_OUT), True),
        (ended(Status.SUCCEEDED), False),
        (ended(Status.STOPPED), False),
        (ended(Status.FAILED, stopping=LATER), False),
        (ended(Status.TIMED_OUT, claimed=None), False),
        (a_build(autoRetryLimit=1), False),
    ],
)
def test_only_failures_are_tried_again_by_themselves(build: StoredBuild, again: bool) -> None:
    assert life.tried_again(build) is again


def test_a_build_that_was_tried_again_is_not_tried_again_once_more() -> None:
    linked, follower = life.linked(ended(Status.FAILED), project(), 2, LATER)

    assert linked.retries.next == follower.id
    assert not life.tried_again(linked)
    assert (follower.retries.number, follower.retries.previous) == (1, linked.id)


def test_a_retry_has_the_settings_of_the_first_and_waits_as_its_project_does_now() -> None:
    was = ended(Status.FAILED)
    now = project(concurrentBuildLimit=3, timeoutInMinutes=99)

    again = life.retried(was, now, "me", 2, LATER)

    assert again.project == was.project
    assert again.variables == was.variables
    assert (again.limit, again.initiator, again.number) == (3, "me", 2)


def test_a_build_in_progress_is_not_retried() -> None:
    with pytest.raises(Conflict):
        life.retried(a_build(), project(), "me", 2, LATER)


@given(st.booleans(), st.integers(0, 3))
def test_what_was_handed_over_is_stored_too(there: bool, number: int) -> None:
    tree = Digest("a" * 64)
    handed = Handed("p", HandedSource("v", tree=tree), (HandedSource("w", "lib", tree),), ("o",))
    stored = replace(a_build(), number=number, handed=handed if there else None)

    assert read_back(stored) == replace(stored, number=number)
    assert stored.acts_for.split(":")[2] == ("codepipeline" if there and number == 0 else "codebuild")
