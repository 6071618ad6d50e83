"""What the tests of sources share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeyard.sources.git import GitSource
from tests.sources.servers import GitServer, History, git_server


@pytest.fixture
def base(tmp_path: Path) -> dict[str, str]:
    """The environment of a person with a home of his own."""
    home = tmp_path / "home"
    home.mkdir()
    return {"PATH": os.environ["PATH"], "HOME": str(home)}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where sources are brought to."""
    place = tmp_path / "workspace"
    place.mkdir()
    return place


@pytest.fixture
def served(tmp_path: Path) -> Path:
    root = tmp_path / "served"
    root.mkdir()
    return root


@pytest.fixture
def server(served: Path) -> Iterator[GitServer]:
    with git_server(served) as running:
        yield running


@pytest.fixture
def source(tmp_path: Path, base: dict[str, str]) -> GitSource:
    return GitSource(tmp_path / "cache", base, timeout=60)


@pytest.fixture
def history(served: Path) -> History:
    return History(served / "app")


@pytest.fixture
def private(served: Path) -> Iterator[GitServer]:
    with git_server(served, credential=("ann", "s3cr3t-t0ken")) as running:
        yield running


@pytest.fixture
def secure(served: Path, tmp_path: Path) -> Iterator[GitServer]:
    with git_server(served, tls=tmp_path / "tls") as running:
        yield running
