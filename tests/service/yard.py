"""A real server with all that pipelines need, for tests: their calls in few words, and who hears of them."""

import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from tests.service.servers import Server

T = TypeVar("T")
_SERVICES = ["codepipeline.amazonaws.com", "codebuild.amazonaws.com", "codedeploy.amazonaws.com"]
BUCKET = "artifacts"


def until(look: Callable[[], T], what: str, seconds: float = 30.0) -> T:
    """What `look` gives, once it is something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"in {seconds:.0f} seconds it did not come to this: {what}"
        time.sleep(0.02)
    return found


def action(
    kind: str,
    name: str | None = None,
    configuration: Mapping[str, str] | None = None,
    *,
    into: tuple[str, ...] = (),
    out: tuple[str, ...] = (),
) -> dict[str, Any]:
    """An action of `Category/Provider`, or `Category/Owner/Provider`."""
    category, *owner, provider = kind.split("/")
    return {
        "name": name or provider,
        "actionTypeId": {"category": category, "owner": owner[0] if owner else "AWS", "provider": provider,
                         "version": "1"},
        "configuration": dict(configuration or {}),
        "inputArtifacts": [{"name": each} for each in into],
        "outputArtifacts": [{"name": each} for each in out],
    }  # fmt: skip


def zipped(files: Mapping[str, str]) -> bytes:
    """`!` before a name makes the file executable."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            info = zipfile.ZipInfo(name.lstrip("!"), (2024, 1, 1, 0, 0, 0))
            info.external_attr = (0o100755 if name.startswith("!") else 0o100644) << 16
            archive.writestr(info, text)
    return content.getvalue()


@dataclass(slots=True)
class Yard:
    """See the module."""

    server: Server
    cp: Any
    s3: Any
    role: str
    count: int = 0

    @classmethod
    def of(cls, server: Server) -> "Yard":
        trust = {"Effect": "Allow", "Principal": {"Service": _SERVICES}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam, s3 = server.client("iam"), server.client("s3")
        role = iam.create_role(RoleName="pipelines", AssumeRolePolicyDocument=document)["Role"]["Arn"]
        allowed = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_role_policy(RoleName="pipelines", PolicyName="all", PolicyDocument=policy)
        s3.create_bucket(Bucket=BUCKET)
        return cls(server, server.client("codepipeline"), s3, role)

    # ── pipelines ──

    def name(self, what: str) -> str:
        self.count += 1
        return f"{what}-{self.count}"

    def put(self, key: str, files: Mapping[str, str]) -> dict[str, Any]:
        """A zip in the bucket; the source action that takes it, with the output `Source`."""
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=zipped(files))
        return self.source(key)

    def source(self, key: str, poll: str = "false") -> dict[str, Any]:
        given = {"S3Bucket": BUCKET, "S3ObjectKey": key, "PollForSourceChanges": poll}
        return action("Source/S3", "S3", given, out=("Source",))

    def create(self, name: str, *stages: list[dict[str, Any]], **more: Any) -> str:
        """A V2 pipeline with stages One, Two, …; the id of the execution that begins."""
        names = ("One", "Two", "Three", "Four", "Five")
        self.cp.create_pipeline(
            pipeline={
                "name": name, "roleArn": self.role, "pipelineType": "V2",
                "artifactStore": {"type": "S3", "location": BUCKET},
                "stages": [{"name": each, "actions": actions} for each, actions in zip(names, stages, strict=False)],
                **more,
            }
        )  # fmt: skip
        return str(self.executions(name)[-1]["pipelineExecutionId"])

    def start(self, name: str) -> str:
        return str(self.cp.start_pipeline_execution(name=name)["pipelineExecutionId"])

    def executions(self, name: str) -> list[dict[str, Any]]:
        """The newest first."""
        return list(self.cp.list_pipeline_executions(pipelineName=name)["pipelineExecutionSummaries"])

    def ended(self, name: str, id: str, seconds: float = 30.0) -> str:
        """How it ended, once it has."""

        def look() -> str | None:
            found = self.cp.get_pipeline_execution(pipelineName=name, pipelineExecutionId=id)["pipelineExecution"]
            return None if found["status"] in ("InProgress", "Stopping") else found["status"]

        return str(until(look, f"{name} {id} ends", seconds))

    def run(self, name: str, id: str, action: str) -> dict[str, Any] | None:
        """The newest execution of an action."""
        found = self.cp.list_action_executions(pipelineName=name, filter={"pipelineExecutionId": id})
        return next((each for each in found["actionExecutionDetails"] if each["actionName"] == action), None)

    def error(self, name: str, id: str, action: str) -> str:
        """What is told of an action that failed."""
        found = self.run(name, id, action)
        assert found is not None
        return str(found["output"]["executionResult"]["errorDetails"]["message"])

    def token(self, name: str, id: str) -> str:
        """Of its approval, once it asks."""

        def look() -> str | None:
            found = self.run(name, id, "Manual")
            if found is None or found["status"] != "InProgress":
                return None
            told: str | None = found.get("output", {}).get("executionResult", {}).get("externalExecutionId")
            return told

        return str(until(look, f"{name} {id} asks"))

    def approve(self, name: str, token: str, stage: str = "Two", status: str = "Approved") -> None:
        self.cp.put_approval_result(
            pipelineName=name, stageName=stage, actionName="Manual", token=token,
            result={"summary": "asked and answered", "status": status},
        )  # fmt: skip


@dataclass(slots=True)
class Heard:
    """What was posted, in order, by path."""

    url: str
    posts: list[tuple[str, Any]] = field(default_factory=list)

    def at(self, path: str) -> list[Any]:
        return [body for where, body in list(self.posts) if where == path]


@contextmanager
def listening() -> Iterator[Heard]:
    """A server that takes every POST of JSON."""
    heard = Heard("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            heard.posts.append((self.path, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nobody asks."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    heard.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()
