"""Functions that are called with a job, by a real client of boto3's, at an endpoint on this machine."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from codeyard.ident import Owner
from codeyard.pipelines import jobs_table
from codeyard.pipelines.actions import ActionFailed, ErrorCode, Told
from codeyard.pipelines.actions.invoke_lambda import InvokeLambda
from tests.databases import opened
from tests.pipelines.job_workers import Yard, no_key
from tests.pipelines.works import OWNER, Bench, a_tree, action, bench_at

FUNCTION = f"arn:aws:lambda:{OWNER.region}:{OWNER.account}:function:f"
LONG = timedelta(minutes=20)


class Functions:
    """A Lambda that takes every call, or refuses it with `error`: a status and a type."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.error: tuple[int, str] | None = None
        self.endpoint = ""

    def client(self, _owner: Owner, service: str, region: str) -> Any:
        keys = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "s"}
        once = Config(retries={"total_max_attempts": 1})
        return boto3.client(service, region_name=region, endpoint_url=self.endpoint, config=once, **keys)

    async def called(self, times: int) -> dict[str, Any]:
        """The job of the call of this number, once it has been made."""
        async with asyncio.timeout(30):
            while len(self.calls) < times:
                await asyncio.sleep(0.005)
        job: dict[str, Any] = self.calls[times - 1]["CodePipeline.job"]
        return job


@contextmanager
def serving() -> Iterator[Functions]:
    functions = Functions()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, type = functions.error or (202, "")
            if functions.error is None:
                assert self.headers["X-Amz-Invocation-Type"] == "Event"
                functions.calls.append(event)
                functions.paths.append(self.path)
            body = json.dumps({"Message": "so it is"}).encode() if type else b""
            self.send_response(status)
            self.send_header("x-amzn-errortype", type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        functions.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield functions
        server.shutdown()
        thread.join()


@pytest.fixture
def functions() -> Iterator[Functions]:
    with serving() as found:
        yield found


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    for db in opened(f"sqlite:///{tmp_path / 'test.sqlite'}"):
        yield Yard(db)


def a_bench(yard: Yard, home: Path, type: str = "Invoke/AWS/Lambda/1", **more: Any) -> Bench:
    declared = action(
        type, {"FunctionName": "f", "UserParameters": "u"}, inputs=["In"], outputs=more.pop("outputs", ())
    )
    bench = bench_at(home, declared, [a_tree(home, "In", {"a": b"x"})], **more)
    yard.benches[bench.run] = bench
    return bench


def acting(yard: Yard, functions: Functions, silence: timedelta = LONG) -> InvokeLambda:
    client, credentials = functions.client, yard.credentials
    return InvokeLambda(yard.db, yard.now, no_key, client, credentials, silence=silence, pause=0.0)


@pytest.mark.parametrize("type", ["Invoke/AWS/Lambda/1", "Rule/AWS/LambdaInvoke/1"])
async def test_a_function_is_called_and_answers(yard: Yard, functions: Functions, tmp_path: Path, type: str) -> None:
    bench = a_bench(yard, tmp_path, type)
    running = asyncio.ensure_future(acting(yard, functions).run(bench))
    job = await functions.called(1)
    await yard.ask("PutJobSuccessResult", jobId=job["id"], outputVariables={"V": "1"})
    outcome, objects = await running, bench.keys()

    assert functions.paths == ["/2015-03-31/functions/f/invocations"]
    assert bench.permitted == [("lambda:InvokeFunction", FUNCTION)]
    assert (job["accountId"], outcome.variables) == (OWNER.account, {"V": "1"})
    assert job["data"]["actionConfiguration"]["configuration"] == {"FunctionName": "f", "UserParameters": "u"}
    assert job["data"]["inputArtifacts"][0]["location"]["s3Location"]["objectKey"] in objects
    assert job["data"]["artifactCredentials"]["accessKeyId"] == "ASIA"


async def test_it_is_called_again_with_its_continuation_token(yard: Yard, functions: Functions, tmp_path: Path) -> None:
    bench = a_bench(yard, tmp_path, outputs=["Out"])
    bench.put(bench.outputs[0].key, b"text")
    running = asyncio.ensure_future(acting(yard, functions).run(bench))
    first = await functions.called(1)
    details = {"percentComplete": 50}
    await yard.ask("PutJobSuccessResult", jobId=first["id"], continuationToken="t", executionDetails=details)
    second = await functions.called(2)
    await yard.ask("PutJobSuccessResult", jobId=second["id"])
    outcome = await running

    assert "continuationToken" not in first["data"]
    assert (second["data"]["continuationToken"], second["id"] != first["id"]) == ("t", True)
    assert bench.told == [Told(percent=50)]
    assert [each.there for each in outcome.outputs] == [True]


async def test_a_function_that_says_nothing_fails_it_and_is_not_heard_later(
    yard: Yard, functions: Functions, tmp_path: Path
) -> None:
    bench = a_bench(yard, tmp_path)

    with pytest.raises(ActionFailed, match="failed to return a result") as failed:
        await acting(yard, functions, timedelta(0)).run(bench)
    assert failed.value.code is ErrorCode.JOB_FAILED
    assert await yard.code("PutJobSuccessResult", jobId=functions.calls[0]["CodePipeline.job"]["id"]) == (
        "InvalidJobStateException"
    )


async def test_a_function_that_fails_says_why(yard: Yard, functions: Functions, tmp_path: Path) -> None:
    running = asyncio.ensure_future(acting(yard, functions).run(a_bench(yard, tmp_path)))
    job = await functions.called(1)
    details = {"type": "ConfigurationError", "message": "bad parameters"}
    await yard.ask("PutJobFailureResult", jobId=job["id"], failureDetails=details)

    with pytest.raises(ActionFailed, match="bad parameters") as failed:
        await running
    assert failed.value.code is ErrorCode.CONFIGURATION


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ((404, "ResourceNotFoundException"), ErrorCode.CONFIGURATION),
        ((403, "AccessDeniedException"), ErrorCode.PERMISSION),
        ((500, "ServiceException"), ErrorCode.UNAVAILABLE_SYSTEM),
    ],
)
async def test_a_function_that_cannot_be_called_fails_it_at_once(
    yard: Yard, functions: Functions, tmp_path: Path, error: tuple[int, str], code: ErrorCode
) -> None:
    functions.error = error

    with pytest.raises(ActionFailed, match="could not be invoked: so it is") as failed:
        await acting(yard, functions).run(a_bench(yard, tmp_path))
    assert failed.value.code is code


