#!/usr/bin/env python3
"""Drive a running server's pipelines as its users do, with nothing but their clients: the AWS CLI, or boto3.

usage: drive_pipeline.py [--client boto3|cli] [--token-file FILE] [--name PREFIX]

AWS_ENDPOINT_URL and credentials say where (eval "$(codeyard env)"); FILE holds what `codeyard agent token --tag
role=PREFIX` prints, and is made by that where it is left out. examples/pipeline becomes a git repository, a project and
a pipeline: built, approved and released to two agents, which this starts; broken, gone back from, rolled back, in all
three execution modes; and deployed by CodeDeploy. It ends with exit code 1 at the first thing that is not as AWS would
have it.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from drive import Boto3, Cli
from drive_places import Repository, Target, git_served, scratch, until, working

EXAMPLE = Path(__file__).parents[1] / "examples" / "pipeline"
CODEYARD = (sys.executable, "-m", "codeyard.cli.main")
SERVICES = ["codepipeline.amazonaws.com", "codebuild.amazonaws.com", "codedeploy.amazonaws.com"]
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": SERVICES}, "Action": "sts:AssumeRole"}],
}
SERVED = "/srv/greeter"  # of the example, where machines have the program


class Greeter:
    """The example's pipeline, driven; each method that says nothing of it else is one of CodePipeline's calls."""

    def __init__(self, client: Any, name: str) -> None:
        self.client, self.name, self.began = client, name, time.monotonic()
        self.checked = 0
        self.plan: dict[str, Any] = {}

    # ── what is said ──

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def check(self, what: str, true: bool, *shown: object) -> None:
        if not true:
            raise SystemExit(f"NOT AS IT SHOULD BE: {what} {' '.join(map(str, shown))}")
        self.checked += 1
        self.say(f"✔ {what}")

    def refused(self, what: str, code: str, operation: str, **given: Any) -> None:
        """The call must be answered with this error."""
        try:
            answer = self.pipeline(operation, **given)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the clients have many types for it
            self.check(what, code in f"{type(error).__name__} {error}", error)
        else:
            self.check(what, False, answer)

    # ── calls ──

    def pipeline(self, operation: str, **given: Any) -> Any:
        return self.client.call("codepipeline", operation, **given)

    def start(self, **variables: str) -> str:
        given = [{"name": name, "value": value} for name, value in variables.items()]
        started = self.pipeline("start-pipeline-execution", name=self.name, **({"variables": given} if given else {}))
        return str(started["pipelineExecutionId"])

    def execution(self, id: str) -> Any:
        found = self.pipeline("get-pipeline-execution", pipelineName=self.name, pipelineExecutionId=id)
        return found["pipelineExecution"]

    def status(self, id: str) -> str:
        return str(self.execution(id)["status"])

    def ended(self, id: str, status: str) -> None:
        """Wait for its end, which must be this."""
        found = until(f"{id} ends", lambda: self._end(id))
        if found != status:
            raise SystemExit(f"NOT AS IT SHOULD BE: {id} is {found}, not {status}: {self.actions(id)}")

    def _end(self, id: str) -> str | None:
        found = self.status(id)
        return None if found in ("InProgress", "Stopping") else found

    def stage(self, name: str) -> Any:
        stages = self.pipeline("get-pipeline-state", name=self.name)["stageStates"]
        return next(each for each in stages if each["stageName"] == name)

    def actions(self, id: str) -> list[Any]:
        """The action executions of an execution, the newest first."""
        given = {"pipelineName": self.name, "filter": {"pipelineExecutionId": id}}
        return list(self.pipeline("list-action-executions", **given)["actionExecutionDetails"])

    def action(self, id: str, name: str) -> Any:
        return next((each for each in self.actions(id) if each["actionName"] == name), None)

    def executions(self) -> list[Any]:
        """The newest first."""
        return list(self.pipeline("list-pipeline-executions", pipelineName=self.name)["pipelineExecutionSummaries"])

    def asked(self, id: str) -> str:
        """The approval's token, once this execution asks for it; by ListActionExecutions, as in all modes."""

        def look() -> str | None:
            found = self.action(id, "Ask")
            if found is None or found["status"] != "InProgress":
                if self._end(id):
                    raise SystemExit(f"NOT AS IT SHOULD BE: {id} ended before it asked: {self.actions(id)}")
                return None
            return found.get("output", {}).get("executionResult", {}).get("externalExecutionId")

        return str(until(f"{id} asks for approval", look))

    def answer(self, token: str, status: str = "Approved") -> Any:
        return self.pipeline("put-approval-result", **self.answered(token, status))

    def answered(self, token: str, status: str = "Approved") -> dict[str, Any]:
        where = {"pipelineName": self.name, "stageName": "Approve", "actionName": "Ask"}
        return {**where, "token": token, "result": {"summary": "driven", "status": status}}

    def transition(self, stage: str, enabled: bool) -> None:
        given = {"pipelineName": self.name, "stageName": stage, "transitionType": "Inbound"}
        if enabled:
            self.pipeline("enable-stage-transition", **given)
        else:
            self.pipeline("disable-stage-transition", **given, reason="to see who waits")

    def update(self, **changes: Any) -> None:
        self.plan = {**self.plan, **changes}
        self.plan = self.pipeline("update-pipeline", pipeline=self.plan)["pipeline"]

    # ── the places ──

    def prepare(self, place: Path, repository: str) -> None:
        """Role, buckets, project; and the pipeline's definition, not created yet."""
        call, name = self.client.call, self.name
        self.say(f"as {call('sts', 'get-caller-identity')['Arn']}")
        role = call("iam", "create-role", RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        allowed = json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Resource": "*", "Action": [
                "s3:*", "logs:*", "codebuild:*", "codedeploy:*", "codeconnections:UseConnection",
            ]}
        ]})  # fmt: skip
        call("iam", "put-role-policy", RoleName=name, PolicyName="all", PolicyDocument=allowed)
        call("s3api" if isinstance(self.client, Cli) else "s3", "create-bucket", Bucket=name)
        environment = {
            "type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL",
        }  # fmt: skip
        project = call(
            "codebuild", "create-project", name=name, serviceRole=role, environment=environment,
            source={"type": "CODEPIPELINE"}, artifacts={"type": "CODEPIPELINE"},
        )["project"]  # fmt: skip
        self.check("a role, a bucket and a project were created", project["arn"].endswith(f":project/{name}"))
        self.plan = definition("release.json", name, role, str(place), repository)
        self.place, self.repository_url, self.role = place, repository, role

    def greets(self, *targets: Target) -> list[str]:
        """What the release that is live on each says, by its settings and its version."""
        said = []
        for target in targets:
            current = target.own / "current"
            settings, version = current / "settings.json", current / "VERSION"
            said.append(f"{json.loads(settings.read_text())['word']} {version.read_text().strip()}")
        return said


