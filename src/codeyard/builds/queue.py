"""Which waiting build starts next, and what each waiting one waits for. Pure.

Builds wait in lines, one for each project. Within a line they go in the order they came. Among lines goes first: the
higher priority; then the project with fewer builds running; then the one whose turn is longest ago (when it was last
served, or, later than that, when its first build came). A build that does not fit lets others pass for PATIENCE; then
the first worker that could hold it takes nothing else until it fits, so that large builds do not wait for ever.

A build that needs more than any worker has runs where the machine is empty, with all of it.
"""

import heapq
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from operator import attrgetter

from codeyard.builds.model import COMPUTE_TYPES
from codeyard.ident import Owner

PATIENCE = timedelta(seconds=30)
_GIB = 1 << 30
_LAMBDA = {f"BUILD_LAMBDA_{gib}GB": gib for gib in (1, 2, 4, 8, 10)}
_SMALLEST = "BUILD_GENERAL1_SMALL"


@dataclass(frozen=True, slots=True)
class Size:
    """CPUs and bytes of memory: what a build needs, or what a machine has or has free."""

    cpus: float
    memory: int

    def holds(self, need: "Size") -> bool:
        return need.cpus <= self.cpus and need.memory <= self.memory

    def __sub__(self, other: "Size") -> "Size":
        return Size(self.cpus - other.cpus, self.memory - other.memory)

    def __add__(self, other: "Size") -> "Size":
        return Size(self.cpus + other.cpus, self.memory + other.memory)

    def at_most(self, other: "Size") -> "Size":
        return Size(min(self.cpus, other.cpus), min(self.memory, other.memory))


NOTHING = Size(0, 0)


def size_of(compute_type: str, cpus: int | None = None, memory: int | None = None) -> Size:
    """What a compute type means here (reference 3.4). Lambda's give a CPU for each 2 GB, as far as AWS says.

    `cpus` and `memory` (GiB) are those of a computeConfiguration, for the types that have no size of their own.
    """
    if compute_type in _LAMBDA:
        return Size(max(1, _LAMBDA[compute_type] / 2), _LAMBDA[compute_type] * _GIB)
    known = COMPUTE_TYPES.get(compute_type)
    if known is not None:
        return Size(known.cpus, known.memory)
    least = COMPUTE_TYPES[_SMALLEST]
    return Size(cpus or least.cpus, memory * _GIB if memory else least.memory)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A build that waits, since then."""

    run: str
    need: Size
    since: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """The builds of one project that wait, the next one first, and what decides its turn."""

    owner: Owner
    project: str
    waiting: tuple[Waiting, ...]
    running: int  # on all workers
    turn: datetime  # when it was last served, or when its first build came, whichever is later
    priority: int = 0
    limit: int | None = None  # concurrentBuildLimit
    length: int = 0  # how many wait in it, of which `waiting` may have only the first

    @property
    def name(self) -> tuple[str, str, str]:
        """Of no other line. It decides where nothing else does."""
        return self.owner.account, self.owner.region, self.project

    @property
    def full(self) -> bool:
        return self.limit is not None and self.running >= self.limit


@dataclass(frozen=True, slots=True)
class Machine:
    """A live worker that takes builds: what it has in all, and what of that is free."""

    id: str
    total: Size
    free: Size
    slots: int = 1 << 30  # builds that it may begin besides those it runs

    def fits(self, need: Size) -> bool:
        return self.slots > 0 and self.free.holds(need.at_most(self.total))


@dataclass(frozen=True, slots=True)
class Limits:
    """How many builds may run at once in an account and region (None: any number), and how many do."""

    account: int | None = None
    running: Mapping[Owner, int] = field(default_factory=dict)

    def full(self, owner: Owner) -> bool:
        return self.account is not None and self.running.get(owner, 0) >= self.account

    def one_more(self, owner: Owner) -> "Limits":
        return replace(self, running={**self.running, owner: self.running.get(owner, 0) + 1})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a build stands in the queue (1: next), and what it waits for."""

    position: int
    reason: str

    def __str__(self) -> str:
        return f"{self.reason} Position {self.position} in the queue."


def choose(
    lines: Iterable[Line],
    here: Machine,
    others: Iterable[Machine],
    limits: Limits,
    now: datetime,
    heads: Callable[[Line], tuple[Waiting, ...]] = attrgetter("waiting"),
) -> tuple[Waiting, ...]:
    """The builds that start on `here` now, in the order in which they start. `others` are the other live workers.

    `heads` gives the builds of a line whose turn has come: most turns do not come, and reading is what costs.
    """
    machines = sorted((here, *others), key=lambda machine: machine.id)
    chosen: list[Waiting] = []
    served = _Served(lines, heads)
    while here.slots > 0 and (line := served.next()) is not None:
        head = line.waiting[0]
        if line.full or limits.full(line.owner):
            continue
        fit = [machine.id for machine in machines if _may_ever_hold(machine, head.need, machines)]
        if here.id not in fit:
            continue
        if not here.fits(head.need):
            if now - head.since >= PATIENCE and fit[0] == here.id:
                break
            continue
        chosen.append(head)
        here = replace(here, free=here.free - head.need.at_most(here.total), slots=here.slots - 1)
        limits = limits.one_more(line.owner)
        served.back(line, now)
    return tuple(chosen)


