"""Deployments and their targets come back from JSON as they went in."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from codeyard.deploys import ErrorCode, EventReport, EventStatus
from codeyard.deploys.model import Code, Deployment, DeploymentTarget, Error, RollbackEvent, Status, TargetStatus
from codeyard.deploys.selection import Filter, Match, Selection
from codeyard.deploys.stored import deployment_of, progress_json, request_json, request_of, target_json, target_of
from codeyard.deploys.waves import Minimum, Revision, Rule
from codeyard.store.times import microseconds, time_of
from tests.deploys.deployments import NOW, request

texts = st.text(max_size=20)
times = st.none() | st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
whole = st.none() | st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(
    lambda at: at.replace(microsecond=0)  # reports are in seconds as a float
)
events = st.builds(
    EventReport, st.sampled_from(["Verify", "Install"]), st.sampled_from(EventStatus), whole, whole,
    st.sampled_from(ErrorCode), texts, texts, texts,
)  # fmt: skip
targets = st.builds(
    DeploymentTarget, texts, texts, st.booleans(), st.sampled_from(Revision), st.sampled_from(TargetStatus),
    st.lists(events, max_size=3).map(tuple), times, times, st.booleans(), texts,
)  # fmt: skip
requests = st.builds(
    request,
    group=texts,
    targets=st.just(Selection((((Filter(Match.KEY_ONLY, "a"),),),))),
    minimum=st.builds(Minimum, st.sampled_from(Rule), st.integers(0, 99)),
    config=texts,
    strict=st.booleans(),
    options=st.dictionaries(texts, texts, max_size=3),
    roll_back_on=st.frozensets(st.sampled_from(RollbackEvent)),
    description=texts,
    creator=texts,
    queue=st.booleans(),
    outdated_only=st.booleans(),
    revision=st.none() | st.dictionaries(texts, texts, max_size=2),
)


@given(requests)
def test_a_request_comes_back(asked) -> None:  # type: ignore[no-untyped-def]
    found = request_of(request_json(asked), owner=asked.owner, application=asked.application, group_id=asked.group_id)

    assert found == asked


@given(targets)
def test_a_target_comes_back(target: DeploymentTarget) -> None:
    updated = None if target.updated is None else microseconds(target.updated)

    assert target_of(target.id, target.name, target.status.value, updated, target_json(target)) == target


@given(
    st.sampled_from(Status), times, times, st.none() | st.builds(Error, st.sampled_from(Code), texts), st.booleans(),
    st.none() | texts, texts,
)  # fmt: skip
def test_a_deployment_comes_back(
    status: Status, started: datetime | None, completed: datetime | None, error: Error | None, asked: bool,
    other: str | None, message: str,
) -> None:  # fmt: skip
    one = Deployment(
        "d-AAAAAAAAA", request(), NOW, status, (), started, completed, error, asked, asked, other, other, message, 7
    )

    assert deployment_of(one.id, status.value, microseconds(NOW), 7, progress_json(one), one.request, ()) == one


@given(st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC)))
def test_times_are_kept_to_the_microsecond(at: datetime) -> None:
    assert time_of(microseconds(at)) == at
