"""Terraform's AWS provider makes a project and a pipeline, finds nothing to change, and takes them away again."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.service.servers import Server, up
from tests.service.test_drive import executor

pytestmark = pytest.mark.timeout(400)  # seconds: the provider is a large program, and others are at work too
EXAMPLE = Path(__file__).parents[2] / "examples" / "terraform"


def terraform(directory: Path, server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    passed = {name: value for name, value in os.environ.items() if not name.startswith(("CODEYARD_", "AWS_"))}
    keys = {name: value for name, value in server.env().items() if name != "AWS_ENDPOINT_URL"}
    return subprocess.run(
        ["terraform", *arguments, "-no-color", "-input=false"], cwd=directory, capture_output=True, text=True,
        timeout=200, env={**passed, **keys, "TF_VAR_url": server.url},
    )  # fmt: skip


def test_the_example_is_applied_and_destroyed(tmp_path: Path) -> None:
    if shutil.which("terraform") is None:
        pytest.skip("there is no Terraform with the AWS provider")
    directory = tmp_path / "terraform"
    shutil.copytree(EXAMPLE, directory)
    with up(tmp_path, **executor()) as server:
        if terraform(directory, server, "init").returncode != 0:
            pytest.skip("there is no Terraform with the AWS provider")
        applied = terraform(directory, server, "apply", "-auto-approve")
        again = terraform(directory, server, "plan", "-detailed-exitcode")
        build = server.client("codebuild").start_build(projectName="tf-app")["build"]["id"]
        ended = server.wait(build)
        destroyed = terraform(directory, server, "destroy", "-auto-approve")

    assert applied.returncode == 0, applied.stderr
    assert again.returncode == 0, again.stdout
    assert ended["buildStatus"] == "SUCCEEDED"
    assert "BucketNotEmpty" in destroyed.stderr  # what the build made is in it: as on AWS, that is not thrown away
