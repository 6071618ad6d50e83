"""`scripts/drive_pipeline.py` goes through on a fresh server: with boto3 and the AWS CLI, on SQLite and PostgreSQL."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import botocore
import pytest

from tests.artifacts.servers import KEYS, client, s3_server
from tests.databases import postgresql_schema
from tests.service.agents import enrolment_token, require_places
from tests.service.servers import SOURCES, Server, process, running, up
from tests.service.test_drive import executor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(430)]  # seconds: with the CLI, where others are at work too
ROOT = Path(__file__).parents[2]


def drive(server: Server, directory: Path, *options: str, **more: str) -> None:
    passed = {name: value for name, value in os.environ.items() if not name.startswith(("CODEYARD_", "AWS_"))}
    kept = {"AWS_CLI": os.environ["AWS_CLI"]} if "AWS_CLI" in os.environ else {}
    token = directory / "token"
    token.write_text(enrolment_token(server, role="driven"))
    command = [
        sys.executable,
        str(ROOT / "scripts" / "drive_pipeline.py"),
        "--name",
        "driven",
        "--token-file",
        str(token),
    ]
    done = subprocess.run(
        [*command, *options],
        env={**passed, **kept, **server.env(), **more, "PYTHONPATH": str(SOURCES), "TMPDIR": str(directory)},
        capture_output=True, text=True, timeout=400,
    )  # fmt: skip

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{server.main.said()}"
    assert "everything was deleted" in done.stdout
    print(done.stdout)


@pytest.fixture(autouse=True)
def places() -> None:
    require_places()


@pytest.fixture
def postgresql() -> Iterator[str]:
    yield from postgresql_schema()


def test_with_boto3(tmp_path: Path) -> None:
    with up(tmp_path, **executor()) as server:
        drive(server, tmp_path)


def test_with_the_aws_cli(tmp_path: Path) -> None:
    cli = os.environ.get("AWS_CLI", "aws")
    if shutil.which(cli) is None or b"aws-cli/2" not in subprocess.run([cli, "--version"], capture_output=True).stdout:
        pytest.skip("there is no AWS CLI of version 2")
    with up(tmp_path, **executor()) as server:
        drive(server, tmp_path, "--client", "cli", AWS_DATA_PATH=str(models(tmp_path / "models")))


def models(directory: Path) -> Path:
    """CodePipeline's model of botocore, for versions of the CLI from before V2 pipelines; they know one protocol."""
    name = Path("codepipeline") / "2015-07-09"
    (directory / name).mkdir(parents=True)
    with gzip.open(Path(botocore.__file__).parent / "data" / name / "service-2.json.gz") as file:
        model = json.load(file)
    model["metadata"]["protocol"] = "json"
    (directory / name / "service-2.json").write_text(json.dumps(model))
    return directory


def test_with_a_worker_process_beside_the_server(tmp_path: Path, postgresql: str) -> None:
    """Each has a directory of its own: what the build makes goes to the pipeline by a bucket of another server."""
    with s3_server() as buckets:
        client(buckets).create_bucket(Bucket="codeyard")
        shared = {"database": postgresql, "objects": buckets, "bucket": "s3://codeyard/kept", **executor()}
        main = process(tmp_path, "server", "serve", "--listen", "127.0.0.1:0", **shared)
        main.more = KEYS
        server = Server(main, more={"AWS_ENDPOINT_URL_S3": buckets})
        with running(server):
            key = str(main.data / "keys" / "vault.key")
            worker = process(tmp_path, "one", "worker", **shared, vault_key=key, url=server.url, worker="one")
            worker.more = KEYS
            server.workers = [worker]
            worker.start()
            drive(server, tmp_path)
