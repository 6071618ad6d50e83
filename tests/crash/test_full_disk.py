"""A disk that is full: builds wait or end with the reason, nothing acknowledged is lost, and all goes on with room."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.crash import story
from tests.crash.campaign import prepare
from tests.crash.checking import log_lines, settled
from tests.crash.servers import Shape, Yard
from tests.crash.story import Wanted
from tests.machines import EXECUTORS, Machine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
_FULL_FOR = 6.0  # seconds
_KNOWN = ("full", "No space left", "disk")


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own there."""
    place.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "small", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def fill(disk: Path) -> Path:
    """The file that leaves no room on it."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    with suppress(OSError), filler.open("ab", buffering=0) as file:
        while True:
            file.write(b"0")
    return filler


@pytest.fixture(params=EXECUTORS, ids=lambda machine: machine.name)
def machine(request: pytest.FixtureRequest) -> Machine:
    found: Machine = request.param
    found.require()
    return found


def _start(yard: Yard, wanted: Wanted) -> str | None:
    """Its id, if the server took it; it may answer that its disk is full, or be too long about it."""
    try:
        return str(yard.client("codebuild").start_build(**wanted.call())["build"]["id"])
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 503 or "full" not in str(error):
            raise
    except ReadTimeoutError:
        pass
    return None


def _ended(yard: Yard, ids: list[str], seconds: float) -> list[Any]:
    """Those builds, once they have ended."""
    deadline = time.monotonic() + seconds
    while True:
        builds = yard.client("codebuild").batch_get_builds(ids=ids)["builds"]
        if all(build["buildComplete"] for build in builds) and len(builds) == len(ids):
            return list(builds)
        assert time.monotonic() < deadline, [(build["id"], build["currentPhase"]) for build in builds] + [
            yard.told("server")]  # fmt: skip
        time.sleep(0.2)


def _reasons(build: Any) -> str:
    return " ".join(context["message"] for phase in build["phases"] for context in phase.get("contexts", ())
                    if context.get("message"))  # fmt: skip


def _check(yard: Yard, build: Any, wanted: Wanted, *, may_fail: bool) -> None:
    if build["buildStatus"] == "SUCCEEDED":
        assert story.mistakes_of_build(wanted, build) == []
        assert story.mistakes_of_log(wanted, log_lines(yard, build))[0] == []
    else:
        assert may_fail, _reasons(build)
        assert build["buildStatus"] in ("FAULT", "FAILED")
        assert any(known in _reasons(build) for known in _KNOWN), (build["phases"], yard.told("server"))


def _drive(yard: Yard, disk: Path, *, may_fail: bool) -> None:
    """Builds before, while and after the disk is full."""
    yard.start_all()
    try:
        prepare(yard)
    except ClientError as error:
        raise AssertionError(yard.told("server")) from error
    before = [Wanted("alpha", f"before-{number}", "1.0", False) for number in range(3)]
    ids = {_start(yard, each): each for each in before}
    assert None not in ids
    time.sleep(1.5)
    filler = fill(disk)
    during = [Wanted("beta", f"during-{number}", "0", False) for number in range(2)]
    ids |= {_start(yard, each): each for each in during}
    time.sleep(_FULL_FOR)
    filler.unlink()
    after = Wanted("gamma", "after", "0", False)
    deadline = time.monotonic() + 30
    while (last := _start(yard, after)) is None:
        assert time.monotonic() < deadline, "it does not recover"
        time.sleep(0.5)
    taken = [id for id in ids if id is not None]

    assert yard.running["server"].poll() is None, yard.told("server")
    (recovered,) = _ended(yard, [last], 60)
    assert recovered["buildStatus"] == "SUCCEEDED", _reasons(recovered)
    for build in _ended(yard, taken, 60):
        wanted = ids[build["id"]]
        _check(yard, build, wanted, may_fail=may_fail)
    assert settled(yard, [*taken, last]) == []


def test_a_full_data_directory_ends_builds_with_the_reason_and_the_server_recovers(
    machine: Machine, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "small", 32) as disk:
        yard = Yard(machine, Shape.ONE, disk / "data")
        try:
            _drive(yard, disk, may_fail=True)
        finally:
            yard.stop()


def test_a_database_on_a_full_disk_lets_builds_wait_and_ends_none(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 8) as disk:
        yard = Yard(EXECUTORS[0], Shape.ONE, tmp_path / "data", f"sqlite:///{disk / 'codeyard.sqlite'}")
        try:
            _drive(yard, disk, may_fail=False)
        finally:
            yard.stop()
