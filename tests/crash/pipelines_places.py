"""The real processes of a campaign of pipelines, to be killed: servers, workers, and the agents of two targets.

Each agent has a directory of its own where the other has its own: what lies at `srv` is another thing to each of them
(bubblewrap), as it is on machines of their own.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash import pipelines_story as story
from tests.crash.servers import SRC, Shape, Yard, children
from tests.machines import Machine

_SHARED = ("artifacts", "builds", "keys", "objects")  # of a server's directory, as a shared disk has them


@dataclass(slots=True)
class Agent:
    """A target's agent, and the directory that it has at `srv`."""

    name: str
    server: str
    place: Path
    token: str = ""
    running: subprocess.Popen[bytes] | None = None

    @property
    def own(self) -> Path:
        """What the target has at `srv`, as everybody else sees it."""
        return self.place / "targets" / self.name

    @property
    def state(self) -> Path:
        return self.place / "agents" / self.name

    def start(self) -> None:
        srv = self.place / "srv"
        for directory in (srv, self.own, self.state):
            directory.mkdir(parents=True, exist_ok=True)
        inside = ["bwrap", "--dev-bind", "/", "/", "--bind", str(self.own), str(srv), "--"]
        agent = [sys.executable, "-m", "codeyard.cli.main", "agent", "--server", self.server, "--name", self.name]
        passed = {name: value for name, value in os.environ.items() if not name.startswith(("CODEYARD_", "AWS_"))}
        with (self.place / f"{self.name}.out").open("ab") as out:
            self.running = subprocess.Popen(
                [*inside, *agent, "--state", str(self.state)], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={**passed, "PYTHONPATH": str(SRC), "CODEYARD_AGENT_TOKEN": self.token}, start_new_session=True,
            )  # fmt: skip

    def pids(self) -> list[int]:
        """Its own process, which bubblewrap has started."""
        process = self.running
        return [] if process is None or process.poll() is not None else children(process.pid, b"\0agent\0")

    def lives(self) -> bool:
        return self.running is not None and self.running.poll() is None

    def reap(self, seconds: float = 20.0) -> None:
        assert self.running is not None
        self.running.wait(seconds)


