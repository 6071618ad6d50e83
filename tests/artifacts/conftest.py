"""What the tests of artifacts share."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeyard.artifacts.disk import DiskStore
from tests.artifacts.servers import KEYS, client, s3_server


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    return DiskStore(tmp_path / "store")


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    with s3_server() as address:
        client(address).create_bucket(Bucket="artifacts")
        yield address


@pytest.fixture
def s3_keys(monkeypatch: pytest.MonkeyPatch, s3: str) -> str:
    """The server's address, with its keys in the environment."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return s3


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 4 MB."""
    place = tmp_path / "tiny"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True)
    if made.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system that cannot be written to, not even by root."""
    place = tmp_path / "read-only"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,ro", "tmpfs", str(place)], capture_output=True)
    if made.returncode != 0:
        pytest.skip("mounting a read-only file system needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
