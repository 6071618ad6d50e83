"""Actions of a type of one's own, done by workers."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codeyard.pipelines import custom_types_table, jobs_table
from codeyard.pipelines.action_types import ActionTypeSpec, Counts, Executor, Property
from codeyard.pipelines.actions import ActionFailed, ErrorCode, Outcome, Revision, Told
from codeyard.pipelines.actions.custom import CustomAction
from codeyard.pipelines.model import ActionType
from tests.databases import opened
from tests.pipelines.job_workers import BUILD, POLL, SECRET, Yard, no_key
from tests.pipelines.works import OWNER, Bench, a_tree, action, bench_at

SOURCE = ActionTypeSpec(
    ActionType("Source", "Custom", "Repo"), (), Counts(), Counts(1, 1), executor=Executor.JOB_WORKER
)
CONFIGURATION = {"Project": "p", "Password": SECRET}


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    for db in opened(f"sqlite:///{tmp_path / 'test.sqlite'}"):
        made = Yard(db)
        await made.prepare()
        yield made


def a_bench(yard: Yard, home: Path, **more: Any) -> Bench:
    declared = action("Build/Custom/Jenkins/1", CONFIGURATION, **more)
    inputs = [a_tree(home, name, {"a": b"x"}) for name in more.get("inputs", ())]
    bench = bench_at(home / "bench" if not inputs else home, declared, inputs)
    yard.benches[bench.run] = bench
    return bench


def begin(yard: Yard, bench: Bench) -> asyncio.Task[Outcome]:
    return asyncio.ensure_future(CustomAction(yard.db, yard.now, no_key).run(bench))


async def job(yard: Yard, **asked: Any) -> dict[str, Any]:
    """The next job, once there is one, acknowledged."""
    async with asyncio.timeout(30):
        while not (found := (await yard.ask("PollForJobs", **{**POLL, **asked}))["jobs"]):
            await asyncio.sleep(0.005)
    await yard.ask("AcknowledgeJob", jobId=found[0]["id"], nonce=found[0]["nonce"])
    taken: dict[str, Any] = found[0]
    return taken


def a_zip(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return packed.getvalue()


async def finished(yard: Yard, bench: Bench, **result: Any) -> Outcome:
    """How it ends, if its worker succeeds at once with this."""
    running = begin(yard, bench)
    await yard.ask("PutJobSuccessResult", jobId=(await job(yard))["id"], **result)
    return await running


async def test_a_worker_does_it_round_by_round(yard: Yard, tmp_path: Path) -> None:
    bench = a_bench(yard, tmp_path, inputs=["In"], outputs=["Out"])
    running = begin(yard, bench)
    first = await job(yard)
    details = {"externalExecutionId": "17", "percentComplete": 10, "summary": "begun"}
    await yard.ask("PutJobSuccessResult", jobId=first["id"], continuationToken="b-17", executionDetails=details)
    second = await job(yard)
    location = second["data"]["outputArtifacts"][0]["location"]["s3Location"]
    bench.put(location["objectKey"], a_zip({"app": b"1"}))
    await yard.ask("PutJobSuccessResult", jobId=second["id"], outputVariables={"V": "1"})
    outcome, objects = await running, bench.keys()

    assert first["data"]["inputArtifacts"][0]["location"]["s3Location"]["objectKey"] in objects
    assert (first["id"] != second["id"], "continuationToken" in first["data"]) == (True, False)
    assert second["data"]["continuationToken"] == "b-17"
    assert second["data"]["pipelineContext"] == first["data"]["pipelineContext"]
    assert bench.told == [Told(external_id="17", summary="begun", percent=10)]
    assert outcome.variables == {"V": "1"}
    assert [(each.name, each.there, bench.files(each)) for each in outcome.outputs] == [("Out", True, {"app": b"1"})]


async def test_nothing_that_is_kept_has_a_secret(yard: Yard, tmp_path: Path) -> None:
    bench = a_bench(yard, tmp_path)
    await finished(yard, bench)
    row = await yard.db.read(lambda tx: jobs_table.numbered(tx, bench.run, 0))

    assert SECRET not in (bench.home / "journal").read_text() + repr(row)


async def test_who_takes_it_up_goes_on_with_the_job_that_is_there(yard: Yard, tmp_path: Path) -> None:
    bench = a_bench(yard, tmp_path)
    killed = begin(yard, bench)
    first = await job(yard)
    await yard.ask("PutJobSuccessResult", jobId=first["id"], continuationToken="t", executionDetails={"summary": "s"})
    second = await job(yard)
    killed.cancel()
    await asyncio.wait([killed])
    told = len(bench.told)
    again = yard.benches[bench.run] = bench.again()
    running = begin(yard, again)
    await asyncio.sleep(0.02)
    await yard.ask("PutJobSuccessResult", jobId=second["id"])

    assert (await running).outputs == ()
    assert len(again.told) == told == 1
    assert await yard.db.read(lambda tx: jobs_table.numbered(tx, bench.run, 2)) is None


async def test_an_output_that_was_not_uploaded_fails_it(yard: Yard, tmp_path: Path) -> None:
    bench = a_bench(yard, tmp_path, outputs=["Out"])

    with pytest.raises(ActionFailed, match="Out was not uploaded") as failed:
        await finished(yard, bench)
    assert failed.value.code is ErrorCode.JOB_FAILED


@pytest.mark.parametrize("content", [b"plain", b"", b"PK\x03\x04 torn"])
async def test_an_output_that_is_no_zip_is_what_it_is(yard: Yard, tmp_path: Path, content: bytes) -> None:
    bench = a_bench(yard, tmp_path, outputs=["Out"])
    bench.put(bench.outputs[0].key, content)
    outcome = await finished(yard, bench)

    assert [(each.tree, each.there) for each in outcome.outputs] == [(None, True)]


async def test_a_failure_has_the_type_that_the_worker_gave(yard: Yard, tmp_path: Path) -> None:
    bench = a_bench(yard, tmp_path)
    running = begin(yard, bench)
    details = {"type": "PermissionError", "message": "may not", "externalExecutionId": "9"}
    await yard.ask("PutJobFailureResult", jobId=(await job(yard))["id"], failureDetails=details)

    with pytest.raises(ActionFailed, match="may not") as failed:
        await running
    assert failed.value.code is ErrorCode.PERMISSION
    assert bench.told == [Told(external_id="9")]


async def test_a_source_of_ones_own_says_its_revision(yard: Yard, tmp_path: Path) -> None:
    await yard.prepare(SOURCE)
    bench = bench_at(tmp_path / "bench", action("Source/Custom/Repo/1", outputs=["Out"]))
    yard.benches[bench.run] = bench
    bench.put(bench.outputs[0].key, a_zip({"a": b"1"}))
    running = begin(yard, bench)
    type = {"category": "Source", "owner": "Custom", "provider": "Repo", "version": "1"}
    taken = await job(yard, actionTypeId=type, queryParam={})
    revision = {"revision": "r7", "changeIdentifier": "c", "revisionSummary": "fix"}
    await yard.ask("PutJobSuccessResult", jobId=taken["id"], currentRevision=revision)
    outcome = await running

    assert outcome.revision == Revision("r7", "fix", "c")
    assert [each.revision for each in outcome.outputs] == ["r7"]


async def test_who_looks_at_it_is_led_to_where_it_is_done(yard: Yard, tmp_path: Path) -> None:
    at = "https://ci.example.com/job/{Config:Name}/"
    settings = {"entityUrlTemplate": at, "executionUrlTemplate": at + "{ExternalExecutionId}",
                "revisionUrlTemplate": at + "changes/{RevisionId}"}  # fmt: skip
    await yard.prepare(replace(SOURCE, properties=(Property("Name", required=True),), settings=settings))
    bench = bench_at(tmp_path, action("Source/Custom/Repo/1", {"Name": "us/my app?"}, outputs=["Out"]))
    yard.benches[bench.run] = bench
    bench.put(bench.outputs[0].key, a_zip({"a": b"1"}))
    running = begin(yard, bench)
    type, there = {"category": "Source", "owner": "Custom", "provider": "Repo", "version": "1"}, "job/us/my%20app%3F"
    taken = await job(yard, actionTypeId=type, queryParam={})
    details, revision = {"externalExecutionId": "1"}, {"revision": "r7", "changeIdentifier": "c"}
    await yard.ask("PutJobSuccessResult", jobId=taken["id"], continuationToken="t", executionDetails=details)
    taken = await job(yard, actionTypeId=type, queryParam={})
    details = {"externalExecutionId": "2"}
    await yard.ask("PutJobSuccessResult", jobId=taken["id"], currentRevision=revision, executionDetails=details)
    outcome = await running

    urls = [each.entity_url or each.external_url for each in bench.told]
    assert urls == [f"https://ci.example.com/{there}/{rest}" for rest in ("", "1", "2")]
    assert outcome.revision == Revision("r7", change_id="c", url=f"https://ci.example.com/{there}/changes/r7")


async def test_a_type_that_was_deleted_fails_it(yard: Yard, tmp_path: Path) -> None:
    await yard.db.write(lambda tx: custom_types_table.mark(tx, OWNER, BUILD, deleted=True))

    with pytest.raises(ActionFailed, match="was deleted") as failed:
        await begin(yard, a_bench(yard, tmp_path))
    assert failed.value.code is ErrorCode.CONFIGURATION


async def test_a_value_that_nobody_could_ask_for_fails_it(yard: Yard, tmp_path: Path) -> None:
    declared = action("Build/Custom/Jenkins/1", {"Project": "p" * 51})

    with pytest.raises(ActionFailed, match="more than 50 characters"):
        await begin(yard, bench_at(tmp_path / "bench", declared))


async def test_two_steps_are_enough_where_one_round_is(yard: Yard, tmp_path: Path) -> None:
    bench = a_bench(yard, tmp_path, inputs=["In"])
    await finished(yard, bench)
    names = [json.loads(line)[0] for line in (bench.home / "journal").read_text().splitlines()]

    assert names == ["prepare", "job 0"]


async def test_a_worker_that_goes_on_for_ever_fails_it(yard: Yard, tmp_path: Path) -> None:
    bench = a_bench(yard, tmp_path)
    running = asyncio.ensure_future(CustomAction(yard.db, yard.now, no_key, rounds=1).run(bench))
    await yard.ask("PutJobSuccessResult", jobId=(await job(yard))["id"], continuationToken="t")

    with pytest.raises(ActionFailed, match="The action had 1 jobs"):
        await running
