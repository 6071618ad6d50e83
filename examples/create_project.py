#!/usr/bin/env python3
"""Make a CodeBuild project of a directory, with boto3 and nothing else: on Codeyard, or on AWS, unchanged.

usage: create_project.py DIR [--name NAME]

Where it goes is what boto3's environment says: eval "$(codeyard env)" for the server that was started here.
It makes a bucket, puts the directory into it as a zip, makes the service role that builds run as, and the project.
Running it again brings the source up to date.
"""

import argparse
import io
import json
import zipfile
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

LEFT_OUT = {".git", ".venv", "__pycache__", "node_modules", "wheels", "dist", "reports"}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def zipped(directory: Path) -> bytes:
    """The files of a directory."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(directory.rglob("*")):
            relative = path.relative_to(directory)
            if path.is_file() and not LEFT_OUT.intersection(relative.parts):
                archive.write(path, relative)
    return content.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a CodeBuild project of a directory, with boto3.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--name", help="the project's name; by default the directory's")
    given = parser.parse_args()
    name = given.name or given.directory.resolve().name
    s3, iam, codebuild = boto3.client("s3"), boto3.client("iam"), boto3.client("codebuild")
    account = boto3.client("sts").get_caller_identity()["Account"]
    bucket, role = f"{name}-{account}", f"{name}-builds"

    if bucket not in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="source.zip", Body=zipped(given.directory))
    print(f"source   s3://{bucket}/source.zip")

    try:
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(TRUST))
    except iam.exceptions.EntityAlreadyExistsException:
        pass
    allowed = [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"arn:aws:s3:::{bucket}/*"},
        {"Effect": "Allow", "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
         "Resource": "*"},
    ]  # fmt: skip
    document = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    iam.put_role_policy(RoleName=role, PolicyName="builds", PolicyDocument=document)
    print(f"role     {role}: its builds may read the source and write artifacts, and nothing else")

    project = {
        "name": name,
        "source": {"type": "S3", "location": f"{bucket}/source.zip"},
        "artifacts": {"type": "S3", "location": bucket, "path": "artifacts", "packaging": "ZIP", "name": f"{name}.zip"},
        "secondaryArtifacts": [
            {"type": "S3", "artifactIdentifier": "coverage", "location": bucket, "path": "artifacts",
             "name": "coverage"},
        ],
        "cache": {"type": "LOCAL", "modes": ["LOCAL_CUSTOM_CACHE"]},
        "environment": {
            "type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL",
        },
        "serviceRole": f"arn:aws:iam::{account}:role/{role}",
    }  # fmt: skip
    try:
        codebuild.create_project(**project)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceAlreadyExistsException":
            raise
        codebuild.update_project(**project)
    print(f"project  {name}: {codebuild.batch_get_projects(names=[name])['projects'][0]['arn']}")


if __name__ == "__main__":
    main()
