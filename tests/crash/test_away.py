"""What a server is built on goes away and comes back: the database, the Docker engine. The server goes on by itself."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash import engines, story
from tests.crash.campaign import insist, prepare
from tests.crash.checking import log_lines, mistakes
from tests.crash.history import History
from tests.crash.servers import Shape, Yard
from tests.crash.story import Wanted
from tests.docker_images import import_image
from tests.machines import EXECUTORS, busybox_root

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
_GONE_FOR = 5.0  # seconds


def _ended(yard: Yard, ids: list[str], seconds: float = 60.0) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        builds = yard.client("codebuild").batch_get_builds(ids=ids)["builds"]
        if all(build["buildComplete"] for build in builds):
            return {build["id"]: build for build in builds}
        told = {name: yard.told(name) for name in yard.running}
        assert time.monotonic() < deadline, ([(build["id"], build["currentPhase"]) for build in builds], told)
        time.sleep(0.2)


# ── the database ──


def _take(yard: Yard, history: History, wanted: Wanted) -> str:
    client = yard.client("codebuild")
    build = insist(lambda: client.start_build(**wanted.call())["build"], history, "StartBuild")
    history.write(
        "acknowledged", id=build["id"], number=build["buildNumber"], project=wanted.project, mark=wanted.mark,
        nap=wanted.nap, fails=wanted.fails,
    )  # fmt: skip
    return str(build["id"])


@pytest.mark.parametrize("times", [1, 3])
def test_builds_outlast_a_database_that_dies(tmp_path: Path, times: int) -> None:
    """Those that run go on, those that wait wait, and a call is answered late or says that the database is away."""
    with engines.postgresql() as cluster:
        yard = Yard(EXECUTORS[0], Shape.APART, tmp_path / "data", cluster.url, {"builds": "2"})
        history = History(tmp_path / "history.jsonl")
        try:
            yard.start_all()
            prepare(yard)
            wanted = [Wanted(story.PROJECTS[n % 3], f"mark-{n}", "0.3", False) for n in range(4 + 4 * times)]
            ids = [_take(yard, history, each) for each in wanted[:4]]
            for number in range(times):
                time.sleep(0.7)
                cluster.die()
                time.sleep(_GONE_FOR)
                cluster.start()
                ids += [_take(yard, history, each) for each in wanted[4 + 4 * number :][:4]]
            _ended(yard, ids)

            assert [wrong for wrong in mistakes(yard, history) if "refused" not in wrong] == []
            assert {name: process.poll() for name, process in yard.running.items()} == dict.fromkeys(yard.names)
        finally:
            yard.stop()


def test_a_worker_that_starts_while_the_database_is_away_waits_for_it(tmp_path: Path) -> None:
    with engines.postgresql() as cluster:
        yard = Yard(EXECUTORS[0], Shape.APART, tmp_path / "data", cluster.url)
        history = History(tmp_path / "history.jsonl")
        try:
            yard.start_all()
            prepare(yard)
            for name in ("one", "two"):
                yard.signal(name, signal.SIGKILL)
                yard.reap(name)
            id = _take(yard, history, Wanted("alpha", "mark", "0", False))
            cluster.die()
            yard.start("one")
            time.sleep(_GONE_FOR)
            cluster.start()
            _ended(yard, [id])

            assert yard.running["one"].poll() is None, yard.told("one")
            assert [wrong for wrong in mistakes(yard, history) if "refused" not in wrong] == []
        finally:
            yard.stop()


# ── the Docker engine ──


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[engines.Docker]:
    with engines.docker() as found:
        monkeypatch.setenv("DOCKER_HOST", found.host)
        yield found


@pytest.fixture
def yard(engine: engines.Docker, tmp_path: Path) -> Iterator[Yard]:
    image = import_image("codeyard-test-busybox:latest", busybox_root())
    found = Yard(EXECUTORS[2], Shape.ONE, tmp_path / "data", image=image)
    try:
        found.start_all()
        prepare(found, autoRetryLimit=1, source={"type": "NO_SOURCE", "buildspec": story.sleeping()})
        yield found
    finally:
        found.stop()


def _sleeping(yard: Yard, nap: str) -> str:
    """A build that sleeps."""
    given = [{"name": "NAP", "value": nap}]
    id = yard.client("codebuild").start_build(projectName="alpha", environmentVariablesOverride=given)["build"]["id"]
    log = yard.home(id) / "log"
    deadline = time.monotonic() + 30
    while not (log.exists() and "\nit sleeps\n" in log.read_text()):
        assert time.monotonic() < deadline, yard.told("server")
        time.sleep(0.05)
    return str(id)


def test_an_engine_that_is_started_again_ends_its_builds_with_the_reason_and_takes_new_ones(
    engine: engines.Docker, yard: Yard
) -> None:
    id = _sleeping(yard, "12")
    engine.stop()
    time.sleep(2)
    assert engine.start()
    build = _ended(yard, [id])[id]
    again = build["autoRetryConfig"]["nextAutoRetry"].rpartition("build/")[2]
    second = _ended(yard, [again])[again]
    bad = [phase for phase in build["phases"] if phase.get("phaseStatus") == "FAULT"]

    assert build["buildStatus"] == "FAULT"
    assert [phase["phaseType"] for phase in bad] == ["BUILD"]
    assert "engine" in bad[0]["contexts"][0]["message"].lower(), bad
    assert "it is awake" not in log_lines(yard, build)
    assert second["buildStatus"] == "SUCCEEDED"
    assert yard.running["server"].poll() is None


def test_an_engine_that_is_killed_and_finds_its_containers_again_ends_no_build_twice(
    engine: engines.Docker, yard: Yard
) -> None:
    id = _sleeping(yard, "6")
    engine.stop(signal.SIGKILL)
    time.sleep(1)
    assert engine.start()
    build = _ended(yard, [id])[id]
    lines = log_lines(yard, build)

    # An engine that was killed may leave its containers, or end them as it starts: both are told as they are.
    assert build["buildStatus"] in ("SUCCEEDED", "FAULT")
    assert lines.count("it sleeps") == 1
    assert lines.count("it is awake") == (build["buildStatus"] == "SUCCEEDED")
    assert yard.running["server"].poll() is None