def definition(file: str, name: str, role: str, place: str, repository: str) -> Any:
    """An example's pipeline, with our names in it."""
    found = json.loads((EXAMPLE / file).read_text())["pipeline"]
    found |= {"name": name, "roleArn": role, "artifactStore": {"type": "S3", "location": name}}
    for stage in found["stages"]:
        for action in stage["actions"]:
            given = action["configuration"]
            ours = {
                "FullRepositoryId": repository, "ProjectName": name, "Targets": f"role={name}", "Path": place,
                "ApplicationName": name, "DeploymentGroupName": name,
            }  # fmt: skip
            action["configuration"] = {key: ours.get(key, value) for key, value in given.items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Drive a running server's pipelines with the AWS CLI or boto3.")
    parser.add_argument("--client", choices=["boto3", "cli"], default="boto3")
    parser.add_argument("--token-file", type=Path, help="what `codeyard agent token --tag role=PREFIX` printed")
    parser.add_argument("--name", default=f"drive-{uuid.uuid4().hex[:8]}")
    given = parser.parse_args()
    if "AWS_ENDPOINT_URL" not in os.environ:
        sys.exit('AWS_ENDPOINT_URL is not set. Start a server (codeyard up), then: eval "$(codeyard env)"')
    asked = [*CODEYARD, "agent", "token", "--tag", f"role={given.name}"]
    if given.token_file is None:
        token = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    else:
        token = given.token_file.read_text().strip()
    from drive_pipeline_story import Story

    client = Boto3() if given.client == "boto3" else Cli()
    with scratch() as directory:
        place = directory / "live"
        targets = [Target(f"{given.name}-{each}", directory, place, CODEYARD) for each in ("one", "two")]
        repository = Repository(directory / "git" / "greeter", EXAMPLE / "app", (SERVED, str(place)))
        with git_served(directory / "git") as url, working(targets, os.environ["AWS_ENDPOINT_URL"], token):
            greeter = Greeter(client, given.name)
            greeter.prepare(place, f"{url}/greeter/.git")
            try:
                Story(greeter, repository, targets).all()
            except SystemExit:
                for each in targets:
                    print(f"── {each.name} said:\n{each.said()}")
                raise
            greeter.say(f"{greeter.checked} checks, all as they should be; everything was deleted")


if __name__ == "__main__":
    main()
