"""Pipelines from outside, on one real server with one agent: what goes wrong around them, and who hears of them."""

import hmac
import io
import json
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.service.agents import Agent, agent
from tests.service.servers import up
from tests.service.test_drive import executor
from tests.service.yard import BUCKET, Heard, Yard, action, listening, until, zipped
from tests.sources.servers import Repo, git_server

pytestmark = pytest.mark.slow
APPROVAL = action("Approval/Manual")


@pytest.fixture(scope="module")
def heard() -> Iterator[Heard]:
    with listening() as found:
        yield found


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory, heard: Heard) -> Iterator[Yard]:
    told = {"events": f"{heard.url}/events", "approvals": f"{heard.url}/approvals"}
    with up(tmp_path_factory.mktemp("yard"), poll_sources="1", lease="5", **told, **executor()) as server:
        yield Yard.of(server)


@pytest.fixture(scope="module")
def target(yard: Yard, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with agent(yard.server, tmp_path_factory.mktemp("target"), "target", role="web") as found:
        yield found


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Repo, str]]:
    directory = tmp_path_factory.mktemp("git")
    repo = Repo(directory / "app")
    repo.commit("hello.txt", "hello\n")
    with git_server(directory) as server:
        yield repo, f"{server.url}/app/.git"


def release(path: Path) -> dict[str, Any]:
    given = {"Targets": "role=web", "Path": str(path), "HealthCheckSeconds": "0"}
    return action("Deploy/Custom/Codeyard-Release", "Release", given, into=("Source",))


def git(url: str, detect: str = "false") -> dict[str, Any]:
    arn = "arn:aws:codeconnections:us-east-1:000000000000:connection/11111111-2222-3333-4444-555555555555"
    given = {"ConnectionArn": arn, "FullRepositoryId": url, "BranchName": "main", "DetectChanges": detect}
    return action("Source/CodeStarSourceConnection", "Git", given, out=("Source",))


def code(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return str(refused.value.response["Error"]["Code"])


def test_the_object_of_an_artifact_that_was_handed_on_as_a_tree_is_there_when_somebody_asks(
    yard: Yard, repository: tuple[Repo, str]
) -> None:
    name = yard.name("tree")
    id = yard.create(name, [git(repository[1])], [APPROVAL])
    yard.token(name, id)
    found = yard.run(name, id, "Git")
    assert found is not None
    where = found["output"]["outputArtifacts"][0]["s3location"]

    content = yard.s3.get_object(Bucket=where["bucket"], Key=where["key"])["Body"].read()
    again = yard.s3.head_object(Bucket=where["bucket"], Key=where["key"])

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("hello.txt") == b"hello\n"
    assert again["ContentLength"] == len(content)
    assert where["key"].startswith(f"{name}/Source/")


# ── what waits for others ──


def test_pipelines_that_start_each_other_in_a_circle_come_to_an_end(yard: Yard) -> None:
    one, two = yard.name("circle"), yard.name("circle")
    source = yard.put("circle", {"file.txt": "x"})
    first = yard.create(one, [source], [action("Invoke/CodePipeline", "Go", {"PipelineName": two})])
    yard.ended(one, first)

    yard.create(two, [source], [action("Invoke/CodePipeline", "Go", {"PipelineName": one})])

    until(lambda: all(each["status"] != "InProgress" for each in yard.executions(one) + yard.executions(two)), "rest")
    told = [yard.error(name, each["pipelineExecutionId"], "Go")
            for name in (one, two) for each in yard.executions(name) if each["status"] == "Failed"]  # fmt: skip
    assert any("in a circle" in each for each in told)
    assert len(yard.executions(one)) + len(yard.executions(two)) <= 5


def test_a_token_is_good_for_one_answer_to_its_own_approval(yard: Yard) -> None:
    name, other = yard.name("token"), yard.name("token")
    source = yard.put("token", {"file.txt": "x"})
    ids = [yard.create(each, [source], [APPROVAL]) for each in (name, other)]
    token, others = yard.token(name, ids[0]), yard.token(other, ids[1])

    with pytest.raises(ClientError) as foreign:
        yard.approve(name, others)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: tried(lambda: yard.approve(name, token)), range(4)))
    yard.approve(other, others, status="Rejected")

    assert code(foreign) == "InvalidApprovalTokenException"
    assert sorted(answers) == ["", *["ApprovalAlreadyCompletedException"] * 3]
    assert (yard.ended(name, ids[0]), yard.ended(other, ids[1])) == ("Succeeded", "Failed")


def tried(call: Any) -> str:
    """The error's code; "" for none."""
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


