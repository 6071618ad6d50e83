"""Agents of a real server for tests: processes of their own, which enrol with a token."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.service.servers import SOURCES, Server, environment

_ENROLS_IN = 30.0  # seconds


def enrolment_token(server: Server, **tags: str) -> str:
    """What lets machines with these tags in."""
    given = [part for key, value in tags.items() for part in ("--tag", f"{key}={value}")]
    command = [sys.executable, "-m", "codeyard.cli.main", "agent", "token", "--data", str(server.data), *given]
    env = environment(server.main.settings)
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout.strip()


def require_places() -> None:
    """Skip the test where agents cannot have directories of their own at one path."""
    try:
        done = subprocess.run(["bwrap", "--dev-bind", "/", "/", "--bind", "/", "/mnt", "true"], capture_output=True)
    except FileNotFoundError:
        pytest.skip("bubblewrap is not here")
    if done.returncode != 0:
        pytest.skip(f"bubblewrap does not work here: {done.stderr.decode()}")


@dataclass(slots=True)
class Agent:
    """One, with what it keeps and says below `directory`."""

    name: str
    directory: Path
    child: "subprocess.Popen[bytes] | None" = None

    @property
    def state(self) -> Path:
        return self.directory / f"{self.name}.state"

    @property
    def output(self) -> Path:
        return self.directory / f"{self.name}.out"

    def start(self, server: Server, token: str = "") -> None:
        """The first time with a token; until it has enrolled."""
        command = [sys.executable, "-m", "codeyard.cli.main", "agent", "--name", self.name, "--state", str(self.state)]
        more = {"CODEYARD_AGENT_TOKEN": token} if token else {}
        with self.output.open("ab") as out:
            self.child = subprocess.Popen(
                [*command, "--server", server.url],
                env={**environment({}), "PYTHONPATH": str(SOURCES), **more},
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _ENROLS_IN
        while "is deployed to by" not in self.said():
            assert self.child.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)

    def said(self) -> str:
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def kill(self) -> None:
        """As `kill -9`."""
        if self.child is not None and self.child.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.child.pid, signal.SIGKILL)
            self.child.wait()


@contextmanager
def agent(server: Server, directory: Path, name: str, **tags: str) -> Iterator[Agent]:
    """An agent that has enrolled with these tags, until it is killed."""
    made = Agent(name, directory)
    try:
        made.start(server, enrolment_token(server, **tags))
        yield made
    finally:
        made.kill()
