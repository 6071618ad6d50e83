"""Releases from outside, on one real server with one agent: artifacts that are harmed, scripts that hang or hide, two
at the same place, and a machine that is killed at the worst moments."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.agents import Agent, agent
from tests.service.servers import up
from tests.service.test_drive import executor
from tests.service.yard import Yard, action, until

pytestmark = pytest.mark.slow
APPROVAL = action("Approval/Manual")


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with up(tmp_path_factory.mktemp("yard"), lease="5", **executor()) as server:
        yield Yard.of(server)


@pytest.fixture(scope="module")
def target(yard: Yard, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with agent(yard.server, tmp_path_factory.mktemp("target"), "target", role="web") as found:
        yield found


def release(path: Path, **more: str) -> dict[str, Any]:
    given = {"Targets": "role=web", "Path": str(path), "HealthCheckSeconds": "0", **more}
    return action("Deploy/Custom/Codeyard-Release", "Release", given, into=("Source",))


def events(yard: Yard, name: str, id: str) -> dict[str, str]:
    """The target's events of a release, each with its status."""
    found = yard.run(name, id, "Release")
    assert found is not None
    given = {"pipelineName": name, "actionExecutionId": found["actionExecutionId"]}
    targets = yard.cp.list_deploy_action_execution_targets(**given)["targets"]
    return {event["name"]: event["status"] for each in targets for event in each["events"]}


def started_again(yard: Yard, name: str) -> str:
    id = yard.start(name)
    yard.approve(name, yard.token(name, id))
    return id


def blobs(yard: Yard, holding: bytes) -> list[Path]:
    """Those of the server's store with this in them."""
    store = yard.server.data / "artifacts"
    return [path for path in store.rglob("*") if path.is_file() and holding in path.read_bytes()]


@pytest.mark.parametrize(
    ("harm", "told"), [("removed", "the server has lost it"), ("altered", "are not those of this digest")]
)
def test_what_the_store_has_lost_is_not_released(
    yard: Yard, target: Agent, tmp_path: Path, harm: str, told: str
) -> None:
    name, mark = yard.name("lost"), f"the text that is {harm}"
    id = yard.create(name, [yard.put(name, {"file.txt": mark, "other.txt": "x"})], [APPROVAL], [release(tmp_path)])
    token = yard.token(name, id)
    harmed = blobs(yard, mark.encode())
    for path in harmed:
        path.chmod(0o600)
        path.unlink() if harm == "removed" else path.write_bytes(path.read_bytes().replace(b"that", b"THAT"))

    yard.approve(name, token)

    assert harmed
    assert yard.ended(name, id) == "Failed"
    assert told in yard.error(name, id, "Release")
    assert not (tmp_path / "current").exists()
    assert yard.ended(name, started_again(yard, name)) == "Succeeded"


def test_a_release_that_was_altered_on_the_target_is_not_made_live_again(
    yard: Yard, target: Agent, tmp_path: Path
) -> None:
    name = yard.name("altered")
    first = yard.create(name, [yard.put(name, {"file.txt": "first"})], [release(tmp_path)])
    assert yard.ended(name, first) == "Succeeded"
    old = (tmp_path / "current").resolve()
    yard.put(name, {"file.txt": "second"})
    assert yard.ended(name, yard.start(name)) == "Succeeded"
    (old / "file.txt").chmod(0o644)
    (old / "file.txt").write_text("FIRST")

    back = yard.cp.rollback_stage(pipelineName=name, stageName="Two", targetPipelineExecutionId=first)

    assert yard.ended(name, back["pipelineExecutionId"]) == "Failed"
    assert "was altered after it was placed: file.txt" in yard.error(name, back["pipelineExecutionId"], "Release")
    assert (tmp_path / "current" / "file.txt").read_text() == "second"


# ── scripts ──


def test_a_script_that_hangs_is_ended_and_the_release_before_comes_back(
    yard: Yard, target: Agent, tmp_path: Path
) -> None:
    name, live = yard.name("hangs"), tmp_path / "live"
    deploy = release(live, AfterSwitch="after.sh", HookTimeout="1")
    good = yard.create(name, [yard.put(name, {"!after.sh": "#!/bin/sh\n", "file.txt": "good"})], [deploy])
    assert yard.ended(name, good) == "Succeeded"
    hangs = f"#!/bin/sh\ncp file.txt {tmp_path}/seen\nsleep 600\n"
    yard.put(name, {"!after.sh": hangs, "file.txt": "bad"})

    bad = yard.start(name)

    assert yard.ended(name, bad) == "Failed"
    assert "after.sh failed to complete in 1 seconds" in yard.error(name, bad, "Release")
    assert (live / "current" / "file.txt").read_text() == "good"
    assert (tmp_path / "seen").read_text() == "bad"


