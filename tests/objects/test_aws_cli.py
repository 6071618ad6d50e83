"""S3 by the real AWS CLI."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.objects.serving import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("aws") is None, reason="there is no AWS CLI here")]


@pytest.fixture
def aws(address: str, tmp_path: Path) -> Any:
    """Runs `aws` with arguments, and gives what it printed."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": ROOT.id,
        "AWS_SECRET_ACCESS_KEY": ROOT.secret,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }

    def run(*arguments: str) -> str:
        done = subprocess.run(
            ["aws", *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_day_with_the_aws_cli(aws: Any, tmp_path: Path) -> None:
    large = os.urandom(1 << 20) * 18
    (tmp_path / "site/deep").mkdir(parents=True)
    (tmp_path / "site/index.html").write_text("<html>")
    (tmp_path / "site/deep/large.bin").write_bytes(large)
    aws("s3", "mb", "s3://cli-bucket")
    aws("s3", "sync", "site", "s3://cli-bucket/www", "--sse", "aws:kms")
    listed = aws("s3", "ls", "s3://cli-bucket/www/", "--recursive")
    again = aws("s3", "sync", "site", "s3://cli-bucket/www")
    aws("s3", "cp", "s3://cli-bucket/www/deep/large.bin", "s3://cli-bucket/copy é.bin")
    aws("s3", "cp", "s3://cli-bucket/copy é.bin", "back.bin")
    aws("s3", "sync", "s3://cli-bucket/www", "mirror")
    head = aws("s3api", "head-object", "--bucket", "cli-bucket", "--key", "www/index.html")
    tagging = aws("s3api", "get-object-tagging", "--bucket", "cli-bucket", "--key", "www/index.html")
    aws("s3", "mv", "s3://cli-bucket/www/index.html", "s3://cli-bucket/moved.html")
    aws("s3", "rm", "s3://cli-bucket/www", "--recursive")
    left = aws("s3api", "list-objects-v2", "--bucket", "cli-bucket", "--query", "Contents[].Key", "--output", "text")
    aws("s3", "rb", "s3://cli-bucket", "--force")

    assert [line.split()[-1] for line in listed.splitlines()] == ["www/deep/large.bin", "www/index.html"]
    assert again == ""
    assert (tmp_path / "back.bin").read_bytes() == large
    assert (tmp_path / "mirror/deep/large.bin").read_bytes() == large
    assert '"ServerSideEncryption": "aws:kms"' in head
    assert '"ContentType": "text/html"' in head
    assert '"TagSet": []' in tagging
    assert left.rstrip("\n").split("\t") == ["copy é.bin", "moved.html"]
    assert "cli-bucket" not in aws("s3", "ls")


def test_a_link_of_the_aws_cli_works(aws: Any, s3: Any, bucket: str) -> None:
    import requests

    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    link = aws("s3", "presign", f"s3://{bucket}/k").strip()

    assert requests.get(link, timeout=10).content == b"hello"
