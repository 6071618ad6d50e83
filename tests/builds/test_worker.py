"""Workers take, mind and end builds, whoever is killed."""

import asyncio

import pytest

from codeyard.builds import table, workers_table
from codeyard.builds.model import Outcome, Phase, Status
from codeyard.builds.queue import Size
from codeyard.builds.stored import Standing
from codeyard.builds.sweeping import Sweeper
from codeyard.errors import Fault
from codeyard.store import Database, Tx
from codeyard.store.engine import SqlDatabase
from tests.builds.projects import OWNER
from tests.builds.service import GIB, SMALL, Service, a_service
from tests.databases import database

__all__ = ["database"]


@pytest.fixture
def service(database: SqlDatabase) -> Service:
    return a_service(database)


async def test_a_build_is_taken_run_and_ended(service: Service) -> None:
    await service.create()
    build = await service.start()

    async with service.working():
        (row,) = await service.ended(build)

    assert row.build.status is Status.SUCCEEDED
    assert [record.phase for record in row.build.records][-2:] == [Phase.FINALIZING, Phase.COMPLETED]
    assert row.facts == {"source": {"resolved": "abc123"}}
    assert row.worker == "one"


async def test_a_start_wakes_the_worker_of_the_same_process_at_once(service: Service) -> None:
    await service.create()

    async with service.working(poll=60.0) as worker:
        build = await service.control(worker.wake).start(OWNER, "site", {}, "root")
        await service.ended(build, within=5.0)


async def test_the_row_follows_the_phases_while_the_build_runs(service: Service) -> None:
    await service.create()
    service.builds.open = False
    build = await service.start()

    async with service.working():
        await service.until(lambda: build.run in service.builds.gates)
        await asyncio.sleep(0.2)
        row = await service.row(build.run)

    assert row.build.phase is Phase.BUILD
    assert [record.phase for record in row.build.history] == list(Phase)[:6]
    assert row.facts == {"source": {"resolved": "abc123"}}
    assert row.build.status is Status.IN_PROGRESS


async def test_no_more_runs_than_fits(service: Service) -> None:
    await service.create()
    service.builds.open = False
    builds = [await service.start() for _ in range(6)]

    async with service.working(size=Size(5, 100 * GIB)):
        await service.until(lambda: len(service.builds.gates) == 2)
        await asyncio.sleep(0.1)
        service.builds.open = True
        for gate in tuple(service.builds.gates.values()):
            gate.set()
        rows = await service.ended(*builds)

    assert {row.build.status for row in rows} == {Status.SUCCEEDED}
    assert service.builds.most == 2


async def test_a_worker_of_few_places_runs_few(service: Service) -> None:
    await service.create()
    builds = [await service.start() for _ in range(4)]

    async with service.working(size=Size(64, 100 * GIB), slots=1):
        await service.ended(*builds)

    assert service.builds.most == 1


async def test_two_workers_share_the_queue_and_no_build_runs_twice(service: Service) -> None:
    await service.create()
    builds = [await service.start() for _ in range(20)]

    async with service.working("one", Size(4, 8 * GIB)), service.working("two", Size(4, 8 * GIB)):
        rows = await service.ended(*builds)

    assert {row.build.status for row in rows} == {Status.SUCCEEDED}
    assert sorted(service.builds.begun) == sorted(build.run for build in builds)


async def test_a_projects_limit_holds_over_all_workers(service: Service) -> None:
    await service.create(concurrentBuildLimit=2)
    builds = [await service.start() for _ in range(8)]

    async with service.working("one", Size(8, 16 * GIB)), service.working("two", Size(8, 16 * GIB)):
        await service.ended(*builds)

    assert service.builds.most <= 2


async def test_the_accounts_limit_holds(service: Service) -> None:
    await service.create("one-project")
    await service.create("two-project")
    builds = [await service.start(name) for name in ("one-project", "two-project") * 4]

    async with service.working(size=Size(16, 64 * GIB), account_limit=1):
        await service.ended(*builds)

    assert service.builds.most == 1


async def test_a_killed_worker_finds_its_builds_again(service: Service) -> None:
    await service.create()
    service.builds.open = False
    build = await service.start()
    async with service.killed():
        await service.until(lambda: build.run in service.builds.gates)
    service.builds.open = True

    async with service.working():
        (row,) = await service.ended(build)

    assert row.build.status is Status.SUCCEEDED
    assert service.builds.begun == [build.run, build.run]
    assert not service.builds.sandboxes


