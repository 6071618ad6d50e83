import pytest

from codeyard.store.engine import SqlDatabase
from tests.databases import database
from tests.secrets.asking import Asked

__all__ = ["asked", "database"]


@pytest.fixture
def asked(database: SqlDatabase) -> Asked:
    return Asked(database)
