"""Rows of action executions: who has each, and whose steps count."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from codeyard.errors import Conflict
from codeyard.pipelines import runs_table
from codeyard.pipelines.model import Moment
from codeyard.pipelines.state import RunStatus
from codeyard.pipelines.stored import StoredRun
from codeyard.store.engine import SqlDatabase
from tests.databases import database, plan_of
from tests.pipelines.works import EXECUTION, NOON, OWNER

__all__ = ["database"]
SOON = NOON + timedelta(seconds=30)


def run(number: int = 1, **more: Any) -> StoredRun:
    at = NOON + timedelta(seconds=number)
    base = StoredRun(f"run{number}", OWNER, "demo", EXECUTION, "S", "a", None, at, at, at, runner="one", generation=1)
    return replace(base, **more)


async def put(db: SqlDatabase, *runs: StoredRun) -> None:
    for each in runs:
        await db.write(lambda tx, each=each: runs_table.insert(tx, each))  # type: ignore[misc]


async def held(db: SqlDatabase, runner: str) -> dict[str, int]:
    found = await db.read(lambda tx: runs_table.held_by(tx, runner))
    return {id: each.generation for id, each in found.items()}


async def test_who_does_a_run_sees_that_there_are_answers_without_reading_them(database: SqlDatabase) -> None:
    await put(database, one := run(1, answers=({"a": 1},)))
    first = await database.read(lambda tx: runs_table.held_by(tx, "one"))
    await database.write(lambda tx: runs_table.add_answer(tx, one.id, {"b": 2}))

    assert first == {one.id: runs_table.glance_of(one)}
    assert await database.read(lambda tx: runs_table.held_by(tx, "one")) != first


async def alive(db: SqlDatabase, runner: str) -> None:
    await db.write(lambda tx: runs_table.say_alive(tx, runner, SOON))


async def test_a_run_is_read_as_it_was_written(database: SqlDatabase) -> None:
    one = run(moment=Moment.ON_SUCCESS, data={"a": [1]}, answers=({"x": 1},))
    await put(database, one)

    assert await database.read(lambda tx: runs_table.load(tx, one.id)) == one
    assert await database.read(lambda tx: runs_table.of_execution(tx, EXECUTION)) == [one]


async def test_runs_of_who_lives_are_not_taken_and_of_who_does_not_once(database: SqlDatabase) -> None:
    await put(database, run(1), run(2, runner="two"), run(3, runner=None), run(4, status=RunStatus.FAILED))
    await alive(database, "one")

    assert await database.read(lambda tx: runs_table.any_free(tx, NOON))
    await database.write(lambda tx: runs_table.claim(tx, "three", NOON, 10))
    await alive(database, "three")
    await database.write(lambda tx: runs_table.claim(tx, "four", NOON, 10))

    assert await held(database, "three") == {"run2": 2, "run3": 2}
    assert await held(database, "one") == {"run1": 1}
    assert not await database.read(lambda tx: runs_table.any_free(tx, NOON))
    assert await database.read(lambda tx: runs_table.any_free(tx, SOON))


@pytest.mark.parametrize("change", [{"generation": 2}, {"status": RunStatus.ABANDONED}])
async def test_steps_count_only_of_who_has_the_run_while_it_runs(database: SqlDatabase, change: Any) -> None:
    await put(database, run(1), run(2, **change))

    await database.write(lambda tx: runs_table.add_step(tx, "run1", 1, "step", {"a": 1}))
    with pytest.raises(Conflict):
        await database.write(lambda tx: runs_table.add_step(tx, "run1", 1, "step", {"a": 2}))
    with pytest.raises(Conflict):
        await database.write(lambda tx: runs_table.add_step(tx, "run2", 1, "step", {"a": 1}))

    assert await database.read(lambda tx: runs_table.steps_of(tx, "run1")) == {"step": {"a": 1}}


async def test_answers_are_taken_while_a_run_runs(database: SqlDatabase) -> None:
    await put(database, run(1), run(2, status=RunStatus.SUCCEEDED))

    taken = [await database.write(lambda tx, n=n: runs_table.add_answer(tx, f"run{n}", {"n": n})) for n in (1, 2, 3)]  # type: ignore[misc]

    assert taken == [True, False, False]
    found = await database.read(lambda tx: runs_table.load(tx, "run1"))
    assert found is not None
    assert found.answers == ({"n": 1},)


async def test_lists_go_on_where_they_stopped_even_at_one_moment(database: SqlDatabase) -> None:
    await put(database, *(run(1, id=f"run{number}") for number in range(5)))

    found: list[str] = []
    before = None
    while True:
        page = await database.read(
            lambda tx, before=before: runs_table.listed(  # type: ignore[misc]
                tx, OWNER, "demo", rules=False, execution=None, before=before, limit=2
            )
        )
        if not page:
            break
        found += [each.id for each in page]
        before = runs_table.place_of(page[-1])

    assert found == [f"run{number}" for number in (4, 3, 2, 1, 0)]


async def test_a_pipelines_runs_are_removed_with_their_steps(database: SqlDatabase) -> None:
    await put(database, run(1), run(2, pipeline="other"))
    await database.write(lambda tx: runs_table.add_step(tx, "run1", 1, "step", {}))

    await database.write(lambda tx: runs_table.remove(tx, OWNER, "demo"))

    assert await database.read(lambda tx: runs_table.steps_of(tx, "run1")) == {}
    assert list(await database.read(lambda tx: runs_table.these(tx, ["run1", "run2"]))) == ["run2"]


def test_the_newest_of_an_action_are_found_by_an_index(database: SqlDatabase) -> None:
    plan = plan_of(database, lambda tx: runs_table.of_action(tx, OWNER, "demo", "S", "a", 100))

    assert "ix_pipeline_runs_action" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan
