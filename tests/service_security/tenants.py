"""A tenant with few rights, and somebody else who has something to lose."""

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.service.servers import TRUST, Server, allow, log_of, project

ACCOUNT = "000000000000"
ENVIRONMENT = {"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL"}
ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


NOTHING = {"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"}
ARTIFACT = {"version": 0.2, "phases": {"build": {"commands": ["echo x > x"]}}, "artifacts": {"files": ["x"]}}


def whole_bucket(name: str) -> dict[str, Any]:
    """All rights on a bucket."""
    return {"Effect": "Allow", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]}


class Tenant:
    """Somebody who acts as a role that may do what he wants with projects `mine-…`, and pass one role to them."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.name = f"mine-{uuid.uuid4().hex[:8]}"
        self.role = allow(server, f"role-{self.name}")
        iam = server.client("iam")
        statements = [
            {"Effect": "Allow", "Action": "codebuild:*", "Resource": f"arn:aws:codebuild:*:*:project/{self.name}*"},
            {"Effect": "Allow", "Action": "iam:PassRole", "Resource": self.role},
            {"Effect": "Allow", "Action": "logs:*", "Resource": f"arn:aws:logs:*:*:*:/aws/codebuild/{self.name}*"},
            whole_bucket(self.name),
        ]  # fmt: skip
        trust = json.loads(TRUST)
        trust["Statement"].append(
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
        )
        made = iam.create_role(RoleName=f"tenant-{self.name}", AssumeRolePolicyDocument=json.dumps(trust))["Role"][
            "Arn"
        ]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_role_policy(RoleName=f"tenant-{self.name}", PolicyName="may", PolicyDocument=document)
        keys = server.client("sts").assume_role(RoleArn=made, RoleSessionName="tenant")["Credentials"]
        self._keys = {
            "aws_access_key_id": keys["AccessKeyId"], "aws_secret_access_key": keys["SecretAccessKey"],
            "aws_session_token": keys["SessionToken"],
        }  # fmt: skip

    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self.server.url, region_name="us-east-1", **self._keys)

    def create(self, suffix: str = "", commands: tuple[str, ...] = ("true",), **more: Any) -> str:
        """A project of the tenant's; its name."""
        name = f"{self.name}{suffix}"
        text = json.dumps({"version": 0.2, "phases": {"build": {"commands": list(commands)}}}) + "\n"
        usual = {
            "source": {"type": "NO_SOURCE", "buildspec": text}, "artifacts": {"type": "NO_ARTIFACTS"},
            "environment": ENVIRONMENT, "serviceRole": self.role,
        }  # fmt: skip
        self.client("codebuild").create_project(**{**usual, "name": name, **more})
        return name

    def build(self, name: str, **more: Any) -> dict[str, Any]:
        """A build that the tenant started, once it has ended."""
        started = self.client("codebuild").start_build(projectName=name, **more)["build"]["id"]
        return self.server.wait(started)

    def may(self, *statements: Mapping[str, Any]) -> None:
        """Give the role of his builds these rights."""
        document = json.dumps({"Version": "2012-10-17", "Statement": [dict(each) for each in statements]})
        name = self.role.rpartition("/")[2]
        self.server.client("iam").put_role_policy(RoleName=name, PolicyName="builds", PolicyDocument=document)


class Victim:
    """Somebody else's project, with builds, a log, a bucket and a cache."""

    def __init__(self, server: Server) -> None:
        self.name = f"victim-{uuid.uuid4().hex[:8]}"
        self.role = allow(server, f"role-{self.name}", ALL)
        server.client("s3").create_bucket(Bucket=self.name)
        server.client("s3").put_object(Bucket=self.name, Key="key", Body=b"what only the victim has")
        spec = {
            "phases": {"build": {"commands": ["mkdir -p kept", "echo victims-cache > kept/file", "echo victims-line"]}},
            "cache": {"paths": ["kept/**/*"]},
        }  # fmt: skip
        cache = {"type": "S3", "location": f"{self.name}/cache", "cacheNamespace": "shared"}
        project(server, self.name, self.role, spec, cache=cache)
        self.build = server.client("codebuild").start_build(projectName=self.name)["build"]["id"]
        assert server.wait(self.build)["buildStatus"] == "SUCCEEDED", log_of(server, self.build)


def refused(attempt: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as refused:
        attempt()
    return str(refused.value.response["Error"]["Code"])


def contexts(build: Mapping[str, Any]) -> str:
    return json.dumps([phase.get("contexts") for phase in build["phases"]])
