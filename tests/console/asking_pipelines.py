"""A real server whose pipelines do nothing but ask, and a visitor of its console."""

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from codeyard.cli.endpoint import console_link
from tests.console.yard import Visitor
from tests.service.servers import Server, up

SERVICE = {"Service": "codepipeline.amazonaws.com"}
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": SERVICE, "Action": "sts:AssumeRole"}]}
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
SOURCE = {
    "name": "Get",
    "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
    "configuration": {"S3Bucket": "artifacts", "S3ObjectKey": "in/app.zip", "PollForSourceChanges": "false"},
    "outputArtifacts": [{"name": "App"}],
}
KIND = {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}


@contextmanager
def asking_server(directory: Path) -> Iterator[Server]:
    """With a bucket, and a role for pipelines."""
    with up(directory, executor="process", unsafe_process="true") as made:
        iam, s3 = made.client("iam"), made.client("s3")
        iam.create_role(RoleName="pipeline", AssumeRolePolicyDocument=json.dumps(TRUST))
        iam.put_role_policy(RoleName="pipeline", PolicyName="s3", PolicyDocument=json.dumps(POLICY))
        s3.create_bucket(Bucket="artifacts")
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("README", "read")
        s3.put_object(Bucket="artifacts", Key="in/app.zip", Body=content.getvalue())
        yield made


def asking(name: str, *stages: str, mode: str = "SUPERSEDED", custom: Mapping[str, str] | None = None,
           **more: Any) -> dict[str, Any]:  # fmt: skip
    """A definition: a source, and a stage with an approval for each of these names."""
    action = {"name": "Ask", "actionTypeId": KIND, "configuration": dict(custom or {})}
    return {
        "name": name,
        "roleArn": "arn:aws:iam::000000000000:role/pipeline",
        "pipelineType": "V2",
        "executionMode": mode,
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [{"name": "Source", "actions": [SOURCE]}, *({"name": each, "actions": [action]} for each in stages)],
        **more,
    }


class Line:
    """A pipeline of such a server, by its API."""

    def __init__(self, server: Server, definition: dict[str, Any]) -> None:
        self.api, self.name = server.client("codepipeline"), str(definition["name"])
        self.page = f"/console/pipelines/us-east-1/{self.name}"
        self.api.create_pipeline(pipeline=definition)

    def newest(self) -> dict[str, Any]:
        found: dict[str, Any] = self.api.list_pipeline_executions(pipelineName=self.name)["pipelineExecutionSummaries"][
            0
        ]
        return found

    def stage(self, name: str) -> dict[str, Any]:
        states = self.api.get_pipeline_state(name=self.name)["stageStates"]
        found: dict[str, Any] = next(each for each in states if each["stageName"] == name)
        return found

    def status(self, stage: str) -> str:
        return str((self.stage(stage).get("latestExecution") or {}).get("status", ""))

    def asked(self, stage: str) -> str:
        """The token, once this stage asks."""
        found = until(lambda: (self.stage(stage)["actionStates"][0].get("latestExecution") or {}).get("token") or "")
        return str(found)

    def answer(self, stage: str, verdict: str, summary: str = "") -> None:
        self.api.put_approval_result(
            pipelineName=self.name, stageName=stage, actionName="Ask", token=self.asked(stage),
            result={"status": verdict, "summary": summary},
        )  # fmt: skip


def until(found: Callable[[], Any], seconds: float = 60) -> Any:
    """What this gives as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return value


def login_path(server: Server) -> str:
    """The address that lets a browser in, without the host."""
    return "/console" + console_link(server.data).partition("/console")[2]


def visitor(server: Server) -> Visitor:
    """One with a session."""
    found = Visitor(server.url)
    found.cookie = found.get(login_path(server)).headers["set-cookie"].partition(";")[0]
    return found


def press(person: Visitor, line: Line, form: str, **fields: str) -> tuple[int, str]:
    """Sends a form of the pipeline's page: the status, and where it leads or what it says."""
    csrf = person.form(line.page)["csrf"]
    answer = person.post(f"{line.page}/{form}", {"csrf": csrf, **fields})
    return answer.status, answer.headers.get("location") or answer.text
