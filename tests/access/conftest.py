"""The cloud of these tests, over each database."""

from collections.abc import Iterator

import pytest

from codeyard.access import table as _tables  # noqa: F401 - so that the database has them
from codeyard.store.engine import SqlDatabase
from tests.access.cloud import Cloud, running
from tests.databases import database

__all__ = ["database"]


@pytest.fixture
def cloud(database: SqlDatabase) -> Iterator[Cloud]:
    with running(database) as found:
        yield found
