"""A Job whose sandbox is a script of exit codes: what the phases say and do, without a shell."""

import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from codeyard.artifacts.disk import DiskStore
from codeyard.builds.environment import SourceFacts
from codeyard.builds.job import Job
from codeyard.builds.model import COMPUTE_TYPES, ArtifactTarget, Settings
from codeyard.builds.tools import Sources, Tools
from codeyard.errors import NotFound
from codeyard.events import Event
from codeyard.executors import Ability, Command, Exit, SandboxLost, SandboxSpec
from codeyard.ident import BuildId, Owner
from codeyard.logs.archive import ArchivedLog
from codeyard.secrets import Secret, SecretReference
from codeyard.sources import Fetched, SourceKind, SourceSpec

ROOT = "/codebuild"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ID = BuildId.parse("project:0b9b3c1e-6f5e-4d1c-9a39-0d4f1a2b3c4d")


@dataclass(slots=True)
class ScriptedSandbox:
    """Keeps the promise that a key runs once; answers evaluations with `values` (None: its shell cannot), and commands
    with `codes` in turn."""

    spec: SandboxSpec
    codes: list[int] = field(default_factory=list)
    values: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)  # outside the workspace
    ran: dict[str, Command] = field(default_factory=dict)
    ended: dict[str, Exit] = field(default_factory=dict)
    lost: bool = False
    name: str = "scripted"

    @property
    def root(self) -> str:
        return ROOT

    async def run(self, command: Command) -> Exit:
        if self.lost:
            raise SandboxLost("Build container found dead before completing the build", "killed.", "Try again.")
        if command.key not in self.ended:
            self.ran[command.key] = command
            self.ended[command.key] = Exit(self._code(command.key), self.spec.spool.stat().st_size)
        return self.ended[command.key]

    def _code(self, key: str) -> int:
        if not key.startswith("value-"):
            return self.codes.pop(0) if self.codes else 0
        name = key.removeprefix("value-")
        answers = self.values.get(name, ())
        if answers is None:
            return 2
        (self.spec.output / "tmp" / name).write_text("".join(f"{value}\0" for value in answers))
        return 0

    async def fetch(self, path: str, into: Path) -> bool:
        if path not in self.files:
            return False
        into.parent.mkdir(parents=True, exist_ok=True)
        into.write_text(self.files[path])
        return True

    async def place(self, source: Path, path: str) -> None:
        raise AssertionError("nothing is placed in a sandbox that only pretends")

    @property
    def shares_loopback(self) -> bool:
        return True

    async def listen(self, port: int) -> socket.socket:
        raise AssertionError("nobody is heard in a sandbox that only pretends")

    async def close(self) -> None:
        self.lost = True

    async def ability(self) -> Ability:
        return Ability(self.name, True, "")

    async def open(self, spec: SandboxSpec) -> "ScriptedSandbox":
        return self

    async def adopt(self, spec: SandboxSpec) -> "ScriptedSandbox":
        return await self.open(spec)


class Secrets:
    """A few by name."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = known

    async def parameter(self, name: str) -> Secret:
        if name not in self._known:
            raise NotFound(f"parameter {name}", "Parameter does not exist.", "Store it.")
        return Secret(self._known[name])

    async def secret(self, reference: SecretReference) -> Secret:
        return await self.parameter(str(reference))


@dataclass(slots=True)
class Bench:
    """A job, and everything round it that a test looks at."""

    job: Job
    sandbox: ScriptedSandbox
    events: list[Event]
    home: Path

    @property
    def said(self) -> list[str]:
        """The agent's lines without their times."""
        lines = (self.home / "log").read_text().splitlines()
        return [line[39:] for line in lines if line.startswith("[Container]")]

    @property
    def source(self) -> Path:
        """The primary source on the host."""
        return self.home / "codebuild" / "output" / f"src{self.job.tag}" / "src"


def bench(
    home: Path,
    spec: Mapping[str, Any] | None = None,
    *,
    files: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    fetch: Callable[[SourceSpec, Path, Callable[[str], None]], Awaitable[Fetched]] | None = None,
    secondary: tuple[SourceSpec, ...] = (),
    sandbox_files: Mapping[str, str] | None = None,
    **sandbox: Any,
) -> Bench:
    """With `spec`, a job that has passed DOWNLOAD_SOURCE with these `files`; without, one that is about to begin it."""
    home.mkdir(mode=0o700, exist_ok=True)
    place = SandboxSpec(id="bench", home=home)
    place.prepare()
    inside = ScriptedSandbox(place, files=sandbox_files or {}, **sandbox)
    events: list[Event] = []

    async def bring(wanted: SourceSpec, destination: Path, progress: Callable[[str], None]) -> Fetched:
        write(destination, files or {})
        return Fetched(
            repo_url="url", version="v", resolved_version="f" * 40, subpath="", description="", files=1, bytes=1
        )

    async def no_object(arn: str) -> str:
        raise NotFound(f"buildspec {arn}: gone", "it cannot be read.", "Check the bucket.")

    tools = Tools(
        executor=inside,
        sandbox=place,
        fetch=fetch or bring,
        object_text=no_object,
        secrets=Secrets(secrets or {}),
        blobs=DiskStore(home / "blobs"),
        cache=None,
        log=ArchivedLog(place.spool, home / "log", lambda: NOW),
        emit=events.append,
        now=lambda: NOW,
    )
    usual: dict[str, Any] = {
        "id": ID,
        "owner": Owner(),
        "number": 1,
        "initiator": "me",
        "image": "image",
        "submitted": NOW,
        "compute": COMPUTE_TYPES["BUILD_GENERAL1_SMALL"],
        "artifacts": ArtifactTarget(str(home / "out"), "project"),
    }
    primary = SourceSpec(SourceKind.DIRECTORY, str(home))

    async def sources() -> Sources:
        return Sources(primary, secondary)

    job = Job(Settings(**{**usual, **(settings or {})}), sources, tools)
    made = Bench(job, inside, events, home)
    if spec is not None:
        write(made.source, files or {})
        source = asdict(SourceFacts(f"{ROOT}/output/src{job.tag}/src"))
        text = json.dumps({"version": 0.2, **spec})
        job.learn({"source": source, "buildspec": text, "secret_names": []})
    return made


def write(root: Path, files: Mapping[str, str]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
