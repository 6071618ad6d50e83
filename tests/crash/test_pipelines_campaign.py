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
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.crash import pipelines_story as story
from tests.crash.pipelines_asked import mistakes_of_asking, mistakes_of_doors
from tests.crash.pipelines_campaign import PipelinesCampaign
from tests.crash.pipelines_checking import mistakes_of_executions, mistakes_of_stages
from tests.crash.pipelines_sampler import Watch, look
from tests.crash.pipelines_story import Order
from tests.crash.pipelines_told import Told
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
    done = {entry["verb"] for entry in history.of("asked") if entry["came"] == "done"}
    assert done >= {"stop", "retry", "update"}
    assert "rollback" in done or campaign.executions < 100  # there is not always somebody to go back to
    assert history.of("closed")


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
    files = {"version": f"{mark}\n", "place": "/srv\n", "appspec.yml": "version: 0.0\n"}
    files |= {f"deploy/{name}.sh": "" for name in ("before", "after", "healthy")}
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
_Span = tuple[str, str, int, int]


def _told(*actions: _Span, versions: int = 1, **executions: str) -> Told:
    """Of the pipeline `queue`; an action is an execution, a stage, and the seconds at which it began and ended. It has
    succeeded, but if its execution is Failed or Abandoned. An execution is its status; one that goes back begins with
    `back`, and goes back to `one`."""
    statuses = {**{id: "Succeeded" for id, *_ in actions}, **executions}
    found = {
        id: {
            "pipeline": "queue", "status": status, "startTime": _NOON,
            "executionType": "ROLLBACK" if id.startswith("back") else "STANDARD",
            "rollbackMetadata": {"rollbackTargetPipelineExecutionId": "one"} if id.startswith("back") else {},
        }
        for id, status in statuses.items()
    }  # fmt: skip
    details: list[dict[str, Any]] = [
        {
            "pipelineExecutionId": id, "stageName": stage, "actionName": story.ACTIONS[stage][0], "pipeline": "queue",
            "startTime": _NOON + timedelta(seconds=began), "lastUpdateTime": _NOON + timedelta(seconds=ended),
            "pipelineVersion": 1, "status": {"Stopped": "Abandoned"}.get(statuses[id], statuses[id]),
        }
        for id, stage, began, ended in actions
    ]  # fmt: skip
    revisions = {"queue": {version: version - 1 for version in range(1, versions + 1)}}
    return Told({}, found, details, {}, {"queue": []}, {}, revisions=revisions)


def test_an_execution_in_two_stages_and_two_executions_in_one_are_seen() -> None:
    good = _told(("one", "Source", 0, 2), ("two", "Source", 2, 3), ("one", "Build", 2, 5), ("two", "Build", 5, 6))
    in_two = _told(("one", "Source", 0, 2), ("one", "Build", 1, 5))
    both = _told(("one", "Source", 0, 2), ("two", "Source", 1, 3))

    assert list(mistakes_of_stages(good)) == []
    assert len(list(mistakes_of_stages(in_two))) == 1
    assert len(list(mistakes_of_stages(both))) == 1


def _asked(verb: str, came: str = "done", given: Any = None, at: int = 3, **about: Any) -> dict[str, Any]:
    code = {"stop": "PipelineExecutionNotStoppableException", "retry": "StageNotRetryableException"}.get(verb, "Fault")
    wall, lost = (_NOON + timedelta(seconds=at)).timestamp(), int(came == "perhaps")
    answered = {"code": "" if came == "done" else code, "came": came, "lost": lost, "given": given, "wall": wall}
    return {"verb": verb, **answered, **about}


_RETRY: dict[str, Any] = {"execution": "one", "stage": "Check", "mode": "FAILED_ACTIONS", "broken": ["Scan"]}
_ONCE, _TWICE = (("one", "Check", 0, 2),), (("one", "Check", 0, 2), ("one", "Check", 4, 6))
_FAILED: dict[str, Any] = {"one": "Failed"}
_STOPPED: dict[str, Any] = {"one": "Stopped"}
_STOP: dict[str, Any] = {"execution": "one", "abandon": False}
_ABANDON: dict[str, Any] = {"execution": "one", "abandon": True}
_BACK: dict[str, Any] = {"pipeline": "queue", "target": "one"}
_UPDATE: dict[str, Any] = {"pipeline": "queue", "revision": 1}


