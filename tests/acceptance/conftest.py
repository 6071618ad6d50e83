"""Every test here gets each executor that works on this machine."""

from pathlib import Path

import pytest

from tests.acceptance.harness import Yard
from tests.machines import EXECUTORS, Machine


@pytest.fixture(params=EXECUTORS, ids=lambda machine: machine.name)
def machine(request: pytest.FixtureRequest) -> Machine:
    found: Machine = request.param
    found.require()
    return found


@pytest.fixture
def yard(machine: Machine, tmp_path: Path) -> Yard:
    return Yard(machine, tmp_path)
