"""Real servers for tests: `codeyard up`, `serve` and `worker` as processes, each with a directory of its own."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

SOURCES = Path(__file__).parents[2] / "src"
_STARTS_IN = 60.0  # seconds
_CONFIG = Config(retries={"total_max_attempts": 1, "mode": "standard"}, connect_timeout=5, read_timeout=60)


@dataclass(slots=True)
class Process:
    """One process of a server, with what it printed in a file."""

    command: tuple[str, ...]
    data: Path
    settings: Mapping[str, str]
    output: Path
    more: Mapping[str, str] = field(default_factory=dict)  # of its environment
    child: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        with self.output.open("ab") as out:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "codeyard.cli.main", *self.command, "--data", str(self.data)],
                env={**environment(self.settings), **self.more},
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def signal(self, number: int) -> None:
        assert self.child is not None
        self.child.send_signal(number)

    def wait(self, seconds: float = 30) -> int:
        assert self.child is not None
        return self.child.wait(seconds)

    def kill(self) -> None:
        """As `kill -9`."""
        if self.child is not None and self.child.poll() is None:
            self.child.kill()
            self.child.wait()

    def said(self) -> str:
        return self.output.read_text(errors="replace")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Ours without what would decide for a server, and with these settings of it."""
    passed = {name: value for name, value in os.environ.items() if not name.startswith(("CODEYARD_", "AWS_"))}
    return {
        **passed,
        "PYTHONPATH": str(SOURCES),
        **{f"CODEYARD_{key.upper()}": value for key, value in settings.items()},
    }


@dataclass(slots=True)
class Server:
    """A server and its workers. `more` are variables for its clients beside those of `codeyard env`."""

    main: Process
    workers: list[Process] = field(default_factory=list)
    more: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.main.data

    @property
    def url(self) -> str:
        return str(json.loads((self.data / "server.json").read_text())["url"])

    def start(self) -> None:
        """All of it, until it answers."""
        (self.data / "server.json").unlink(missing_ok=True)
        self.main.start()
        self.ready()
        for worker in self.workers:
            worker.start()

    def ready(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + _STARTS_IN
        while time.monotonic() < deadline:
            assert self.main.child is not None
            if self.main.child.poll() is not None:
                raise AssertionError(f"the server ended with {self.main.child.returncode}: {self.main.said()}")
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=5):
                    return
            except (OSError, ValueError):
                time.sleep(0.02)
        raise AssertionError(f"the server does not answer: {self.main.said()}")

    def kill(self) -> None:
        for process in (self.main, *self.workers):
            process.kill()

    def env(self) -> dict[str, str]:
        """What makes a client speak to it, as its root."""
        root = json.loads((self.data / "keys" / "root").read_text())
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": root["id"],
            "AWS_SECRET_ACCESS_KEY": root["secret"],
            **self.more,
        }

    def client(self, service: str) -> Any:
        """A boto3 client, as its root."""
        root = json.loads((self.data / "keys" / "root").read_text())
        return boto3.client(
            service, endpoint_url=self.url, region_name="us-east-1", config=_CONFIG,
            aws_access_key_id=root["id"], aws_secret_access_key=root["secret"],
        )  # fmt: skip

    def wait(self, build: str, seconds: float = 60) -> dict[str, Any]:
        """The build of this id, once it has ended."""
        codebuild = self.client("codebuild")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found: dict[str, Any] = codebuild.batch_get_builds(ids=[build])["builds"][0]
            if found["buildComplete"]:
                return found
            time.sleep(0.02)
        raise AssertionError(f"{build} has not ended: {found['currentPhase']}; {self.main.said()}")


def process(directory: Path, name: str, *command: str, **settings: str) -> Process:
    """A process with a data directory and settings of its own."""
    return Process(command, directory / name, settings, directory / f"{name}.out")


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """The server, from its first answer until all of it is killed."""
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def up(directory: Path, *options: str, **settings: str) -> Iterator[Server]:
    """`codeyard up` on a free port."""
    made = Server(process(directory, "data", "up", "--listen", "127.0.0.1:0", *options, **settings))
    with running(made) as server:
        yield server


TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def allow(server: Server, role: str, *statements: Mapping[str, Any]) -> str:
    """A role that CodeBuild may take on, with these statements as its policy; its ARN."""
    iam = server.client("iam")
    arn: str = iam.create_role(RoleName=role, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": [dict(each) for each in statements]})
        iam.put_role_policy(RoleName=role, PolicyName="builds", PolicyDocument=document)
    return arn


def project(server: Server, name: str, role: str, buildspec: Mapping[str, Any], **more: Any) -> None:
    """A project with no source, whose buildspec is this one."""
    usual: dict[str, Any] = {
        "source": {"type": "NO_SOURCE", "buildspec": json.dumps({"version": 0.2, **buildspec}) + "\n"},
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": {
            "type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL",
        },
        "serviceRole": role,
    }  # fmt: skip
    server.client("codebuild").create_project(**{**usual, "name": name, **more})


def log_of(server: Server, build: str) -> str:
    """The whole log of a build, as GetLogEvents gives it."""
    group, _, stream = build.partition(":")
    logs = server.client("logs")
    lines: list[str] = []
    token: str | None = None
    while True:
        more: dict[str, str] = {"nextToken": token} if token else {}
        page = logs.get_log_events(
            logGroupName=f"/aws/codebuild/{group}", logStreamName=stream, startFromHead=True, **more
        )
        lines += [event["message"] for event in page["events"]]
        if page["nextForwardToken"] == token:
            return "\n".join(lines)
        token = page["nextForwardToken"]
