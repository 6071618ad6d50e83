"""What tests of several actions share."""

import json
import urllib.request
from collections.abc import Iterator

import pytest

from tests.artifacts.servers import s3_server
from tests.pipelines.actions.services import Outside


@pytest.fixture(scope="package")
def moto() -> Iterator[str]:
    """The address of moto's server, which plays all of AWS, and runs state machines."""
    with s3_server() as address:
        settings = json.dumps({"stepfunctions": {"execute_state_machine": True}}).encode()
        urllib.request.urlopen(f"{address}/moto-api/config", data=settings).close()
        yield address


@pytest.fixture
def outside(moto: str) -> Outside:
    return Outside(moto)
