"""The life of a job, whoever polls, acknowledges and answers in whatever order."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from codeyard.aws import Refused
from codeyard.pipelines import jobs
from codeyard.pipelines.jobs import OFFERED_AGAIN, OPEN, Doer, Job, Status
from codeyard.pipelines.model import ActionType

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIFE = timedelta(minutes=10)
SECONDS = st.integers(0, 200).map(lambda seconds: timedelta(seconds=seconds))


def job(doer: Doer = Doer.WORKER) -> Job:
    return jobs.made(Job("j", "r", 0, doer, ActionType("Build", "Custom", "B"), NOON, NOON + LIFE))


class Life(RuleBasedStateMachine):
    """Workers that poll, that acknowledge with any nonce they ever had, and that answer, at any moments."""

    def __init__(self) -> None:
        super().__init__()
        self.job, self.now = job(), NOON
        self.nonces: list[str] = []
        self.claims = self.results = 0

    @rule(passed=SECONDS)
    def time_passes(self, passed: timedelta) -> None:
        self.now += passed

    @rule()
    def poll(self) -> None:
        if jobs.offerable(self.job, self.now):
            assert self.job.offered is None or self.now - self.job.offered >= OFFERED_AGAIN
            self.nonces.append(f"n{len(self.nonces)}")
            self.job = jobs.offer(self.job, self.nonces[-1], self.now)

    @precondition(lambda self: self.nonces)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        nonce = data.draw(st.sampled_from(self.nonces))
        good = self.job.status is Status.DISPATCHED and nonce == self.nonces[-1] and self.now < self.job.deadline
        self.claims += self.tries(lambda: jobs.acknowledge(self.job, nonce, self.now), good, "InvalidNonceException")

    @rule(succeeded=st.booleans())
    def answer(self, succeeded: bool) -> None:
        good = self.job.status is Status.IN_PROGRESS and self.now < self.job.deadline
        finish = partial(jobs.finish, self.job, succeeded=succeeded, now=self.now)
        self.results += self.tries(finish, good, "InvalidJobStateException")

    @rule()
    def nobody_waits(self) -> None:
        self.job = jobs.ended(self.job)

    def tries(self, change: Callable[[], Job], good: bool, code: str) -> bool:
        """The job is changed if it is `good`, and else that is refused with `code`."""
        if good:
            self.job = change()
        else:
            with pytest.raises(Refused) as refused:
                change()
            assert refused.value.code == code
        return good

    @invariant()
    def one_worker_has_it_and_one_result_counts(self) -> None:
        assert self.results <= self.claims <= 1
        assert (self.results == 1) == (self.job.status in (Status.SUCCEEDED, Status.FAILED))
        assert jobs.as_of(self.job, self.job.deadline).status not in OPEN


test_a_job_has_one_worker_and_one_result = Life.TestCase


@given(SECONDS)
def test_a_job_of_a_function_is_never_offered_and_needs_no_acknowledgement(passed: timedelta) -> None:
    function = job(Doer.FUNCTION)

    assert not jobs.offerable(function, NOON + passed)
    assert jobs.finish(function, succeeded=True, now=NOON + passed).status is Status.SUCCEEDED


@pytest.mark.parametrize("status", [Status.QUEUED, Status.DISPATCHED, Status.TIMED_OUT, Status.SUCCEEDED])
def test_a_result_of_a_job_that_nobody_has_is_refused_by_its_state(status: Status) -> None:
    with pytest.raises(Refused, match=f"state {status}") as refused:
        jobs.finish(replace(job(), status=status), succeeded=True, now=NOON)

    assert refused.value.code == "InvalidJobStateException"
