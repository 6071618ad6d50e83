"""Services outside, for tests of actions: moto's server with boto3's clients for it, and one whose part a test plays.

outside = Outside(address)          # of a server; outside.calls tells what was asked
with playing("codedeploy") as played:
    played.parts["GetDeployment"] = lambda given: {"deploymentInfo": {…}}
    SomeAction(played.client)
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from codeyard.aws import Refused
from codeyard.aws.json_wire import JSON
from codeyard.aws.query_wire import QUERY
from codeyard.aws.shapes import model
from codeyard.aws.wire import Problem
from codeyard.ident import Owner

Part = Callable[[Mapping[str, Any]], Mapping[str, Any]]
KEYS = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "s"}


class Outside:
    """boto3's clients for an endpoint; what they asked, by the names of operations, is in `calls`."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint, self.calls = endpoint, list[str]()

    def client(self, _owner: Owner, service: str, region: str) -> Any:
        made = self.plain(service, region)
        made.meta.events.register("before-call", lambda model, **_: self.calls.append(model.name))
        return made

    def plain(self, service: str, region: str = "us-east-1") -> Any:
        """A client for the test itself, which nobody counts."""
        once = Config(retries={"total_max_attempts": 1})
        return boto3.client(service, region_name=region, endpoint_url=self.endpoint, config=once, **KEYS)


class Played(Outside):
    """A service whose operations are functions of their input, or raise Refused."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        self.parts: dict[str, Part] = {}


@contextmanager
def playing(service: str) -> Iterator[Played]:
    """A server on this machine that speaks the protocol of the service."""
    described = model(service)
    wire = QUERY if described.protocols == {"query"} else JSON

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            target = self.headers["X-Amz-Target"]
            name = target.partition(".")[2] if target else body.partition(b"Action=")[2].partition(b"&")[0].decode()
            operation = described.operations[name]
            try:
                output = played.parts[name](wire.decode(operation, body))
                status, answer = 200, wire.encode(described, operation, output, "r")
            except Refused as error:
                status, answer = error.status, wire.refuse(described, Problem(error.code, error.message, 400), "r")
            self.send_response(status)
            self.send_header("Content-Type", wire.content_type)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        played = Played(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield played
        server.shutdown()
        thread.join()


class Definitions:
    """ECS's task definitions of one family, at a played service: moto's do not tell when they were registered."""

    def __init__(self, played: Played) -> None:
        self.all: list[dict[str, Any]] = []
        played.parts |= {"RegisterTaskDefinition": self.register, "DescribeTaskDefinition": self.newest}

    def register(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        arn = f"arn:aws:ecs:us-east-1:1:task-definition/{given['family']}:{len(self.all) + 1}"
        told = {name: value for name, value in given.items() if name != "tags"}
        self.all.append({**told, "taskDefinitionArn": arn, "registeredAt": datetime.now(UTC), "status": "ACTIVE"})
        return {"taskDefinition": self.all[-1]}

    def newest(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        if not self.all:
            raise Refused("ClientException", "Unable to describe task definition.")
        return {"taskDefinition": self.all[-1]}


def forget(home: Path, step: str) -> None:
    """As if the process of the bench at `home` had died after what the step does, before that was written down. Of
    later steps nothing is known either."""
    lines = (home / "journal").read_text().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if json.loads(line)[0] == step)
    (home / "journal").write_text("".join(lines[:at]))