@pytest.fixture(scope="module")
def worked(yard: Yard) -> dict[str, str]:
    """A type of action that job workers do, and a source that they look after."""
    for category, out in (("Test", 0), ("Source", 1)):
        yard.cp.create_custom_action_type(
            category=category, provider="Worked", version="1",
            inputArtifactDetails={"minimumCount": 1 - out, "maximumCount": 1 - out},
            outputArtifactDetails={"minimumCount": out, "maximumCount": out},
        )  # fmt: skip
    return {"category": "Test", "owner": "Custom", "provider": "Worked", "version": "1"}


def polled(yard: Yard, type: dict[str, str]) -> dict[str, Any]:
    """The next job, acknowledged."""
    job: dict[str, Any] = until(lambda: yard.cp.poll_for_jobs(actionTypeId=type, maxBatchSize=1)["jobs"], "a job")[0]
    assert yard.cp.acknowledge_job(jobId=job["id"], nonce=job["nonce"])["status"] == "InProgress"
    return job


def test_job_workers_that_answer_twice_or_for_others_change_nothing(yard: Yard, worked: dict[str, str]) -> None:
    name = yard.name("worked")
    work = action("Test/Custom/Worked", "Work", into=("Source",))
    id = yard.create(name, [yard.put(name, {"file.txt": "x"})], [work])
    job = polled(yard, worked)
    success = {"jobId": job["id"], "executionDetails": {"percentComplete": 100, "summary": "well"}}
    nobodys = "11111111-2222-3333-4444-555555555555"

    before = [
        tried(lambda: yard.cp.acknowledge_job(jobId=job["id"], nonce="another")),
        tried(lambda: yard.cp.put_job_success_result(jobId=nobodys)),
        tried(lambda: yard.cp.put_job_failure_result(jobId="", failureDetails={"type": "JobFailed", "message": "x"})),
    ]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: tried(lambda: yard.cp.put_job_success_result(**success)), range(4)))
    failure = {"type": "JobFailed", "message": "after all"}
    late = tried(lambda: yard.cp.put_job_failure_result(jobId=job["id"], failureDetails=failure))

    assert before[:2] == ["InvalidNonceException", "JobNotFoundException"]
    assert sorted(answers) == ["", *["InvalidJobStateException"] * 3]
    assert late == "InvalidJobStateException"
    assert yard.ended(name, id) == "Succeeded"


def test_a_job_worker_that_never_answers_can_be_given_up(yard: Yard, worked: dict[str, str]) -> None:
    name = yard.name("silent")
    work = action("Test/Custom/Worked", "Work", into=("Source",))
    first = yard.create(name, [yard.put(name, {"file.txt": "x"})], [work])
    job = polled(yard, worked)

    yard.cp.stop_pipeline_execution(pipelineName=name, pipelineExecutionId=first, abandon=True)
    ended = yard.ended(name, first)
    second = yard.start(name)
    late = tried(lambda: yard.cp.put_job_success_result(jobId=job["id"]))
    yard.cp.put_job_success_result(jobId=polled(yard, worked)["id"])

    assert (ended, late) == ("Stopped", "InvalidJobStateException")
    assert yard.ended(name, second) == "Succeeded"


def test_a_custom_source_brings_what_its_worker_puts_into_the_bucket(
    yard: Yard, target: Agent, worked: dict[str, str], tmp_path: Path
) -> None:
    name = yard.name("custom")
    source = action("Source/Custom/Worked", "Bring", out=("Source",))
    id = yard.create(name, [source], [release(tmp_path)])
    job = polled(yard, {**worked, "category": "Source"})
    where = job["data"]["outputArtifacts"][0]["location"]["s3Location"]
    theirs = boto3.client("s3", **credentials(yard, job))
    theirs.put_object(Bucket=where["bucketName"], Key=where["objectKey"], Body=zipped({"file.txt": "brought"}))
    elsewhere = tried(lambda: theirs.put_object(Bucket=BUCKET, Key="another", Body=b"x"))
    revision = {"revision": "r1", "changeIdentifier": "c1", "revisionSummary": "the first"}

    yard.cp.put_job_success_result(jobId=job["id"], currentRevision=revision)

    assert yard.ended(name, id) == "Succeeded"
    assert (tmp_path / "current" / "file.txt").read_text() == "brought"
    found = yard.cp.get_pipeline_execution(pipelineName=name, pipelineExecutionId=id)["pipelineExecution"]
    assert [each["revisionId"] for each in found["artifactRevisions"]] == ["r1"]
    assert elsewhere == "AccessDenied"


