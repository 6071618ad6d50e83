"""What the list of executions says of each."""

import pytest

from codeyard.cli.pipeline_executions import lasted
from tests.cli.pipelines import at


@pytest.mark.parametrize(("status", "expected"), [("Succeeded", 5.0), ("InProgress", 300.0), ("Stopping", 300.0)])
def test_an_execution_that_goes_on_has_lasted_until_now_though_it_only_waits(status: str, expected: float) -> None:
    found = {"status": status, "startTime": at(0), "lastUpdateTime": at(5)}

    assert lasted(found, at(300)) == expected
