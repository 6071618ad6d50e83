"""Brings a database's tables to what this version of Codeyard works with. Several processes may do so at once."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from codeyard.errors import Fault
from codeyard.store.engine import explained

HEAD = "0002"  # the newest step
_LOCK = 0x636F6465  # of PostgreSQL's advisory locks, ours


def upgrade(engine: Engine) -> None:
    """Take the missing steps, all or none. Fault if the database is of a newer Codeyard, or cannot be reached."""
    try:
        with engine.connect() as connection:
            if _version(connection) == HEAD:
                return
        with engine.connect() as connection:
            # One process at a time; the others find it done.
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA user_version = 1")  # the first write: it waits for others
            else:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            if _version(connection) != HEAD:
                _run(connection)
            connection.commit()
    except DBAPIError as error:
        raise explained(error) from error


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _run(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise Fault(
            "the database's tables", f"they are of another version: {error}.", "Use the Codeyard that last used them."
        ) from error
