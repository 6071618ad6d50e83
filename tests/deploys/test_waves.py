"""Which hosts go next, and how deployments end: AWS's table of predefined configurations, and what must never be."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.deploys.waves import PREDEFINED, Decision, Host, Minimum, Revision, Rule, Turn, Verdict, decide, serving

ALL, HALF, ONE = (PREDEFINED[f"CodeDeployDefault.{name}"] for name in ("AllAtOnce", "HalfAtATime", "OneAtATime"))
COUNT = Rule.HOST_COUNT
PERCENT = Rule.FLEET_PERCENT


def fleet(count: int, *, healthy: bool = True) -> list[Host]:
    return [Host(str(number), healthy, Revision.OLD) for number in range(count)]


def played(hosts: list[Host], minimum: Minimum, failing: set[str]) -> tuple[Verdict, int, list[Host]]:
    """The verdict, how many were worked on at once at the most, and the hosts at the end."""
    most = 0
    while (decision := decide(hosts, minimum)).verdict is None:
        hosts = [replace(host, turn=Turn.UNDER_WAY) if host.id in decision.start else host for host in hosts]
        under_way = [host for host in hosts if host.turn is Turn.UNDER_WAY]
        most = max(most, len(under_way))
        first = under_way[0]
        turn = Turn.FAILED if first.id in failing else Turn.SUCCEEDED
        hosts = [replace(host, turn=turn) if host.id == first.id else host for host in hosts]
    return decision.verdict, most, hosts


@pytest.mark.parametrize("healthy", [True, False], ids=["again", "first"])
@pytest.mark.parametrize(
    ("count", "minimum", "failing", "verdict", "at_once"),
    [
        # "Working with deployment configurations": the predefined ones
        (9, ALL, "", Verdict.SUCCEEDED, 9),
        (9, ALL, "01234567", Verdict.SUCCEEDED, 9),
        (9, ALL, "012345678", Verdict.TOO_FEW_HEALTHY, 9),
        (9, HALF, "", Verdict.SUCCEEDED, 4),
        (9, HALF, "0123", Verdict.TOO_FEW_HEALTHY, 4),
        (9, HALF, "5678", Verdict.SUCCEEDED, 4),
        (9, HALF, "45678", Verdict.TOO_FEW_HEALTHY, 4),
        (1, HALF, "", Verdict.SUCCEEDED, 1),
        (9, ONE, "", Verdict.SUCCEEDED, 1),
        (9, ONE, "8", Verdict.SUCCEEDED, 1),  # the last host may fail
        (9, ONE, "7", Verdict.TOO_FEW_HEALTHY, 1),
        (1, ONE, "0", Verdict.TOO_FEW_HEALTHY, 1),  # the only host must not
        (1, ONE, "", Verdict.SUCCEEDED, 1),
        # its examples with ten hosts
        (10, Minimum(COUNT, 9), "0", Verdict.TOO_FEW_HEALTHY, 1),
        (10, Minimum(COUNT, 8), "0", Verdict.SUCCEEDED, 2),
        (10, Minimum(COUNT, 8), "01", Verdict.TOO_FEW_HEALTHY, 2),
        (10, Minimum(COUNT, 8), "09", Verdict.SUCCEEDED, 2),
        (10, Minimum(COUNT, 0), "012345678", Verdict.SUCCEEDED, 10),
        (9, Minimum(PERCENT, 40), "", Verdict.SUCCEEDED, 5),
        (10, Minimum(PERCENT, 95), "", Verdict.IMPOSSIBLE, 0),
        (3, Minimum(COUNT, 3), "", Verdict.IMPOSSIBLE, 0),
    ],
)
def test_a_fleet_is_deployed_to_as_awss_table_says(
    healthy: bool, count: int, minimum: Minimum, failing: str, verdict: Verdict, at_once: int
) -> None:
    found, most, _ = played(fleet(count, healthy=healthy), minimum, set(failing))

    assert (found, most) == (verdict, at_once)


def test_where_every_host_must_succeed_the_first_failure_ends_it_when_nobody_is_under_way() -> None:
    both = [Host("a", True, turn=Turn.FAILED), Host("b", True, turn=Turn.UNDER_WAY), Host("c", True)]
    last = [Host("a", True, turn=Turn.SUCCEEDED), Host("b", True, turn=Turn.FAILED)]

    assert decide(both, ALL, strict=True) == Decision()
    assert decide(last, ONE, strict=True) == Decision(verdict=Verdict.TOO_FEW_HEALTHY)
    assert decide(last, ONE) == Decision(verdict=Verdict.SUCCEEDED)


def test_unhealthy_hosts_are_first_and_then_those_of_unknown_and_old_revisions() -> None:
    hosts = [
        Host("current", True, Revision.CURRENT),
        Host("old", True, Revision.OLD),
        Host("unknown", True, Revision.UNKNOWN),
        Host("unhealthy", False, Revision.CURRENT),
    ]

    order: list[str] = []
    while start := decide(hosts, ONE).start:
        order += start
        hosts = [replace(host, turn=Turn.SUCCEEDED) if host.id in start else host for host in hosts]

    assert order == ["unhealthy", "unknown", "old", "current"]


def test_a_healthy_host_is_left_alone_when_an_unhealthy_one_has_failed_and_none_can_be_missed() -> None:
    hosts = [Host("a", True), Host("b", True), Host("c", False, turn=Turn.FAILED)]

    assert decide(hosts, ONE) == Decision(verdict=Verdict.TOO_FEW_HEALTHY)


def test_of_a_fleet_that_is_below_its_minimum_only_the_unhealthy_are_tried() -> None:
    hosts = [*fleet(3), *(Host(f"bad-{number}", False) for number in range(7))]
    failing = {f"bad-{number}" for number in range(7)}

    verdict, _, after = played(hosts, Minimum(COUNT, 8), failing)

    assert verdict is Verdict.TOO_FEW_HEALTHY
    assert {host.id for host in after if host.turn is Turn.WAITING} == {"0", "1", "2"}


minima = st.one_of(
    st.builds(Minimum, st.just(COUNT), st.integers(0, 12)),
    st.builds(Minimum, st.just(PERCENT), st.integers(0, 99)),
    st.builds(Minimum, st.just(Rule.MOST_CONCURRENCY), st.integers(1, 12)),
)


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from(Revision), st.booleans()), min_size=1, max_size=12),
    minima,
    st.randoms(use_true_random=False),
)
def test_the_minimum_is_kept_and_every_deployment_ends(
    given_hosts: list[tuple[bool, Revision, bool]], minimum: Minimum, chance: random.Random
) -> None:
    """Whatever fails in whatever order: no fewer serve than must, unless they began so; each host has one turn."""
    hosts = [Host(str(n), healthy, revision) for n, (healthy, revision, _) in enumerate(given_hosts)]
    failing = {str(n) for n, (_, _, fails) in enumerate(given_hosts) if fails}
    least = minimum.of(len(hosts))
    kept = min(least, serving(hosts)) if any(host.healthy for host in hosts) else 0

    steps = 0
    while (decision := decide(hosts, minimum)).verdict is None:
        assert {host.id for host in hosts if host.turn is Turn.WAITING} >= set(decision.start)
        hosts = [replace(host, turn=Turn.UNDER_WAY) if host.id in decision.start else host for host in hosts]
        assert serving(hosts) >= kept
        ended = chance.choice([host for host in hosts if host.turn is Turn.UNDER_WAY])
        turn = Turn.FAILED if ended.id in failing else Turn.SUCCEEDED
        hosts = [replace(host, turn=turn) if host.id == ended.id else host for host in hosts]
        steps += 1
        assert steps <= len(hosts)

    succeeded = sum(host.turn is Turn.SUCCEEDED for host in hosts)
    assert not decision.start
    assert (decision.verdict is not Verdict.SUCCEEDED) or succeeded >= max(least, 1)
    assert not any(host.turn is Turn.UNDER_WAY for host in hosts)
