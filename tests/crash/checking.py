"""Whether a server kept its promises, by the history of a campaign and by what clients and the machine can see."""

import io
import os
import time
import zipfile
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from codeyard.executors.docker_engine import Endpoint, Engine, whole
from tests.crash import story
from tests.crash.history import History
from tests.crash.servers import Yard
from tests.crash.story import Wanted

# What stays of a build in its directory once it has ended.
KEPT = {"chosen", "log", "log.times", "over"}


def mistakes(yard: Yard, history: History) -> list[str]:
    """Everything that is not as it was promised."""
    acknowledged = history.of("acknowledged")
    ids = [entry["id"] for entry in acknowledged]
    wrong = [f"{id} was acknowledged and did not end" for entry in history.of("over") for id in entry["left"]]
    wrong += [f"the server refused: {entry}" for entry in history.of("refused")]
    wrong += _numbers(yard, acknowledged)
    builds = _builds(yard, ids)
    for entry in acknowledged:
        if entry["id"] not in builds:
            wrong.append(f"{entry['id']} was acknowledged, and is not there")
        elif builds[entry["id"]]["buildComplete"]:
            wrong += [f"{entry['id']}: {each}" for each in _one(yard, entry, builds[entry["id"]])]
    return wrong + settled(yard, ids)


def _numbers(yard: Yard, acknowledged: list[dict[str, Any]]) -> list[str]:
    """Each call made one build, and the numbers of each project have no gap."""
    wrong = []
    of_project = defaultdict(list)
    for entry in acknowledged:
        of_project[entry["project"]].append((entry["number"], entry["id"]))
    client = yard.client("codebuild")
    for project, known in of_project.items():
        pages = client.get_paginator("list_builds_for_project").paginate(projectName=project, sortOrder="ASCENDING")
        listed = [id for page in pages for id in page["ids"]]
        numbers = sorted(number for number, _ in known)
        if numbers != list(range(1, len(known) + 1)):
            wrong.append(f"the numbers of {project} are {numbers}")
        if listed != [id for _, id in sorted(known)]:
            wrong.append(f"{project} has {len(listed)} builds, of {len(known)} that were acknowledged")
    return wrong


def _builds(yard: Yard, ids: list[str]) -> dict[str, dict[str, Any]]:
    client = yard.client("codebuild")
    parts = [ids[first : first + 100] for first in range(0, len(ids), 100)]
    return {build["id"]: build for part in parts for build in client.batch_get_builds(ids=part)["builds"]}


def _one(yard: Yard, entry: dict[str, Any], build: dict[str, Any]) -> list[str]:
    wanted = Wanted(entry["project"], entry["mark"], entry["nap"], entry["fails"])
    wrong = story.mistakes_of_build(wanted, build)
    lines = log_lines(yard, build)
    of_log, made = story.mistakes_of_log(wanted, lines)
    wrong += of_log
    if build["buildStatus"] not in ("SUCCEEDED", "FAILED"):
        return wrong  # it need not have left anything
    written = (yard.home(build["id"]) / "log").read_text().split("\n")
    if [line for line in written if line] != [line for line in lines if line]:
        wrong.append(f"GetLogEvents tells its log otherwise than it is: {story.difference(lines, written)}")
    return wrong + story.mistakes_of_artifact(wanted, _artifact(yard, build), made)


def log_lines(yard: Yard, build: dict[str, Any]) -> list[str]:
    """The whole log, as clients read it."""
    client, lines, token = yard.client("logs"), [], None
    given = {"logGroupName": build["logs"]["groupName"], "logStreamName": build["logs"]["streamName"]}
    while True:
        page = client.get_log_events(**given, startFromHead=True, **({"nextToken": token} if token else {}))
        lines += [event["message"].rstrip("\n") for event in page["events"]]
        if page["nextForwardToken"] == token:
            return lines
        token = page["nextForwardToken"]


def _artifact(yard: Yard, build: dict[str, Any]) -> str:
    key = build["artifacts"]["location"].partition(f":::{story.BUCKET}/")[2]
    content = yard.client("s3").get_object(Bucket=story.BUCKET, Key=key)["Body"].read()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["ran"]
        return archive.read("ran").decode()


# ── what is left ──


def settled(yard: Yard, ids: list[str], seconds: float = 30.0) -> list[str]:
    """What is left of builds that ended, once there was so much time to clear up."""
    deadline = time.monotonic() + seconds
    while (wrong := _left(yard, ids)) and time.monotonic() < deadline:
        time.sleep(0.3)
    return wrong


def _left(yard: Yard, ids: list[str]) -> list[str]:
    runs = [id.partition(":")[2] for id in ids]
    wrong = [f"process {pid} is left of {run}" for run, pid in processes_of(runs, yard)]
    wrong += [f"{place} is left" for place in _groups(runs)]
    mounts = Path("/proc/self/mountinfo").read_text()
    wrong += [f"a mount is left of {run}" for run in runs if run in mounts]
    if yard.machine.name == "docker":
        wrong += [f"container {name} is left" for name in containers() if any(run in name for run in runs)]
    for id in ids:
        home = yard.home(id)
        names = {path.name for path in home.iterdir()} if home.exists() else set()
        if not names <= KEPT:
            wrong.append(f"in {home} is left {sorted(names - KEPT)}")
    return wrong + _rows(yard)


def processes_of(runs: list[str], yard: Yard) -> list[tuple[str, int]]:
    """The processes that carry a run in their command line, environment or mounts."""
    ours = Path("/proc/self/ns/mnt").stat().st_ino
    data = str(yard.data).encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            if (entry / "ns/mnt").stat().st_ino != ours:
                told += (entry / "mountinfo").read_bytes()
            if yard.machine.name != "docker" and data not in told:
                continue
            found += [(run, int(entry.name)) for run in runs if run.encode() in told]
    return found


def _groups(runs: list[str]) -> list[str]:
    """Control groups, wherever they are kept. Others come and go meanwhile, which `walk` does not mind."""
    found = (f"{above}/{name}" for above, names, _ in os.walk("/sys/fs/cgroup") for name in names)
    return [group for group in found if any(run in group for run in runs)]


def containers() -> list[str]:
    """The names of all containers of the engine, running or not."""
    answer = Engine(Endpoint.find()).exchange("GET", "/containers/json", {"all": "1"}, whole)
    found: Any = answer.json()
    return [name for container in found for name in container["Names"]]


def _rows(yard: Yard) -> list[str]:
    """No row runs, and no workflow goes on."""
    journal = "" if yard.database.startswith("sqlite") else yard.database
    rows = yard.database or f"sqlite:///{yard.data}/codeyard.sqlite"
    url = rows.replace("postgresql://", "postgresql+psycopg://")
    steps = journal.replace("postgresql://", "postgresql+psycopg://") or f"sqlite:///{yard.data}/journal.sqlite"
    table = "dbos.workflow_status" if journal else "workflow_status"
    return [
        *(f"row {run} is {standing}" for run, standing in _asked(
            url, "SELECT run, standing FROM builds WHERE standing NOT IN ('ENDED')")),
        *(f"workflow {id} is {status}" for id, status in _asked(
            # No body of ours raises: ERROR is how DBOS writes down an end at its second try.
            steps, f"SELECT workflow_uuid, status FROM {table} WHERE status NOT IN ('SUCCESS', 'ERROR')")),
    ]  # fmt: skip


def _asked(url: str, query: str) -> list[Any]:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return list(connection.execute(text(query)))
    finally:
        engine.dispose()
