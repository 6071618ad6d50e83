"""A server on each executor that isolates, for all tests here."""

import os
from collections.abc import Iterator

import pytest

from tests.machines import EXECUTORS, Machine
from tests.service.servers import Server, up
from tests.service_security.spying import Yard, has_python, python_image
from tests.service_security.tenants import Tenant, Victim

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


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One whose user has passwords and settings for git at home."""
    next(each for each in EXECUTORS if each.name == "bubblewrap").require()
    home = tmp_path_factory.mktemp("home")
    (home / ".netrc").write_text("machine 127.0.0.1 login operator password of-the-operator\n")
    (home / ".gitconfig").write_text(
        '[http]\n\textraHeader = "X-Of-The-Operator: yes"\n[credential]\n\thelper = store\n'
    )
    (home / ".git-credentials").write_text("http://operator:of-the-operator@127.0.0.1\n")
    before = os.environ.get("HOME")
    os.environ["HOME"] = str(home)
    try:
        with up(tmp_path_factory.mktemp("tenants"), executor="bubblewrap", cpus="8", memory="16") as running:
            yield running
    finally:
        os.environ["HOME"] = before or "/"


@pytest.fixture(scope="package")
def tenant(server: Server) -> Tenant:
    return Tenant(server)


@pytest.fixture(scope="package")
def victim(server: Server) -> Victim:
    return Victim(server)
