"""What lies on the targets, and what is left on disks and among processes, once a campaign of pipelines is over."""

import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
            home, about = places.targets / target / name, f"{target}/{name}"
            known = {marks[id] for id in _mine(deployments, name) if id in marks}
            seen = set(looked["seen"].get(about, ()))
            wrong += [f"{about}: {each} was current, and never deployed" for each in seen - known]
            wrong += [f"{about}: {each}" for each in _releases(home)]
            fitted = home.with_name(story.application(name))
            ran = {name: home / "ran", fitted.name: fitted.with_suffix(".ran")}
            for application, live in {name: home / "current", fitted.name: fitted}.items():
                mine = _mine(deployments, application)
                expected = _expected(mine, marks, target)
                wrong += [f"{live}: {each}" for each in _live(live, expected, artifacts)]
                events = story.EVENTS if application == name else story.FITTED
                wrong += [f"{live}: {each}" for each in _scripts(ran[application], events, mine, marks, target)]
    return wrong


def _mine(deployments: Mapping[str, dict[str, Any]], application: str) -> dict[str, dict[str, Any]]:
    return {id: each for id, each in deployments.items() if each["applicationName"] == application}


def _expected(mine: Mapping[str, dict[str, Any]], marks: Mapping[str, str], target: str) -> str:
    """Whose tree is live on the target: that of the last deployment that it took."""
    taken = [
        (found["startTime"], marks[id])
        for id, found in mine.items()
        if found["targets"].get(target, {}).get("status") == "Succeeded"
    ]
    return max(taken)[1] if taken else ""


def _live(live: Path, expected: str, artifacts: Mapping[str, Files]) -> Iterable[str]:
    """What is live is what it is to be, byte for byte what was built, and nothing besides."""
    files = _files(live)
    mark = files.get("version", b"").decode().strip()
    if mark != expected:
        yield f"it is of {mark}, not of {expected}"
    if files != artifacts.get(mark):
        yield f"it is not what was built of {mark}"


def _releases(home: Path) -> Iterable[str]:
    """Every release that is kept is whole."""
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
    file: Path, events: Sequence[str], mine: Mapping[str, dict[str, Any]], marks: Mapping[str, str], target: str
) -> Iterable[str]:
    """Each script ran once at the most in each deployment; if that succeeded, each ran, and of the right tree.

    A health check that fails is asked again; ApplicationStop is of what was installed before."""
    lines = [line.split() for line in file.read_text().splitlines()]
    ran = Counter((id, event) for id, event, _ in lines)
    for (id, event), count in ran.items():
        again = event == "HealthCheck" and mine.get(id, {}).get("status") == "Failed"
        if id not in mine:
            yield f"{event} ran for {id}, which is no deployment"
        elif count > 1 and not again:
            yield f"{event} ran {count} times in {id}"
    yield from (f"{event} of {mark} ran in {id}, which is of {marks.get(id)}" for id, event, mark in lines
                if mark != marks.get(id) and event != "ApplicationStop")  # fmt: skip
    for id, found in mine.items():
        good = found["targets"].get(target, {}).get("status") == "Succeeded"
        for event in events if good else ():
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
