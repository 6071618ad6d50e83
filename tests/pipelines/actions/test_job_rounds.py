"""Jobs are posted once, whoever posts them, and a result that comes at the last moment counts."""

import asyncio
from pathlib import Path

import pytest

from codeyard.ident import Owner
from codeyard.pipelines import jobs_table
from codeyard.pipelines.action_types import ActionTypeSpec
from codeyard.pipelines.actions.job_rounds import Rounds, owner_of
from codeyard.pipelines.job_results import Result
from codeyard.pipelines.jobs import Doer, Status
from codeyard.pipelines.jobs_table import Stored
from codeyard.store.engine import SqlDatabase
from tests.databases import database
from tests.pipelines.job_workers import no_key
from tests.pipelines.works import NOON, OWNER, Bench, action, bench_at

__all__ = ["database"]
DECLARED = action("Invoke/AWS/Lambda/1", {"FunctionName": "f"}, region="eu-west-1")


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    return bench_at(tmp_path / "bench", DECLARED)


async def post(rounds: Rounds, bench: Bench, number: int = 0) -> Stored:
    about = await rounds.about(bench, ActionTypeSpec(DECLARED.type))
    return await rounds.post(bench, about, Doer.FUNCTION, number, None, queue="", deadline=bench.deadline)


async def test_a_job_is_posted_once_however_many_do(database: SqlDatabase, bench: Bench) -> None:
    rounds = Rounds(database, lambda: NOON, no_key)
    await rounds.about(bench, ActionTypeSpec(DECLARED.type))
    posted = await asyncio.gather(*(post(rounds, bench) for _ in range(4)))

    assert len({each.job.id for each in posted}) == 1
    assert {each.owner for each in posted} == {owner_of(bench)} == {Owner(OWNER.account, "eu-west-1")}


async def test_giving_up_gives_what_came_at_the_last_moment(database: SqlDatabase, bench: Bench) -> None:
    rounds = Rounds(database, lambda: NOON, no_key)
    first = await post(rounds, bench)
    result = Result(variables={"A": "1"})
    await database.write(lambda tx: jobs_table.put_result(tx, first.job.id, result))
    second = await post(rounds, bench, 1)
    late, nothing = await rounds.give_up(bench, 0), await rounds.give_up(bench, 1)
    after = await database.read(lambda tx: jobs_table.found(tx, second.owner, second.job.id))

    assert (late, nothing) == (result, None)
    assert after is not None
    assert after.job.status is Status.TIMED_OUT
