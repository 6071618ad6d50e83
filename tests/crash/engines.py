"""A PostgreSQL and a Docker engine of a test's own, to be killed: nobody else's are touched."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.crash.servers import lasting_port


@dataclass(slots=True)
class Postgresql:
    """A cluster in a directory of its own."""

    programs: Path
    directory: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://codeyard@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -k {self.directory} -c listen_addresses=127.0.0.1 -c max_connections=100"
        self._control("-l", str(self.directory / "log"), "-o", options, "start")

    def die(self) -> None:
        """As after a power cut, but for what the kernel had."""
        self._control("-m", "immediate", "stop")

    def _control(self, *arguments: str) -> None:
        subprocess.run(
            ["runuser", "-u", "postgres", "--", self.programs / "pg_ctl", "-D", self.directory / "data", "-w",
             *arguments], check=True, stdout=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip


@contextmanager
def postgresql() -> Iterator[Postgresql]:
    """One that runs. Skips the test where none is installed, or we may not be another user."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if not found or os.geteuid() != 0:
        pytest.skip("PostgreSQL is not installed, or we are not root")
    programs = found[-1].parent
    directory = Path(tempfile.mkdtemp(prefix="crash-pg-"))  # where another user may go
    shutil.chown(directory, "postgres")
    subprocess.run(
        ["runuser", "-u", "postgres", "--", programs / "initdb", "-D", directory / "data", "-A", "trust",
         "-U", "codeyard"], check=True, stdout=subprocess.DEVNULL, cwd="/",
    )  # fmt: skip
    cluster = Postgresql(programs, directory, lasting_port())
    cluster.start()
    try:
        yield cluster
    finally:
        with suppress(subprocess.CalledProcessError):
            cluster.die()
        shutil.rmtree(directory)


_TABLES = ("--iptables=false", "--ip6tables=false")
_WAYS = (("--bridge", "none", *_TABLES), ("--bridge", "none", *_TABLES, "--storage-driver", "vfs"))


@dataclass(slots=True)
class Docker:
    """An engine in a directory of its own, whose containers have no network."""

    directory: Path
    way: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def host(self) -> str:
        return f"unix://{self.directory}/docker.sock"

    def start(self) -> bool:
        """Whether it came up."""
        (self.directory / "none.json").write_text("{}")
        options = {"host": self.host, "data-root": "data", "exec-root": "exec", "pidfile": "pid",
                   "config-file": "none.json"}  # fmt: skip
        given = [f"--{name}={value if '/' in value else self.directory / value}" for name, value in options.items()]
        with (self.directory / "log").open("ab") as log:
            # In a network of its own: an engine with no bridge removes `docker0`, which may be somebody else's.
            self.process = subprocess.Popen(
                ["unshare", "--net", "dockerd", *given, *self.way],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            if self._answers():
                return True
            time.sleep(0.1)
        return False

    def _answers(self) -> bool:
        connection = HTTPConnection("docker", timeout=5)
        try:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(self.directory / "docker.sock"))
            connection.request("GET", "/_ping")
            return connection.getresponse().read() == b"OK"
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """It ends, and its containers with it, unless it is killed: then they go on, and the next one finds them."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(30)
        if number == signal.SIGKILL:
            # What it ran beside it was killed with it, and may be a zombie for which the next one would wait in vain.
            (self.directory / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)

    def end(self) -> None:
        """With everything it started, and its mounts."""
        if self.process is not None:
            if self.process.poll() is None:
                self.stop()
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(5)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((each for each in mounts if each.startswith(f"{self.directory}/")), reverse=True):
            subprocess.run(["umount", "-l", mount], check=False)


@contextmanager
def docker() -> Iterator[Docker]:
    """One that runs. Skips the test where none is installed, or none of the ways works."""
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        pytest.skip("dockerd is not installed, or we are not root")
    directory = Path(tempfile.mkdtemp(prefix="dk-"))  # short: sockets' paths are bounded
    engine = Docker(directory)
    try:
        if not any(_tried(engine, way) for way in _WAYS):
            pytest.skip(f"no Docker engine of our own runs here: {(directory / 'log').read_text()[-2000:]}")
        yield engine
    finally:
        engine.end()
        shutil.rmtree(directory, ignore_errors=True)


def _tried(engine: Docker, way: tuple[str, ...]) -> bool:
    engine.way = way
    if engine.start():
        return True
    engine.end()
    return False
