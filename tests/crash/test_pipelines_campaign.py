"""Promises 1 and 3 of the design, with pipelines whose servers, workers and agents are killed at any moment (see
pipelines_campaign.py).

CODEYARD_CRASH_SEED=S repeats a campaign; without it each has a seed of its own that never changes.
CODEYARD_CRASH_EXECUTIONS=N makes every one so long, with new seeds.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.crash import pipelines_story as story
from tests.crash.pipelines_campaign import PipelinesCampaign
from tests.crash.pipelines_checking import Told, mistakes_of_stages
from tests.crash.pipelines_sampler import Watch, look
from tests.crash.servers import Shape
from tests.databases import POSTGRESQL
from tests.machines import EXECUTORS, Machine

_EXECUTIONS = os.environ.get("CODEYARD_CRASH_EXECUTIONS")
_SEED = os.environ.get("CODEYARD_CRASH_SEED") or (secrets.token_hex(4) if _EXECUTIONS else "0")


def _survive(machine: Machine, shape: Shape, executions: int, place: Path) -> None:
    machine.require()
    if shutil.which("bwrap") is None:
        pytest.skip("two targets on one machine need bubblewrap")
    campaign = PipelinesCampaign(machine, shape, int(_EXECUTIONS or executions), _SEED, place)
    print(f"seed {_SEED}: {machine.name} {shape}, {campaign.executions} executions, history in {place}")
    wrong, history = campaign.run()

    assert wrong == []
    assert len(history.of("acknowledged")) == campaign.executions - len(story.MODES)
    assert len(history.of("struck")) >= campaign.executions // 8


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_pipelines_survive_a_server_and_agents_that_are_killed(tmp_path: Path) -> None:
    _survive(EXECUTORS[0], Shape.ONE, 150, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(POSTGRESQL is None, reason="CODEYARD_TEST_POSTGRESQL names no database")
def test_pipelines_survive_two_servers_a_worker_and_agents_that_are_killed_over_postgresql(tmp_path: Path) -> None:
    _survive(EXECUTORS[0], Shape.APART, 50, tmp_path)


# ── the checker sees what it is there for ──


def _site(mark: str) -> dict[str, bytes]:
    """What the build of that mark leaves."""
    files = {"version": f"{mark}\n", "deploy/before.sh": "", "deploy/after.sh": "", "deploy/healthy.sh": ""}
    files |= {f"data/same-{each}": f"always {each}\n" for each in range(1, 13)}
    files |= {f"data/other-{each}": f"{mark} {each}\n" for each in range(1, 13)}
    lines = [f"{hashlib.sha256(text.encode()).hexdigest()}  ./{name}" for name, text in files.items()]
    return {name: text.encode() for name, text in {**files, "checksum": "\n".join(lines)}.items()}


def _mistakes(files: Mapping[str, bytes]) -> list[str]:
    try:
        return story.mistakes_of_release(files.__getitem__, set(files))[1]
    except KeyError as error:
        return [f"{error} is not there"]


def test_a_release_that_is_whole_has_no_mistake() -> None:
    assert _mistakes(_site("1-a")) == []


@given(st.sampled_from(sorted(_site("1-a"))))
def test_a_file_of_a_release_that_is_lost_or_of_another_release_is_seen(name: str) -> None:
    whole, other = _site("1-a"), _site("2-b")
    lost = {each: content for each, content in whole.items() if each != name}

    assert _mistakes(lost) != []
    assert _mistakes({**whole, name: other[name]}) != [] or whole[name] == other[name]
    assert _mistakes({**whole, "more": b""}) != []


def test_a_link_that_leads_nowhere_or_to_half_a_release_is_seen(tmp_path: Path) -> None:
    current = tmp_path / "current"
    assert look(current) == ("", [])
    current.symlink_to("releases/1")
    assert look(current)[1] != []
    for name, content in _site("1-a").items():
        (tmp_path / "releases/1" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "releases/1" / name).write_bytes(content)
    assert look(current) == ("1-a", [])
    (tmp_path / "releases/1/data/other-7").unlink()
    assert look(current)[1] != []


def test_a_link_that_is_gone_for_a_moment_is_seen_and_one_that_is_switched_is_not(tmp_path: Path) -> None:
    current, draft, watch = tmp_path / "current", tmp_path / ".current.1", Watch()
    current.symlink_to("releases/1")
    watch.add(tmp_path)
    draft.symlink_to("releases/2")
    draft.rename(current)
    assert watch.gone() == []
    current.unlink()
    current.symlink_to("releases/3")
    assert len(watch.gone()) == 1


_NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def _told(*actions: tuple[str, str, int, int]) -> Told:
    """Of the pipeline `queue`; an action is an execution, a stage, and the seconds at which it began and ended."""
    details: list[dict[str, Any]] = [
        {
            "pipelineExecutionId": id, "stageName": stage, "actionName": stage,
            "startTime": _NOON + timedelta(seconds=began), "lastUpdateTime": _NOON + timedelta(seconds=ended),
        }
        for id, stage, began, ended in actions
    ]  # fmt: skip
    return Told({}, {id: {"pipeline": "queue"} for id, *_ in actions}, details, {}, {"queue": []}, {})


def test_an_execution_in_two_stages_and_two_executions_in_one_are_seen() -> None:
    good = _told(("one", "Source", 0, 2), ("two", "Source", 2, 3), ("one", "Build", 2, 5), ("two", "Build", 5, 6))
    in_two = _told(("one", "Source", 0, 2), ("one", "Build", 1, 5))
    both = _told(("one", "Source", 0, 2), ("two", "Source", 1, 3))

    assert list(mistakes_of_stages(good)) == []
    assert len(list(mistakes_of_stages(in_two))) == 1
    assert len(list(mistakes_of_stages(both))) == 1
