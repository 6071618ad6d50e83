"""Rows of builds: pages, versions, counters, and how the database finds what it is asked for."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import insert, text

from codeyard.aws import Page
from codeyard.builds import life, lines_table, table, tokens_table, workers_table
from codeyard.builds.model import Status
from codeyard.builds.queue import Size
from codeyard.builds.stored import Standing, StoredBuild
from codeyard.errors import Conflict, Invalid
from codeyard.ident import Owner
from codeyard.store import Tx
from codeyard.store.engine import SqlDatabase
from tests.builds.projects import NOW, OWNER, project
from tests.databases import database, plan_of

__all__ = ["database"]
ELSEWHERE = Owner("111111111111", "eu-west-1")


def a_build(number: int = 1, name: str = "site", owner: Owner = OWNER, **given: Any) -> StoredBuild:
    at = NOW + timedelta(seconds=number)
    return life.started(owner, project(name=name, **given), (), "root", number, at)


def an_ended_build(number: int = 1, name: str = "site") -> StoredBuild:
    return life.stopped(a_build(number, name), NOW + timedelta(seconds=number))


async def put(database: SqlDatabase, *builds: StoredBuild) -> None:
    def work(tx: Tx) -> None:
        for build in builds:
            table.insert(tx, build)

    await database.write(work)


async def test_a_build_is_read_as_it_was_written(database: SqlDatabase) -> None:
    build = a_build(concurrentBuildLimit=3, tags=[{"key": "codeyard:priority", "value": "5"}])

    await put(database, build)

    assert await database.read(lambda tx: table.load(tx, build.run)) == build


async def test_a_change_of_what_somebody_else_changed_is_a_conflict(database: SqlDatabase) -> None:
    build = a_build()
    await put(database, build)
    await database.write(lambda tx: table.save(tx, build, life.stopped(build, NOW)))

    with pytest.raises(Conflict):
        await database.write(lambda tx: table.save(tx, build, life.claimed(build, "one", NOW)))


async def test_what_does_not_change_is_not_written(database: SqlDatabase) -> None:
    build = a_build()
    await put(database, build)

    found = await database.write(lambda tx: table.change(tx, build.run, lambda was: was))

    assert found is not None
    assert found[1].version == 1


async def test_only_those_that_wait_are_claimed(database: SqlDatabase) -> None:
    first, second = a_build(1), a_build(2)
    await put(database, first, second)
    heads = await database.read(lambda tx: table.heads(tx, OWNER, "site", 10))
    await database.write(lambda tx: table.save(tx, first, life.stopped(first, NOW)))

    taken = await database.write(lambda tx: table.claim(tx, heads, lambda was: life.claimed(was, "one", NOW)))

    assert [build.run for build in taken] == [second.run]
    assert [await database.read(lambda tx: table.load(tx, second.run))] == list(taken)


async def test_the_line_of_a_project_counts_with_its_builds(database: SqlDatabase) -> None:
    builds = [a_build(number) for number in range(4)]
    await put(database, *builds)
    running = life.claimed(builds[1], "one", NOW)

    def work(tx: Tx) -> None:
        table.save(tx, builds[0], life.stopped(builds[0], NOW))
        table.save(tx, builds[1], running)
        table.save(tx, builds[2], life.claimed(builds[2], "one", NOW))
        table.save(tx, replace(running, version=2), life.lost(running, "gone", NOW))

    await database.write(work)

    assert await database.read(lines_table.totals) == {"WAITING": 1, "RUNNING": 1}
    assert await database.read(lines_table.running) == {OWNER: 1}
    assert await database.read(lambda tx: lines_table.active(tx, OWNER)) == 2
    assert await database.read(lambda tx: lines_table.active(tx, ELSEWHERE)) == 0


async def test_lines_come_in_the_order_of_their_turns(database: SqlDatabase) -> None:
    urgent = a_build(9, "urgent", tags=[{"key": "codeyard:priority", "value": "1"}])
    full = a_build(0, "full", concurrentBuildLimit=1)
    await put(database, a_build(2, "later"), a_build(1, "sooner"), urgent, full, a_build(1, "full"))
    await database.write(lambda tx: table.save(tx, full, life.claimed(full, "one", NOW)))
    await database.write(lambda tx: lines_table.settle(tx, OWNER, "full", 0, 1))

    found = await database.read(lambda tx: lines_table.first(tx, 10, ()))

    assert [line.project for line in found] == ["urgent", "sooner", "later"]
    assert await database.read(lambda tx: lines_table.first(tx, 10, (OWNER,))) == ()


@pytest.mark.parametrize("ascending", [True, False])
async def test_pages_follow_each_other_with_nothing_left_out_or_twice(database: SqlDatabase, ascending: bool) -> None:
    builds = [an_ended_build(number // 2) for number in range(2, 252)]  # two at the same moment, and of the same number
    await put(database, *builds, a_build(owner=ELSEWHERE), an_ended_build(name="other"))

    found: list[str] = []
    page = Page((), None)
    while not found or page.next is not None:
        read = partial(table.listed_of_project, owner=OWNER, project="site", ascending=ascending, after=page.next)
        page = await database.read(read)
        found += page.items

    assert sorted(found) == sorted(str(build.id) for build in builds)
    numbers = {str(build.id): build.number for build in builds}
    assert [numbers[id] for id in found] == sorted(numbers.values(), reverse=not ascending)


async def test_all_builds_are_listed_the_newest_first(database: SqlDatabase) -> None:
    builds = [an_ended_build(number, name) for number, name in ((1, "b-project"), (2, "a-project"), (3, "c-project"))]
    await put(database, *builds)

    page = await database.read(lambda tx: table.listed(tx, OWNER, ascending=False, after=None))

    assert page.items == tuple(str(build.id) for build in reversed(builds))
    assert page.next is None


@pytest.mark.parametrize("after", ["", "x", "1", "x:y", "9" * 30 + ":a", "-1:a"])
async def test_a_place_that_was_never_given_is_refused(database: SqlDatabase, after: str) -> None:
    with pytest.raises(Invalid):
        await database.read(lambda tx: table.listed(tx, OWNER, ascending=True, after=after))


async def test_builds_of_other_owners_are_not_found(database: SqlDatabase) -> None:
    build = a_build(owner=ELSEWHERE)
    await put(database, build)

    assert await database.read(lambda tx: table.find(tx, OWNER, [build.run])) == {}
    assert list(await database.read(lambda tx: table.find(tx, ELSEWHERE, [build.run]))) == [build.run]


async def test_tokens_are_forgotten_after_five_minutes(database: SqlDatabase) -> None:
    token = tokens_table.Token(OWNER, "StartBuild", "t", "digest")
    await database.write(lambda tx: tokens_table.keep(tx, token, "run", NOW))

    late = NOW + tokens_table.LIFE
    assert await database.read(lambda tx: tokens_table.used(tx, token, NOW)) == ("digest", "run")
    assert await database.read(lambda tx: tokens_table.used(tx, token, late)) is None
    await database.write(lambda tx: tokens_table.keep(tx, token, "other", late))
    await database.write(lambda tx: tokens_table.forget(tx, late + tokens_table.LIFE))
    assert await database.read(lambda tx: tokens_table.used(tx, token, late)) is None


async def test_a_worker_is_known_until_its_lease_ends(database: SqlDatabase) -> None:
    worker = workers_table.WorkerRow("one", "machine", "", Size(2, 4), 3, NOW + timedelta(seconds=30))
    await database.write(lambda tx: workers_table.put(tx, worker))
    await database.write(lambda tx: workers_table.put(tx, replace(worker, draining=True)))

    assert await database.read(lambda tx: workers_table.alive(tx, NOW)) == (replace(worker, draining=True),)
    assert await database.read(lambda tx: workers_table.alive(tx, worker.lease)) == ()


# ── how it is found ──

MANY = 20_000  # enough for a planner to look for an index; what holds then holds with a million
QUESTIONS = {
    "listed": lambda tx: table.listed(tx, OWNER, ascending=False, after=f"{10**15}:x"),
    "listed up": lambda tx: table.listed(tx, OWNER, ascending=True, after=None),
    "of a project": lambda tx: table.listed_of_project(tx, OWNER, "p7", ascending=False, after="900:x"),
    "of a project up": lambda tx: table.listed_of_project(tx, OWNER, "p7", ascending=True, after=None),
    "found": lambda tx: table.find(tx, OWNER, ["a", "b"]),
    "heads": lambda tx: table.heads(tx, OWNER, "p7", 5),
    "overdue": lambda tx: table.overdue(tx, NOW),
    "held": lambda tx: table.held_by(tx, "one"),
    "left": lambda tx: table.left_by_others(tx, ["one"]),
    "ahead": lambda tx: table.ahead(tx, OWNER, [a_build(1, "p7").id, a_build(2, "p7").id]),
    "anybody": lines_table.anybody_waits,
    "first": lambda tx: lines_table.first(tx, 10, ()),
}


def fill(tx: Tx) -> None:
    """Many builds that ended, and a few that wait or run."""
    template = table._constant(an_ended_build()) | table._changing(an_ended_build())
    rows = [
        template
        | {
            "run": f"{number:036d}",
            "project": f"p{number % 20}",
            "number": number,
            "submitted": 10**15 + number,
            "standing": (Standing.WAITING if number % 997 == 0 else Standing.ENDED).value,
        }
        for number in range(MANY)
    ]
    tx.execute(insert(table.builds), rows)
    line = {"account": OWNER.account, "region": OWNER.region, "running": 0, "turn": 0, "priority": 0}
    tx.execute(
        insert(lines_table.lines),
        [line | {"project": f"p{number}", "waiting": int(number < 3)} for number in range(2000)],
    )


@pytest.mark.slow
async def test_no_question_reads_builds_that_are_none_of_it(database: SqlDatabase) -> None:
    await database.write(fill)
    if database.dialect == "postgresql":  # which does it by itself; SQLite's planner never learns what is in the rows
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as tx:
            tx.execute(text("ANALYZE"))

    plans = {name: plan_of(database, question, as_it_is=True) + "\n" for name, question in QUESTIONS.items()}

    for name, plan in plans.items():
        shown = f"{name}: {plan}"
        assert "Seq Scan on builds" not in plan, shown
        assert "SCAN builds\n" not in plan, shown
        assert ("Sort" not in plan and "TEMP B-TREE" not in plan) or name == "first", shown
        assert name != "found" or "(run=?)" in plan or database.dialect == "postgresql", shown


def test_the_statuses_fit_their_columns() -> None:
    assert max(len(status) for status in Status) <= 16
    assert max(len(standing) for standing in Standing) <= 8
