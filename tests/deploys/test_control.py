"""Deployments in rows: begun, moved on, rolled back, queued, swept; on both kinds of database."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event as sa_event

from codeyard.artifacts import Digest
from codeyard.aws import Refused
from codeyard.deploys import EventStatus, Kind, table, targets_table
from codeyard.deploys.control import DeployControl
from codeyard.deploys.model import (
    ROLLBACK,
    Code,
    Deployment,
    DeploymentTarget,
    RollbackEvent,
    Status,
    Target,
    assignment,
)
from codeyard.deploys.selection import Selection
from codeyard.deploys.targets_table import Enrolled
from codeyard.deploys.waves import PREDEFINED, Revision
from codeyard.errors import Invalid
from codeyard.ident import Owner
from codeyard.store import Tx
from codeyard.store.engine import SqlDatabase
from tests.databases import database, plan_of
from tests.deploys.deployments import NOW, OWNER, WEB, event, event_statuses, request, statuses

__all__ = ["database"]
GOOD, BAD = Digest("b" * 64), Digest("c" * 64)
ALL = PREDEFINED["CodeDeployDefault.AllAtOnce"]
FAILURE = frozenset({RollbackEvent.FAILURE})


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at

    def pass_(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


async def enrolled(database: SqlDatabase, count: int = 2, owner: Owner = OWNER, **tags: str) -> None:
    def work(tx: Tx) -> None:
        for number in range(count):
            id = f"t{number}" if owner == OWNER else f"other{number}"
            target = Target(id, owner, f"web-{number}", tags or WEB, NOW, NOW)
            targets_table.put(tx, Enrolled(target, "0" * 64))

    await database.write(work)


async def succeeded(control: DeployControl, **given: Any) -> Deployment:
    """A deployment that all its targets have taken."""
    found = await control.create(request(**given))
    for target in found.targets:
        await control.done(target.id, found.id, True)
    return await control.get(OWNER, found.id)


async def test_a_deployment_is_begun_on_the_targets_with_its_tags_and_read_as_it_was_written(
    database: SqlDatabase,
) -> None:
    await enrolled(database)
    await enrolled(database, owner=Owner("111111111111"))
    control = DeployControl(database, Clock())
    asked = request(
        options={"keep": "3"}, roll_back_on=FAILURE, description="first", revision={"revisionType": "S3"},
        kind=Kind.IN_PLACE,
    )  # fmt: skip

    made = await control.create(asked)

    assert (made.status, statuses(made), made.request) == (Status.IN_PROGRESS, ["InProgress", "Pending"], asked)
    assert await control.get(OWNER, made.id) == made
    assert [each.id for each in await control.assigned("t0")] == [made.id]
    assert await control.assigned("t1") == ()
    with pytest.raises(Refused, match="could not be found"):
        await control.get(Owner("111111111111"), made.id)


async def test_the_same_key_gives_the_same_deployment_and_another_is_refused_while_it_is_in_flight(
    database: SqlDatabase,
) -> None:
    await enrolled(database)
    control = DeployControl(database, Clock())

    first, again = await asyncio.gather(control.create(request(), "key"), control.create(request(), "key"))

    assert first.id == again.id
    with pytest.raises(Refused) as refused:
        await control.create(request(), "other")
    assert refused.value.code == "DeploymentLimitExceededException"
    assert (await control.list(OWNER)).items == (first.id,)


async def test_what_could_not_be_told_to_targets_is_refused_and_a_long_name_is_cut(database: SqlDatabase) -> None:
    await enrolled(database)
    control = DeployControl(database, Clock())

    with pytest.raises(Invalid):
        await control.create(request(options={"path": "x" * 5000}))
    found = await control.create(request(group="s" * 100 + "/" + "a" * 100))

    assert assignment(found).group == "s" * 100
    assert found.request.group == "s" * 100 + "/" + "a" * 100


async def test_what_queues_begins_when_the_one_before_has_ended(database: SqlDatabase) -> None:
    await enrolled(database, 1)
    control = DeployControl(database, Clock())
    first = await control.create(request(queue=True))
    second = await control.create(request(queue=True))
    third = await control.create(request(queue=True, application="other", group_id=""))

    waiting = asyncio.create_task(control.ended(OWNER, first.id))
    await control.done("t0", first.id, True)

    assert (second.status, third.status) == (Status.QUEUED, Status.IN_PROGRESS)
    assert (await waiting).status is Status.SUCCEEDED
    assert (await control.get(OWNER, second.id)).status is Status.IN_PROGRESS
    assert await control.last("g1") == (_alone(await waiting), _alone(await control.get(OWNER, second.id)))


def _alone(found: Deployment) -> Deployment:
    return replace(found, targets=())


async def test_a_failure_brings_the_last_good_revision_back(database: SqlDatabase) -> None:
    await enrolled(database)
    control = DeployControl(database, Clock())
    good = await succeeded(control, tree=GOOD, options={"keep": "3"}, minimum=ALL)
    bad = await control.create(request(tree=BAD, roll_back_on=FAILURE))

    await control.done(bad.targets[0].id, bad.id, False, "no")
    failed = await control.get(OWNER, bad.id)
    assert failed.rolled_back_by is not None
    back = await control.get(OWNER, failed.rolled_back_by)

    assert good.status is Status.SUCCEEDED
    assert (failed.status, statuses(failed)) == (Status.FAILED, ["Failed", "Skipped"])
    assert (back.request.creator, back.request.tree, back.rolls_back) == (ROLLBACK, GOOD, bad.id)
    # the one that failed is unhealthy, so it goes first
    assert [(each.id, each.healthy, each.revision) for each in back.targets] == [
        ("t0", False, Revision.UNKNOWN),
        ("t1", True, Revision.CURRENT),
    ]
    await control.done("t0", back.id, False)
    assert (await control.get(OWNER, back.id)).status is Status.FAILED
    assert len((await control.list(OWNER)).items) == 3  # a rollback is not rolled back


async def test_a_failure_with_nothing_to_go_back_to_says_so(database: SqlDatabase) -> None:
    await enrolled(database, 1)
    control = DeployControl(database, Clock())
    first = await control.create(request(roll_back_on=FAILURE))

    await control.done("t0", first.id, False)

    found = await control.get(OWNER, first.id)
    assert (found.status, found.rolled_back_by) == (Status.FAILED, None)
    assert "no revision to roll back to" in found.rollback_message


async def test_without_targets_it_has_failed_and_the_next_may_begin(database: SqlDatabase) -> None:
    await enrolled(database, 1)
    control = DeployControl(database, Clock())

    empty = await control.create(request(targets=Selection.of_tags({"role": "db"})))
    after = await control.create(request())

    assert empty.error is not None
    assert (empty.status, empty.error.code, after.status) == (Status.FAILED, Code.NO_INSTANCES, Status.IN_PROGRESS)


async def test_a_stop_tells_the_targets_and_ends_when_they_have(database: SqlDatabase) -> None:
    await enrolled(database, 1)
    control = DeployControl(database, Clock())
    first = await control.create(request())

    asked = await control.stop(OWNER, first.id)
    told = await control.assigned("t0")
    await control.done("t0", first.id, False)

    assert (asked.status, [each.stopping for each in told]) == (Status.IN_PROGRESS, [True])
    assert (await control.get(OWNER, first.id)).status is Status.STOPPED
    with pytest.raises(Refused, match="already completed"):
        await control.stop(OWNER, first.id)


async def test_reports_are_kept_once_and_only_of_who_works(database: SqlDatabase) -> None:
    await enrolled(database)
    control = DeployControl(database, Clock())
    first = await control.create(request())

    for report in (event("Verify"), event("Verify", EventStatus.FAILED), event("Place", EventStatus.IN_PROGRESS)):
        await control.reported("t0", first.id, report)
    await control.reported("t1", first.id, event("Verify"))
    await control.reported("t0", "d-NOWHERE00", event("Verify"))

    found = await control.get(OWNER, first.id)
    assert event_statuses(found.target("t0")) == ["Succeeded", "InProgress", *["Pending"] * 4]
    assert event_statuses(found.target("t1")) == ["Pending"] * 6


@pytest.mark.parametrize("how", ["silent", "removed", "endless"])
async def test_a_sweep_gives_up_targets_that_say_nothing_more(database: SqlDatabase, how: str) -> None:
    await enrolled(database, 1)
    clock = Clock()
    control = DeployControl(database, clock, heard_for=30)
    first = await control.create(request())
    await control.sweep()
    if how == "removed":
        await database.write(lambda tx: targets_table.remove(tx, OWNER, "web-0", clock()))
    if how == "endless":
        await control.reported("t0", first.id, event("Verify", EventStatus.IN_PROGRESS))

    for _ in range(8):
        clock.pass_(500 if how == "endless" else 4.5)
        if how == "endless":
            await control.heard("t0")
        await control.sweep()

    found = await control.get(OWNER, first.id)
    assert found.error is not None
    code = Code.HEALTH_CONSTRAINTS if how == "endless" else Code.AGENT_ISSUE
    assert (found.status, found.error.code) == (Status.FAILED, code)
    assert event_statuses(found.target("t0")) == ["Failed", *["Skipped"] * 5]


async def test_after_our_own_absence_silent_targets_get_their_time_again(database: SqlDatabase) -> None:
    await enrolled(database, 1)
    clock = Clock()
    first = await DeployControl(database, clock).create(request())

    clock.pass_(3600)
    control = DeployControl(database, clock)  # the server was away
    await control.sweep()
    clock.pass_(3600)  # its machine slept
    await control.sweep()

    assert (await control.get(OWNER, first.id)).status is Status.IN_PROGRESS


async def test_only_outdated_targets_are_deployed_to_if_asked(database: SqlDatabase) -> None:
    await enrolled(database, 2)
    control = DeployControl(database, Clock())
    await succeeded(control, tree=GOOD, minimum=ALL)
    await database.write(lambda tx: targets_table.put_health(tx, "g1", "t1", True, BAD))

    found = await control.create(request(tree=GOOD, outdated_only=True))

    assert [(each.id, each.revision) for each in found.targets] == [("t1", Revision.OLD)]


async def test_deployments_are_listed_newest_first_by_page_status_and_time(database: SqlDatabase) -> None:
    await enrolled(database, 1)
    clock = Clock()
    control = DeployControl(database, clock)
    made = []
    for _ in range(101):
        made.append(await succeeded(control))
        clock.pass_(1)

    first = await control.list(OWNER)
    rest = await control.list(OWNER, after=first.next)
    some = await control.list(
        OWNER, group_id="g1", statuses=["Succeeded"], start=made[50].created, end=made[52].created
    )

    assert (*first.items, *rest.items) == tuple(each.id for each in reversed(made))
    assert some.items == (made[52].id, made[51].id, made[50].id)
    assert (await control.list(OWNER, group_id="g2")).items == ()


async def test_two_servers_that_hear_the_same_end_decide_once(database: SqlDatabase) -> None:
    await enrolled(database, 4)
    clock = Clock()
    one, two = DeployControl(database, clock), DeployControl(database, clock)
    first = await one.create(request())

    for number in range(4):
        await asyncio.gather(*(each.done(f"t{number}", first.id, True) for each in (one, two)))

    found = await one.get(OWNER, first.id)
    assert (found.status, statuses(found)) == (Status.SUCCEEDED, ["Succeeded"] * 4)
    assert all(isinstance(each, DeploymentTarget) for each in found.targets)


async def test_a_group_that_is_deleted_takes_what_was_created_meanwhile_with_it(database: SqlDatabase) -> None:
    """Two transactions at once: the one that deletes waits for the one that creates, and not the other way round."""
    if database.dialect == "sqlite":
        return  # one writer at a time
    await enrolled(database, 1)
    control = DeployControl(database, Clock())
    first = await control.create(request())
    with database.engine.begin() as tx:
        table.hold_line(tx, "g1")
        deleting = asyncio.create_task(database.write(lambda tx: table.delete_group(tx, "g1")))
        await asyncio.sleep(0.3)
        table.insert(tx, Deployment("d-BBBBBBBBB", request(), NOW, Status.QUEUED), None)
    await deleting

    assert await database.read(lambda tx: table.load(tx, first.id)) is None
    assert await database.read(lambda tx: table.load(tx, "d-BBBBBBBBB")) is None


async def test_the_line_of_a_group_that_is_deleted_meanwhile_is_made_anew(database: SqlDatabase) -> None:
    if database.dialect == "sqlite":
        return  # one writer at a time
    await database.write(lambda tx: table.hold_line(tx, "g1"))
    with database.engine.begin() as tx:
        table.hold_line(tx, "g1")
        holding = asyncio.create_task(database.write(lambda tx: table.hold_line(tx, "g1")))
        await asyncio.sleep(0.3)
        table.delete_group(tx, "g1")

    assert await holding == table.Line("g1")


def test_who_waits_longest_is_found_by_an_index(database: SqlDatabase) -> None:
    plan = plan_of(database, lambda tx: table.first_queued(tx, "g1"))

    assert "ix_deployments_queued" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


def test_what_a_sweep_asks_goes_by_an_index(database: SqlDatabase) -> None:
    asked: list[tuple[str, Any]] = []
    explain = "EXPLAIN QUERY PLAN " if database.dialect == "sqlite" else "EXPLAIN "

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        asked.append((statement, parameters))

    with database.engine.connect() as tx:
        if database.dialect == "postgresql":
            tx.exec_driver_sql("SET enable_seqscan = off")
        sa_event.listen(tx, "before_cursor_execute", note)
        table.under_way(tx)
        sa_event.remove(tx, "before_cursor_execute", note)
        statement, parameters = asked[-1]
        plan = "\n".join(str(row[-1]) for row in tx.exec_driver_sql(explain + statement, parameters))

    assert "SCAN deployment_targets" not in plan
    assert "Seq Scan on deployment_targets" not in plan
