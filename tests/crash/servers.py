"""The real processes of a server, to be killed: `up`, `up --workers`, or `serve` and workers over PostgreSQL."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from codeyard import errors
from tests.databases import POSTGRESQL
from tests.machines import Machine

SRC = Path(errors.__file__).parents[1]
_PROMPT = 60.0  # seconds in which a server must come up


class Shape(StrEnum):
    """Which processes a server is made of."""

    ONE = "one"  # `up`: API and worker in one process
    BESIDE = "beside"  # `up --workers 2`: it starts them, and starts them again
    APART = "apart"  # `serve` and two workers, each started by whoever runs them, over PostgreSQL


@dataclass(slots=True)
class Yard:
    """A server, whose processes are started and killed by name: `server`, `one`, `two`."""

    machine: Machine
    shape: Shape
    data: Path
    database: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    image: str = ""  # for docker
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _clients: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        self.image = self.image or self.machine.image() or "aws/codebuild/standard:7.0"
        self.port = self.port or lasting_port()

    @property
    def names(self) -> tuple[str, ...]:
        """The processes that are ours to start."""
        return ("server", "one", "two") if self.shape is Shape.APART else ("server",)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # ── processes ──

    def start(self, name: str) -> None:
        with (self.data / f"{name}.err").open("ab") as err:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", "codeyard.cli.main", *self._arguments(name)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err, cwd=self.data,
                env=self.environment(), start_new_session=True,
            )  # fmt: skip

    def start_all(self) -> None:
        """Those that do not run; one after another, so that the first one makes what all need."""
        for name in self.names:
            if name not in self.running or self.running[name].poll() is not None:
                self.start(name)
                if name == "server":
                    self.wait_ready()

    def signal(self, name: str, number: int) -> None:
        """To this process, or to the workers that it started (`workers`). Who is gone already does not mind."""
        for pid in self.pids(name):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def pids(self, name: str) -> list[int]:
        if name == "workers":
            return children(self.running["server"].pid, b"\0worker\0") if "server" in self.running else []
        process = self.running.get(name)
        return [process.pid] if process is not None and process.poll() is None else []

    def reap(self, name: str, seconds: float = 20.0) -> int:
        """Its exit code, once it has ended."""
        return self.running[name].wait(seconds)

    def stop(self) -> None:
        """Every process of it is gone when this returns, and left nothing that runs by itself."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            pids = [pid for name in (*self.running, "workers") for pid in self.pids(name)]
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            deadline = time.monotonic() + 8
            while any(_lives(pid) for pid in pids) and time.monotonic() < deadline:
                time.sleep(0.02)
        for process in self.running.values():
            process.wait(5)

    def environment(self) -> dict[str, str]:
        passed = {name: value for name, value in os.environ.items() if not name.startswith(("CODEYARD_", "AWS_"))}
        usual = {"cpus": "16", "memory": "64", "builds": "8", "executor": self.machine.name}
        if self.machine.name == "process":
            usual["unsafe_process"] = "true"
        given = {f"CODEYARD_{name.upper()}": value for name, value in {**usual, **self.settings}.items()}
        return {**passed, **given, "PYTHONPATH": str(SRC)}

    def _arguments(self, name: str) -> list[str]:
        shared = ["--data", str(self.data), *(["--database", self.database] if self.database else [])]
        if name != "server":
            return ["worker", *shared, "--name", name, "--url", self.url]
        beside = ["--workers", "2"] if self.shape is Shape.BESIDE else []
        return ["serve" if self.shape is Shape.APART else "up", *shared, "--listen", f"127.0.0.1:{self.port}", *beside]

    # ── its API ──

    def ready(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def wait_ready(self) -> None:
        deadline = time.monotonic() + _PROMPT
        while not self.ready():
            process = self.running["server"]
            assert process.poll() is None, f"the server ended with {process.returncode}:\n{self.told('server')}"
            assert time.monotonic() < deadline, f"the server does not come up:\n{self.told('server')}"
            time.sleep(0.02)

    def told(self, name: str) -> str:
        """The last that it wrote to its standard error."""
        with suppress(FileNotFoundError):
            return (self.data / f"{name}.err").read_text(errors="replace")[-6000:]
        return ""

    def client(self, service: str) -> Any:
        """A client that tries everything once: who tries again is to know it."""
        if service in self._clients:
            return self._clients[service]
        root = json.loads((self.data / "keys" / "root").read_text())
        client = boto3.session.Session().client(
            service, region_name="us-east-1", endpoint_url=self.url,
            aws_access_key_id=root["id"], aws_secret_access_key=root["secret"],
            config=Config(
                connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 1},
                s3={"addressing_style": "path"}, max_pool_connections=20,
            ),
        )  # fmt: skip
        return self._clients.setdefault(service, client)

    def home(self, build: str) -> Path:
        return self.data / "builds" / build.partition(":")[2]


def lasting_port() -> int:
    """A port that nobody listens on, and that no client is given for its end while our server is away."""
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


def children(parent: int, mark: bytes) -> list[int]:
    """Processes that this one started, whose command line has `mark` in it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            after = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(after[1]) == parent and mark in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def _lives(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@contextmanager
def own_postgresql() -> Iterator[str]:
    """The URL of a new database, which is dropped at the end: workflows' steps have a schema of their own in it."""
    assert POSTGRESQL is not None
    plain = make_url(POSTGRESQL).set(drivername="postgresql+psycopg")
    name = f"crash_{uuid.uuid4().hex[:12]}"
    engine = create_engine(plain, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield plain.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()
