"""The tables that the migrations make are those that the code declares; several processes may start at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

import codeyard.app.lifetime  # noqa: F401 - with it every table is declared
from codeyard.errors import Fault
from codeyard.store import metadata, migrate
from codeyard.store.engine import SqlDatabase
from tests.databases import DIALECTS, postgresql_schema


@pytest.fixture(params=DIALECTS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    """A database of each kind with nothing in it."""
    if request.param == "sqlite":
        database = SqlDatabase(f"sqlite:///{tmp_path / 'test.sqlite'}")
        yield database
        database.close()
        return
    for url in postgresql_schema():
        database = SqlDatabase(url)
        yield database
        database.close()


def differences(database: SqlDatabase) -> list[Any]:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = compare_metadata(context, metadata)
    return [each for each in found if not _is_expression_index(each)]


def _is_expression_index(difference: Any) -> bool:
    """SQLite tells nothing of an index's order, so these are seen as missing whatever there is."""
    return difference[0] in ("add_index", "remove_index") and difference[1].name == "ix_build_lines_next"


def test_the_migrations_make_what_the_code_declares(empty: SqlDatabase) -> None:
    migrate.upgrade(empty.engine)

    assert differences(empty) == []


def test_migrating_again_does_nothing(empty: SqlDatabase) -> None:
    migrate.upgrade(empty.engine)

    migrate.upgrade(empty.engine)


def test_several_processes_may_migrate_at_once(empty: SqlDatabase) -> None:
    databases = [SqlDatabase(empty.url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(migrate.upgrade, each.engine) for each in databases]:
            done.result(60)
    for each in databases:
        each.close()

    assert differences(empty) == []


def test_the_head_that_is_looked_for_is_the_newest_step() -> None:
    scripts = ScriptDirectory(str(Path(migrate.__file__).with_name("migrations")))

    assert scripts.get_current_head() == migrate.HEAD


def test_a_database_of_a_newer_version_is_left_alone(empty: SqlDatabase) -> None:
    migrate.upgrade(empty.engine)
    with empty.engine.begin() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(Fault, match="another version"):
        migrate.upgrade(empty.engine)