def test_a_script_that_leaves_a_process_behind(yard: Yard, target: Agent, tmp_path: Path) -> None:
    """With its output elsewhere it is none of ours; one that holds it open makes the script take too long."""
    name, live = yard.name("hides"), tmp_path / "live"
    deploy = release(live, AfterSwitch="after.sh", HookTimeout="2")
    hides = "#!/bin/sh\nsetsid sleep 20 {} &\necho begun\n"
    good = yard.create(name, [yard.put(name, {"!after.sh": hides.format(">/dev/null 2>&1")})], [deploy])
    ended = yard.ended(name, good)
    yard.put(name, {"!after.sh": hides.format("")})
    bad = yard.start(name)

    assert ended == "Succeeded"
    assert yard.ended(name, bad) == "Failed"
    assert "Script at specified location: after.sh" in yard.error(name, bad, "Release")


def test_two_deployments_to_one_place_come_one_after_the_other(yard: Yard, target: Agent, tmp_path: Path) -> None:
    live, log = tmp_path / "live", tmp_path / "log"
    script = "#!/bin/sh\necho {0} begins >> {1}\nsleep 0.3\necho {0} ends >> {1}\n"
    names = [yard.name("crowd") for _ in range(3)]
    ids = [
        yard.create(
            name,
            [yard.put(name, {"!after.sh": script.format(name, log), "name.txt": name})],
            [release(live, AfterSwitch="after.sh")],
        )
        for name in names
    ]

    ended = [yard.ended(name, id) for name, id in zip(names, ids, strict=True)]

    lines = log.read_text().split("\n")[:-1]
    assert ended == ["Succeeded"] * 3
    assert sorted(line.split()[0] for line in lines[::2]) == sorted(names)
    assert lines[1::2] == [line.replace("begins", "ends") for line in lines[::2]]
    assert (live / "current" / "name.txt").read_text() == lines[-1].split()[0]


# ── a machine that dies ──


@pytest.mark.parametrize("event", ["BeforeSwitch", "AfterSwitch"])
def test_a_machine_that_is_killed_beside_the_switch_runs_no_script_twice_and_goes_back(
    yard: Yard, tmp_path: Path, event: str
) -> None:
    """Between placing and switching, and between switching and reporting. AWS's agent fails such an event, too."""
    name, live, runs = yard.name("killed"), tmp_path / "live", tmp_path / "runs"
    deploy = release(live, **{event: "wait.sh", "Targets": f"role={name}"})
    good = {"!wait.sh": "#!/bin/sh\n", "file.txt": "good"}
    with agent(yard.server, tmp_path, name, role=name) as found:
        assert yard.ended(name, yard.create(name, [yard.put(name, good)], [deploy])) == "Succeeded"
        yard.put(name, {"!wait.sh": f"#!/bin/sh\necho run >> {runs}\nsleep 600\n", "file.txt": "bad"})
        bad = yard.start(name)
        until(runs.exists, "the script runs")
        found.kill()
        switched = (live / "current" / "file.txt").read_text() == "bad"
        found.start(yard.server)
        ended = yard.ended(name, bad)
        told = yard.error(name, bad, "Release")
        yard.put(name, good)
        again = yard.ended(name, yard.start(name))

    assert switched == (event == "AfterSwitch")
    assert (ended, again) == ("Failed", "Succeeded")
    assert f"{event}: Failing in-progress lifecycle event after an agent restart" in told
    assert runs.read_text() == "run\n"
    assert (live / "current" / "file.txt").read_text() == "good"


def test_a_machine_that_is_given_up_while_it_is_away_goes_back_when_it_is_here_again(
    yard: Yard, tmp_path: Path
) -> None:
    name, live = yard.name("gone"), tmp_path / "live"
    deploy = release(live, AfterSwitch="wait.sh", Targets=f"role={name}")
    with agent(yard.server, tmp_path, name, role=name) as found:
        good = yard.put(name, {"!wait.sh": "#!/bin/sh\n", "file.txt": "good"})
        assert yard.ended(name, yard.create(name, [good], [deploy])) == "Succeeded"
        waits = f"#!/bin/sh\ntouch {tmp_path}/begun\nsleep 600\ntouch {tmp_path}/over\n"
        yard.put(name, {"!wait.sh": waits, "file.txt": "bad"})
        bad = yard.start(name)
        until((tmp_path / "begun").exists, "the script runs")
        found.kill()
        ended = yard.ended(name, bad)
        told = yard.error(name, bad, "Release")
        before = (live / "current" / "file.txt").read_text()
        found.start(yard.server)
        until(lambda: "the server has given it up: undone" in found.said(), "it says so", 10)

    assert (ended, before) == ("Failed", "bad")
    assert "Nothing is heard of the agent" in told
    assert (live / "current" / "file.txt").read_text() == "good"
