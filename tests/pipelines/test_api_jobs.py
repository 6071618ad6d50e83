"""Job workers as they should be, and as they should not: silent ones, hasty ones, and those with another's job."""

import uuid
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.session import get_session

from codeyard.ident import Owner
from codeyard.pipelines import jobs, jobs_table
from codeyard.pipelines.api_jobs import DECLINED
from codeyard.pipelines.job_data import About, Location
from codeyard.pipelines.jobs import OFFERED_AGAIN, Doer, Job, Status
from codeyard.pipelines.jobs_table import Stored
from tests.databases import Forgetful, opened
from tests.pipelines.job_workers import BUILD, POLL, SECRET, TYPE, Yard
from tests.pipelines.works import EXECUTION, NOON, OWNER, ROLE, RUN

JOB = str(uuid.UUID(int=1))
LIFE = timedelta(hours=1)
OTHERS = [Owner("444455556666", OWNER.region), Owner(OWNER.account, "eu-west-1")]
ABOUT = About(
    OWNER.account,
    "P",
    "arn:aws:codepipeline:us-east-1:111122223333:P",
    EXECUTION,
    "S",
    "A",
    ROLE,
    {"Project": "p"},
    ("Password",),
    (Location("In", "b", "in"),),
    (Location("Out", "b", "out"),),
)
FAILURE: Mapping[str, Any] = {"failureDetails": {"type": "JobFailed", "message": "no"}}


@pytest.fixture
async def yard(tmp_path: Path) -> Any:
    for db in opened(f"sqlite:///{tmp_path / 'test.sqlite'}"):
        made = Yard(db)
        await made.prepare()
        yield made


async def post(yard: Yard, id: str = JOB, number: int = 0, doer: Doer = Doer.WORKER) -> None:
    job = jobs.made(Job(id, RUN, number, doer, BUILD, NOON, NOON + LIFE, "Project=p"))
    await yard.db.write(lambda tx: jobs_table.insert(tx, Stored(OWNER, job, ABOUT)))


async def stored(yard: Yard) -> Stored:
    found = await yard.db.read(lambda tx: jobs_table.found(tx, OWNER, JOB))
    assert found is not None
    return found


async def test_a_worker_polls_acknowledges_and_answers(yard: Yard) -> None:
    await post(yard)
    [job] = (await yard.ask("PollForJobs", **POLL))["jobs"]
    status = await yard.ask("AcknowledgeJob", jobId=JOB, nonce=job["nonce"])
    details = (await yard.ask("GetJobDetails", jobId=JOB))["jobDetails"]
    done = await yard.ask("PutJobSuccessResult", jobId=JOB, outputVariables={"A": "1"})
    after = await stored(yard)

    assert (job["id"], job["accountId"], job["nonce"]) == (JOB, OWNER.account, "n1")
    assert job["data"] == details["data"]
    assert job["data"]["actionConfiguration"] == {"configuration": {"Project": "p", "Password": SECRET}}
    assert job["data"]["artifactCredentials"] == {
        "accessKeyId": "ASIA",
        "secretAccessKey": "reads arn:aws:s3:::b/in",
        "sessionToken": "writes arn:aws:s3:::b/out",
    }
    assert (status, done) == ({"status": "InProgress"}, {})
    assert (yard.answers, yard.woken) == ({RUN: {"job": JOB}}, [RUN])
    assert after.result is not None
    assert (after.job.status, after.result.variables) == (Status.SUCCEEDED, {"A": "1"})


async def test_a_job_that_nobody_claims_is_offered_again_with_a_new_nonce(yard: Yard) -> None:
    await post(yard)
    first = await yard.ask("PollForJobs", **POLL)
    at_once = await yard.ask("PollForJobs", **POLL)
    yard.pass_time(seconds=OFFERED_AGAIN.total_seconds())
    again = await yard.ask("PollForJobs", **POLL)
    old = await yard.code("AcknowledgeJob", jobId=JOB, nonce=first["jobs"][0]["nonce"])
    new = await yard.code("AcknowledgeJob", jobId=JOB, nonce=again["jobs"][0]["nonce"])
    second = await yard.code("AcknowledgeJob", jobId=JOB, nonce=again["jobs"][0]["nonce"])

    assert at_once == {"jobs": []}
    assert (old, new, second) == ("InvalidNonceException", "", "InvalidNonceException")


async def test_a_worker_is_not_refused_where_the_answer_was_lost(tmp_path: Path) -> None:
    for db in opened(f"sqlite:///{tmp_path / 'test.sqlite'}"):
        yard = Yard(db)
        await yard.prepare()
        await post(yard)
        [job] = (await yard.ask("PollForJobs", **POLL))["jobs"]
        forgetful = Yard(Forgetful(db, lost=True))  # type: ignore[arg-type]

        acknowledged = await forgetful.ask("AcknowledgeJob", jobId=JOB, nonce=job["nonce"])
        await forgetful.ask("PutJobSuccessResult", jobId=JOB, outputVariables={"a": "1"})

        assert acknowledged == {"status": "InProgress"}
        assert (forgetful.woken, (await stored(yard)).job.status) == ([RUN], Status.SUCCEEDED)


