"""The operations of job workers over a database, and workers who use them; answers go to benches."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import count
from typing import Any

from botocore.session import get_session
from botocore.validate import validate_parameters

from codeyard.aws import Caller, Refused
from codeyard.ident import Owner
from codeyard.pipelines import custom_types_table
from codeyard.pipelines.action_types import ActionTypeSpec, Counts, Executor, Property
from codeyard.pipelines.actions import Place
from codeyard.pipelines.api_jobs import JobOperations
from codeyard.pipelines.job_data import Credentials
from codeyard.pipelines.model import ActionType
from codeyard.store import Tx
from codeyard.store.engine import SqlDatabase
from tests.calls import call
from tests.pipelines.works import NOON, OWNER, ROLE, Bench

BUILD = ActionType("Build", "Custom", "Jenkins")
SPEC = ActionTypeSpec(
    BUILD,
    (Property("Project", required=True, queryable=True), Property("Password", secret=True)),
    Counts(0, 5),
    Counts(0, 5),
    executor=Executor.JOB_WORKER,
)
TYPE = {"category": "Build", "owner": "Custom", "provider": "Jenkins", "version": "1"}
POLL: Mapping[str, Any] = {"actionTypeId": TYPE, "queryParam": {"Project": "p"}, "maxBatchSize": 9}
SECRET = "hunter2"
MODEL = get_session().get_service_model("codepipeline")


async def no_key(_place: Place) -> str | None:
    return None


class Yard:
    """A server's part for job workers. `clock` is its time, `role_is_there` whether the jobs' role can be assumed."""

    def __init__(self, db: SqlDatabase, *benches: Bench) -> None:
        self.db, self.clock, self.role_is_there, self.ended = db, NOON, True, False
        self.benches = {bench.run: bench for bench in benches}
        self.answers: dict[str, Mapping[str, Any]] = {}
        self.woken: list[str] = []
        numbers = count(1)
        self.operations = JobOperations(
            db, self.now, self._answer, self._wake, self._secrets, self.credentials, lambda: f"n{next(numbers)}"
        )

    def now(self) -> Any:
        return self.clock

    async def prepare(self, *specs: ActionTypeSpec) -> None:
        """These types of one's own."""
        for spec in specs or (SPEC,):
            stored = custom_types_table.Stored(spec, {})
            await self.db.write(lambda tx, stored=stored: custom_types_table.insert(tx, OWNER, stored))  # type: ignore[misc]

    async def ask(self, name: str, owner: Owner = OWNER, **given: Any) -> Any:
        handlers = {
            "PollForJobs": self.operations.poll,
            "AcknowledgeJob": self.operations.acknowledge,
            "GetJobDetails": self.operations.details,
            "PutJobSuccessResult": self.operations.succeed,
            "PutJobFailureResult": self.operations.fail,
        }
        validate_parameters(given, MODEL.operation_model(name).input_shape)
        root = Caller(owner.account, f"arn:aws:iam::{owner.account}:root", owner.account)
        return await handlers[name](call("codepipeline", name, owner.region, root, **given))

    async def code(self, name: str, owner: Owner = OWNER, **given: Any) -> str:
        """What it is refused with; "" if it is not."""
        try:
            await self.ask(name, owner, **given)
        except Refused as refused:
            return refused.code
        return ""

    async def take(self, owner: Owner = OWNER) -> dict[str, Any]:
        """One job, polled for and acknowledged."""
        [job] = (await self.ask("PollForJobs", owner, **POLL))["jobs"]
        await self.ask("AcknowledgeJob", owner, jobId=job["id"], nonce=job["nonce"])
        found: dict[str, Any] = job
        return found

    def pass_time(self, **parts: float) -> None:
        self.clock += timedelta(**parts)

    async def credentials(self, role: str, read: Sequence[str], written: Sequence[str]) -> Credentials:
        if not self.role_is_there:
            raise Refused("AccessDenied", f"Not authorized to perform: sts:AssumeRole on resource: {role}", 403)
        assert role == ROLE
        return Credentials("ASIA", f"reads {' '.join(read)}", f"writes {' '.join(written)}")

    def _answer(self, _tx: Tx, run: str, answer: Mapping[str, Any]) -> None:
        if self.ended:
            raise Refused("InvalidJobStateException", "The action execution has ended.")
        self.answers[run] = answer

    def _wake(self, run: str) -> None:
        self.woken.append(run)
        if run in self.benches:
            self.benches[run].give(self.answers[run])

    async def _secrets(self, _owner: Owner, _run: str) -> Mapping[str, str]:
        return {"Password": SECRET}
