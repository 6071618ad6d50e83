"""What may follow what: the table of reference 2.3, and what must hold of every life."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.builds.buildspec import FailureAction
from codeyard.builds.model import SUCCEEDED, Build, Context, Outcome, Phase, Status
from codeyard.builds.phases import finish_phase, submit, timed_out
from codeyard.errors import Conflict
from codeyard.ident import BuildId

START = datetime(2026, 1, 1, tzinfo=UTC)
ID = BuildId.parse("project:00000000-0000-0000-0000-000000000000")
FAILED = Outcome(Status.FAILED, Context("CODE", "message"))
OUTCOMES = st.sampled_from(
    [SUCCEEDED, FAILED, timed_out(), Outcome(Status.STOPPED), Outcome(Status.FAULT, Context("SERVER_ERROR", "x"))]
)
ON_FAILURE = st.sampled_from([None, *FailureAction])
LIVES = st.lists(st.tuples(OUTCOMES, ON_FAILURE), min_size=10, max_size=10)


def live(outcomes: list[tuple[Outcome, FailureAction | None]]) -> Build:
    """The build once it has completed, whose phases ended so, one after another, a second each."""
    build, left = submit(ID, START), list(outcomes)
    while build.phase is not Phase.COMPLETED:
        outcome, on_failure = left.pop(0)
        build = finish_phase(build, outcome, build.phase_started + timedelta(seconds=1), on_failure=on_failure)
    return build


def life_with(failing: Phase, outcome: Outcome = FAILED, on_failure: FailureAction | None = None) -> Build:
    """Every phase succeeds but one."""
    order = [phase for phase in Phase if phase is not Phase.SUBMITTED]
    return live([(outcome if phase is failing else SUCCEEDED, on_failure) for phase in order])


@given(LIVES)
def test_every_life_completes_finalized_and_bears_its_first_failure(
    outcomes: list[tuple[Outcome, FailureAction | None]],
) -> None:
    build = live(outcomes)
    names = [record.phase for record in build.history]
    bad = [record.status for record in build.history if record.status is not Status.SUCCEEDED]

    assert build.status == (bad[0] if bad else Status.SUCCEEDED)
    assert (Phase.FINALIZING in names) == (Phase.PROVISIONING in names)
    assert names == sorted(set(names), key=list(Phase).index)
    assert build.ended == build.phase_started == build.history[-1].ended


@given(LIVES)
def test_phases_follow_each_other_without_a_gap(outcomes: list[tuple[Outcome, FailureAction | None]]) -> None:
    build = live(outcomes)

    assert all(one.ended == other.started for one, other in pairwise(build.history))
    assert build.records[-1].phase is Phase.COMPLETED
    assert (build.records[-1].ended, build.records[-1].status, build.records[-1].contexts) == (None, None, ())


@given(LIVES)
def test_contexts_are_one_from_provisioning_on(outcomes: list[tuple[Outcome, FailureAction | None]]) -> None:
    """Reference 2.2: a list of one even on success; none for SUBMITTED and QUEUED."""
    counts = {record.phase: len(record.contexts) for record in live(outcomes).history}

    assert {counts.pop(Phase.SUBMITTED), counts.pop(Phase.QUEUED)} == {0}
    assert set(counts.values()) <= {1}


@given(LIVES)
def test_a_stop_a_timeout_or_a_fault_runs_no_more_commands(
    outcomes: list[tuple[Outcome, FailureAction | None]],
) -> None:
    """Reference 2.3, 2.6, 2.7: whatever on-failure says."""
    history = live(outcomes).history
    after = [other.phase for one, other in pairwise(history)
             if one.status in {Status.STOPPED, Status.TIMED_OUT, Status.FAULT}]  # fmt: skip

    assert set(after) <= {Phase.FINALIZING}


@pytest.mark.parametrize(
    ("failing", "following"),
    [
        (Phase.QUEUED, []),
        (Phase.PROVISIONING, [Phase.FINALIZING]),
        (Phase.DOWNLOAD_SOURCE, [Phase.FINALIZING]),
        (Phase.INSTALL, [Phase.FINALIZING]),
        (Phase.PRE_BUILD, [Phase.FINALIZING]),
        (Phase.BUILD, [Phase.POST_BUILD, Phase.UPLOAD_ARTIFACTS, Phase.FINALIZING]),
        (Phase.POST_BUILD, [Phase.UPLOAD_ARTIFACTS, Phase.FINALIZING]),
        (Phase.UPLOAD_ARTIFACTS, [Phase.FINALIZING]),
        (Phase.FINALIZING, []),
    ],
)
def test_the_table_of_what_a_failure_skips(failing: Phase, following: list[Phase]) -> None:
    names = [record.phase for record in life_with(failing).history]

    assert names[names.index(failing) + 1 :] == following


@pytest.mark.parametrize("failing", [Phase.INSTALL, Phase.PRE_BUILD, Phase.BUILD, Phase.POST_BUILD])
def test_abort_ends_and_continue_goes_on(failing: Phase) -> None:
    aborted = [record.phase for record in life_with(failing, on_failure=FailureAction.ABORT).history]
    continued = life_with(failing, on_failure=FailureAction.CONTINUE)

    assert aborted[-2:] == [failing, Phase.FINALIZING]
    assert [record.phase for record in continued.history] == list(Phase)[:-1]
    assert continued.status is Status.FAILED


@pytest.mark.parametrize("status", [Status.STOPPED, Status.TIMED_OUT, Status.FAULT])
def test_continue_is_for_what_failed_only(status: Status) -> None:
    build = life_with(Phase.BUILD, Outcome(status), on_failure=FailureAction.CONTINUE)

    assert [record.phase for record in build.history][-2:] == [Phase.BUILD, Phase.FINALIZING]


def test_a_completed_build_goes_nowhere() -> None:
    with pytest.raises(Conflict):
        finish_phase(life_with(Phase.BUILD), SUCCEEDED, START)


def test_what_start_build_answers() -> None:
    build = submit(ID, START)

    assert (build.phase, build.status, [record.phase for record in build.records]) == (
        Phase.QUEUED,
        Status.IN_PROGRESS,
        [Phase.SUBMITTED, Phase.QUEUED],
    )


def test_the_time_s_message_ends_with_aws_s_space() -> None:
    assert timed_out().context == Context("BUILD_TIMED_OUT", "Build has timed out. ")


@given(st.floats(0, 100_000, allow_nan=False))
def test_seconds_are_cut_and_not_rounded(seconds: float) -> None:
    build = finish_phase(submit(ID, START), SUCCEEDED, START + timedelta(seconds=seconds))

    assert build.history[-1].seconds == int(timedelta(seconds=seconds).total_seconds())
