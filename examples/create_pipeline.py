#!/usr/bin/env python3
"""Make a pipeline of a directory, with boto3 and nothing else: a bucket, two roles, a CodeBuild project, a pipeline.

usage: create_pipeline.py DIR [--name NAME] [--path DIR]

It is for a Codeyard server: eval "$(codeyard env)" for the one that was started here. The pipeline takes the
directory as a zip from a bucket, builds it, asks for approval, and releases what was built beneath --path on the
machines with the tag role=web. Running it again puts the directory into the bucket anew; a pipeline that is there
stays as it is.
"""

import argparse
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

LEFT_OUT = {".git", ".venv", "__pycache__"}


def zipped(directory: Path) -> bytes:
    """The files of a directory, with their modes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(directory.rglob("*")):
            relative = path.relative_to(directory)
            if path.is_file() and not LEFT_OUT.intersection(relative.parts):
                archive.write(path, relative)
    return content.getvalue()


def role(iam: Any, name: str, service: str, *allowed: dict[str, Any]) -> str:
    """The ARN of a role that this service may assume, and that may do this and nothing else."""
    trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
    try:
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
    except iam.exceptions.EntityAlreadyExistsException:
        pass
    document = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **each} for each in allowed]})
    iam.put_role_policy(RoleName=name, PolicyName="allowed", PolicyDocument=document)
    return str(iam.get_role(RoleName=name)["Role"]["Arn"])


def action(name: str, type: str, configuration: dict[str, str], **more: Any) -> dict[str, Any]:
    """`type`: category, owner and provider."""
    category, owner, provider = type.split("/")
    kind = {"category": category, "owner": owner, "provider": provider, "version": "1"}
    return {"name": name, "actionTypeId": kind, "configuration": configuration, **more}


def plan(name: str, bucket: str, role: str, path: Path) -> dict[str, Any]:
    """The pipeline."""
    code, app = [{"name": "Code"}], [{"name": "App"}]
    source = {"S3Bucket": bucket, "S3ObjectKey": "source.zip", "PollForSourceChanges": "false"}
    build = {
        "ProjectName": name,
        "EnvironmentVariables": json.dumps(
            [
                {"name": "COMMIT", "value": "#{Uploaded.VersionId}"},
                {"name": "STAGE_NAME", "value": "#{variables.STAGE_NAME}"},
            ]
        ),
    }
    release = {
        "Targets": "role=web", "Path": str(path),
        "HealthCheck": "deploy/healthy.sh", "HealthCheckSeconds": "0",
    }  # fmt: skip
    stages = {
        "Source": action("Upload", "Source/AWS/S3", source, namespace="Uploaded", outputArtifacts=code),
        "Build": action(
            "TestAndBuild", "Build/AWS/CodeBuild", build, namespace="Built",
            inputArtifacts=code, outputArtifacts=[*app, {"name": "Bundle"}],
        ),
        "Approve": action("Ask", "Approval/AWS/Manual", {"CustomData": "Release #{Built.VERSION}?"}),
        "Release": action("Everywhere", "Deploy/Custom/Codeyard-Release", release, inputArtifacts=app),
    }  # fmt: skip
    return {
        "name": name,
        "roleArn": role,
        "artifactStore": {"type": "S3", "location": bucket},
        "pipelineType": "V2",
        "executionMode": "QUEUED",
        "variables": [{"name": "STAGE_NAME", "defaultValue": "test"}],
        "stages": [{"name": stage, "actions": [each]} for stage, each in stages.items()],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a pipeline of a directory, with boto3.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--name", default="greeter", help="the pipeline's name, and its project's; greeter")
    parser.add_argument("--path", type=Path, help="where releases go on each machine; NAME in the current directory")
    given = parser.parse_args()
    name, path = given.name, (given.path or Path(given.name)).absolute()
    s3, iam, codebuild = boto3.client("s3"), boto3.client("iam"), boto3.client("codebuild")
    codepipeline = boto3.client("codepipeline")
    account = boto3.client("sts").get_caller_identity()["Account"]
    bucket, project_arn = f"{name}-{account}", f"arn:aws:codebuild:*:{account}:project/{name}"

    if bucket not in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put = s3.put_object(Bucket=bucket, Key="source.zip", Body=zipped(given.directory))
    print(f"source    s3://{bucket}/source.zip, version {put['VersionId']}")

    objects = {"Resource": f"arn:aws:s3:::{bucket}/*", "Action": ["s3:GetObject", "s3:GetObjectVersion"]}
    builds = role(iam, f"{name}-builds", "codebuild", objects)
    start = {"Resource": project_arn, "Action": "codebuild:StartBuild"}
    # Artifacts lie below the pipeline's name, of which a key has 20 characters.
    artifacts = {"Resource": f"arn:aws:s3:::{bucket}/{name[:20]}/*", "Action": "s3:PutObject"}
    deploys = [f"arn:aws:codedeploy:*:{account}:{each}" for each in (f"deploymentgroup:{name}/*", "instance:*")]
    deploy = {"Resource": deploys, "Action": "codedeploy:CreateDeployment"}
    acts = role(iam, f"{name}-pipeline", "codepipeline", objects, artifacts, start, deploy)
    print(f"roles     {name}-builds and {name}-pipeline, each with what it needs and nothing else")

    project = {
        "name": name,
        "source": {"type": "CODEPIPELINE"},
        "artifacts": {"type": "CODEPIPELINE"},
        "environment": {
            "type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL",
        },
        "serviceRole": builds,
    }  # fmt: skip
    try:
        codebuild.create_project(**project)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceAlreadyExistsException":
            raise
        codebuild.update_project(**project)
    print(f"project   {name}")

    pipeline = plan(name, bucket, acts, path)
    try:
        codepipeline.create_pipeline(pipeline=pipeline)
        print(f"pipeline  {name}, whose first execution has begun; it releases to {path}")
    except codepipeline.exceptions.PipelineNameInUseException:
        print(f"pipeline  {name} is there already: codeyard pipeline start {name}")


if __name__ == "__main__":
    main()
