"""Pipelines on a server of a benchmark: their role and their definitions, and machines that are deployed to."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from bench.serving import Server

T = TypeVar("T")
_NAME = "pipelines"
_ROLE = f"arn:aws:iam::000000000000:role/{_NAME}"
_SERVICES = ["codepipeline.amazonaws.com", "codebuild.amazonaws.com", "codedeploy.amazonaws.com"]
_ENDED = ("Succeeded", "Failed", "Stopped", "Superseded", "Cancelled")


def prepare(server: Server) -> None:
    """The role and the bucket that all pipelines here have."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": _SERVICES}, "Action": "sts:AssumeRole"}],
    }
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", "Action": "*"}]}
    iam = server.boto("iam")
    iam.create_role(RoleName=_NAME, AssumeRolePolicyDocument=json.dumps(trust))
    iam.put_role_policy(RoleName=_NAME, PolicyName="all", PolicyDocument=json.dumps(allowed))
    s3 = server.boto("s3")
    s3.create_bucket(Bucket=_NAME)
    s3.put_bucket_versioning(Bucket=_NAME, VersioningConfiguration={"Status": "Enabled"})


def put_source(server: Server, content: bytes) -> dict[str, Any]:
    """An action that finds this zip."""
    server.boto("s3").put_object(Bucket=_NAME, Key="source.zip", Body=content)
    settings = {"S3Bucket": _NAME, "S3ObjectKey": "source.zip", "PollForSourceChanges": "false"}
    return action("Fetch", ("Source", "AWS", "S3"), settings, outputs=["Source"])


def action(
    name: str, kind: tuple[str, str, str], settings: Mapping[str, str], *, inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
) -> dict[str, Any]:  # fmt: skip
    category, owner, provider = kind
    return {
        "name": name,
        "actionTypeId": {"category": category, "owner": owner, "provider": provider, "version": "1"},
        "configuration": dict(settings),
        "inputArtifacts": [{"name": each} for each in inputs],
        "outputArtifacts": [{"name": each} for each in outputs],
    }


def definition(name: str, stages: Mapping[str, list[dict[str, Any]]], mode: str = "QUEUED") -> dict[str, Any]:
    return {
        "name": name, "roleArn": _ROLE, "pipelineType": "V2", "executionMode": mode,
        "artifactStore": {"type": "S3", "location": _NAME},
        "stages": [{"name": stage, "actions": actions} for stage, actions in stages.items()],
    }  # fmt: skip


def create_project(server: Server, name: str, buildspec: str) -> None:
    """For builds of pipelines."""
    environment = {
        "type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL",
    }  # fmt: skip
    server.boto("codebuild").create_project(
        name=name, serviceRole=_ROLE, environment=environment,
        source={"type": "CODEPIPELINE", "buildspec": buildspec}, artifacts={"type": "CODEPIPELINE"},
    )  # fmt: skip


def ended(client: Any, pipeline: str, execution: str, seconds: float = 600.0) -> None:
    """Wait for its end; SystemExit unless it succeeded."""

    def look() -> str | None:
        given = {"pipelineName": pipeline, "pipelineExecutionId": execution}
        status = str(client.get_pipeline_execution(**given)["pipelineExecution"]["status"])
        return status if status in _ENDED else None

    status = until(f"{pipeline} {execution} ends", look, seconds)
    if status != "Succeeded":
        told = client.list_action_executions(pipelineName=pipeline, filter={"pipelineExecutionId": execution})
        raise SystemExit(f"{pipeline} {execution} is {status}: {told['actionExecutionDetails'][:2]}")


def until(what: str, look: Callable[[], T | None], seconds: float = 60.0, pause: float = 0.05) -> T:
    """What `look` gives, once it is something."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise SystemExit(f"in {seconds:.0f} seconds it did not come to this: {what}")
        time.sleep(pause)


@contextmanager
def agents(server: Server, place: Path, names: Sequence[str]) -> Iterator[None]:
    """An agent of each name, tagged `role=NAME`, with a state of its own; ended when the block ends."""
    children = []
    try:
        for name in names:
            state = place / f"agent-{name}"
            state.mkdir(parents=True, mode=0o700)
            asked = [sys.executable, "-m", "codeyard.cli.main", "agent", "token", "--data", str(server.data)]
            token = subprocess.run([*asked, "--tag", f"role={name}"], check=True, capture_output=True, text=True).stdout
            command = [sys.executable, "-m", "codeyard.cli.main", "agent", "--server", server.url, "--name", name]
            with (state / "log").open("wb") as log:
                children.append(subprocess.Popen(
                    [*command, "--state", str(state)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    env={**os.environ, "CODEYARD_AGENT_TOKEN": token.strip()},
                ))  # fmt: skip
            until(f"agent {name} works", lambda log=state / "log": "is deployed to by" in log.read_text())  # type: ignore[misc]
        yield
    finally:
        for child in children:
            child.send_signal(signal.SIGTERM)
        for child in children:
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
