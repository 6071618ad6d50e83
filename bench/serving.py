"""A server of this checkout in a directory of its own, and clients that have signed their requests beforehand."""

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

TRIVIAL = 'version: 0.2\nphases: {build: {commands: ["true"]}}\n'
# It prints when it runs, and stays until that was seen.
TELLS = 'version: 0.2\nphases: {build: {commands: ["echo began; sleep 0.1"]}}\n'
_TARGETS = {"codebuild": "CodeBuild_20161006", "logs": "Logs_20140328", "codepipeline": "CodePipeline_20150709"}
_STARTS_IN = 30.0  # seconds
ROLE = "arn:aws:iam::000000000000:role/bench"
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request, signed. Good for some minutes."""

    body: bytes
    headers: Mapping[str, str]


class Client:
    """One connection that is kept open."""

    def __init__(self, url: str, key: str, secret: str) -> None:
        self._url, self._credentials = url, Credentials(key, secret)
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def prepare(self, service: str, operation: str, given: Mapping[str, Any]) -> Prepared:
        body = json.dumps(given).encode()
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"{_TARGETS[service]}.{operation}",
        }
        request = AWSRequest("POST", f"{self._url}/", headers=headers, data=body)
        SigV4Auth(self._credentials, service, "us-east-1").add_auth(request)
        return Prepared(body, dict(request.headers))

    def send(self, prepared: Prepared) -> Any:
        self._connection.request("POST", "/", prepared.body, dict(prepared.headers))
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"the server answered {answer.status}: {content[:400]!r}")
        return json.loads(content)

    def call(self, service: str, operation: str, **given: Any) -> Any:
        return self.send(self.prepare(service, operation, given))

    def close(self) -> None:
        self._connection.close()


@dataclass(slots=True)
class Server:
    """A process of `codeyard up`."""

    data: Path
    url: str
    pid: int
    key: str
    secret: str = field(repr=False)

    def client(self) -> Client:
        return Client(self.url, self.key, self.secret)

    def boto(self, service: str) -> Any:
        import boto3

        return boto3.client(
            service, endpoint_url=self.url, region_name="us-east-1",
            aws_access_key_id=self.key, aws_secret_access_key=self.secret,
        )  # fmt: skip

    def role(self) -> None:
        self.boto("iam").create_role(RoleName="bench", AssumeRolePolicyDocument=json.dumps(_TRUST))

    def project(self, client: Client, name: str, buildspec: str, image: str = "aws/codebuild/standard:7.0") -> None:
        environment = {"type": "LINUX_CONTAINER", "image": image, "computeType": "BUILD_GENERAL1_SMALL"}
        client.call(
            "codebuild", "CreateProject", name=name, serviceRole=ROLE, environment=environment,
            source={"type": "NO_SOURCE", "buildspec": buildspec}, artifacts={"type": "NO_ARTIFACTS"},
        )  # fmt: skip

    def statuses(self) -> dict[str, int]:
        """How many builds there are of each status, by the file of the database: the server does no work for it."""
        with closing(sqlite3.connect(f"file:{self.data}/codeyard.sqlite?mode=ro", uri=True, timeout=20)) as db:
            return dict(db.execute("SELECT status, count(*) FROM builds GROUP BY status"))

    def under_way(self) -> int:
        """How many builds wait or run; this is quick however many there are."""
        with closing(sqlite3.connect(f"file:{self.data}/codeyard.sqlite?mode=ro", uri=True, timeout=20)) as db:
            return int(db.execute("SELECT coalesce(sum(waiting + running), 0) FROM build_lines").fetchone()[0])

    def wait_for(self, run: str) -> str:
        """How the build ended."""
        with closing(sqlite3.connect(f"file:{self.data}/codeyard.sqlite?mode=ro", uri=True, timeout=20)) as db:
            while True:
                status, standing = db.execute("SELECT status, standing FROM builds WHERE run = ?", [run]).fetchone()
                if standing == "ENDED":
                    return str(status)
                time.sleep(0.001)

    def memory(self) -> int:
        """Resident bytes."""
        return _field(self.pid, "VmRSS") * 1024

    def most_memory(self) -> int:
        return _field(self.pid, "VmHWM") * 1024

    def cpu(self) -> float:
        """Seconds that it has worked."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _field(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


@contextmanager
def serving(
    data: Path, *options: str, settings: Mapping[str, str] | None = None, command: str = "up"
) -> Iterator[Server]:
    """A server that is ready; ended when the block ends. `command`: `serve` only queues builds."""
    started = [sys.executable, "-m", "codeyard.cli.main", command, "--data", str(data), "--listen", "127.0.0.1:0"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CODEYARD_"))}
    data.mkdir(parents=True, exist_ok=True)
    with (data / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*started, *options], env=environment | dict(settings or {}), stdout=log, stderr=log,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        yield _found(data, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _found(data: Path, process: "subprocess.Popen[bytes]") -> Server:
    deadline = time.monotonic() + _STARTS_IN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            told = json.loads((data / "server.json").read_text())
            root = json.loads((data / "keys" / "root").read_text())
            if told["pid"] == process.pid:
                host, _, port = told["url"].removeprefix("http://").rpartition(":")
                socket.create_connection((host, int(port)), 1).close()
                return Server(data, told["url"], process.pid, root["id"], root["secret"])
        except (OSError, ValueError):
            pass
        time.sleep(0.02)
    raise SystemExit(f"the server did not start: {(data / 'server.log').read_text()[-2000:]}")