def _may_ever_hold(machine: Machine, need: Size, machines: list[Machine]) -> bool:
    """Whether it could if it were empty; what no machine could hold, each may hold with all that it has."""
    return machine.total.holds(need) or not any(other.total.holds(need) for other in machines)


class _Served:
    """Lines by turn. A line that was served comes back with what is left of it; else it is out of this round."""

    def __init__(self, lines: Iterable[Line], heads: Callable[[Line], tuple[Waiting, ...]]) -> None:
        self._tie, self._heads = count(), heads
        keyed = sorted(lines, key=lambda line: line.name)
        self._heap = [(_key(line, next(self._tie)), line, False) for line in keyed]
        heapq.heapify(self._heap)

    def next(self) -> Line | None:
        while self._heap:
            _, line, read = heapq.heappop(self._heap)
            line = line if read else replace(line, waiting=self._heads(line))
            if line.waiting:
                return line
        return None

    def back(self, line: Line, now: datetime) -> None:
        rest = replace(line, waiting=line.waiting[1:], running=line.running + 1, turn=max(line.turn, now))
        if rest.waiting:
            heapq.heappush(self._heap, (_key(rest, next(self._tie)), rest, True))


def _key(line: Line, tie: int) -> tuple[int, int, datetime, int]:
    return (-line.priority, line.running, line.turn, tie)


class Queue:
    """Where builds stand. Of the lines only the lengths count, so many builds cost no more than few."""

    def __init__(self, lines: Iterable[Line], machines: Iterable[Machine], limits: Limits, now: datetime) -> None:
        """`lines` are all in which anybody waits."""
        self._lines, self._now = tuple(lines), now
        self.machines, self.limits = tuple(machines), limits
        self._rounds: dict[tuple[int, int], _Round] = {}

    def place(self, line: Line, ahead: int, need: Size) -> Place:
        """Of a build of this size that has `ahead` before it in its own line, were all served one after the other."""
        number = line.running + ahead
        round = self._rounds.get((line.priority, number))
        if round is None:
            round = self._rounds[line.priority, number] = self._round(line.priority, number)
        before = round.before + bisect_left(round.turns, _turn(line, number, self._now))
        return Place(before + 1, _reason(line, ahead, need, self, before))

    def _round(self, priority: int, number: int) -> "_Round":
        """Lines of one priority are served by how many builds run of each by then: here so many."""
        before = sum(line.length for line in self._lines if line.priority > priority)
        peers = [line for line in self._lines if line.priority == priority]
        before += sum(max(0, min(line.length, number - line.running)) for line in peers)
        here = (line for line in peers if line.running <= number < line.running + line.length)
        return _Round(before, sorted(_turn(line, number, self._now) for line in here))


_Turn = tuple[datetime, int, datetime, tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class _Round:
    """How many builds are served before any of this round, and the turns of the lines that have one in it."""

    before: int
    turns: list[_Turn]


def _turn(line: Line, round: int, now: datetime) -> _Turn:
    """What decides among the lines of a round: as `_Served` has it, without serving."""
    # Of those that were served just now goes first who came into the rounds last: it was before the others then, too.
    turn = line.turn if round == line.running else max(line.turn, now)
    return turn, -line.running, line.turn, line.name


def _reason(line: Line, ahead: int, need: Size, queue: Queue, before: int) -> str:
    """What keeps a build from starting. `ahead`: of its own project; `before`: of all."""
    if not queue.machines:
        return "No worker is running that could take it."
    if line.limit is not None and line.running + ahead >= line.limit:
        return f"The project's limit of {_builds(line.limit, 'concurrent ')} is reached: {_ahead(ahead)} before it."
    account = queue.limits.account
    if account is not None and queue.limits.full(line.owner):
        return f"The account's limit of {_builds(account, 'concurrent ')} is reached: {_ahead(before)} before it."
    if not any(machine.total.holds(need) for machine in queue.machines):
        return f"It needs more than a worker has, {shown(need)}: it waits for an empty one, {_ahead(before)} before it."
    return f"Waiting for {shown(need)}: {_ahead(before)} before it."


def shown(size: Size) -> str:
    cpus = "1 CPU" if size.cpus == 1 else f"{size.cpus:g} CPUs"
    return f"{cpus} and {size.memory / _GIB:g} GiB of memory"


def _builds(number: int, kind: str = "") -> str:
    return f"1 {kind}build" if number == 1 else f"{number} {kind}builds"


def _ahead(number: int) -> str:
    return _builds(number) if number else "no build"