@pytest.mark.parametrize("second", [("PutJobSuccessResult", {}), ("PutJobFailureResult", FAILURE)])
@pytest.mark.parametrize("first", [("PutJobSuccessResult", {}), ("PutJobFailureResult", FAILURE)])
async def test_who_answers_twice_is_refused(yard: Yard, first: Any, second: Any) -> None:
    await post(yard)
    await yard.take()
    await yard.ask(first[0], jobId=JOB, **first[1])
    before = await stored(yard)

    assert await yard.code(second[0], jobId=JOB, **second[1]) == "InvalidJobStateException"
    assert yard.woken == [RUN]
    assert await stored(yard) == before


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ("AcknowledgeJob", {"nonce": "n1"}),
        ("GetJobDetails", {}),
        ("PutJobSuccessResult", {}),
        ("PutJobFailureResult", FAILURE),
    ],
)
async def test_of_anothers_job_nothing_is_known(yard: Yard, operation: str, given: Mapping[str, Any]) -> None:
    await post(yard)
    await yard.take()
    codes = [await yard.code(operation, other, jobId=JOB, **given) for other in OTHERS]
    never = await yard.code(operation, jobId=str(uuid.UUID(int=2)), **given)

    assert {*codes, never} == {"JobNotFoundException"}
    assert (yard.woken, (await stored(yard)).job.status) == ([], Status.IN_PROGRESS)


async def test_others_are_not_offered_it(yard: Yard) -> None:
    await post(yard)

    assert {await yard.code("PollForJobs", other, **POLL) for other in OTHERS} == {"ActionTypeNotFoundException"}


async def test_a_result_is_taken_neither_before_it_is_acknowledged_nor_when_its_time_is_over(yard: Yard) -> None:
    await post(yard)
    before = await yard.code("PutJobSuccessResult", jobId=JOB)
    await yard.take()
    yard.pass_time(seconds=LIFE.total_seconds())
    late = await yard.code("PutJobSuccessResult", jobId=JOB)

    assert (before, late) == ("InvalidJobStateException", "InvalidJobStateException")
    assert yard.woken == []


async def test_a_result_for_an_execution_that_ended_changes_nothing(yard: Yard) -> None:
    await post(yard)
    await yard.take()
    yard.ended = True

    assert await yard.code("PutJobSuccessResult", jobId=JOB) == "InvalidJobStateException"
    assert ((await stored(yard)).job.status, yard.woken) == (Status.IN_PROGRESS, [])


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"continuationToken": "t", "outputVariables": {"A": "1"}}, "ValidationException"),
        ({"outputVariables": {"A": "x" * 122_880}}, "OutputVariablesSizeExceededException"),
    ],
)
async def test_a_result_that_cannot_be_leaves_the_job_to_be_done(yard: Yard, given: dict[str, Any], code: str) -> None:
    await post(yard)
    await yard.take()

    assert await yard.code("PutJobSuccessResult", jobId=JOB, **given) == code
    assert await yard.code("PutJobSuccessResult", jobId=JOB) == ""


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"actionTypeId": {**TYPE, "owner": "AWS", "provider": "CodeBuild"}}, "ValidationException"),
        ({"actionTypeId": {**TYPE, "owner": "ThirdParty"}}, "ValidationException"),
        ({"actionTypeId": {**TYPE, "version": "2"}}, "ActionTypeNotFoundException"),
        (
            {"actionTypeId": {**TYPE, "category": "Deploy", "provider": "Codeyard-Release"}},
            "ActionTypeNotFoundException",
        ),
        ({"actionTypeId": TYPE}, "ValidationException"),
        ({"actionTypeId": TYPE, "queryParam": {"Password": "x"}}, "ValidationException"),
        ({"actionTypeId": TYPE, "queryParam": {"Project": "q"}}, ""),
    ],
)
async def test_only_jobs_of_a_custom_type_are_polled_for_by_its_queryable_key(
    yard: Yard, given: dict[str, Any], code: str
) -> None:
    await post(yard)

    assert await yard.code("PollForJobs", **given) == code
    assert (await stored(yard)).job.status is Status.QUEUED


async def test_a_poll_takes_one_job_unless_it_asks_for_more(yard: Yard) -> None:
    await post(yard)
    await post(yard, str(uuid.UUID(int=2)), 1)
    one = await yard.ask("PollForJobs", actionTypeId=TYPE, queryParam={"Project": "p"})

    assert len(one["jobs"]) == 1


async def test_a_job_whose_role_is_gone_is_kept_for_later(yard: Yard) -> None:
    await post(yard)
    yard.role_is_there = False
    without = await yard.ask("PollForJobs", **POLL)
    yard.role_is_there = True
    yard.pass_time(minutes=1)
    later = await yard.ask("PollForJobs", **POLL)

    assert (without["jobs"], [job["id"] for job in later["jobs"]]) == ([], [JOB])


async def test_a_job_that_is_over_gives_no_secret_and_no_credentials_away(yard: Yard) -> None:
    await post(yard)
    await yard.take()
    await yard.ask("PutJobFailureResult", jobId=JOB, **FAILURE)
    data = (await yard.ask("GetJobDetails", jobId=JOB))["jobDetails"]["data"]

    assert "artifactCredentials" not in data
    assert data["actionConfiguration"] == {"configuration": {"Project": "p"}}


async def test_a_functions_job_is_never_polled_for_and_needs_no_acknowledgement(yard: Yard) -> None:
    await post(yard, doer=Doer.FUNCTION)
    polled = await yard.ask("PollForJobs", **POLL)
    done = await yard.code("PutJobSuccessResult", jobId=JOB)

    assert (polled, done) == ({"jobs": []}, "")


async def test_secrets_are_not_in_the_rows(yard: Yard) -> None:
    await post(yard)
    await yard.take()

    assert SECRET not in repr(await stored(yard))


def test_operations_of_partners_are_declined_with_a_reason() -> None:
    names = get_session().get_service_model("codepipeline").operation_names

    assert set(DECLINED) == {name for name in names if "ThirdPartyJob" in name}
