"""A server on each executor that isolates, for all tests here."""

from collections.abc import Iterator

import pytest

from tests.machines import EXECUTORS, Machine
from tests.service.servers import up
from tests.service_security.spying import Yard, has_python, python_image

_ISOLATING = [machine for machine in EXECUTORS if machine.isolates]


@pytest.fixture(scope="package", params=_ISOLATING, ids=lambda machine: str(machine.name))
def yard(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """One server for all tests of a kind of sandbox."""
    machine: Machine = request.param
    machine.require()
    if not has_python():
        pytest.skip("the machine has no python that builds could use")
    image = python_image() if machine.name == "docker" else "aws/codebuild/standard:7.0"
    directory = tmp_path_factory.mktemp(f"yard-{machine.name}")
    with up(directory, executor=machine.name, cpus="8", memory="16", local_sources="true") as server:
        yield Yard(server, machine.name, image)
