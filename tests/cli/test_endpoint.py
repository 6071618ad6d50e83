"""Which server a command's client speaks to, and by which key."""

import pytest

from codeyard.cli.endpoint import client


def test_buckets_may_be_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4599")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")

    assert client("s3").meta.endpoint_url == "http://127.0.0.1:9000"
    assert client("codebuild").meta.endpoint_url == "http://127.0.0.1:4599"


def test_buckets_are_the_servers_own_unless_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4599")
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)

    assert client("s3").meta.endpoint_url == "http://127.0.0.1:4599"