@pytest.mark.parametrize(
    ("told", "asked", "wrong"),
    [
        (_told(*_TWICE, **_FAILED), [_asked("retry", **_RETRY)], 0),
        (_told(*_ONCE, **_FAILED), [_asked("retry", **_RETRY)], 1),
        (_told(*_TWICE, **_FAILED), [], 1),
        (_told(*_TWICE, **_FAILED), [_asked("retry", "refused", **_RETRY)], 1),
        (_told(*_TWICE, **_FAILED), [_asked("retry", "perhaps", **_RETRY)], 0),
        (_told(*_ONCE, **_FAILED), [_asked("retry", "perhaps", **_RETRY)], 0),
        (_told(*_TWICE), [_asked("retry", **_RETRY)], 1),  # it had succeeded
        (_told(*_TWICE), [_asked("retry", **{**_RETRY, "mode": "ALL_ACTIONS"})], 0),
        (_told(*_ONCE, **_STOPPED), [_asked("stop", **_ABANDON)], 0),
        (_told(*_ONCE, **_STOPPED), [_asked("stop", **_STOP)], 1),  # it was abandoned
        (_told(*_ONCE, **_STOPPED), [], 2),
        (_told(*_ONCE), [_asked("stop", **_STOP)], 1),
        (_told(*_ONCE), [_asked("stop", "perhaps", **_STOP)], 0),
        (_told(*_ONCE, **_STOPPED), [_asked("stop", at=-1, **_ABANDON)], 1),  # it began afterwards
        (_told(*_ONCE, back="Succeeded"), [_asked("rollback", given="back", **_BACK)], 0),
        (_told(*_ONCE), [_asked("rollback", given="back", **_BACK)], 2),
        (_told(*_ONCE, back="Succeeded", back2="Succeeded"), [_asked("rollback", given="back", **_BACK)], 1),
        (_told(("back", "Check", 1, 2)), [_asked("rollback", given="back", **_BACK)], 1),
        (_told(*_ONCE, versions=2), [_asked("update", given=2, **_UPDATE)], 0),
        (_told(*_ONCE), [_asked("update", given=2, **_UPDATE)], 1),
        (_told(*_ONCE, versions=2), [], 1),
        (_told(*_ONCE, versions=2), [_asked("update", given=2, at=-1, **_UPDATE)], 1),  # it went on all the same
        (_told(*_ONCE), [_asked("update", "refused", **_UPDATE)], 1),
    ],
)
def test_what_people_asked_for_and_did_not_get_once_is_seen(
    told: Told, asked: list[dict[str, Any]], wrong: int
) -> None:
    assert len(list(mistakes_of_asking(told, asked))) == wrong


def test_who_comes_through_a_closed_transition_is_seen() -> None:
    def door(at: int, *, shown: bool = True) -> dict[str, Any]:
        wall = (_NOON + timedelta(seconds=at)).timestamp()
        return {"pipeline": "queue", "stage": "Check", "wall": wall, "shown": shown}

    told = _told(("one", "Check", 2, 3), ("back", "Check", 2, 3))

    assert list(mistakes_of_doors(told, [door(3)], [door(5)])) == []
    assert len(list(mistakes_of_doors(told, [door(1)], [door(5)]))) == 1
    assert len(list(mistakes_of_doors(told, [door(3, shown=False)], [door(5)]))) == 1


@pytest.mark.parametrize(
    ("status", "actions"),
    [("Succeeded", _ONCE), ("Failed", ()), ("Superseded", _ONCE), ("Cancelled", _ONCE), ("InProgress", _ONCE)],
)
def test_an_execution_that_ended_for_no_reason_is_seen(status: str, actions: tuple[_Span, ...]) -> None:
    told = replace(_told(*actions, one=status), orders={"one": Order("queue", "1-a")})

    assert len(list(mistakes_of_executions(told))) == 1
