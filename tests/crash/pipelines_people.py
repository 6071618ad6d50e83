"""Those outside of the server whom a campaign's pipelines need: who approves, who does jobs, who is told by HTTP.

Each writes down what it was answered, and asks again when it was not: a call whose answer was lost may have been done.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Generic, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from tests.crash import pipelines_story as story
from tests.crash.history import History
from tests.crash.pipelines_places import Places
from tests.crash.pipelines_story import Order

T = TypeVar("T")
KINDS = ("acknowledged", "approved", "job", "told", "asking", "asked")
_PAUSE = 0.05  # seconds between two looks


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What came of a call: what it gave, or why it was refused. `lost` counts the tries before, which may have been
    done all the same."""

    given: T | None
    refusal: ClientError | None = None
    lost: int = 0

    @property
    def code(self) -> str:
        """The refusal's; "": there is none."""
        return "" if self.refusal is None else str(self.refusal.response["Error"]["Code"])


@dataclass(slots=True)
class People:
    """What the campaign's threads share. `orders` are those whose StartPipelineExecution was answered."""

    places: Places
    history: History
    stopping: threading.Event = field(default_factory=threading.Event)
    broken: threading.Event = field(default_factory=threading.Event)  # a process does not come up any more
    orders: dict[str, Order] = field(default_factory=dict)  # by execution
    wanted: dict[str, Order] = field(default_factory=dict)  # by mark, also those that were not answered yet
    # What has just happened, for whom it may concern: a counter for each kind.
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    pause: float = 0.0  # seconds that a job takes
    failed: set[str] = field(default_factory=set)  # marks whose job has failed

    def ask(self, what: str, work: Callable[[], T]) -> Answer[T]:
        """What is answered, be it a refusal; asked again for as long as nobody answers."""
        lost = 0
        while True:
            try:
                return Answer(work(), lost=lost)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                    return Answer(None, error, lost)
                code = error.response["Error"]["Code"]
                self.history.write("refused", what=what, code=code, message=str(error))
                lost += 1
            except EndpointConnectionError:  # nobody was there to ask
                pass
            except (BotoCoreError, KeyError) as error:  # an answer cut short is, to boto3, one without members
                self.history.write("unanswered", what=what, error=type(error).__name__)
                lost += 1
            assert not self.broken.is_set(), f"{what} is asked of nobody"
            time.sleep(0.03)

    def insist(self, what: str, work: Callable[[], T], accepted: Mapping[str, T] | None = None) -> T:
        """What the call gives. A refusal whose code is `accepted` stands for that, once an answer may have been
        lost."""
        answer = self.ask(what, work)
        if answer.refusal is None:
            return answer.given  # type: ignore[return-value]  # T may be None itself
        if answer.lost and accepted is not None and answer.code in accepted:
            return accepted[answer.code]
        raise answer.refusal

    def working(self, *works: Callable[[], None]) -> list[threading.Thread]:
        """Threads that do each of these again and again. What breaks one is written down."""
        threads = [threading.Thread(target=self._again, args=(each,), daemon=True) for each in works]
        for each in threads:
            each.start()
        return threads

    def _again(self, work: Callable[[], None]) -> None:
        while not self.stopping.is_set():
            try:
                work()
            except Exception as error:  # noqa: BLE001 - it is a mistake of the server's, or of the campaign's
                if not self.stopping.is_set():
                    self.history.write("broke", what=getattr(work, "__name__", "?"), error=repr(error))
            time.sleep(_PAUSE)

    # ── approvals ──

    def approve(self) -> None:
        """Answer every approval that waits, of an execution whose start was answered."""
        for name in story.MODES:
            for execution, token in self._waiting(name):
                self._answer(name, execution, token)

    def _waiting(self, name: str) -> list[tuple[str, str]]:
        """Executions and tokens. Of the modes in which there is one at a time the state has them."""
        client = self.places.second_client("codepipeline")
        if name == "parallel":
            ask = lambda: client.list_action_executions(pipelineName=name)["actionExecutionDetails"]  # noqa: E731
            return [
                (each["pipelineExecutionId"], each["output"]["executionResult"]["externalExecutionId"])
                for each in self.insist("ListActionExecutions", ask)
                if each["actionName"] == "Approve" and each["status"] == "InProgress"
                and "externalExecutionId" in each.get("output", {}).get("executionResult", {})
            ]  # fmt: skip
        state = self.insist("GetPipelineState", lambda: client.get_pipeline_state(name=name)["stageStates"])
        (check,) = [each for each in state if each["stageName"] == "Check"]
        latest = [each.get("latestExecution", {}) for each in check["actionStates"] if each["actionName"] == "Approve"]
        return [
            (check["latestExecution"]["pipelineExecutionId"], each["token"])
            for each in latest
            if "token" in each and each["status"] == "InProgress"
        ]

    def _answer(self, name: str, execution: str, token: str) -> None:
        order = self.orders.get(execution)
        if order is None:
            return
        client = self.places.second_client("codepipeline")
        status = "Rejected" if order.rejected else "Approved"
        given = {"status": status, "summary": f"{status}: {order.mark}"}
        call = lambda: client.put_approval_result(  # noqa: E731
            pipelineName=name, stageName="Check", actionName="Approve", result=given, token=token
        )
        answer = self.ask("PutApprovalResult", call)
        if not answer.code or (answer.lost and answer.code == "ApprovalAlreadyCompletedException"):
            self.history.write("approved", execution=execution, token=token, **given)
            self.counts["approved"] += 1
        elif answer.code == "InvalidApprovalTokenException" and (answer.lost or _abandoned(order)):
            self.history.write("perhaps_approved", execution=execution, token=token, lost=answer.lost)
        else:
            raise answer.refusal or AssertionError

    # ── jobs ──

    def work(self) -> None:
        """Do all jobs that there are, each once it was acknowledged."""
        client = self.places.client("codepipeline")
        polled = lambda: client.poll_for_jobs(actionTypeId=story.COUNTER, maxBatchSize=10)["jobs"]  # noqa: E731
        for job in self.insist("PollForJobs", polled):
            self._do(client, job)

    def _do(self, client: Any, job: Any) -> None:
        id, data = job["id"], job["data"]
        given, context = data["actionConfiguration"]["configuration"], data["pipelineContext"]
        order = self.wanted.get(given["Mark"])
        acknowledged = lambda: client.acknowledge_job(jobId=id, nonce=job["nonce"])["status"]  # noqa: E731
        if not self._claimed("AcknowledgeJob", acknowledged, "InvalidNonceException", order):
            return
        number = int(data.get("continuationToken", "0")) + 1
        self.history.write(
            "job", id=id, run=context["action"]["actionExecutionId"], mark=given["Mark"], number=number,
            execution=context["pipelineExecutionId"], action=context["action"]["name"],
        )  # fmt: skip
        time.sleep(self.pause)
        more = {} if number >= int(given["Rounds"]) else {"continuationToken": str(number)}
        put = lambda: client.put_job_success_result(jobId=id, **more)  # noqa: E731
        if order is not None and order.flaky and context["action"]["name"] == "Scan" and order.mark not in self.failed:
            why = {"type": "JobFailed", "message": "It fails once"}
            put = lambda: client.put_job_failure_result(jobId=id, failureDetails=why)  # noqa: E731
            self.failed.add(order.mark)
        self._claimed("PutJobResult", put, "InvalidJobStateException", order)
        self.history.write("job_done", id=id)
        self.counts["job"] += 1

    def _claimed(self, what: str, work: Callable[[], Any], stale: str, order: Order | None) -> bool:
        """Whether the job is still there: not if its execution was abandoned. `stale` is what is said of a call that
        was done before, or of a job that nobody waits for any more."""
        answer = self.ask(what, work)
        if answer.refusal is None:
            return True
        if answer.code != stale or not (answer.lost or _abandoned(order)):
            raise answer.refusal
        return answer.lost > 0


def _abandoned(order: Order | None) -> bool:
    """Whether what runs of it may be abandoned at any moment."""
    return order is not None and order.stop in ("abandon", "both")


# ── who is told ──


@contextmanager
def receiving(people: People) -> Iterator[str]:
    """The URL of a receiver, which does a thing once for each Idempotency-Key, and writes down every request."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            _, action, mark, revision = self.path.split("/")
            key = self.headers["Idempotency-Key"]
            people.history.write("told", key=key, action=action, mark=mark, revision=int(revision))
            people.counts["told"] += 1
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nobody asks."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads, server.block_on_close = True, False
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
