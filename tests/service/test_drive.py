"""`scripts/drive.py` goes through on a fresh server: with boto3 and the AWS CLI, with SQLite and with PostgreSQL."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.artifacts.servers import KEYS, client, s3_server
from tests.databases import postgresql_schema
from tests.machines import EXECUTORS
from tests.service.servers import Server, process, running, up

ROOT = Path(__file__).parents[2]


def executor() -> dict[str, str]:
    """The strongest that needs no image."""
    bubblewrap = next(machine for machine in EXECUTORS if machine.name == "bubblewrap")
    try:
        bubblewrap.require()
    except pytest.skip.Exception:
        return {"executor": "process", "unsafe_process": "yes"}
    return {"executor": "bubblewrap"}


def drive(server: Server, *options: str) -> None:
    passed = {name: value for name, value in os.environ.items() if not name.startswith(("CODEYARD_", "AWS_"))}
    kept = {"AWS_CLI": os.environ["AWS_CLI"]} if "AWS_CLI" in os.environ else {}
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "drive.py", *options],
        env={**passed, **kept, **server.env()}, capture_output=True, text=True, timeout=110,
    )  # fmt: skip

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{server.main.said()}"
    assert "everything was deleted" in done.stdout


def test_with_boto3(tmp_path: Path) -> None:
    with up(tmp_path, **executor()) as server:
        drive(server)


def test_with_the_aws_cli(tmp_path: Path) -> None:
    cli = os.environ.get("AWS_CLI", "aws")
    if shutil.which(cli) is None or b"aws-cli/2" not in subprocess.run([cli, "--version"], capture_output=True).stdout:
        pytest.skip("there is no AWS CLI of version 2")
    with up(tmp_path, **executor()) as server:
        drive(server, "--client", "cli")


@pytest.fixture
def postgresql() -> Iterator[str]:
    yield from postgresql_schema()


def test_with_two_worker_processes_beside_the_server(tmp_path: Path, postgresql: str) -> None:
    with up(tmp_path, "--workers", "2", "--database", postgresql, **executor()) as server:
        drive(server)


def test_with_two_machines_that_share_a_database_and_a_bucket(tmp_path: Path, postgresql: str) -> None:
    """Each part has a directory of its own; buckets are on another server, which speaks S3."""
    with s3_server() as buckets:
        client(buckets).create_bucket(Bucket="codeyard")
        shared = {"database": postgresql, "objects": buckets, "bucket": "s3://codeyard/kept", **executor()}
        main = process(tmp_path, "server", "serve", "--listen", "127.0.0.1:0", **shared)
        main.more = KEYS
        server = Server(main, more={"AWS_ENDPOINT_URL_S3": buckets})
        key = str(main.data / "keys" / "vault.key")
        with running(server):
            server.workers = [
                process(tmp_path, name, "worker", **shared, vault_key=key, url=server.url, worker=name)
                for name in ("one", "two")
            ]
            for worker in server.workers:
                worker.more = KEYS
                worker.start()
            drive(server)
