"""Every operation of every service of a real server, asked with whatever may come: no 5xx, no hang, AWS's own errors.

CODEYARD_WIRE_EXAMPLES sets how many inputs each operation gets in each protocol; CI keeps to few.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.service.servers import Server, allow, up
from tests.service.servers import project as make_project
from tests.wire import generate

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("CODEYARD_WIRE_EXAMPLES", "4"))
SERVICES = ("codebuild", "logs", "secretsmanager", "ssm", "iam", "sts")
# They are declined whole, most of them: asking a few tells as much as asking all.
_FEW = {"logs": 1, "ssm": 1, "iam": 1}
_DRIVEN = {
    "logs": (
        "CreateLogGroup", "CreateLogStream", "DeleteLogGroup", "DeleteLogStream", "DescribeLogGroups",
        "DescribeLogStreams", "FilterLogEvents", "GetLogEvents", "PutLogEvents", "PutRetentionPolicy", "StartQuery",
        "DeleteRetentionPolicy", "ListTagsForResource", "TagResource", "UntagResource", "StartLiveTail",
    ),
    "ssm": (
        "PutParameter", "GetParameter", "GetParameters", "GetParametersByPath", "GetParameterHistory",
        "DescribeParameters", "DeleteParameter", "DeleteParameters", "LabelParameterVersion", "AddTagsToResource",
        "UnlabelParameterVersion", "ListTagsForResource", "RemoveTagsFromResource", "SendCommand",
    ),
    "iam": (
        "CreateRole", "GetRole", "ListRoles", "DeleteRole", "UpdateRole", "UpdateAssumeRolePolicy", "PutRolePolicy",
        "GetRolePolicy", "ListRolePolicies", "DeleteRolePolicy", "AttachRolePolicy", "DetachRolePolicy",
        "ListAttachedRolePolicies", "TagRole", "UntagRole", "ListRoleTags", "CreateAccessKey", "ListAccessKeys",
        "CreateUser", "SimulatePrincipalPolicy",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with up(tmp_path_factory.mktemp("wire"), cpus="0.1", memory="0.1") as running:
        yield running


@pytest.fixture(scope="module")
def known(server: Server) -> dict[str, list[Any]]:
    """What is there, so that made-up calls also meet it."""
    role = allow(server, "wire", {"Effect": "Allow", "Action": "*", "Resource": "*"})
    make_project(server, "wire", role, {"phases": {"build": {"commands": ["true"]}}})
    build = server.client("codebuild").start_build(projectName="wire")["build"]["id"]
    secret = server.client("secretsmanager").create_secret(Name="wire", SecretString="s")["ARN"]
    server.client("ssm").put_parameter(Name="/wire/one", Value="v", Type="String")
    logs = server.client("logs")
    logs.create_log_group(logGroupName="wire")
    logs.create_log_stream(logGroupName="wire", logStreamName="stream")
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
    return {
        "projectName": ["wire"], "serviceRole": [role], "serviceRoleOverride": [role], "roleArn": [role],
        "RoleArn": [role], "RoleName": ["wire"], "PolicyDocument": [policy], "id": [build], "ids": [[build]],
        "names": [["wire"]], "SecretId": [secret, "wire"], "Name": ["/wire/one", "wire"], "Names": [["/wire/one"]],
        "Path": ["/", "/wire"], "logGroupName": ["wire"], "logStreamName": ["stream"], "PolicyName": ["wire"],
        "resourceArn": ["arn:aws:codebuild:us-east-1:000000000000:project/wire"],
        "projectArn": ["arn:aws:codebuild:us-east-1:000000000000:project/wire"],
    }  # fmt: skip


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("service", SERVICES)
def test_nothing_that_is_asked_of_a_service_breaks_it(
    server: Server, known: dict[str, list[Any]], service: str
) -> None:
    root = json.loads((server.data / "keys" / "root").read_text())

    generate.survives(
        server.url, service, _DRIVEN.get(service), EXAMPLES, known, key_id=root["id"], secret=root["secret"]
    )


def test_afterwards_it_has_logged_no_mistake_of_its_own(server: Server) -> None:
    assert "Traceback" not in server.main.said()
    assert server.client("sts").get_caller_identity()["Account"] == "000000000000"
