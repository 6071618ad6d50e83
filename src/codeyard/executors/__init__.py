"""A place to run a build's commands.

An Executor opens many Sandboxes, at the same time. A Sandbox:
  - has the paths `/codebuild/output` (writable), `/codebuild/readonly` and `/codebuild/user/bin`, or
    stand-ins for them: `Sandbox.root` is what `/codebuild` is called inside;
  - runs commands one after another, each seeing the files that the last one left;
  - outlives the process that opened it: what it prints is carried to a file (`SandboxSpec.spool`) whoever dies, how
    each command ended can be read back, and `adopt` finds it again;
  - runs a command at most once: the same `Command.key` again waits for, or answers with, the first run's end;
  - is gone, with its processes and files, when `close` returns, and closing again does nothing.

Opening the same id twice gives the one sandbox.
A command that exits non-zero is an Exit, not an exception. `SandboxLost` means that the place itself is gone
(killed, out of memory, the machine restarted); any other error, that it could not be made.
"""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from codeyard.errors import Fault, NotFound


class SandboxLost(Fault):
    """The sandbox ended by itself, with a command perhaps half done."""


class SandboxTaken(SandboxLost):
    """It was lost by nothing that the build did: what it ran on was started again."""


class NoImage(NotFound):
    """The image is not here and could not be brought; `what` is AWS's text (reference 2.5)."""


class Network(StrEnum):
    """What a sandbox can reach."""

    DEFAULT = "default"  # what the machine can reach
    NONE = "none"  # itself only


@dataclass(frozen=True, slots=True)
class Limits:
    """What a sandbox may use at the most; None is no limit."""

    cpus: float | None = None
    memory: int | None = None  # bytes
    processes: int | None = 8192


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """All that decides a sandbox. `home` is the build's own directory on the host; it exists, mode 0700.

    `home/codebuild` on the host is `<root>` inside: output (writable), readonly and user/bin (read-only). Beside it lie
    `home/spool` and whatever an executor keeps for itself, beneath `home/sandbox`. Whoever opens has called `prepare`.
    """

    id: str  # [a-z0-9-]+, unique on the machine
    home: Path
    image: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)  # over PATH and HOME, which are the executor's to set
    limits: Limits = field(default_factory=Limits)
    privileged: bool = False
    network: Network = Network.DEFAULT
    progress: Callable[[str], None] = lambda _text: None  # told of slow preparations, such as a pull
    heard: Callable[[], int] | None = None  # how many bytes of the spool were read: who prints faster is made to wait

    @property
    def output(self) -> Path:
        """The build's writable tree: sources, and tmp. Once a build has run, hostile: read it only by guarded means."""
        return self.home / "codebuild" / "output"

    @property
    def readonly(self) -> Path:
        return self.home / "codebuild" / "readonly"

    @property
    def bin(self) -> Path:
        return self.home / "codebuild" / "user" / "bin"

    @property
    def spool(self) -> Path:
        """Where all that the sandbox prints is kept, raw, in order."""
        return self.home / "spool"

    def prepare(self) -> None:
        """Make the directories and the empty spool; those that are there stay as they are."""
        for directory in (self.output, self.readonly, self.bin, self.home / "sandbox"):
            directory.mkdir(parents=True, exist_ok=True)
        scratch = self.output / "tmp"
        if not scratch.exists():
            scratch.mkdir()
            scratch.chmod(0o777)  # commands may run as several users
        self.spool.touch(mode=0o600)


@dataclass(frozen=True, slots=True)
class Command:
    """A script to run in the sandbox, with /dev/null as its input."""

    key: str  # [A-Za-z0-9._-]+; names this run: the same key never runs twice in one sandbox
    script: str  # the text of a file that `shell` is given
    shell: str = "/bin/sh"
    user: str | None = None  # None: root, or whoever the sandbox's root is


@dataclass(frozen=True, slots=True)
class Exit:
    """How a command ended. `spooled` is the spool's size at that moment: all before it was written by then."""

    code: int
    spooled: int


class Sandbox(Protocol):
    """One isolated place; see the package's docstring for what holds."""

    @property
    def root(self) -> str:
        """What `/codebuild` is called inside."""
        ...

    async def run(self, command: Command) -> Exit:
        """Run it, or wait for its end if it runs, or say how it ended.

        A user or a shell that does not exist is an Exit (126, 127) that prints why. SandboxLost.
        """
        ...

    async def fetch(self, path: str, into: Path) -> bool:
        """Copy the file or directory at the absolute `path` inside to `into` on the host; False if there is none.

        `into` gets plain files, directories and symlinks (never followed), modes kept, owned by the caller; anything
        else is left out.
        """
        ...

    async def place(self, source: Path, path: str) -> None:
        """Copy the host's directory `source` over the absolute directory `path` inside, owned by the build's root."""
        ...

    @property
    def shares_loopback(self) -> bool:
        """Whether 127.0.0.1 inside is this machine's own: then what listens there is reached without `listen`."""
        ...

    async def listen(self, port: int) -> socket.socket:
        """A socket that listens on 127.0.0.1:`port` as the sandbox sees it, for this process to serve.

        Nothing blocks on it. Whoever asked closes it; after `adopt` it can be made again. Denied where the sandbox has
        a network of its own and this process is not root, Conflict if the port is taken. SandboxLost.
        """
        ...

    async def close(self) -> None:
        """Kill all that runs in it and remove what it was, but not the workspace and the spool."""
        ...


@dataclass(frozen=True, slots=True)
class Ability:
    """Whether an executor works here, and if not, why and how to make it."""

    name: str
    works: bool
    detail: str  # works: its version and what it can limit; else why not
    fix: str = ""


class Executor(Protocol):
    """A way to make sandboxes."""

    @property
    def name(self) -> str: ...

    async def ability(self) -> Ability:
        """Try it for real, without changing anything."""
        ...

    async def open(self, spec: SandboxSpec) -> Sandbox:
        """Make the sandbox, or find the one this id already has."""
        ...

    async def adopt(self, spec: SandboxSpec) -> Sandbox:
        """Find the sandbox that another process opened; SandboxLost if it is gone."""
        ...
