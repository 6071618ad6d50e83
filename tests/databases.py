"""Databases for tests: SQLite always; PostgreSQL where CODEYARD_TEST_POSTGRESQL names one for tests to fill and empty.

`postgresql://user:password@host:port/name` (a role that may create schemas); each test gets a schema of its own.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import make_url

from codeyard.store import Database, Tx, metadata
from codeyard.store.engine import SqlDatabase

T = TypeVar("T")
POSTGRESQL = os.environ.get("CODEYARD_TEST_POSTGRESQL")
DIALECTS = ("sqlite", "postgresql")


@dataclass
class Forgetful:
    """A database whose connection is lost in each commit: what was written is written again."""

    db: Database
    lost: bool = False

    async def read(self, work: Callable[[Tx], T]) -> T:
        return await self.db.read(work)

    async def write(self, work: Callable[[Tx], T]) -> T:
        if self.lost:
            await self.db.write(work)
        return await self.db.write(work)


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


def plan_of(database: SqlDatabase, question: Callable[[Tx], object], *, as_it_is: bool = False) -> str:
    """How the statements that the question puts would be carried out, if there were many rows, or `as_it_is`."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        asked.append((statement, parameters))

    explain = "EXPLAIN QUERY PLAN " if database.dialect == "sqlite" else "EXPLAIN "
    with database.engine.connect() as tx:
        event.listen(tx, "before_cursor_execute", note)
        question(tx)
        event.remove(tx, "before_cursor_execute", note)
        if database.dialect == "postgresql" and not as_it_is:
            for way in ("seqscan", "bitmapscan", "sort"):
                tx.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        return "\n".join(str(row[-1]) for told, given in asked for row in tx.exec_driver_sql(explain + told, given))
