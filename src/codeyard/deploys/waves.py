"""Who of a deployment's targets is next, and when it is over: CodeDeploy's minimum of healthy hosts. Pure.

The rules are those of "Working with deployment configurations" and "Instance health" in CodeDeploy's User Guide:
unhealthy hosts first; then as many at a time as can be missed; when a failure has used up what could be missed, the
rest is left alone, and the deployment has failed, unless no host was left; at the end it has succeeded if at least as
many hosts took it as must be healthy, and at least one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType


class Rule(StrEnum):
    """How a minimum is counted; the values are those of MinimumHealthyHostsType, and GetDeploymentConfig's third."""

    HOST_COUNT = "HOST_COUNT"
    FLEET_PERCENT = "FLEET_PERCENT"
    MOST_CONCURRENCY = "MOST_CONCURRENCY"  # so many at a time: all others must be healthy


@dataclass(frozen=True, slots=True)
class Minimum:
    """How many hosts must be healthy all the time."""

    rule: Rule
    value: int  # hosts, 0 or more; or percent, 0 to 99; or hosts at a time, 1 or more

    def of(self, fleet: int) -> int:
        """The number of hosts, of a fleet of so many."""
        if self.rule is Rule.HOST_COUNT:
            return self.value
        if self.rule is Rule.MOST_CONCURRENCY:
            return max(0, fleet - self.value)
        least = -(-self.value * fleet // 100)
        # Half of one, rounded up, is the whole fleet; yet HalfAtATime deploys to a single host.
        return min(least, fleet - 1) if self.value <= 50 and fleet else least


PREDEFINED = MappingProxyType(
    {
        "CodeDeployDefault.AllAtOnce": Minimum(Rule.HOST_COUNT, 0),
        "CodeDeployDefault.HalfAtATime": Minimum(Rule.FLEET_PERCENT, 50),
        "CodeDeployDefault.OneAtATime": Minimum(Rule.MOST_CONCURRENCY, 1),
    }
)
DEFAULT = "CodeDeployDefault.OneAtATime"


class Revision(IntEnum):
    """What a target has of the group's revisions; in the order in which targets are deployed to."""

    UNKNOWN = 0
    OLD = 1
    CURRENT = 2


class Turn(StrEnum):
    """How far one host is."""

    WAITING = "waiting"
    UNDER_WAY = "under way"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Host:
    """One target of a deployment."""

    id: str
    healthy: bool  # when the deployment began: whether the last one to it succeeded
    revision: Revision = Revision.UNKNOWN
    turn: Turn = Turn.WAITING


class Verdict(StrEnum):
    """How a deployment ends."""

    SUCCEEDED = "succeeded"
    TOO_FEW_HEALTHY = "too few healthy"  # HEALTH_CONSTRAINTS
    IMPOSSIBLE = "impossible"  # HEALTH_CONSTRAINTS_INVALID


@dataclass(frozen=True, slots=True)
class Decision:
    """Who starts now. With a verdict nobody does, nobody is under way, and whoever waits is left alone."""

    start: tuple[str, ...] = ()
    verdict: Verdict | None = None


def decide(hosts: Iterable[Host], minimum: Minimum, *, strict: bool = False) -> Decision:
    """What is to happen now. `hosts` are all of the deployment, at least one; among equals the first is first.

    `strict` is ours: any failure is one too many, also the last host's."""
    fleet = tuple(hosts)
    least = minimum.of(len(fleet))
    if least >= len(fleet):
        return Decision(verdict=Verdict.IMPOSSIBLE)
    broken = strict and any(host.turn is Turn.FAILED for host in fleet)
    start = () if broken else _next(fleet, least)
    under_way = any(host.turn is Turn.UNDER_WAY for host in fleet)
    if start or under_way:
        return Decision(start)
    waiting = any(host.turn is Turn.WAITING for host in fleet)
    succeeded = sum(host.turn is Turn.SUCCEEDED for host in fleet)
    good = not broken and not waiting and succeeded >= max(least, 1)
    return Decision(verdict=Verdict.SUCCEEDED if good else Verdict.TOO_FEW_HEALTHY)


def serving(hosts: Iterable[Host]) -> int:
    """How many are healthy now, and not being worked on."""
    fleet = tuple(hosts)
    new = _is_new(fleet)
    return sum(_serves(host, new) for host in fleet)


def _next(fleet: tuple[Host, ...], least: int) -> tuple[str, ...]:
    new = _is_new(fleet)
    room = len(fleet) - least - sum(host.turn is Turn.UNDER_WAY for host in fleet)
    spare = sum(_serves(host, new) for host in fleet) - least
    waiting = _ordered(host for host in fleet if host.turn is Turn.WAITING)
    unhealthy = [host for host in waiting if not (host.healthy or new)][: max(0, room)]
    healthy = [host for host in waiting if host.healthy or new][: max(0, min(room - len(unhealthy), spare))]
    return tuple(host.id for host in (*unhealthy, *healthy))


def _is_new(fleet: tuple[Host, ...]) -> bool:
    """Whether no host was healthy when it began, as in a group's first deployment. Then all count as healthy until
    they fail: nothing is there to be kept up, but what is wrong with a revision is to stop it all the same."""
    return not any(host.healthy for host in fleet)


def _serves(host: Host, new: bool) -> bool:
    if host.turn is Turn.WAITING:
        return host.healthy or new
    return host.turn is Turn.SUCCEEDED


def _ordered(hosts: Iterable[Host]) -> list[Host]:
    return sorted(hosts, key=lambda host: host.revision)