@dataclass(slots=True)
class Places:
    """Everything that runs. Names: `server`, `second`, `one`, and the targets' names."""

    machine: Machine
    shape: Shape
    place: Path
    database: str = ""
    lease: float | None = None  # seconds; None: the default, within which whatever is killed is back
    yard: Yard = field(init=False)
    other: Yard | None = None
    agents: dict[str, Agent] = field(default_factory=dict)

    def __post_init__(self) -> None:
        settings = {
            "repositories": f"codecommit=file://{self.place}/git/{{repository}}",
            "local_sources": "true",
            "poll_sources": "0",
            **({} if self.lease is None else {"lease": str(self.lease)}),
        }
        shape = self.shape
        self.yard = Yard(self.machine, shape, self.place / "data", self.database, settings)
        if shape is Shape.APART:
            self.other = Yard(self.machine, shape, self.place / "other", self.database, settings, image=self.yard.image)
            for name in _SHARED:
                (self.yard.data / name).mkdir(mode=0o700)
                (self.other.data / name).symlink_to(self.yard.data / name)
        urls = (self.yard.url, self.other.url if self.other else self.yard.url)
        self.agents = {name: Agent(name, url, self.place) for name, url in zip(story.TARGETS, urls, strict=True)}

    @property
    def servers(self) -> tuple[str, ...]:
        return ("server", "second", "one") if self.other else ("server",)

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.servers, *self.agents)

    @property
    def targets(self) -> Path:
        return self.place / "targets"

    # ── processes ──

    def start(self, name: str) -> None:
        if name in self.agents:
            self.agents[name].start()
        else:
            yard, known = self._yard(name)
            yard.start(known)

    def wait_ready(self, name: str) -> None:
        """Until it answers, if it is a server."""
        if name in ("server", "second"):
            self._yard(name)[0].wait_ready()

    def lives(self, name: str) -> bool:
        if name in self.agents:
            return self.agents[name].lives()
        yard, known = self._yard(name)
        return known in yard.running and yard.running[known].poll() is None

    def start_servers(self) -> None:
        self._start(self.servers)

    def start_all(self) -> None:
        self._start(self.names)

    def _start(self, names: Sequence[str]) -> None:
        for name in names:
            if not self.lives(name):
                self.start(name)
                self.wait_ready(name)

    def pids(self, name: str) -> list[int]:
        if name in self.agents:
            return self.agents[name].pids()
        yard, known = self._yard(name)
        return yard.pids(known)

    def kill(self, names: Sequence[str], number: int = signal.SIGKILL) -> None:
        """All at the same moment; they are gone when this returns."""
        for pid in [pid for name in names for pid in self.pids(name)]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        for name in names:
            if name in self.agents:
                self._reaped(self.agents[name], number)
            else:
                yard, known = self._yard(name)
                if known in yard.running:
                    yard.reap(known)

    def freeze(self, names: Sequence[str], seconds: float) -> None:
        """They stand still for so long, and then go on as if nothing had been."""
        pids = [pid for name in names for pid in self.pids(name)]
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            if number == signal.SIGSTOP:
                time.sleep(seconds)

    def _reaped(self, agent: Agent, number: int) -> None:
        """bubblewrap may not have started it when it was to be killed. One that is asked to end may have an event to
        end first, for longer than we wait: it is killed then."""
        for each, seconds in ((number, 20), (signal.SIGKILL, 40)):
            deadline = time.monotonic() + seconds
            while agent.lives() and time.monotonic() < deadline:
                for pid in agent.pids():
                    with suppress(ProcessLookupError):
                        os.kill(pid, each)
                time.sleep(0.01)
        agent.reap()

    def _yard(self, name: str) -> tuple[Yard, str]:
        if name == "second":
            assert self.other is not None
            return self.other, "server"
        return self.yard, name

    def stop(self) -> None:
        """Every process is gone when this returns."""
        self.kill([name for name in self.agents if self.agents[name].lives()])
        for yard in (self.yard, self.other):
            if yard is not None:
                yard.stop()

    def told(self) -> str:
        """The last that they wrote."""
        files = (*self.place.glob("*/*.err"), *self.place.glob("*.out"))
        return "\n".join(f"{file}:\n{file.read_text(errors='replace')[-3000:]}" for file in files)

    # ── what they are asked ──

    def client(self, service: str) -> Any:
        return self.yard.client(service)

    def second_client(self, service: str) -> Any:
        """At the other server, where there is one."""
        return (self.other or self.yard).client(service)

    def enrol(self) -> None:
        """Let the agents in, and start them."""
        command = [sys.executable, "-m", "codeyard.cli.main", "agent", "token", "--data", str(self.yard.data)]
        environment = {**self.yard.environment(), "CODEYARD_REGION": "us-east-1"}
        made = subprocess.run(
            [*command, "--tag", "role=web"], env=environment, check=True, capture_output=True, text=True
        )
        for agent in self.agents.values():
            agent.token = made.stdout.strip()
            agent.start()
        deadline = time.monotonic() + 30
        while len(self.client("codedeploy").list_on_premises_instances()["instanceNames"]) < len(self.agents):
            assert time.monotonic() < deadline, self.told()
            time.sleep(0.05)


@contextmanager
def sampling(targets: Path, out: Path) -> Iterator[None]:
    """Somebody looks at what is current, all the time."""
    command = [sys.executable, "-m", "tests.crash.pipelines_sampler", str(targets), str(out)]
    sampler = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=Path(__file__).parents[2], start_new_session=True)
    try:
        yield
    finally:
        assert sampler.stdin is not None
        sampler.stdin.close()
        sampler.wait(30)
