"""Waiting for the end of a build."""

import asyncio

import pytest

from codeyard.aws import Refused
from codeyard.builds.ends import Ends
from codeyard.builds.model import Status
from codeyard.ident import BuildId
from codeyard.store import Database
from codeyard.store.engine import SqlDatabase
from tests.builds.projects import OWNER
from tests.builds.service import Service, a_service
from tests.databases import database

__all__ = ["database"]


class Counting:
    """A database that counts how often it is read."""

    def __init__(self, db: Database) -> None:
        self._db, self.reads = db, 0
        self.write = db.write

    async def read(self, work):  # type: ignore[no-untyped-def]
        self.reads += 1
        return await self._db.read(work)


@pytest.fixture
def service(database: SqlDatabase) -> Service:
    return a_service(database)


async def test_whoever_waits_is_told_at_once_by_the_worker_here(service: Service) -> None:
    await service.create()
    build, ends = await service.start(), Ends(service.db)
    waiting = asyncio.create_task(service.control(ends=ends).ended(OWNER, build.id))

    async with service.working(over=ends.tell):
        ended = await asyncio.wait_for(waiting, 8)

    assert ended.build.status is Status.SUCCEEDED
    assert ended == await service.row(build.run)


async def test_whoever_waits_hears_of_a_worker_elsewhere(service: Service) -> None:
    await service.create()
    builds = [await service.start() for _ in range(3)]
    control = service.control()
    waiting = [asyncio.create_task(control.ended(OWNER, build.id)) for build in builds for _ in range(2)]

    async with service.working():
        ended = await asyncio.wait_for(asyncio.gather(*waiting), 8)

    assert all(build.ended for build in ended)


async def test_patience_has_an_end_and_so_has_a_build_that_is_deleted(service: Service) -> None:
    await service.create()
    build, control = await service.start(), service.control()
    waiting = asyncio.create_task(control.ended(OWNER, build.id))

    assert not (await control.ended(OWNER, build.id, patience=0.05)).ended
    await control.stop(OWNER, build.id)
    assert (await waiting).build.status is Status.STOPPED
    await control.delete(OWNER, [build.id])
    with pytest.raises(Refused):
        await control.ended(OWNER, BuildId(build.id.project, build.run))


async def test_one_looks_for_all(service: Service) -> None:
    await service.create()
    build = await service.start()
    counting = Counting(service.db)
    ends = Ends(counting)

    waiting = [asyncio.create_task(ends.wait(build.run, 1.0)) for _ in range(100)]
    await asyncio.gather(*waiting)

    assert 1 <= counting.reads <= 60
