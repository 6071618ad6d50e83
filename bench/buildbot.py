"""Buildbot as a peer: a master and a worker of it on this machine, with SQLite, in a virtual environment of its own."""

import json
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

_PACKAGES = ("buildbot", "buildbot-www", "buildbot-worker")
_STARTS_IN = 60.0  # seconds
_CONFIG = """
from buildbot.plugins import schedulers, steps, util, worker
c = BuildmasterConfig = {{}}
c["workers"] = [worker.Worker("w", "p")]
c["protocols"] = {{"pb": {{"port": "tcp:{pb}:interface=127.0.0.1"}}}}
c["schedulers"] = [schedulers.ForceScheduler(name="force", builderNames=["b"])]
c["collapseRequests"] = False
c["builders"] = [
    util.BuilderConfig(name="b", workernames=["w"], factory=util.BuildFactory([steps.ShellCommand(command=["true"])]))
]
c["www"] = {{"port": "tcp:{www}:interface=127.0.0.1", "plugins": {{}}}}
c["db"] = {{"db_url": "sqlite:///{database}"}}
c["buildbotNetUsageData"] = None
"""


def install(place: Path) -> str | None:
    """Make the virtual environment, once. What is in the way, if anything is."""
    if (place / "bin" / "buildbot-worker").exists():
        return None
    for command in (
        [sys.executable, "-m", "venv", str(place)],
        [str(place / "bin" / "pip"), "install", "--quiet", *_PACKAGES],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"Buildbot cannot be installed: {done.stderr.strip().splitlines()[-1:]}"
    return None


@dataclass(frozen=True, slots=True)
class Buildbot:
    """A master whose one worker is connected."""

    www: int
    database: Path
    master: int

    def force(self) -> None:
        """Ask for one build; when this returns, the request is stored."""
        asked = {"id": 1, "jsonrpc": "2.0", "method": "force", "params": {"builderNames": ["b"], "owner": "bench"}}
        urllib.request.urlopen(
            urllib.request.Request(
                f"http://127.0.0.1:{self.www}/api/v2/forceschedulers/force", json.dumps(asked).encode(),
                {"content-type": "application/json"},
            ), timeout=60,
        ).read()  # fmt: skip

    def complete(self) -> int:
        """How many builds have ended, by the file of the database: the master does no work for it."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=20)) as db:
            return int(db.execute("SELECT count(*) FROM buildrequests WHERE complete = 1").fetchone()[0])

    def wait_for(self, number: int) -> None:
        """Until so many have ended."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=20)) as db:
            query = "SELECT count(*) FROM buildrequests WHERE complete = 1"
            while int(db.execute(query).fetchone()[0]) < number:
                time.sleep(0.001)


@contextmanager
def buildbot(environment: Path, place: Path, port: int) -> Iterator[Buildbot]:
    """Master and worker, until the block ends. `port` and the next one are free."""
    programs, master, worker = environment / "bin", place / "master", place / "worker"
    place.mkdir(parents=True)
    database = master / "state.sqlite"
    _run(programs / "buildbot", "create-master", f"--db=sqlite:///{database}", master)
    (master / "master.cfg").write_text(_CONFIG.format(pb=port, www=port + 1, database=database))
    _run(programs / "buildbot-worker", "create-worker", worker, f"127.0.0.1:{port}", "w", "p")
    # In the foreground, as our children.
    with (place / "log").open("wb") as log:
        processes = []
        try:
            processes.append(_twistd(programs, master, log))
            _until(master / "twistd.log", "BuildMaster is running")
            processes.append(_twistd(programs, worker, log))
            _until(worker / "twistd.log", "worker is ready")
            yield Buildbot(port + 1, database, processes[0].pid)
        finally:
            for process in reversed(processes):
                process.terminate()
            for process in processes:
                process.wait(30)


def _twistd(programs: Path, base: Path, log: object) -> "subprocess.Popen[bytes]":
    command = [str(programs / "twistd"), "--nodaemon", "--logfile=twistd.log", "--python=buildbot.tac"]
    return subprocess.Popen(command, cwd=base, stdout=log, stderr=log, stdin=subprocess.DEVNULL)  # type: ignore[call-overload,no-any-return]


def _until(log: Path, text: str) -> None:
    deadline = time.monotonic() + _STARTS_IN
    while not (log.exists() and text in log.read_text(errors="replace")):
        if time.monotonic() > deadline:
            raise SystemExit(f"Buildbot did not start: see {log}")
        time.sleep(0.05)


def _run(program: Path, *arguments: object) -> None:
    subprocess.run([str(program), *map(str, arguments)], check=True, capture_output=True, stdin=subprocess.DEVNULL)