async def test_a_worker_killed_between_the_row_and_the_workflow_starts_it_later(service: Service) -> None:
    await service.create()
    build = await service.start()
    async with service.killed(starts=False) as worker:
        await service.until(lambda: worker.running == 1)

    async with service.working():
        (row,) = await service.ended(build)

    assert row.build.status is Status.SUCCEEDED
    assert service.builds.begun == [build.run]


async def test_a_workflow_that_was_not_begun_is_asked_for_again(service: Service) -> None:
    await service.create()
    build = await service.start()

    async with service.working(starts=False, lease=0.3) as worker:
        await service.until(lambda: worker.running == 1)
        process = worker._start.__self__  # type: ignore[attr-defined]
        process.starts = True
        (row,) = await service.ended(build)

    assert row.build.status is Status.SUCCEEDED


async def test_a_worker_that_drains_takes_nothing_and_ends_nothing(service: Service) -> None:
    await service.create()
    service.builds.open = False
    first = await service.start()

    async with service.working(size=Size(8, 16 * GIB)) as worker:
        await service.until(lambda: first.run in service.builds.gates)
        worker.drain()
        second = await service.start()
        await asyncio.sleep(0.2)
        rows = [await service.row(build.run) for build in (first, second)]

    assert [row.standing for row in rows] == [Standing.RUNNING, Standing.WAITING]
    assert service.builds.sandboxes == {first.run}


async def test_a_worker_that_leaves_with_builds_is_waited_for_and_without_is_forgotten(service: Service) -> None:
    await service.create()
    service.builds.open = False
    async with service.working("idle"):
        pass
    build = await service.start()
    async with service.working("busy", grace=300.0):
        await service.until(lambda: build.run in service.builds.gates)

    service.clock.pass_by(seconds=250)
    alive = await service.db.read(lambda tx: workers_table.alive(tx, service.clock()))

    assert [(worker.id, worker.draining) for worker in alive] == [("busy", True)]


async def test_the_builds_of_a_worker_that_is_gone_end_with_the_reason_and_are_tried_again(service: Service) -> None:
    await service.create(autoRetryLimit=1)
    service.builds.open = False
    build = await service.start()
    async with service.killed("gone"):
        await service.until(lambda: build.run in service.builds.gates)
        await asyncio.sleep(0.1)
    service.builds.open = True

    async with service.working("other"):
        sweeper = Sweeper(service.db, service.clock)
        await sweeper.sweep()
        await _pass_by(service, sweeper, 40)
        (row,) = await service.ended(build)
        assert row.retries.next is not None
        again = await service.row(row.retries.next.run)
        (follower,) = await service.ended(again)

    assert row.build.status is Status.FAULT
    assert row.lost
    (told,) = [record for record in row.build.history if record.phase is Phase.BUILD]
    assert told.contexts[0].code == "WORKER_LOST"
    assert "gone" in told.contexts[0].message
    assert follower.build.status is Status.SUCCEEDED
    assert follower.retries.previous == row.id
    assert follower.retries.number == 1