def credentials(yard: Yard, job: dict[str, Any]) -> dict[str, str]:
    """Those that a job's worker is given."""
    given = job["data"]["artifactCredentials"]
    return {
        "endpoint_url": yard.server.url,
        "region_name": "us-east-1",
        "aws_access_key_id": given["accessKeyId"],
        "aws_secret_access_key": given["secretAccessKey"],
        "aws_session_token": given["sessionToken"],
    }


# ── what starts pipelines ──


def test_a_push_starts_a_pipeline_by_its_webhook_if_it_is_signed(yard: Yard) -> None:
    name, secret = yard.name("hook"), "a secret that nobody guesses"
    first = yard.create(name, [yard.put(name, {"file.txt": "x"})], [APPROVAL])
    yard.cp.stop_pipeline_execution(pipelineName=name, pipelineExecutionId=first, abandon=True)
    hook = yard.cp.put_webhook(
        webhook={
            "name": name, "targetPipeline": name, "targetAction": "S3", "authentication": "GITHUB_HMAC",
            "authenticationConfiguration": {"SecretToken": secret},
            "filters": [{"jsonPath": "$.ref", "matchEquals": "refs/heads/main"}],
        }
    )["webhook"]  # fmt: skip
    push, other = b'{"ref": "refs/heads/main"}', b'{"ref": "refs/heads/other"}'

    answers = [
        posted(hook["url"], push, "another secret"),
        posted(hook["url"], other, secret),
        posted(hook["url"], push, secret),
    ]

    assert answers == [403, 200, 200]
    assert [each["trigger"]["triggerType"] for each in yard.executions(name)] == ["Webhook", "CreatePipeline"]
    assert yard.executions(name)[0]["trigger"]["triggerDetail"] == hook["arn"]
    assert secret not in json.dumps(hook, default=str)


def posted(url: str, body: bytes, secret: str) -> int:
    """The status of the answer to a push as GitHub sends them."""
    signature = "sha1=" + hmac.digest(secret.encode(), body, "sha1").hex()
    headers = {"x-hub-signature": signature, "content-type": "application/json", "x-github-event": "push"}
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_what_changes_in_a_bucket_or_a_repository_starts_a_pipeline(yard: Yard, repository: tuple[Repo, str]) -> None:
    bucket, branch = yard.name("polled"), yard.name("polled")
    yard.put(bucket, {"file.txt": "one"})
    ids = [
        yard.create(bucket, [yard.source(bucket, poll="true")], [APPROVAL]),
        yard.create(branch, [git(repository[1], detect="true")], [APPROVAL]),
    ]
    for name, id in zip((bucket, branch), ids, strict=True):
        yard.approve(name, yard.token(name, id))
    time.sleep(2.5)  # it has looked, and remembers

    yard.put(bucket, {"file.txt": "two"})
    commit = repository[0].commit("hello.txt", "hello again\n")

    for name in (bucket, branch):
        until(lambda name=name: len(yard.executions(name)) == 2, f"{name} begins")  # type: ignore[misc]
        yard.token(name, yard.executions(name)[0]["pipelineExecutionId"])
    found = yard.executions(bucket)[0], yard.executions(branch)[0]
    assert found[0]["trigger"]["triggerType"] == "PollForSourceChanges"
    assert found[1]["sourceRevisions"][0]["revisionId"] == commit


# ── who hears of it ──


def test_approvals_and_events_are_posted_in_their_order(yard: Yard, heard: Heard) -> None:
    name = yard.name("told")
    id = yard.create(
        name, [yard.put(name, {"file.txt": "x"})], [action("Approval/Manual", "Manual", {"CustomData": "Well?"})]
    )
    token = yard.token(name, id)
    asked = until(
        lambda: [each for each in heard.at("/approvals") if each["approval"]["pipelineName"] == name], "asked"
    )
    yard.approve(name, token)
    yard.ended(name, id)

    def mine() -> list[tuple[str, str]]:
        return [
            (each["detail-type"].split()[1], each["detail"]["state"])
            for each in heard.at("/events")
            if each["detail"]["pipeline"] == name
        ]

    until(lambda: ("Pipeline", "SUCCEEDED") in mine(), "the last event")
    assert (asked[0]["approval"]["token"], asked[0]["approval"]["customData"]) == (token, "Well?")
    assert mine() == [
        ("Pipeline", "STARTED"), ("Stage", "STARTED"), ("Action", "STARTED"), ("Action", "SUCCEEDED"),
        ("Stage", "SUCCEEDED"), ("Stage", "STARTED"), ("Action", "STARTED"), ("Action", "SUCCEEDED"),
        ("Stage", "SUCCEEDED"), ("Pipeline", "SUCCEEDED"),
    ]  # fmt: skip
