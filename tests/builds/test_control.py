"""Builds started, stopped, tried again, deleted and listed by clients."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import event

from codeyard.artifacts import Digest
from codeyard.aws import Refused
from codeyard.builds import projects_table, table
from codeyard.builds.control import StartLimits, token_of
from codeyard.builds.handed import Handed, HandedSource
from codeyard.builds.managed import managed_project
from codeyard.builds.model import Outcome, Status
from codeyard.builds.queue import Size
from codeyard.builds.stored import Standing
from codeyard.builds.sweeping import Sweeper
from codeyard.config import OverLimit
from codeyard.ident import BuildId, Owner
from codeyard.store.engine import SqlDatabase
from tests.builds.projects import NOW, OWNER, ROLE, project
from tests.builds.service import GIB, Service, a_service
from tests.databases import database

__all__ = ["database"]


@pytest.fixture
def service(database: SqlDatabase) -> Service:
    return a_service(database)


async def test_a_started_build_waits_with_what_the_call_changed(service: Service) -> None:
    await service.create()

    build = await service.start(imageOverride="alpine", environmentVariablesOverride=[{"name": "A", "value": "1"}])

    assert await service.row(build.run) == build
    assert build.standing is Standing.WAITING
    assert build.project.environment.image == "alpine"
    assert [each.name for each in build.variables] == ["A"]


async def test_builds_are_numbered_by_project(service: Service) -> None:
    await service.create("one-project")
    await service.create("two-project")

    builds = [await service.start(name) for name in ("one-project", "two-project", "one-project")]

    assert [build.number for build in builds] == [1, 1, 2]


async def test_a_build_of_no_project_is_refused(service: Service) -> None:
    with pytest.raises(Refused) as refused:
        await service.start("absent")

    assert refused.value.code == "ResourceNotFoundException"


# ── tokens ──


async def test_the_same_token_is_the_same_build(service: Service) -> None:
    await service.create()

    first = await service.start(idempotencyToken="t")
    second = await service.start(idempotencyToken="t")

    assert second == first


async def test_the_same_token_at_the_same_moment_is_the_same_build(service: Service) -> None:
    await service.create()

    builds = await asyncio.gather(*(service.start(idempotencyToken="t") for _ in range(10)))

    assert len({build.run for build in builds}) == 1
    page = await service.control().list(OWNER)
    assert len(page.items) == 1


async def test_the_same_token_with_other_parameters_is_refused(service: Service) -> None:
    await service.create()
    await service.start(idempotencyToken="t")

    with pytest.raises(Refused) as refused:
        await service.start(idempotencyToken="t", imageOverride="alpine")

    assert refused.value.code == "InvalidInputException"


async def test_a_token_is_good_for_five_minutes(service: Service) -> None:
    await service.create()
    first = await service.start(idempotencyToken="t")
    service.clock.pass_by(minutes=5)

    second = await service.start(idempotencyToken="t")

    assert second.id != first.id


async def test_a_token_of_a_start_is_none_of_a_retry(service: Service) -> None:
    await service.create()
    build = await service.start(idempotencyToken="t")
    await service.control().stop(OWNER, build.id)
    given = {"id": str(build.id), "idempotencyToken": "t"}

    again = await service.control().retry(OWNER, build.id, given, "root")

    assert again.id != build.id
    assert await service.control().retry(OWNER, build.id, given, "root") == again


async def test_the_token_of_a_build_that_was_deleted_starts_another(service: Service) -> None:
    await service.create()
    first = await service.start(idempotencyToken="once")
    await service.control().stop(OWNER, first.id)
    await service.control().delete(OWNER, [first.id])

    second = await service.start(idempotencyToken="once")

    assert second.number == 2
    assert await service.start(idempotencyToken="once") == second


def test_a_long_token_is_refused() -> None:
    with pytest.raises(Refused):
        token_of(OWNER, "StartBuild", {"idempotencyToken": "x" * 65})


# ── stop ──


async def test_a_waiting_build_is_stopped_at_once(service: Service) -> None:
    await service.create()
    build = await service.start()

    stopped = await service.control().stop(OWNER, build.id)

    assert stopped.build.status is Status.STOPPED
    assert await service.row(build.run) == stopped


@pytest.mark.parametrize("woken", [True, False])
async def test_a_running_build_is_stopped_soon(service: Service, woken: bool) -> None:
    await service.create()
    service.builds.open = False
    build = await service.start()

    async with service.working(poll=60.0 if woken else 0.1) as worker:
        await service.until(lambda: build.run in service.builds.gates)
        stopped = await service.control(worker.wake if woken else lambda: None).stop(OWNER, build.id)

    assert stopped.build.status is Status.STOPPED
    assert not service.builds.sandboxes


async def test_a_build_whose_worker_is_away_is_stopped_when_it_comes_back(service: Service) -> None:
    await service.create(autoRetryLimit=1)
    service.builds.open = False
    build = await service.start()
    async with service.killed():
        await service.until(lambda: build.run in service.builds.gates)
    asked = await service.control(stop_patience=0.05).stop(OWNER, build.id)

    async with service.working():
        (row,) = await service.ended(build)

    assert not asked.ended
    assert row.build.status is Status.STOPPED
    assert row.retries.next is None


async def test_stopping_a_build_that_ended_changes_nothing(service: Service) -> None:
    await service.create()
    build = await service.start()
    async with service.working():
        (row,) = await service.ended(build)

    assert await service.control().stop(OWNER, build.id) == row


async def test_a_build_of_another_owner_is_not_there(service: Service) -> None:
    await service.create()
    build = await service.start()

    with pytest.raises(Refused) as refused:
        await service.control().stop(Owner(region="eu-west-1"), build.id)
    with pytest.raises(Refused):
        await service.control().stop(OWNER, BuildId("other", build.run))

    assert refused.value.code == "ResourceNotFoundException"


# ── retry ──


async def test_a_build_that_ended_is_tried_again_as_it_was(service: Service) -> None:
    await service.create()
    build = await service.start(imageOverride="alpine")
    await service.control().stop(OWNER, build.id)

    again = await service.control().retry(OWNER, build.id, {"id": str(build.id)}, "me")

    assert (again.number, again.initiator) == (2, "me")
    assert again.project == build.project


async def test_a_build_in_progress_is_not_retried(service: Service) -> None:
    await service.create()
    build = await service.start()

    with pytest.raises(Refused) as refused:
        await service.control().retry(OWNER, build.id, {}, "me")

    assert refused.value.code == "InvalidInputException"


async def test_a_build_whose_project_is_gone_is_not_tried_again(service: Service) -> None:
    await service.create(autoRetryLimit=3)
    service.builds.outcomes["site"] = Outcome(Status.FAILED)
    build = await service.start()
    await service.db.write(lambda tx: projects_table.remove_project(tx, OWNER, "site"))

    async with service.working():
        (row,) = await service.ended(build)

    assert row.retries.next is None
    with pytest.raises(Refused):
        await service.control().retry(OWNER, build.id, {}, "me")


# ── limits ──


async def test_over_a_projects_limit_builds_are_refused_if_the_settings_say_so(service: Service) -> None:
    await service.create(concurrentBuildLimit=2)
    control = service.control(limits=StartLimits(over=OverLimit.REFUSE))
    builds = [await control.start(OWNER, "site", {}, "root") for _ in range(2)]

    with pytest.raises(Refused) as refused:
        await control.start(OWNER, "site", {}, "root")
    await control.stop(OWNER, builds[0].id)
    after = await control.start(OWNER, "site", {}, "root")

    assert refused.value.code == "AccountLimitExceededException"
    assert str(refused.value) == "Cannot have more than 2 active builds for the project"
    assert after.number == 3


async def test_over_the_accounts_limit_builds_are_refused_even_all_at_once(service: Service) -> None:
    await service.create("one-project")
    await service.create("two-project")
    control = service.control(limits=StartLimits(3, OverLimit.REFUSE))

    starts = [control.start(OWNER, name, {}, "root") for name in ("one-project", "two-project") * 4]
    answers = await asyncio.gather(*starts, return_exceptions=True)

    refused = [answer for answer in answers if isinstance(answer, Refused)]
    assert len(refused) == 5
    assert str(refused[0]) == "Cannot have more than 3 active builds for the account"


# ── the queue ──


async def test_waiting_builds_are_told_their_places(service: Service) -> None:
    await service.create()
    builds = [await service.start() for _ in range(4)]
    service.builds.open = False

    async with service.working(size=Size(2, 4 * GIB)):
        await service.until(lambda: bool(service.builds.gates))
        found = await service.control().get(OWNER, [builds[number].id for number in (3, 0, 1)])

    places = {number: found[build.id][1] for number, build in enumerate(builds) if build.id in found}
    assert {number: place and place.position for number, place in places.items()} == {0: None, 1: 1, 3: 3}
    assert str(places[3]).startswith("Waiting for 2 CPUs and 4 GiB of memory: 2 builds before it.")


async def test_however_many_wait_a_place_asks_the_same_questions(service: Service, database: SqlDatabase) -> None:
    await service.create()
    control = service.control()
    statements: list[Any] = []
    event.listen(database.engine, "before_cursor_execute", lambda *given: statements.append(given))
    asked = []

    for _ in range(2):
        builds = [await service.start() for _ in range(20)]
        statements.clear()
        place = (await control.get(OWNER, [builds[-1].id]))[builds[-1].id][1]
        asked.append((len(statements), place and place.position))

    assert asked == [(asked[0][0], 20), (asked[0][0], 40)]


async def test_a_row_that_cannot_be_read_does_not_end_the_sweeping_of_others(
    service: Service, database: SqlDatabase
) -> None:
    await service.create(queuedTimeoutInMinutes=5)
    first, second = await service.start(), await service.start()
    await database.write(
        lambda tx: tx.execute(table.builds.update().where(table.builds.c.run == first.run).values(progress="?"))
    )
    service.clock.pass_by(minutes=5)

    async with Sweeper(service.db, service.clock, every=0.01):
        await asyncio.sleep(0.1)
        await database.write(lambda tx: tx.execute(table.builds.delete().where(table.builds.c.run == first.run)))
        (row,) = await service.ended(second)

    assert row.build.status is Status.TIMED_OUT


async def test_builds_that_waited_too_long_time_out_with_no_worker_there(service: Service) -> None:
    await service.create(queuedTimeoutInMinutes=5, autoRetryLimit=1)
    build = await service.start()
    service.clock.pass_by(minutes=5)

    async with Sweeper(service.db, service.clock, every=0.01):
        (row,) = await service.ended(build)

    assert row.build.status is Status.TIMED_OUT
    assert [record.status for record in row.build.history] == [Status.SUCCEEDED, Status.TIMED_OUT]
    assert row.retries.next is None


async def test_two_sweepers_end_a_lost_build_once(service: Service) -> None:
    await service.create(autoRetryLimit=5)
    service.builds.open = False
    build = await service.start()
    async with service.killed("gone"):
        await service.until(lambda: build.run in service.builds.gates)
    ended: list[Any] = []
    sweepers = [Sweeper(service.db, service.clock, ended=ended.append) for _ in range(3)]

    for _ in range(8):
        await asyncio.gather(*(sweeper.sweep() for sweeper in sweepers))
        service.clock.pass_by(seconds=5)

    assert len(ended) == 1
    page = await service.control().list(OWNER)
    assert len(page.items) == 2


async def test_a_sweeper_that_saw_nothing_for_a_while_watches_again_before_it_gives_up_builds(service: Service) -> None:
    await service.create()
    service.builds.open = False
    build = await service.start()
    async with service.killed("gone"):
        await service.until(lambda: build.run in service.builds.gates)
    sweeper = Sweeper(service.db, service.clock)
    await sweeper.sweep()
    service.clock.pass_by(minutes=10)

    await sweeper.sweep()

    assert not (await service.row(build.run)).ended


# ── delete and list ──


async def test_builds_that_ended_are_deleted_and_others_are_not(service: Service) -> None:
    await service.create()
    done, waiting = await service.start(), await service.start()
    await service.control().stop(OWNER, done.id)
    absent = BuildId.mint("site")

    deleted = await service.control().delete(OWNER, [done.id, waiting.id, absent, done.id])

    assert deleted.deleted == (done.id, absent)
    assert deleted.in_progress == (waiting.id,)
    assert await service.db.read(lambda tx: table.load(tx, done.run)) is None
    assert (await service.start()).number == 3


async def test_builds_of_a_project_that_is_not_there_are_not_listed(service: Service) -> None:
    with pytest.raises(Refused) as refused:
        await service.control().list_of_project(OWNER, "absent")

    assert refused.value.code == "ResourceNotFoundException"


# ── what a pipeline starts ──

HANDED = Handed("release", HandedSource("arn:aws:s3:::b/release/Source/x", tree=Digest("a" * 64)), outputs=("app",))
PIPELINE: dict[str, Any] = {"source": {"type": "CODEPIPELINE"}, "artifacts": {"type": "CODEPIPELINE"}}


async def test_a_pipeline_starts_what_nobody_else_can(service: Service) -> None:
    await service.create(**PIPELINE, autoRetryLimit=3)
    variables = [{"name": "A", "value": "1"}]

    build = await service.control().start_handed(
        OWNER, "site", {"environmentVariablesOverride": variables}, HANDED, "action"
    )
    with pytest.raises(Refused) as refused:
        await service.start()

    assert await service.row(build.run) == build
    assert (build.handed, build.initiator, build.number) == (HANDED, "codepipeline/release", 1)
    assert build.project.source_version == "arn:aws:s3:::b/release/Source/x"
    assert [each.name for each in build.variables] == ["A"]
    assert build.retries.limit == 0
    assert "CodePipelines" in refused.value.message


async def test_the_same_action_has_the_same_build_for_ever(service: Service) -> None:
    await service.create(**PIPELINE)
    control = service.control()

    builds = await asyncio.gather(*(control.start_handed(OWNER, "site", {}, HANDED, "action") for _ in range(5)))
    service.clock.pass_by(days=30)
    later = await service.control().start_handed(OWNER, "site", {"imageOverride": "other"}, HANDED, "action")
    other = await service.control().start_handed(OWNER, "site", {}, HANDED, "another")

    assert {build.run for build in builds} == {later.run}
    assert later == builds[0]
    assert other.run != later.run
    assert (other.number, len((await control.list(OWNER)).items)) == (2, 2)


async def test_a_pipelines_own_compute_is_in_no_list_and_is_not_retried(service: Service) -> None:
    ready = managed_project("re.lease", ROLE, "version: 0.2", project().environment, NOW)
    await service.create(ready.name)
    control = service.control()

    build = await control.start_managed(OWNER, ready, HANDED, "action")
    again = await control.start_managed(OWNER, ready, HANDED, "action")
    await control.stop(OWNER, build.id)
    with pytest.raises(Refused) as refused:
        await control.retry(OWNER, build.id, {}, "root")

    assert again == build
    assert (build.id.project, build.managed) == ("codepipeline-re_lease", True)
    assert build.acts_for == "arn:aws:codepipeline:us-east-1:000000000000:release"
    assert (await control.list(OWNER)).items == ()
    assert (await control.list_of_project(OWNER, ready.name)).items == ()
    assert build.id in await control.get(OWNER, [build.id])
    assert "cannot be retried" in refused.value.message


async def test_a_pipelines_build_of_a_project_is_retried_with_what_it_was_handed(service: Service) -> None:
    await service.create()
    build = await service.control().start_handed(OWNER, "site", {}, HANDED, "action")
    await service.control().stop(OWNER, build.id)

    again = await service.control().retry(OWNER, build.id, {}, "root")

    assert again.run != build.run
    assert (again.handed, again.project) == (HANDED, build.project)
