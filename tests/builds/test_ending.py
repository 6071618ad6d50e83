"""A build ends in one transaction, with the one that follows it."""

from typing import Any

import pytest
from sqlalchemy import event

from codeyard.builds import ending, life, table
from codeyard.builds.model import Context
from codeyard.builds.stored import StoredBuild
from codeyard.store import Tx
from codeyard.store.engine import SqlDatabase
from tests.builds.projects import NOW
from tests.builds.service import Service, a_service
from tests.databases import database

__all__ = ["database"]


@pytest.fixture
def service(database: SqlDatabase) -> Service:
    return a_service(database)


def broken(was: StoredBuild) -> StoredBuild:
    return life.finished(was, life.faulted(was.build, Context("SERVER_ERROR", "it broke"), NOW), {})


async def test_a_build_that_is_tried_again_names_the_one_that_follows(service: Service) -> None:
    await service.create(autoRetryLimit=1)
    build = await service.start()

    ended = await service.db.write(lambda tx: ending.end(tx, build.run, broken, NOW))

    assert ended is not None
    assert await service.row(build.run) == ended
    assert ended.retries.next is not None
    assert (await service.row(ended.retries.next.run)).retries.previous == build.id


async def test_a_rule_that_ends_nothing_is_kept_all_the_same(service: Service) -> None:
    await service.create()
    build = await service.start()
    await service.db.write(lambda tx: table.change(tx, build.run, lambda was: life.claimed(was, "one", NOW)))

    ended = await service.db.write(lambda tx: ending.end(tx, build.run, lambda was: life.stopped(was, NOW), NOW))

    assert ended is None
    assert (await service.row(build.run)).stopping == NOW


async def test_the_counter_is_locked_before_the_line_as_by_who_starts_a_build(
    service: Service, database: SqlDatabase
) -> None:
    """The other way round, an end and a start of one project would wait for each other."""
    await service.create(autoRetryLimit=1)
    build = await service.start()
    written: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        words = statement.split()
        if words[0] in ("INSERT", "UPDATE"):
            written.append(words[2] if words[0] == "INSERT" else words[1])

    def work(tx: Tx) -> None:
        event.listen(tx, "before_cursor_execute", note)
        ending.end(tx, build.run, broken, NOW)
        event.remove(tx, "before_cursor_execute", note)

    await database.write(work)

    assert [name.strip("(") for name in written if name != "builds"] == [
        "build_numbers", "build_lines", "build_lines",
    ]  # fmt: skip
