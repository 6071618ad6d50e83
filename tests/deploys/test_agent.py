"""Agents as they run: real processes against a real server, with real deaths on both sides."""

import asyncio
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codeyard.artifacts.disk import DiskStore
from codeyard.deploys.agent import Agent
from codeyard.deploys.blobs_over_http import FetchedBlobs
from codeyard.deploys.door import Door
from codeyard.deploys.host import Host
from codeyard.deploys.model import ROLLBACK, Code, Deployment, RollbackEvent, Status
from codeyard.deploys.selection import Selection
from tests.deploys.deployments import event_statuses, statuses
from tests.deploys.yard import OWNER, AgentProcess, Yard, now, until_true

FAILURE = frozenset({RollbackEvent.FAILURE})
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    made = Yard(tmp_path_factory.mktemp("yard"), heard_for=3.0)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def www(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both machines have a disk of their own."""
    return tmp_path_factory.mktemp("www")


@pytest.fixture(scope="module")
def pair(
    yard: Yard, www: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[AgentProcess, AgentProcess]]:
    """Two machines with the tag role=web."""
    if shutil.which("bwrap") is None:
        pytest.skip("bwrap gives two agents of one machine disks of their own; it is not here")
    directory = tmp_path_factory.mktemp("machines")
    both = AgentProcess(directory, "web-0", www), AgentProcess(directory, "web-1", www)
    for each in both:
        each.enrol(yard, role="web")
    yield both
    for each in both:
        each.end()


@pytest.fixture
def lone(yard: Yard, tmp_path: Path) -> Iterator[AgentProcess]:
    """A machine with a tag that no other has."""
    made = AgentProcess(tmp_path, f"lone-{time.monotonic_ns()}")
    yield made.enrol(yard, only=made.name)
    made.kill()
    yard.run(yard.targets.remove(OWNER, made.name))


def only(agent: AgentProcess) -> Selection:
    return Selection.of_tags({"only": agent.name})


def page(disk: Path) -> str:
    return (disk / "site" / "current" / "page").read_text()


def waiting_script(place: Path) -> str:
    """A script that says that it has begun, and waits to be let go."""
    return f"#!/bin/sh\ntouch {place}/began\nwhile [ ! -e {place}/go ]; do sleep 0.02; done\n"


def fully(deployment: Deployment) -> bool:
    return all(set(event_statuses(target)) == {"Succeeded"} for target in deployment.targets)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_who_a_script_runs_as_gets_through_an_agents_directories_to_revisions_alone(lone: AgentProcess) -> None:
    host, state = lone.state / "host", lone.state
    modes = {path: path.stat().st_mode & 0o777 for path in (state, host, *state.iterdir(), *host.iterdir())}

    assert (modes[state], modes[host], modes[state / "agent.json"]) == (0o711, 0o711, 0o600)
    assert {modes[path] for path in (state / "blobs", state / "scratch", host / "manifests")} == {0o700}
    assert modes[host / "deployment-root"] == 0o711


async def with_a_crowded_disk(lone: AgentProcess, deploy: Callable[[], Deployment]) -> int:
    """How many blobs the machine has after a deployment, whose agent runs here and finds its disk nearly full."""
    known, ending = json.loads((lone.state / "agent.json").read_text()), asyncio.Event()
    doors = [Door(known["server"], f"{known['id']}.{known['secret']}") for _ in range(3)]
    with DiskStore(lone.state / "blobs") as store:
        blobs = FetchedBlobs(store, doors[0], scratch=lone.state / "scratch")
        host = Host(lone.state / "host", blobs, now, share_store=True)
        agent = Agent(doors[1], doors[2], host, blobs, lambda *_: None, lambda: True)
        running = asyncio.create_task(agent.run(ending))
        await asyncio.to_thread(deploy)
        ending.set()
        await running
    return sum(path.is_file() for path in (lone.state / "blobs" / "blobs").rglob("*"))


async def test_what_failed_on_a_crowded_disk_leaves_room(yard: Yard, lone: AgentProcess, www: Path) -> None:
    lone.kill()
    tree = yard.tree(page="new", fails="#!/bin/sh\nexit 1\n", works="#!/bin/sh\n")

    def deploy(script: str) -> Deployment:
        options = {"before_switch": script}
        return yard.ended(yard.deploy(tree, f"{www}/crowded", targets=only(lone), options=options))

    kept = await with_a_crowded_disk(lone, lambda: deploy("works"))
    left = await with_a_crowded_disk(lone, lambda: deploy("fails"))

    assert (kept > 0, left) == (True, 0)


def test_two_machines_take_a_release_one_after_the_other_and_fetch_only_what_they_have_not(
    yard: Yard, www: Path, pair: tuple[AgentProcess, AgentProcess]
) -> None:
    big = "x" * 2_000_000
    first = yard.ended(yard.deploy(yard.tree(page="1", large=big), f"{www}/site"))
    second = yard.ended(yard.deploy(yard.tree(page="2", large=big), f"{www}/site"))

    assert (first.status, second.status, statuses(second)) == (Status.SUCCEEDED, Status.SUCCEEDED, ["Succeeded"] * 2)
    assert fully(first)
    one, two = second.targets
    assert one.events[-1].ended is not None
    assert two.events[0].started is not None
    assert one.events[-1].ended <= two.events[0].started
    assert [page(each.disk) for each in pair] == ["2", "2"]
    assert "(1 bytes)" in pair[0].said()  # only the page came the second time
    assert f"{second.id} site live/go: Switch Succeeded" in pair[1].said()


def test_a_failure_stops_and_brings_the_machines_back_that_had_switched(
    yard: Yard, www: Path, pair: tuple[AgentProcess, AgentProcess]
) -> None:
    check = '#!/bin/sh\n[ "$(cat page)" = good ] || [ ! -e ../../sick ]\n'
    yard.ended(yard.deploy(yard.tree(page="good", check=check), f"{www}/site", group="back"))
    (pair[1].disk / "site" / "sick").touch()

    failed = yard.ended(
        yard.deploy(
            yard.tree(page="bad", check=check), f"{www}/site", group="back", roll_back_on=FAILURE,
            strict=True,
            options={"health_check": "check", "health_seconds": "0"},
        )
    )  # fmt: skip
    assert failed.rolled_back_by is not None
    back = yard.ended(yard.run(yard.control.get(OWNER, failed.rolled_back_by)))

    assert (failed.status, sorted(statuses(failed))) == (Status.FAILED, ["Failed", "Succeeded"])
    assert (back.status, back.request.creator, fully(back)) == (Status.SUCCEEDED, ROLLBACK, True)
    assert [page(each.disk) for each in pair] == ["good", "good"]


@pytest.mark.parametrize("when", ["BeforeSwitch", "AfterSwitch"])
def test_an_agent_that_is_killed_goes_on_when_it_starts_again(
    yard: Yard, lone: AgentProcess, tmp_path: Path, when: str
) -> None:
    """In a script nobody can know how far it came, so that event has failed; elsewhere it goes on."""
    tree = yard.tree(page="1", wait=waiting_script(tmp_path))
    scripts = {"after_switch": "wait"} if when == "AfterSwitch" else {"before_switch": "wait"}
    begun = yard.deploy(tree, f"{tmp_path}/site", targets=only(lone), options=scripts)
    until_true((tmp_path / "began").exists)

    lone.kill()
    (tmp_path / "go").touch()
    lone.start()
    ended = yard.ended(begun)

    assert ended.status is Status.FAILED
    failed = [event for event in ended.targets[0].events if event.status == "Failed"]
    assert [event.message[:50] for event in failed] == ["Failing in-progress lifecycle event after an agent"]
    assert not (tmp_path / "site" / "current").exists()  # what was switched was switched back


def test_an_agent_that_is_told_to_end_ends_after_its_event_and_the_next_one_goes_on(
    yard: Yard, lone: AgentProcess, tmp_path: Path
) -> None:
    tree = yard.tree(page="1", wait=waiting_script(tmp_path))
    begun = yard.deploy(tree, f"{tmp_path}/site", targets=only(lone), options={"before_switch": "wait"})
    until_true((tmp_path / "began").exists)

    assert lone._process is not None
    lone._process.terminate()
    (tmp_path / "go").touch()
    code = lone.code()
    told = event_statuses(yard.run(yard.control.get(OWNER, begun.id)).targets[0])
    lone.start()

    assert (code, told) == (0, ["Succeeded"] * 3 + ["Pending"] * 3)
    assert fully(yard.ended(begun))
    assert page(tmp_path) == "1"


def test_a_server_that_is_away_for_a_while_is_told_everything_later(
    yard: Yard, lone: AgentProcess, tmp_path: Path
) -> None:
    tree = yard.tree(page="1", wait=waiting_script(tmp_path))
    begun = yard.deploy(tree, f"{tmp_path}/site", targets=only(lone), options={"before_switch": "wait"})
    until_true((tmp_path / "began").exists)

    yard.stop()
    (tmp_path / "go").touch()
    until_true(lambda: "HealthCheck Succeeded" in lone.said())
    yard.start()

    assert fully(yard.ended(begun))
    assert "Trying again" in lone.said()


def test_a_blob_that_was_altered_in_the_store_is_refused_and_nothing_switches(
    yard: Yard, lone: AgentProcess, tmp_path: Path
) -> None:
    tree = yard.tree(page="the true page")
    altered = next(path for path in (yard.directory / "store").rglob("*") if path.is_file()
                   and path.read_bytes() == b"the true page")  # fmt: skip
    altered.chmod(0o644)
    altered.write_bytes(b"the fake page")

    ended = yard.ended(yard.deploy(tree, f"{tmp_path}/site", targets=only(lone)))

    assert (ended.status, event_statuses(ended.targets[0])[:2]) == (Status.FAILED, ["Succeeded", "Failed"])
    assert "not those of this digest" in ended.targets[0].events[1].message
    assert not (tmp_path / "site" / "current").exists()


def test_a_target_that_died_fails_as_an_agent_issue(yard: Yard, lone: AgentProcess, tmp_path: Path) -> None:
    lone.kill()

    ended = yard.ended(yard.deploy(yard.tree(page="1"), f"{tmp_path}/site", targets=only(lone)))

    assert ended.error is not None
    assert (ended.status, ended.error.code) == (Status.FAILED, Code.AGENT_ISSUE)


def test_a_stop_lets_the_event_end_and_goes_back(yard: Yard, lone: AgentProcess, tmp_path: Path) -> None:
    tree = yard.tree(page="1", wait=waiting_script(tmp_path))
    begun = yard.deploy(tree, f"{tmp_path}/site", targets=only(lone), options={"after_switch": "wait"})
    until_true((tmp_path / "began").exists)

    asked = yard.run(yard.control.stop(OWNER, begun.id))
    until_true(lambda: "told to stop" in lone.said())
    (tmp_path / "go").touch()
    ended = yard.ended(begun)

    assert (asked.status, ended.status, statuses(ended)) == (Status.IN_PROGRESS, Status.STOPPED, ["Skipped"])
    assert event_statuses(ended.targets[0]) == ["Succeeded"] * 5 + ["Skipped"]
    assert not (tmp_path / "site" / "current").exists()


def test_an_agent_that_was_removed_ends_and_says_why(yard: Yard, tmp_path: Path) -> None:
    agent = AgentProcess(tmp_path, "gone").enrol(yard, role="none")

    yard.run(yard.targets.remove(OWNER, "gone"))

    assert agent.code() == 2
    assert "Enrol this machine again" in agent.said()


def test_the_secret_is_for_its_owner_alone_and_a_second_start_needs_no_token(yard: Yard, lone: AgentProcess) -> None:
    file = lone.state / "agent.json"
    secret = json.loads(file.read_text())["secret"]

    assert lone.end() == 0
    lone.start()
    until_true(lambda: lone.said().count("is deployed to by") == 2)

    assert file.stat().st_mode & 0o777 == 0o600
    assert secret not in lone.said()
    assert secret.encode() not in (yard.directory / "yard.sqlite").read_bytes()


def test_a_token_that_is_expired_or_anothers_lets_nobody_in(yard: Yard, tmp_path: Path) -> None:
    agent = AgentProcess(tmp_path, "nobody")

    agent.start("--server", yard.url, "--token", "codeyard1.e30.AAAA", "--name", "nobody")

    assert agent.code() == 2
    assert "none of this server's" in agent.said()
