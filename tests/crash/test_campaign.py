"""Promises 1 and 2 of the design, with a server whose processes are killed at any moment (see campaign.py).

CODEYARD_CRASH_SEED=S repeats a campaign; without it each has a seed of its own that never changes.
CODEYARD_CRASH_BUILDS=N makes every one so long, with new seeds: `python -m tests.crash.campaign --rounds 20` does more.
"""

import os
import secrets
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.crash import story
from tests.crash.campaign import Campaign
from tests.crash.servers import Shape
from tests.crash.story import LINES, Wanted
from tests.databases import POSTGRESQL
from tests.machines import EXECUTORS, Machine

_BUILDS = os.environ.get("CODEYARD_CRASH_BUILDS")
_SEED = os.environ.get("CODEYARD_CRASH_SEED") or (secrets.token_hex(4) if _BUILDS else "0")


def _survives(machine: Machine, shape: Shape, builds: int, place: Path) -> None:
    machine.require()
    campaign = Campaign(machine, shape, int(_BUILDS or builds), _SEED, place)
    print(f"seed {_SEED}: {machine.name} {shape}, {campaign.builds} builds, history in {place}")
    wrong, history = campaign.run()

    assert wrong == []
    assert len(history.of("acknowledged")) == campaign.builds
    assert len(history.of("struck")) >= 3


@pytest.mark.timeout(180)
def test_a_few_builds_survive_a_server_that_is_killed(tmp_path: Path) -> None:
    _survives(EXECUTORS[0], Shape.ONE, 12, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("machine", EXECUTORS, ids=lambda machine: machine.name)
def test_two_hundred_builds_survive_a_server_that_is_killed(machine: Machine, tmp_path: Path) -> None:
    _survives(machine, Shape.ONE, 200, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("machine", EXECUTORS, ids=lambda machine: machine.name)
def test_builds_survive_worker_processes_that_are_killed(machine: Machine, tmp_path: Path) -> None:
    _survives(machine, Shape.BESIDE, 30, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(POSTGRESQL is None, reason="CODEYARD_TEST_POSTGRESQL names no database")
@pytest.mark.parametrize("machine", EXECUTORS, ids=lambda machine: machine.name)
def test_builds_survive_servers_and_workers_that_are_killed_over_postgresql(machine: Machine, tmp_path: Path) -> None:
    _survives(machine, Shape.APART, 50, tmp_path)


# ── the checker sees what it is there for ──

WANTED = Wanted("alpha", "7-mark", "0", False)


def _log() -> list[str]:
    lines = []
    for number, count in enumerate(LINES):
        made = f"{number}0000000-0000-4000-8000-000000000000"
        lines += [f"{number} 7-mark begins {made}"]
        lines += [f"{number} 7-mark line {each}" for each in range(1, count + 1)]
        lines += [f"{number} 7-mark ends {made}"]
    agent = [f"Phase complete: {phase} State: SUCCEEDED" for phase in story.PHASES[3:9]]
    agent += ["Running command x"] * len(LINES)
    return [*(f"[Container] 2026/01/02 03:04:05.000000 {each}" for each in agent), *lines]


def test_a_log_that_is_whole_has_no_mistake() -> None:
    assert story.mistakes_of_log(WANTED, _log())[0] == []


@given(at=st.integers(min_value=0, max_value=len(_log()) - 1))
def test_a_line_that_is_lost_or_there_twice_is_seen(at: int) -> None:
    log = _log()

    assert story.mistakes_of_log(WANTED, log[:at] + log[at + 1 :])[0] != []
    assert story.mistakes_of_log(WANTED, log[: at + 1] + log[at:])[0] != []


@given(at=st.integers(min_value=12, max_value=len(_log()) - 2))
def test_lines_in_another_order_are_seen(at: int) -> None:
    log = _log()
    log[at], log[at + 1] = log[at + 1], log[at]

    assert story.mistakes_of_log(WANTED, log)[0] != []


def test_a_command_that_ran_twice_is_seen_in_the_artifact() -> None:
    _, made = story.mistakes_of_log(WANTED, _log())
    ran = "".join(f"{number} 7-mark {text}\n" for number, text in made.items())
    again = f"{ran}5 7-mark 50000000-0000-4000-8000-000000000001\n"

    assert story.mistakes_of_artifact(WANTED, ran, made) == []
    assert story.mistakes_of_artifact(WANTED, again, made) != []
