"""Every test here gets each executor that works on this machine."""

import pytest

from tests.machines import EXECUTORS, Machine


@pytest.fixture(params=EXECUTORS, ids=lambda machine: machine.name)
def machine(request: pytest.FixtureRequest) -> Machine:
    found: Machine = request.param
    found.require()
    return found
