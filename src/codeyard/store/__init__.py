"""Rows that survive: one database, SQLite or PostgreSQL, by SQLAlchemy Core.

Each slice's `table.py` declares its tables on `metadata` and is the only one with SQL for them. `read` and `write` run
a function with an open transaction, on a thread of the database's own:
  - `write` commits when the function returns and nothing of it stays when it raises; what it answered is on the disk;
  - a function may be run again from its beginning, after a lost connection or a clash with another process, so it does
    nothing but read and write rows;
  - what a driver raises becomes `Away` (the database is gone, or full), for a unique key `Duplicate`, and for a value
    that no column can hold `Invalid`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection, MetaData

from codeyard.errors import Conflict, Fault

T = TypeVar("T")
Tx = Connection

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Duplicate(Conflict):
    """A row of this key is there already."""


class Away(Fault):
    """The database does not answer, or takes nothing; it may later."""


async def patiently(work: Callable[[], Awaitable[T]], *, pause: float = 1.0) -> T:
    """What `work` gives, tried again each `pause` seconds for as long as the database is away."""
    while True:
        try:
            return await work()
        except Away as error:
            logging.getLogger(__name__).warning("database_awaited error=%s", error)
        await asyncio.sleep(pause)


class Database(Protocol):
    """See the module."""

    async def read(self, work: Callable[[Tx], T]) -> T:
        """What `work` gives, from one consistent view of the rows. Away."""
        ...

    async def write(self, work: Callable[[Tx], T]) -> T:
        """What `work` gives, once that is on the disk. Away, Duplicate, and what `work` raises."""
        ...
