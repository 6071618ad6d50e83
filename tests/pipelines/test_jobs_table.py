"""Jobs in rows, of both kinds of database."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count

import pytest

from codeyard.aws import Refused
from codeyard.ident import Owner
from codeyard.pipelines import jobs, jobs_table
from codeyard.pipelines.job_data import About, Location
from codeyard.pipelines.job_results import Result
from codeyard.pipelines.jobs import OFFERED_AGAIN, Doer, Job, Status
from codeyard.pipelines.jobs_table import Stored
from codeyard.pipelines.model import ActionType
from codeyard.store import Duplicate, Tx
from codeyard.store.engine import SqlDatabase
from tests.databases import database
from tests.pipelines.works import EXECUTION, NOON, OWNER, ROLE, RUN

__all__ = ["database"]
BUILD = ActionType("Build", "Custom", "Jenkins")
OTHERS = (Owner("444455556666", OWNER.region), Owner(OWNER.account, "eu-west-1"))
LATER = NOON + timedelta(hours=1)
ABOUT = About(
    OWNER.account, "P", "arn:p", EXECUTION, "S", "A", ROLE, {"K": "\0é"}, ("Password",), (Location("In", "b", "k"),)
)


def stored(id: str = "job-0", number: int = 0, doer: Doer = Doer.WORKER, **more: object) -> Stored:
    job = Job(id, RUN, number, doer, BUILD, NOON + timedelta(microseconds=number), LATER)
    return Stored(OWNER, replace(jobs.made(job), **more), ABOUT)  # type: ignore[arg-type]


async def put(db: SqlDatabase, *some: Stored) -> None:
    def work(tx: Tx) -> None:
        for each in some:
            jobs_table.insert(tx, each)

    await db.write(work)


async def get(db: SqlDatabase, id: str, owner: Owner = OWNER) -> Stored | None:
    return await db.read(lambda tx: jobs_table.found(tx, owner, id))


async def changed(db: SqlDatabase, owner: Owner, become: Callable[[Job], Job]) -> Stored | None:
    return await db.write(lambda tx: jobs_table.change(tx, owner, "job-0", become))


def nonces() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"n{next(numbers)}"


async def offered(
    db: SqlDatabase, nonce: Callable[[], str], now: datetime, most: int = 9, queue: str = ""
) -> list[tuple[str, str | None]]:
    found = await db.write(lambda tx: jobs_table.offer(tx, OWNER, BUILD, queue, most, nonce, now))
    return [(each.job.id, each.job.nonce) for each in found]


async def test_a_job_comes_back_as_it_was_put_and_only_to_its_owner(database: SqlDatabase) -> None:
    one = stored(continuation="to\0ken", queue="K=v", nonce="n", offered=NOON, status=Status.DISPATCHED)
    await put(database, one)
    found = await get(database, "job-0")
    same = await database.read(lambda tx: jobs_table.numbered(tx, RUN, 0))
    for_others = [await get(database, "job-0", who) for who in OTHERS]

    assert found == same == one
    assert for_others == [None, None]


async def test_an_execution_has_one_job_of_each_number(database: SqlDatabase) -> None:
    await put(database, stored())

    with pytest.raises(Duplicate):
        await database.write(lambda tx: jobs_table.insert(tx, stored("another")))


async def test_jobs_are_offered_in_order_and_again_when_nobody_claims_them(database: SqlDatabase) -> None:
    nonce = nonces()
    await put(database, *(stored(f"job-{number}", number) for number in range(3)))
    soon = NOON + timedelta(seconds=1)
    first, second = await offered(database, nonce, soon, 2), await offered(database, nonce, soon)
    await changed(database, OWNER, lambda job: jobs.acknowledge(job, "n1", soon))
    third, again = await offered(database, nonce, soon), await offered(database, nonce, soon + OFFERED_AGAIN)

    assert (first, second, third) == ([("job-0", "n1"), ("job-1", "n2")], [("job-2", "n3")], [])
    assert again == [("job-1", "n4"), ("job-2", "n5")]


async def test_only_those_that_are_asked_for_are_offered(database: SqlDatabase) -> None:
    others = (stored("a", 0, queue="K=v"), stored("b", 1, Doer.FUNCTION), stored("c", 2, deadline=NOON))
    await put(database, *others)

    assert await offered(database, nonces(), NOON + timedelta(seconds=1)) == []
    assert await offered(database, nonces(), NOON + timedelta(seconds=1), queue="K=v") == [("a", "n1")]


async def test_workers_that_poll_at_once_are_not_given_the_same(database: SqlDatabase) -> None:
    nonce, soon = nonces(), NOON + timedelta(seconds=1)
    await put(database, *(stored(f"job-{number}", number) for number in range(8)))
    given = await asyncio.gather(*(offered(database, nonce, soon, 2) for _ in range(4)))
    rest = await offered(database, nonce, soon)

    assert sorted(id for some in [*given, rest] for id, _ in some) == [f"job-{number}" for number in range(8)]


async def test_what_is_refused_changes_nothing(database: SqlDatabase) -> None:
    await put(database, stored())

    def finish(job: Job) -> Job:
        return jobs.finish(job, succeeded=True, now=NOON)

    with pytest.raises(Refused):
        await changed(database, OWNER, finish)
    found = await get(database, "job-0")
    missing = [await changed(database, who, finish) for who in OTHERS]

    assert found == stored()
    assert missing == [None, None]


async def test_an_execution_that_ended_leaves_no_job_open(database: SqlDatabase) -> None:
    await put(database, stored("done", 0, status=Status.SUCCEEDED), stored("open", 1, status=Status.IN_PROGRESS))
    await database.write(lambda tx: jobs_table.end(tx, RUN))
    done = await get(database, "done")
    open = await get(database, "open")

    assert done is not None
    assert open is not None
    assert (done.job.status, open.job.status) == (Status.SUCCEEDED, Status.TIMED_OUT)


async def test_a_result_is_kept_with_its_job(database: SqlDatabase) -> None:
    await put(database, stored(status=Status.SUCCEEDED))
    result = Result("to\0ken", percent=3, variables={"A": "1"})
    await database.write(lambda tx: jobs_table.put_result(tx, "job-0", result))
    found = await get(database, "job-0")

    assert found is not None
    assert found.result == result


async def test_old_jobs_are_forgotten_some_at_a_time_until_none_is_left(database: SqlDatabase) -> None:
    await put(database, *(stored(f"old-{number}", number, deadline=NOON) for number in range(120)), stored("new", 120))
    cut = NOON + timedelta(seconds=1)

    more = [await database.write(lambda tx: jobs_table.forget(tx, cut)) for _ in range(2)]

    assert more == [True, False]
    assert await get(database, "old-0") is None
    assert await get(database, "new") is not None
