#!/usr/bin/env python3
"""Drive a running server as its users do, with nothing but their clients: the AWS CLI, or boto3.

usage: drive.py [--client boto3|cli] [--image IMAGE] [--name PREFIX]

AWS_ENDPOINT_URL and credentials say where (eval "$(codeyard env)"). It creates a role, a secret, a bucket and a
project, starts builds, follows a log, gets the artifact, stops one, retries it, and deletes everything again. It ends
with exit code 1 at the first thing that is not as AWS would have it.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from pathlib import Path
from typing import Any

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
BUILDSPEC = """
version: 0.2
env:
  secrets-manager:
    PASSWORD: {secret}
  exported-variables: [MADE]
phases:
  build:
    commands:
      - echo "the password is $PASSWORD"
      - for i in 1 2 3; do echo "line $i"; sleep 0.2; done
      - mkdir -p out && cp *.txt out/ && printf %s "$CODEBUILD_BUILD_NUMBER" > out/number
      - sleep "${{NAP:-0}}"
      - MADE=yes
artifacts:
  files: ['**/*']
  base-directory: out
"""
ENDED = ("SUCCEEDED", "FAILED", "FAULT", "STOPPED", "TIMED_OUT")


class Boto3:
    """Calls by boto3."""

    def __init__(self) -> None:
        import boto3

        self._boto3, self._clients = boto3, {}  # type: ignore[var-annotated]

    def call(self, service: str, operation: str, **given: Any) -> Any:
        client = self._clients.setdefault(service, self._boto3.client(service))
        return getattr(client, operation.replace("-", "_"))(**given)

    def put_object(self, bucket: str, key: str, path: Path) -> None:
        self._boto3.client("s3").upload_file(str(path), bucket, key)

    def get_object(self, bucket: str, key: str, path: Path) -> None:
        self._boto3.client("s3").download_file(bucket, key, str(path))

    def tail(self, group: str, build: str) -> list[str]:
        """All lines, as they come, until the build has ended."""
        logs, lines, token = self._boto3.client("logs"), [], None
        while True:
            over = self.call("codebuild", "batch-get-builds", ids=[build])["builds"][0]["buildComplete"]
            stream = build.rpartition(":")[2]
            try:
                more: dict[str, str] = {"nextToken": token} if token else {}
                page = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **more)
            except logs.exceptions.ResourceNotFoundException:
                page = {"events": [], "nextForwardToken": None}
            lines += [event["message"].rstrip("\n") for event in page["events"]]
            if over and page["nextForwardToken"] == token:
                return lines
            token = page["nextForwardToken"] or token
            time.sleep(0.1)


class Cli:
    """Calls by the AWS CLI."""

    def __init__(self) -> None:
        # Named for each call: versions before 2.13 know no AWS_ENDPOINT_URL. `logs tail` came with version 2.
        self._aws = [os.environ.get("AWS_CLI", "aws"), "--endpoint-url", os.environ["AWS_ENDPOINT_URL"]]
        buckets = os.environ.get("AWS_ENDPOINT_URL_S3", os.environ["AWS_ENDPOINT_URL"])
        self._aws_s3 = [self._aws[0], "--endpoint-url", buckets]

    def run(self, *arguments: str) -> str:
        aws = self._aws_s3 if arguments[0].startswith("s3") else self._aws
        done = subprocess.run([*aws, *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"aws {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def call(self, service: str, operation: str, **given: Any) -> Any:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(given, file)
            file.flush()
            name = {"codedeploy": "deploy"}.get(service, service)  # as the CLI calls it
            answer = self.run(name, operation, "--cli-input-json", f"file://{file.name}", "--output", "json")
        return json.loads(answer) if answer.strip() else {}

    def put_object(self, bucket: str, key: str, path: Path) -> None:
        self.run("s3", "cp", "--only-show-errors", str(path), f"s3://{bucket}/{key}")

    def get_object(self, bucket: str, key: str, path: Path) -> None:
        self.run("s3", "cp", "--only-show-errors", f"s3://{bucket}/{key}", str(path))

    def tail(self, group: str, build: str) -> list[str]:
        """What `aws logs tail --follow` prints until the build has ended, and a while longer."""
        stream = build.rpartition(":")[2]
        deadline = time.monotonic() + 60
        while not self._ran(build) and time.monotonic() < deadline:
            time.sleep(0.2)
        with tempfile.TemporaryFile("w+") as out:
            tail = subprocess.Popen(
                [*self._aws, "logs", "tail", group, "--follow", "--format", "short", "--log-stream-names", stream],
                stdout=out,
            )
            while not self.call("codebuild", "batch-get-builds", ids=[build])["builds"][0]["buildComplete"]:
                time.sleep(0.2)
            time.sleep(8)  # it looks every five seconds
            tail.terminate()
            tail.wait()
            out.seek(0)
            return [line.rstrip("\n").partition(" ")[2] for line in out]

    def _ran(self, build: str) -> bool:
        found = self.call("codebuild", "batch-get-builds", ids=[build])["builds"][0]
        return bool(found["buildComplete"]) or found["currentPhase"] not in ("SUBMITTED", "QUEUED", "PROVISIONING")


class Drive:
    """The story, with one client."""

    def __init__(self, client: Any, image: str, name: str) -> None:
        self.client, self.image, self.name = client, image, name
        self.began = time.monotonic()

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def check(self, what: str, true: bool, *shown: object) -> None:
        if not true:
            raise SystemExit(f"NOT AS IT SHOULD BE: {what} {' '.join(map(str, shown))}")
        self.say(f"✔ {what}")

    def wait(self, build: str) -> Any:
        while True:
            found = self.client.call("codebuild", "batch-get-builds", ids=[build])["builds"][0]
            if found["buildStatus"] in ENDED and found["buildComplete"]:
                return found
            time.sleep(0.2)

    def all(self) -> None:
        call, name = self.client.call, self.name
        me = call("sts", "get-caller-identity")
        self.say(f"as {me['Arn']}")
        role = call("iam", "create-role", RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        secret = call("secretsmanager", "create-secret", Name=f"{name}/password", SecretString="s3cr3t-" + name)["ARN"]
        allowed = [
            {"Effect": "Allow", "Action": ["logs:*", "s3:*"], "Resource": "*"},
            {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": secret},
        ]
        document = json.dumps({"Version": "2012-10-17", "Statement": allowed})
        call("iam", "put-role-policy", RoleName=name, PolicyName="builds", PolicyDocument=document)
        self.check("a role and a secret were created", role.endswith(f"role/{name}") and f"{name}/password" in secret)
        call("s3api" if isinstance(self.client, Cli) else "s3", "create-bucket", Bucket=name)
        with tempfile.TemporaryDirectory() as scratch:
            self.source(Path(scratch), secret)
            self.project(role)
            self.builds(Path(scratch))
        self.delete()

    def source(self, scratch: Path, secret: str) -> None:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("buildspec.yml", BUILDSPEC.format(secret=secret))
            archive.writestr("hello.txt", "hello\n")
        path = scratch / "source.zip"
        path.write_bytes(content.getvalue())
        self.client.put_object(self.name, "source.zip", path)

    def project(self, role: str) -> None:
        project = self.client.call(
            "codebuild",
            "create-project",
            name=self.name,
            source={"type": "S3", "location": f"{self.name}/source.zip"},
            artifacts={"type": "S3", "location": self.name, "path": "made", "name": "app.zip", "packaging": "ZIP"},
            environment={
                "type": "LINUX_CONTAINER", "image": self.image, "computeType": "BUILD_GENERAL1_SMALL",
            },
            serviceRole=role,
        )["project"]  # fmt: skip
        self.check("the project was created", project["arn"].endswith(f":project/{self.name}"), project)

    def builds(self, scratch: Path) -> None:
        call, name = self.client.call, self.name
        build = call("codebuild", "start-build", projectName=name)["build"]["id"]
        self.say(f"started {build}")
        lines = self.client.tail(f"/aws/codebuild/{name}", build)
        found = self.wait(build)
        self.check("the build SUCCEEDED", found["buildStatus"] == "SUCCEEDED", found, "\n".join(lines))
        numbered = [line for line in lines if line.startswith("line ")]
        self.check("its log was followed, each line once", numbered == ["line 1", "line 2", "line 3"], lines)
        self.check("the secret is not in it", not any("s3cr3t" in line for line in lines), lines)
        self.check(
            "it exported a variable", found["exportedEnvironmentVariables"] == [{"name": "MADE", "value": "yes"}]
        )
        arn = found["artifacts"]["location"]
        self.check("the artifact is where AWS has it", arn == f"arn:aws:s3:::{name}/made/app.zip", arn)
        self.client.get_object(name, "made/app.zip", scratch / "app.zip")
        with zipfile.ZipFile(scratch / "app.zip") as archive:
            content = {each: archive.read(each) for each in archive.namelist()}
        self.check("it holds what was made", content == {"hello.txt": b"hello\n", "number": b"1"}, content)

        nap = [{"name": "NAP", "value": "600"}]
        build = call("codebuild", "start-build", projectName=name, environmentVariablesOverride=nap)["build"]["id"]
        while call("codebuild", "batch-get-builds", ids=[build])["builds"][0]["currentPhase"] != "BUILD":
            time.sleep(0.1)
        call("codebuild", "stop-build", id=build)
        found = self.wait(build)
        stopped = [phase["phaseType"] for phase in found["phases"] if phase.get("phaseStatus") == "STOPPED"]
        self.check("a build was stopped", (found["buildStatus"], stopped) == ("STOPPED", ["BUILD"]), found)

        first = call("codebuild", "list-builds-for-project", projectName=name, sortOrder="ASCENDING")["ids"][0]
        again = call("codebuild", "retry-build", id=first)["build"]
        found = self.wait(again["id"])
        self.check("a build was retried", (found["buildStatus"], found["buildNumber"]) == ("SUCCEEDED", 3), found)

    def delete(self) -> None:
        call, name = self.client.call, self.name
        ids = call("codebuild", "list-builds-for-project", projectName=name)["ids"]
        deleted = call("codebuild", "batch-delete-builds", ids=ids)["buildsDeleted"]
        self.check("the builds were deleted", len(deleted) == 3, deleted)
        call("codebuild", "delete-project", name=name)
        missing = call("codebuild", "batch-get-projects", names=[name])["projectsNotFound"]
        self.check("the project was deleted", missing == [name], missing)
        call("logs", "delete-log-group", logGroupName=f"/aws/codebuild/{name}")
        call("secretsmanager", "delete-secret", SecretId=f"{name}/password", ForceDeleteWithoutRecovery=True)
        call("iam", "delete-role-policy", RoleName=name, PolicyName="builds")
        call("iam", "delete-role", RoleName=name)
        s3 = "s3api" if isinstance(self.client, Cli) else "s3"
        for key in ("source.zip", "made/app.zip"):
            call(s3, "delete-object", Bucket=name, Key=key)
        call(s3, "delete-bucket", Bucket=name)
        self.say("everything was deleted")


def main() -> None:
    parser = argparse.ArgumentParser(description="Drive a running server with the AWS CLI or boto3.")
    parser.add_argument("--client", choices=["boto3", "cli"], default="boto3")
    parser.add_argument("--image", default="aws/codebuild/standard:7.0")
    parser.add_argument("--name", default=f"drive-{uuid.uuid4().hex[:8]}")
    given = parser.parse_args()
    if "AWS_ENDPOINT_URL" not in os.environ:
        sys.exit('AWS_ENDPOINT_URL is not set. Start a server (codeyard up), then: eval "$(codeyard env)"')
    Drive(Boto3() if given.client == "boto3" else Cli(), given.image, given.name).all()


if __name__ == "__main__":
    main()
