"""Every operation of pipelines and deployments, asked with inputs of every kind: none breaks a server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.servers import Server, up
from tests.wire.generate import survives

pytestmark = pytest.mark.slow
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "codepipeline.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One with a pipeline whose approval waits."""
    with up(tmp_path_factory.mktemp("hostile"), poll_sources="0") as server:
        iam, codepipeline = server.client("iam"), server.client("codepipeline")
        role = iam.create_role(RoleName="pipeline", AssumeRolePolicyDocument=json.dumps(_TRUST))["Role"]["Arn"]
        kinds = {
            "Source": ("Source", "S3", {"S3Bucket": "code", "S3ObjectKey": "a.zip"}),
            "Ask": ("Approval", "Manual", {}),
        }
        stages = [
            {
                "name": name,
                "actions": [
                    {
                        "name": name,
                        "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"},
                        "configuration": configuration,
                        "outputArtifacts": [{"name": "Code"}] if category == "Source" else [],
                    }
                ],
            }
            for name, (category, provider, configuration) in kinds.items()
        ]
        store = {"type": "S3", "location": "artifacts"}
        pipeline = {"name": "demo", "roleArn": role, "artifactStore": store, "stages": stages}
        codepipeline.create_pipeline(pipeline=pipeline)
        yield server


def test_codepipeline_answers_whatever_is_asked(server: Server) -> None:
    root = json.loads((Path(server.data) / "keys" / "root").read_text())
    known = {"name": ["demo"], "pipelineName": ["demo"], "stageName": ["Source", "Ask"], "actionName": ["Ask"]}

    survives(server.url, "codepipeline", examples=12, known=known, key_id=root["id"], secret=root["secret"])

    assert server.client("codepipeline").list_pipelines()["pipelines"] is not None


def test_codedeploy_answers_whatever_is_asked(server: Server) -> None:
    root = json.loads((Path(server.data) / "keys" / "root").read_text())
    server.client("codedeploy").create_application(applicationName="demo")
    known = {"applicationName": ["demo"]}

    survives(server.url, "codedeploy", examples=8, known=known, key_id=root["id"], secret=root["secret"])

    assert server.client("codedeploy").list_applications()["applications"] is not None
