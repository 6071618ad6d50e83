"""What the tests of the object store share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.artifacts.conftest import tiny_disk
from tests.objects.serving import client, served

__all__ = ["tiny_disk"]


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server for all tests that bring their own buckets. A role may do all but with what is called `secret`."""
    root: Path = tmp_path_factory.mktemp("server")
    with served(root, lambda action, resource: "secret" not in resource) as found:
        yield found


@pytest.fixture
def s3(address: str) -> Any:
    """The root's client."""
    return client(address)


@pytest.fixture
def bucket(s3: Any, request: pytest.FixtureRequest) -> str:
    """A new bucket for each test."""
    name = f"b{abs(hash(request.node.nodeid)) % 10**12}"
    s3.create_bucket(Bucket=name)
    return name
