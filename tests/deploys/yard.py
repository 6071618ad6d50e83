"""A small server that deploys, and agents as processes of their own, for tests."""

import asyncio
import io
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from codeyard.artifacts import Digest, Entry, Kind
from codeyard.artifacts.disk import DiskStore
from codeyard.artifacts.tree import make, render
from codeyard.deploys import Kind as HowItGoesLive
from codeyard.deploys.agents import Agents
from codeyard.deploys.control import DeployControl
from codeyard.deploys.enrolment import Invitation, written
from codeyard.deploys.model import Deployment, DeploymentRequest
from codeyard.deploys.selection import Selection
from codeyard.deploys.targets import Targets
from codeyard.ident import Owner
from codeyard.store import metadata
from codeyard.store.engine import SqlDatabase

T = TypeVar("T")
KEY = b"k" * 32
OWNER = Owner()


def now() -> datetime:
    return datetime.now(UTC)


class Yard:
    """The server; `stop` and `start` it as often as need be: the port stays the same."""

    def __init__(self, directory: Path, *, heard_for: float = 30.0) -> None:
        self.directory, self._heard_for = directory, heard_for
        self.blobs = DiskStore(directory / "store")
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(20)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(20)

    def run(self, work: Awaitable[T]) -> T:
        """On the server's loop."""

        async def wrapped() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(wrapped(), self._loop).result(60)

    async def _serve(self) -> None:
        database = SqlDatabase(f"sqlite:///{self.directory / 'yard.sqlite'}")
        metadata.create_all(database.engine)
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        self.control = DeployControl(database, now, heard_for=self._heard_for)
        self.targets = Targets(database, KEY, now)
        app = Agents(self.control, self.targets, self.blobs)
        config = uvicorn.Config(app, port=self.port, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        self.port = server.servers[0].sockets[0].getsockname()[1]
        self._ready.set()
        sweeping = asyncio.create_task(self._sweep())
        await self._ending.wait()
        app.drain()
        server.should_exit = True
        await serving
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping
        database.close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            await self.control.sweep()

    # ── what tests ask ──

    def token(self, **tags: str) -> str:
        return written(KEY, Invitation(OWNER, tags, now() + timedelta(minutes=5)))

    def tree(self, **files: str) -> Digest:
        """Store a tree of these files; scripts are executable. `__` in a name is a dot."""
        entries = []
        for name, text in files.items():
            blob = self.blobs.put(io.BytesIO(text.encode()))
            kind = Kind.EXECUTABLE if text.startswith("#!") else Kind.FILE
            entries.append(Entry(name.replace("__", "."), kind, blob.size, blob.digest))
        made = make(entries)
        self.blobs.put(io.BytesIO(render(made)))
        return made.digest

    def deploy(self, tree: Digest, path: str, **given: Any) -> Deployment:
        """Begin a release at this path of the machines with the tag `role=web`, unless told."""
        options = {"path": path, **given.pop("options", {})}
        asked = DeploymentRequest(
            OWNER, "site", given.pop("group", "live/go"), HowItGoesLive.RELEASE, tree,
            given.pop("targets", Selection.of_tags({"role": "web"})), options=options, **given,
        )  # fmt: skip
        return self.run(self.control.create(asked))

    def ended(self, deployment: Deployment) -> Deployment:
        return self.run(asyncio.wait_for(self.control.ended(OWNER, deployment.id), 50))


class AgentProcess:
    """`codeyard agent`, in a directory of its own; with `machine`, a directory that it has to itself at that path."""

    def __init__(self, directory: Path, name: str, machine: Path | None = None) -> None:
        self.name, self.state = name, directory / name
        self.disk = directory / f"{name}-disk"
        self.disk.mkdir()
        bind = ("--dev-bind", "/", "/", "--bind", str(self.disk), str(machine), "--die-with-parent", "--")
        self._apart = () if machine is None else ("bwrap", *bind)
        self.log = directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> "AgentProcess":
        command = [
            *self._apart,
            sys.executable,
            "-m",
            "codeyard.cli.main",
            "agent",
            "--state",
            str(self.state),
            *options,
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def enrol(self, yard: Yard, **tags: str) -> "AgentProcess":
        token = self.log.with_suffix(".token")
        token.write_text(yard.token(**tags))
        token.chmod(0o600)
        self.start("--server", yard.url, "--token-file", str(token), "--name", self.name)
        until_true(lambda: "is deployed to by" in self.said())
        return self

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def end(self) -> int:
        """By SIGTERM; its exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)

    def code(self) -> int:
        assert self._process is not None
        return self._process.wait(30)

    def said(self) -> str:
        return self.log.read_text()


def until_true(looked: Callable[[], object], seconds: float = 30.0) -> None:
    """Return when it is; AssertionError if it does not become so."""
    until = time.monotonic() + seconds
    while not looked():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)
