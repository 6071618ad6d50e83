"""Run a build as `codeyard run` does, and look at everything it left: in this process, or as the real command."""

import asyncio
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from codeyard.builds.run import Finished
from codeyard.cli import local
from codeyard.cli.run import exit_code
from codeyard.events import Event
from codeyard.logs import LogPiece
from tests.machines import Machine

PROJECT = "acceptance"
# What stays of a build in its directory once it has ended.
KEPT = {"request.json", "result.json", "log", "events.jsonl", "lock", "artifacts"}
_AGENT = re.compile(r"\[Container\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} (.*)")

Spec = str | Mapping[str, Any] | None


def text_of(spec: str | Mapping[str, Any]) -> str:
    """A buildspec as text: JSON is YAML. A mapping without a version gets 0.2."""
    return spec if isinstance(spec, str) else json.dumps({"version": 0.2, **spec}) + "\n"


def phases(**commands: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """`build=["make"]` as the phases of a buildspec."""
    return {
        "phases": {name: found if isinstance(found, Mapping) else {"commands": list(found)}
                   for name, found in commands.items()}
    }  # fmt: skip


def write_tree(directory: Path, files: Mapping[str, str | bytes]) -> Path:
    """Make the directory with these files, by their relative paths."""
    directory.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
    return directory


@dataclass(frozen=True, slots=True)
class Result:
    """A build that ended. `phases` are its records but COMPLETED, as (phase, status)."""

    status: str
    exit_code: int
    events: list[dict[str, Any]]
    phases: list[tuple[str, str]]
    facts: Mapping[str, Any]
    home: Path
    contexts: dict[str, tuple[str, str]] = field(default_factory=dict)  # phase → (code, message)

    @property
    def log(self) -> str:
        """The whole text; read when asked for, as a flood leaves more of it than a test should hold."""
        return (self.home / "log").read_bytes().decode(errors="surrogateescape")

    @property
    def said(self) -> list[str]:
        """The agent's lines, without their times."""
        return [match[1] for line in self.log.split("\n") if (match := _AGENT.fullmatch(line))]

    @property
    def printed(self) -> list[str]:
        """The lines of the build itself, without the empty ones."""
        return [line for line in self.log.split("\n") if line and not _AGENT.fullmatch(line)]

    def names(self) -> list[str]:
        return [name for name, _ in self.phases]

    def artifact(self, name: str = PROJECT) -> dict[str, str]:
        """The files of an artifact that went to the usual place, by path."""
        return tree_of(self.home / "artifacts" / name)

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]


def tree_of(root: Path) -> dict[str, str]:
    """The files below, by path."""
    return {str(path.relative_to(root)): path.read_text(errors="replace") for path in root.rglob("*") if path.is_file()}


