"""Which waiting build starts next."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.builds.queue import (
    NOTHING,
    PATIENCE,
    Limits,
    Line,
    Machine,
    Place,
    Queue,
    Size,
    Waiting,
    choose,
    size_of,
)
from codeyard.ident import Owner
from tests.builds.projects import NOW

GIB = 1 << 30
SIZES = tuple(Size(cpus, 2 * cpus * GIB) for cpus in (2, 4, 8, 36))
SMALL, MEDIUM, LARGE, XLARGE = SIZES
OWNER = Owner()


def a_line(project: str, *needs: Size, running: int = 0, ago: float = 0, **given: object) -> Line:
    """The line of a project; its builds came `ago` seconds ago."""
    since = NOW - timedelta(seconds=ago)
    waiting = tuple(Waiting(f"{project}-{number}", need, since) for number, need in enumerate(needs))
    return Line(OWNER, project, waiting, running, since, length=len(waiting), **given)  # type: ignore[arg-type]


def a_machine(id: str = "one", total: Size = LARGE, used: Size = NOTHING) -> Machine:
    return Machine(id, total, total - used)


def chosen(*lines: Line, here: Machine | None = None, others: tuple[Machine, ...] = (), **limits: int) -> list[str]:
    """The runs that start."""
    found = choose(lines, here or a_machine(), others, Limits(**limits), NOW)  # type: ignore[arg-type]
    return [each.run for each in found]


def places(lines: list[Line], machines: tuple[Machine, ...], limits: Limits | None = None) -> dict[str, Place]:
    """Of every build that waits, by run."""
    queue = Queue(lines, machines, limits or Limits(), NOW)
    return {each.run: queue.place(line, ahead, each.need) for line in lines for ahead, each in enumerate(line.waiting)}


def test_projects_take_turns() -> None:
    assert chosen(a_line("a", SMALL, SMALL, SMALL), a_line("b", SMALL, SMALL)) == ["a-0", "b-0", "a-1", "b-1"]


def test_the_project_with_fewer_builds_running_goes_first() -> None:
    assert chosen(a_line("a", LARGE, running=1, ago=9), a_line("b", LARGE)) == ["b-0"]


def test_the_one_that_waits_longer_goes_first() -> None:
    assert chosen(a_line("a", LARGE), a_line("b", LARGE, ago=9)) == ["b-0"]


def test_a_higher_priority_goes_before_all() -> None:
    assert chosen(a_line("a", LARGE, ago=9), a_line("b", LARGE, running=5, priority=1)) == ["b-0"]


def test_a_projects_limit_holds() -> None:
    assert chosen(a_line("a", SMALL, SMALL, SMALL, running=1, limit=2)) == ["a-0"]


def test_an_accounts_limit_holds() -> None:
    found = choose([a_line("a", SMALL), a_line("b", SMALL)], a_machine(), (), Limits(3, {OWNER: 2}), NOW)

    assert [each.run for each in found] == ["a-0"]


def test_a_smaller_build_may_pass_one_that_does_not_fit_yet() -> None:
    here = a_machine(used=MEDIUM)

    assert chosen(a_line("a", LARGE, ago=5), a_line("b", SMALL), here=here) == ["b-0"]


def test_nothing_passes_a_build_that_has_waited_too_long() -> None:
    here = a_machine(used=MEDIUM)
    patient = PATIENCE.total_seconds()

    assert chosen(a_line("a", LARGE, ago=patient), a_line("b", SMALL), here=here) == []


def test_only_one_worker_keeps_itself_free_for_it() -> None:
    here, first = a_machine("two", used=MEDIUM), a_machine("one", used=MEDIUM)
    patient = PATIENCE.total_seconds()

    assert chosen(a_line("a", LARGE, ago=patient), a_line("b", SMALL), here=here, others=(first,)) == ["b-0"]


def test_a_build_larger_than_the_machine_runs_alone_on_it() -> None:
    assert chosen(a_line("a", XLARGE), here=a_machine(total=SMALL)) == ["a-0"]
    assert chosen(a_line("a", XLARGE), a_line("b", SMALL), here=a_machine(total=LARGE)) == ["a-0"]
    assert chosen(a_line("a", XLARGE), here=a_machine(total=LARGE, used=SMALL)) == []


def test_a_build_larger_than_this_machine_is_left_to_one_that_can_hold_it() -> None:
    big = a_machine("big", total=XLARGE, used=XLARGE)

    assert chosen(a_line("a", XLARGE), here=a_machine(), others=(big,)) == []


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("BUILD_GENERAL1_SMALL", Size(2, 4 * GIB)),
        ("BUILD_GENERAL1_2XLARGE", Size(72, 144 * GIB)),
        ("BUILD_LAMBDA_1GB", Size(1, GIB)),
        ("BUILD_LAMBDA_10GB", Size(5, 10 * GIB)),
        ("CUSTOM_INSTANCE_TYPE", Size(2, 4 * GIB)),
    ],
)
def test_each_compute_type_has_a_size(name: str, size: Size) -> None:
    assert size_of(name) == size


def test_attributes_give_a_size() -> None:
    assert size_of("ATTRIBUTE_BASED_COMPUTE", 6, 24) == Size(6, 24 * GIB)


def test_only_lines_whose_turn_comes_are_read() -> None:
    read: list[str] = []
    lines = [a_line("a", SMALL, SMALL, ago=2), a_line("b", SMALL, ago=1), a_line("c", SMALL)]

    def heads(line: Line) -> tuple[Waiting, ...]:
        read.append(line.project)
        return line.waiting

    choose(lines, replace(a_machine(), slots=2), (), Limits(), NOW, heads)

    assert read == ["a", "b"]


# ── what must never happen ──

LINES = st.lists(
    st.builds(
        lambda needs, running, limit, ago, priority: (needs, running, limit, ago, priority),
        st.lists(st.sampled_from(SIZES), max_size=5),
        st.integers(0, 3),
        st.none() | st.integers(1, 4),
        st.integers(-2, 2) | st.integers(0, 90),  # a clock may be ahead of ours
        st.integers(0, 2),
    ),
    max_size=6,
).map(
    lambda given: [
        a_line(f"p{number}", *needs, running=running, limit=limit, ago=ago, priority=priority)
        for number, (needs, running, limit, ago, priority) in enumerate(given)
    ]
)
MACHINES = st.builds(
    lambda total, used: Machine("one", total, total - used.at_most(total)),
    st.sampled_from(SIZES),
    st.sampled_from((NOTHING, *SIZES)),
)


@given(LINES, MACHINES, st.none() | st.integers(1, 5), st.integers(1, 4))
def test_no_choice_goes_over_the_machine_or_a_limit(
    lines: list[Line], here: Machine, account: int | None, slots: int
) -> None:
    here = replace(here, slots=slots)
    running = sum(line.running for line in lines)

    found = choose(lines, here, (), Limits(account, {OWNER: running}), NOW)

    taken = sum((each.need.at_most(here.total) for each in found), NOTHING)
    assert here.free.holds(taken) or not found
    assert len(found) <= slots
    assert account is None or not found or running + len(found) <= account
    for line in lines:
        mine = [each for each in found if each in line.waiting]
        assert mine == list(line.waiting[: len(mine)])
        assert line.limit is None or not mine or line.running + len(mine) <= line.limit


@given(LINES, MACHINES, st.randoms())
def test_the_same_queue_gives_the_same_choice_in_whatever_order_it_is_read(
    lines: list[Line], here: Machine, random: object
) -> None:
    shuffled = list(lines)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert choose(shuffled, here, (), Limits(), NOW) == choose(lines, here, (), Limits(), NOW)


@given(LINES, st.sampled_from(SIZES))
def test_an_empty_machine_always_takes_something_that_no_limit_forbids(lines: list[Line], total: Size) -> None:
    allowed = [line for line in lines if line.waiting and not line.full]

    found = choose(lines, Machine("one", total, total), (), Limits(), NOW)

    assert bool(found) == bool(allowed)


@given(st.lists(st.sampled_from(SIZES), min_size=1, max_size=4), st.sampled_from(SIZES), st.integers(0, 200))
def test_no_build_waits_for_ever(needs: list[Size], total: Size, minute: int) -> None:
    """New small builds of ever new projects come without end; what waited is served all the same."""
    line = a_line("old", *needs)
    running: list[Size] = []
    clock = NOW
    for round in range(200):
        clock += timedelta(seconds=10)
        if len(running) > 0:
            running.pop(0)  # the oldest ends
        used = sum((size.at_most(total) for size in running), NOTHING)
        fresh = Line(OWNER, f"new-{round}", (Waiting(f"new-{round}", SMALL, clock),), 0, clock)
        for each in choose([line, fresh], Machine("one", total, total - used), (), Limits(), clock):
            running.append(each.need)
            if each in line.waiting:
                line = replace(line, waiting=line.waiting[1:], turn=clock)
        if not line.waiting:
            break

    assert not line.waiting


@given(LINES)
def test_builds_stand_in_the_order_in_which_a_machine_with_room_for_all_takes_them(lines: list[Line]) -> None:
    room = Size(10_000, 10_000 * GIB)
    order = choose([replace(line, limit=None) for line in lines], a_machine(total=room), (), Limits(), NOW)

    found = places(lines, (a_machine(),))

    assert {run: place.position for run, place in found.items()} == {
        each.run: position for position, each in enumerate(order, 1)
    }


# ── reasons ──


def test_a_reason_says_what_is_missing_and_how_many_go_before() -> None:
    found = places([a_line("a", SMALL, SMALL)], (a_machine(used=LARGE),))

    assert str(found["a-0"]) == "Waiting for 2 CPUs and 4 GiB of memory: no build before it. Position 1 in the queue."
    assert str(found["a-1"]) == "Waiting for 2 CPUs and 4 GiB of memory: 1 build before it. Position 2 in the queue."


def test_a_reason_names_the_projects_limit() -> None:
    found = places([a_line("a", SMALL, SMALL, running=2, limit=2)], (a_machine(),))

    assert found["a-1"].reason == "The project's limit of 2 concurrent builds is reached: 1 build before it."


def test_a_reason_names_the_accounts_limit() -> None:
    found = places([a_line("a", SMALL)], (a_machine(),), Limits(1, {OWNER: 1}))

    assert found["a-0"].reason == "The account's limit of 1 concurrent build is reached: no build before it."


def test_a_reason_says_that_nobody_works() -> None:
    assert places([a_line("a", SMALL)], ())["a-0"].reason == "No worker is running that could take it."


def test_a_reason_says_that_a_build_is_larger_than_any_machine() -> None:
    found = places([a_line("a", XLARGE)], (a_machine(),))

    assert found["a-0"].reason.startswith("It needs more than a worker has, 36 CPUs and 72 GiB of memory")