async def test_an_endpoint_that_is_away_fails_it(yard: Yard, functions: Functions, tmp_path: Path) -> None:
    functions.endpoint = "http://127.0.0.1:1"

    with pytest.raises(ActionFailed, match="could not be invoked") as failed:
        await acting(yard, functions).run(a_bench(yard, tmp_path))
    assert failed.value.code is ErrorCode.UNAVAILABLE_SYSTEM


async def test_a_role_that_may_not_call_it_does_not(yard: Yard, functions: Functions, tmp_path: Path) -> None:
    with pytest.raises(ActionFailed, match="lambda:InvokeFunction"):
        await acting(yard, functions).run(a_bench(yard, tmp_path, denied=["lambda:InvokeFunction"]))
    assert functions.calls == []


async def test_a_role_that_is_gone_calls_nothing(yard: Yard, functions: Functions, tmp_path: Path) -> None:
    yard.role_is_there = False

    with pytest.raises(ActionFailed, match="sts:AssumeRole") as failed:
        await acting(yard, functions).run(a_bench(yard, tmp_path))
    assert (failed.value.code, functions.calls) == (ErrorCode.PERMISSION, [])


async def test_who_takes_it_up_does_not_call_again_and_waits_no_longer(
    yard: Yard, functions: Functions, tmp_path: Path
) -> None:
    bench = a_bench(yard, tmp_path)
    killed = asyncio.ensure_future(acting(yard, functions).run(bench))
    job = await functions.called(1)
    async with asyncio.timeout(30):
        while '"call 0"' not in (tmp_path / "journal").read_text():
            await asyncio.sleep(0.005)
    killed.cancel()
    await asyncio.wait([killed])
    again = yard.benches[bench.run] = bench.again()
    yard.pass_time(minutes=20)

    with pytest.raises(ActionFailed, match="failed to return a result"):
        await acting(yard, functions).run(again)
    assert [each["CodePipeline.job"]["id"] for each in functions.calls] == [job["id"]]


async def test_a_function_that_answered_before_we_died_is_not_called_again(
    yard: Yard, functions: Functions, tmp_path: Path
) -> None:
    bench = a_bench(yard, tmp_path)
    killed = asyncio.ensure_future(acting(yard, functions).run(bench))
    job = await functions.called(1)
    await yard.ask("PutJobSuccessResult", jobId=job["id"])
    await killed
    lines = (tmp_path / "journal").read_text().splitlines(keepends=True)
    (tmp_path / "journal").write_text("".join(line for line in lines if '"call 0"' not in line))
    await acting(yard, functions).run(bench.again())

    assert len(functions.calls) == 1
    assert await yard.db.read(lambda tx: jobs_table.numbered(tx, bench.run, 1)) is None
