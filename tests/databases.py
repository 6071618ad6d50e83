"""Databases for tests: SQLite always; PostgreSQL where CODEYARD_TEST_POSTGRESQL names one for tests to fill and empty.

`postgresql://user:password@host:port/name` (a role that may create schemas); each test gets a schema of its own.
"""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from codeyard.store import metadata
from codeyard.store.engine import SqlDatabase

POSTGRESQL = os.environ.get("CODEYARD_TEST_POSTGRESQL")
DIALECTS = ("sqlite", "postgresql")


def postgresql_schema() -> Iterator[str]:
    """A URL of a new schema, which is dropped at the end."""
    if POSTGRESQL is None:
        pytest.skip("CODEYARD_TEST_POSTGRESQL names no database")
    plain = make_url(POSTGRESQL).set(drivername="postgresql+psycopg")
    schema = f"test_{uuid.uuid4().hex}"
    engine = create_engine(plain)
    with engine.begin() as tx:
        tx.execute(text(f"CREATE SCHEMA {schema}"))
    yield plain.update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(hide_password=False)
    with engine.begin() as tx:
        tx.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


def opened(url: str) -> Iterator[SqlDatabase]:
    """The database at this URL, with all tables in it."""
    database = SqlDatabase(url)
    metadata.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture(params=DIALECTS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    """An empty database of each kind that is here, with the tables of all slices that the test has imported."""
    if request.param == "sqlite":
        yield from opened(f"sqlite:///{tmp_path / 'test.sqlite'}")
        return
    for url in postgresql_schema():
        yield from opened(url)