async def _pass_by(service: Service, sweeper: Sweeper, seconds: int) -> None:
    """Time goes by, and the sweeper sees all of it."""
    for _ in range(seconds // 5):
        service.clock.pass_by(seconds=5)
        await asyncio.sleep(0)
        await sweeper.sweep()


async def test_a_worker_that_comes_back_too_late_kills_what_it_had_and_writes_nothing(service: Service) -> None:
    await service.create()
    service.builds.open = False
    build = await service.start()
    async with service.killed("late"):
        await service.until(lambda: build.run in service.builds.gates)
        await asyncio.sleep(0.1)
    sweeper = Sweeper(service.db, service.clock)
    await sweeper.sweep()
    await _pass_by(service, sweeper, 40)
    before = await service.row(build.run)
    assert service.builds.sandboxes == {build.run}

    async with service.working("late"):
        await service.until(lambda: not service.builds.sandboxes)
        await asyncio.sleep(0.1)

    assert before.build.status is Status.FAULT
    assert await service.row(build.run) == before


async def test_a_worker_whose_lease_is_over_says_that_it_lives_before_it_takes_anything(service: Service) -> None:
    await service.create()

    async with service.working():
        await asyncio.sleep(0.1)
        service.clock.pass_by(minutes=5)
        build = await service.start()
        (row,) = await service.ended(build, within=3.0)

    assert row.build.status is Status.SUCCEEDED


async def test_a_worker_that_slept_through_its_lease_stops_what_others_ended(service: Service) -> None:
    await service.create()
    service.builds.open = False
    build = await service.start()

    async with service.working("sleepy", lease=0.6):
        await service.until(lambda: build.run in service.builds.gates)
        await asyncio.sleep(0.1)

        def give_up(tx: Tx) -> None:
            from codeyard.builds import ending, life

            ending.end(tx, build.run, lambda was: life.lost(was, "it slept", service.clock()), service.clock())

        await service.db.write(give_up)
        await service.until(lambda: not service.builds.sandboxes)

    row = await service.row(build.run)
    assert row.build.status is Status.FAULT


async def test_what_breaks_a_build_ends_it_with_the_reason(service: Service) -> None:
    await service.create()
    service.builds.breaks = Fault("the disk", "it is full.", "Make room.")
    build = await service.start()

    async with service.working():
        (row,) = await service.ended(build)

    assert row.build.status is Status.FAULT
    assert "it is full" in row.build.history[-1].contexts[0].message


async def test_failures_are_tried_again_as_often_as_the_project_says(service: Service) -> None:
    await service.create(autoRetryLimit=2)
    service.builds.outcomes["site"] = Outcome(Status.FAILED)
    build = await service.start()

    async with service.working():
        (first,) = await service.ended(build)
        assert first.retries.next is not None
        (second,) = await service.ended(await service.row(first.retries.next.run))
        assert second.retries.next is not None
        (third,) = await service.ended(await service.row(second.retries.next.run))

    assert third.retries.next is None
    assert [each.retries.number for each in (first, second, third)] == [0, 1, 2]
    assert [each.number for each in (first, second, third)] == [1, 2, 3]


async def test_events_are_told_with_the_build_as_it_is_then(service: Service) -> None:
    await service.create()
    build = await service.start()
    heard: list[tuple[str, str]] = []

    async with service.working(told=lambda stored, event: heard.append((stored.run, event.kind))):
        await service.ended(build)

    assert heard[0] == (build.run, "phase_started")
    assert heard[-1] == (build.run, "phase_ended")


class Failing:
    """A database that is away when it is told to be."""

    def __init__(self, db: Database) -> None:
        self._db, self.away = db, False

    async def read(self, work):  # type: ignore[no-untyped-def]
        self._check()
        return await self._db.read(work)

    async def write(self, work):  # type: ignore[no-untyped-def]
        self._check()
        return await self._db.write(work)

    def _check(self) -> None:
        if self.away:
            raise Fault("the database", "it is away.", "Wait.")


async def test_a_worker_waits_for_a_database_that_is_away_and_goes_on(service: Service) -> None:
    await service.create()
    service.builds.open = False
    build = await service.start()
    db = service.db
    failing = Failing(db)
    service.db = failing

    async with service.working():
        await service.until(lambda: build.run in service.builds.gates)
        failing.away = True
        service.builds.gates[build.run].set()
        await asyncio.sleep(0.5)
        failing.away = False
        service.builds.open = True
        later = await service.start()
        rows = await service.ended(build, later)

    assert {row.build.status for row in rows} == {Status.SUCCEEDED}


async def test_a_large_build_runs_on_a_small_machine_that_is_empty(service: Service) -> None:
    large = {"type": "LINUX_CONTAINER", "image": "busybox", "computeType": "BUILD_GENERAL1_XLARGE"}
    await service.create("large", environment=large)
    build = await service.start("large")

    async with service.working(size=SMALL):
        (row,) = await service.ended(build)

    assert row.build.status is Status.SUCCEEDED


async def test_what_a_worker_has_is_known_by_the_rows(service: Service) -> None:
    await service.create()
    service.builds.open = False
    build = await service.start()

    async with service.working():
        await service.until(lambda: build.run in service.builds.gates)
        held = await service.db.read(lambda tx: table.held_by(tx, "one"))

    assert held == {build.run: False}