@dataclass(slots=True)
class Yard:
    """A place with a state directory of its own, where one executor builds."""

    machine: Machine
    root: Path
    heard: list[Event] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def source(self) -> Path:
        return self.root / "source"

    @property
    def user(self) -> str:
        """Somebody other than root who exists inside."""
        return "builder" if self.machine.name == "docker" else "nobody"

    def request(
        self, spec: Spec = None, files: Mapping[str, str | bytes] | None = None, **fields: Any
    ) -> local.Request:
        """What a build needs: `spec` becomes the source's buildspec.yml, `fields` go over those of the Request."""
        write_tree(self.source, {**({} if spec is None else {"buildspec.yml": text_of(spec)}), **(files or {})})
        project = fields.pop("project", PROJECT)
        id = f"{project}:{uuid.uuid4()}"
        home = local.run_directory(self.state, id.partition(":")[2])
        usual: dict[str, Any] = {
            "id": id,
            "number": local.next_number(self.state, project),
            "submitted": datetime.now(UTC).isoformat(),
            "executor": self.machine.name,
            "reason": "the test wants it",
            "source": str(self.source),
            "cwd": str(self.root),
            "image": self.machine.image(),
            "artifacts": str(home / "artifacts"),
        }
        return local.Request(**{**usual, **fields})

    def build(
        self, spec: Spec = None, files: Mapping[str, str | bytes] | None = None, *, stop_after: float | None = None,
        **fields: Any,
    ) -> Result:  # fmt: skip
        """Submit and perform, in this process; then see that nothing is left of it."""
        home = local.submit(self.state, self.request(spec, files, **fields))
        return self.perform(home, stop_after=stop_after)

    def perform(self, home: Path, *, resumed: bool = False, stop_after: float | None = None) -> Result:
        told = hashlib.sha256()
        finished = asyncio.run(self._perform(home, lambda piece: told.update(piece.content), resumed, stop_after))
        with (home / "log").open("rb") as log:
            written = hashlib.file_digest(log, "sha256")
        assert told.digest() == written.digest(), "whoever watches hears the whole log, once"
        self.nothing_is_left(home)
        build = finished.build
        return Result(
            status=build.status,
            exit_code=exit_code(build),
            events=events_of(home),
            phases=[(record.phase, str(record.status)) for record in build.history],
            facts=finished.facts,
            home=home,
            contexts={
                record.phase: (context.code, context.message) for record in build.history for context in record.contexts
            },
        )

    async def _perform(
        self, home: Path, told: Callable[[LogPiece], None], resumed: bool, stop_after: float | None
    ) -> Finished:
        stop = asyncio.Event()
        watcher = local.Watcher(self.heard.append, told)
        if stop_after is not None:
            asyncio.get_running_loop().call_later(stop_after, stop.set)
        return await local.perform(self.state, home, watcher, stop, resumed=resumed)

    def nothing_is_left(self, home: Path) -> None:
        """No process, no workspace, no spool."""
        assert living(home.name) == []
        assert {path.name for path in home.iterdir()} <= KEPT

    def arguments(self, *options: str, source: str | Path | None = None) -> list[str]:
        """The command line of `codeyard run` with this executor."""
        image = self.machine.image()
        return [
            *(sys.executable, "-m", "codeyard.cli.main", "run", str(source or self.source), "--project", PROJECT),
            *("--executor", self.machine.name),
            *(() if image is None else ("--image", image)),
            *options,
        ]

    def environment(self, **more: str) -> dict[str, str]:
        passed = {name: value for name, value in os.environ.items() if not name.startswith(("CODEYARD_", "AWS_"))}
        src = str(Path(local.__file__).parents[2])
        return {**passed, "PYTHONPATH": src, "CODEYARD_HOME": str(self.state), **more}

    def cli(
        self, *options: str, source: str | Path | None = None, stdin: str = "", **env: str
    ) -> subprocess.CompletedProcess[bytes]:
        """The real command, to its end."""
        return subprocess.run(
            self.arguments(*options, source=source),
            input=stdin.encode(),
            capture_output=True,
            cwd=self.root,
            env=self.environment(**env),
            timeout=60,
        )

    def start(self, *options: str, **env: str) -> subprocess.Popen[bytes]:
        """The real command, running."""
        with (self.root / "out").open("ab") as out, (self.root / "err").open("ab") as err:
            return subprocess.Popen(
                self.arguments(*options),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=self.root,
                env=self.environment(**env),
            )

    def homes(self) -> list[Path]:
        return sorted((self.state / "runs").glob("*"))


def events_of(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / "events.jsonl").read_text().splitlines()]


def living(mark: str) -> list[int]:
    """The processes that carry `mark` in their command line, environment or mounts, but this one."""
    ours = Path("/proc/self/ns/mnt").stat().st_ino
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            if (entry / "ns/mnt").stat().st_ino != ours:
                told += (entry / "mountinfo").read_bytes()
            alive = b"State:\tZ" not in (entry / "status").read_bytes()
            if alive and mark.encode() in told and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


def wait_for(condition: Any, seconds: float = 20) -> None:
    """Until it holds. AssertionError."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)
