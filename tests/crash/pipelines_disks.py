"""What lies on the targets, and what is left on disks and among processes, once a campaign of pipelines is over."""

import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.crash import pipelines_story as story
from tests.crash.checking import KEPT
from tests.crash.pipelines_places import Places

_DRAFT = re.compile(r"\.part$|\.gone$|^\.current\.|^codeyard-pipeline-|^tmp|^\.[0-9a-f]{16}\b")
_SETTLE = 10.0  # seconds to clear up
Files = Mapping[str, bytes]


def mistakes_of_disks(
    places: Places,
    deployments: Mapping[str, dict[str, Any]],
    marks: Mapping[str, str],
    artifacts: Mapping[str, Files],
    sampled: Path,
) -> list[str]:
    """`marks` says whose tree each deployment has, `artifacts` what was built of each mark."""
    deadline = time.monotonic() + _SETTLE
    while (left := [*_left(places)]) and time.monotonic() < deadline:
        time.sleep(0.3)
    looked = json.loads(sampled.read_text())
    wrong = [*left, *looked["wrong"]]
    if looked["looks"] < 100:
        wrong.append(f"nobody looked at what is current: {looked}")
    for target in story.TARGETS:
        for name in story.MODES:
            home, expected = places.targets / target / name, _expected(deployments, marks, name, target)
            about = f"{target}/{name}"
            wrong += [f"{about}: {each}" for each in _current(home, expected, artifacts)]
            wrong += [f"{about}: {each}" for each in _scripts(home, deployments, marks, name, target)]
            known = {marks[id] for id in deployments if deployments[id]["applicationName"] == name and id in marks}
            seen = set(looked["seen"].get(about, ()))
            wrong += [f"{about}: {each} was current, and never deployed" for each in seen - known]
    return wrong


def _expected(deployments: Mapping[str, dict[str, Any]], marks: Mapping[str, str], name: str, target: str) -> str:
    """Whose release is current on the target: that of the last deployment that it took."""
    taken = [
        (found["startTime"], marks[id])
        for id, found in deployments.items()
        if found["applicationName"] == name and found["targets"].get(target, {}).get("status") == "Succeeded"
    ]
    return max(taken)[1] if taken else ""


def _current(home: Path, expected: str, artifacts: Mapping[str, Files]) -> Iterable[str]:
    """What is current is what it is to be, byte for byte what was built, and every release that is kept is whole."""
    files = _files(home / "current")
    mark = files.get("version", b"").decode().strip()
    if mark != expected:
        yield f"current is of {mark}, not of {expected}"
    if files != artifacts.get(mark):
        yield f"current is not what was built of {mark}"
    releases = [each for each in (home / "releases").iterdir() if not each.name.startswith(".")]
    for release in releases:
        found = _files(release)
        _, wrong = story.mistakes_of_release(found.__getitem__, set(found))
        yield from (f"{release.name}: {each}" for each in wrong)
    if len(releases) > 4:  # Keep, and the one before, which is always kept
        yield f"{len(releases)} releases are kept"


def _files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def _scripts(
    home: Path, deployments: Mapping[str, dict[str, Any]], marks: Mapping[str, str], name: str, target: str
) -> Iterable[str]:
    """Each script ran once at the most in each deployment; if that succeeded, each ran, and of the right release.

    A health check that fails is asked again."""
    lines = [line.split() for line in (home / "ran").read_text().splitlines()]
    ran = Counter((id, event) for id, event, _ in lines)
    for (id, event), count in ran.items():
        again = event == "HealthCheck" and deployments.get(id, {}).get("status") == "Failed"
        if id not in deployments:
            yield f"{event} ran for {id}, which is no deployment"
        elif count > 1 and not again:
            yield f"{event} ran {count} times in {id}"
    yield from (f"{event} of {mark} ran in {id}, which is of {marks.get(id)}" for id, event, mark in lines
                if mark != marks.get(id))  # fmt: skip
    for id, found in deployments.items():
        good = found["applicationName"] == name and found["targets"].get(target, {}).get("status") == "Succeeded"
        for event in story.EVENTS if good else ():
            if (id, event) not in ran:
                yield f"{event} of {marks.get(id)} never ran in {id}, which succeeded"


# ── what is left ──


def _left(places: Places) -> Iterable[str]:
    for above in (places.place / "data", places.place / "other", places.place / "agents", places.targets):
        for path in above.rglob("*") if above.exists() else ():
            if _DRAFT.search(path.name):
                yield f"{path} is left"
    for home in (places.yard.data / "builds").iterdir():
        if not {path.name for path in home.iterdir()} <= KEPT:
            yield f"in {home} is left {sorted(path.name for path in home.iterdir())}"
    yield from _processes(places)


def _processes(places: Places) -> Iterable[str]:
    """Scripts and builds that nobody waits for."""
    wanted = {pid for name in places.names for pid in places.pids(name)}
    wanted |= {agent.running.pid for agent in places.agents.values() if agent.running is not None}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            mine = os.fsencode(places.place) in told and int(entry.name) not in {os.getpid(), *wanted}
            if mine and b"--die-with" not in told and _parent(entry) not in wanted:
                yield f"process {entry.name} is left: {told[:300]!r}"


def _parent(entry: Path) -> int:
    return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
