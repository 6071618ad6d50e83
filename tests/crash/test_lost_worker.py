"""A worker that never comes back, and one that comes back when its builds were given up."""

import signal
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.crash import story
from tests.crash.campaign import prepare
from tests.crash.checking import settled
from tests.crash.servers import Shape, Yard, own_postgresql
from tests.databases import POSTGRESQL
from tests.machines import EXECUTORS

LEASE = 2.0
IN_TIME = 8.0  # a lease within which a process starts even on a busy machine
# Until it is seen for a lease that the worker says nothing, and a look or two more.
BOUND = 3 * LEASE + 4

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


PLACES = [*((machine, "sqlite") for machine in EXECUTORS), (EXECUTORS[0], "postgresql")]


@pytest.fixture(params=PLACES, ids=lambda place: f"{place[0].name}-{place[1]}")
def yard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Yard]:
    machine, dialect = request.param
    machine.require()
    if dialect == "postgresql" and POSTGRESQL is None:
        pytest.skip("CODEYARD_TEST_POSTGRESQL names no database")
    with own_postgresql() if dialect == "postgresql" else nullcontext("") as url:
        settings = {"lease": str(LEASE), "builds": "1"}
        found = Yard(machine, Shape.APART, tmp_path / "data", url, settings)
        try:
            found.start("server")
            found.wait_ready()
            prepare(found, autoRetryLimit=1, source={"type": "NO_SOURCE", "buildspec": story.sleeping()})
            yield found
        finally:
            found.stop()


def _build(yard: Yard, id: str) -> Any:
    (build,) = yard.client("codebuild").batch_get_builds(ids=[id])["builds"]
    return build


def _until(yard: Yard, id: str, seconds: float) -> Any:
    """The build, once it has ended."""
    deadline = time.monotonic() + seconds
    while not (build := _build(yard, id))["buildComplete"]:
        assert time.monotonic() < deadline, f"it does not end: {build['currentPhase']}"
        time.sleep(0.1)
    return build


def _sleeping(yard: Yard) -> str:
    """A build that sleeps for ever, on worker `one`."""
    yard.start("one")
    given = [{"name": "NAP", "value": "600"}]
    id = yard.client("codebuild").start_build(projectName="alpha", environmentVariablesOverride=given)["build"]["id"]
    deadline = time.monotonic() + 30
    while "it sleeps" not in _log(yard, id) or _build(yard, id)["currentPhase"] != "BUILD":
        assert time.monotonic() < deadline, yard.told("one")
        time.sleep(0.05)
    return str(id)


def _log(yard: Yard, id: str) -> list[str]:
    path = yard.home(id) / "log"
    return path.read_text().split("\n") if path.exists() else []


def test_the_builds_of_a_worker_that_never_comes_back_end_with_the_reason_and_are_tried_again(yard: Yard) -> None:
    id = _sleeping(yard)
    yard.signal("one", signal.SIGKILL)
    yard.reap("one")
    began = time.monotonic()
    lost = _until(yard, id, BOUND)
    took = time.monotonic() - began
    yard.start("two")
    again = lost["autoRetryConfig"]["nextAutoRetry"].rpartition("build/")[2]
    phases = {phase["phaseType"]: phase for phase in lost["phases"]}

    assert lost["buildStatus"] == "FAULT"
    assert took < BOUND
    assert phases["BUILD"]["phaseStatus"] == "FAULT"
    assert phases["BUILD"]["contexts"][0]["statusCode"] == "WORKER_LOST"
    assert "Worker one on " in phases["BUILD"]["contexts"][0]["message"]
    assert _build(yard, again)["autoRetryConfig"]["previousAutoRetry"].endswith(id)
    assert _build(yard, again)["autoRetryConfig"]["autoRetryNumber"] == 1
    yard.client("codebuild").stop_build(id=again)
    assert _until(yard, again, 30)["buildStatus"] == "STOPPED"


def test_a_worker_that_comes_back_too_late_ends_its_sandboxes_and_writes_nothing(yard: Yard) -> None:
    id = _sleeping(yard)
    yard.signal("one", signal.SIGKILL)
    yard.reap("one")
    lost = _until(yard, id, BOUND)
    again = lost["autoRetryConfig"]["nextAutoRetry"].rpartition("build/")[2]
    yard.client("codebuild").stop_build(id=again)
    assert settled(yard, [id], seconds=0.0) != []  # it sleeps still
    yard.start("one")

    assert settled(yard, [id], seconds=30.0) == []
    assert _build(yard, id) == _build(yard, id) | lost
    assert _until(yard, again, 10)["buildStatus"] == "STOPPED"


def test_a_worker_that_comes_back_in_time_goes_on(yard: Yard) -> None:
    yard.settings = {**yard.settings, "lease": str(IN_TIME)}
    id = _sleeping(yard)
    yard.signal("one", signal.SIGKILL)
    yard.reap("one")
    yard.start("one")
    time.sleep(IN_TIME + 2)
    build = _build(yard, id)
    yard.client("codebuild").stop_build(id=id)

    assert build["currentPhase"] == "BUILD"
    assert _until(yard, id, 30)["buildStatus"] == "STOPPED"
    assert _log(yard, id).count("it sleeps") == 1
    assert settled(yard, [id]) == []
