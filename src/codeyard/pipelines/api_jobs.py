"""The operations of job workers, and of the functions that are called with jobs.

A job is its owner's: of an account, in a region. Of another's, as of one that never was, nothing is said but
JobNotFoundException. Secrets and credentials are fetched for each answer, and kept nowhere.
"""

import logging
import secrets as randomness
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from codeyard.aws import Call, Refused, Shape, operation
from codeyard.errors import CodeyardError
from codeyard.ident import Owner
from codeyard.pipelines import custom_types_table, job_data, job_results, jobs, jobs_table
from codeyard.pipelines.action_types import ActionTypeSpec, Executor
from codeyard.pipelines.api_action_types import arn_of, not_available
from codeyard.pipelines.job_data import GiveCredentials
from codeyard.pipelines.job_results import Result
from codeyard.pipelines.jobs import OPEN, Job
from codeyard.pipelines.jobs_table import Stored
from codeyard.pipelines.model import ActionType
from codeyard.pipelines.run_data import VARIABLES_AT_MOST
from codeyard.store import Database, Tx

# Writes down that the action execution `run` has an answer, which `Work.answer` gives: in the transaction of the
# result. InvalidJobStateException, if nobody waits for one any more.
Answers = Callable[[Tx, str, Mapping[str, Any]], None]
# The values of the secret keys of an action execution's configuration, in clear.
Secrets = Callable[[Owner, str], Awaitable[Mapping[str, str]]]

_AT_MOST = 100  # jobs of one poll, whatever the worker would take
_PARTNERS = (
    "jobs for partners are done by workers that AWS's partners run, who prove themselves by a client token that AWS "
    "gives them; Codeyard has no partners. Make a custom action type, and poll for its jobs."
)
DECLINED = dict.fromkeys(
    "PollForThirdPartyJobs AcknowledgeThirdPartyJob GetThirdPartyJobDetails PutThirdPartyJobSuccessResult "
    "PutThirdPartyJobFailureResult".split(),
    _PARTNERS,
)
_log = logging.getLogger(__name__)


def _polled_arn(call: Call) -> str:
    return arn_of(call.owner, _type(call))


class JobOperations:
    """PollForJobs, AcknowledgeJob, GetJobDetails, PutJobSuccessResult, PutJobFailureResult."""

    def __init__(
        self,
        db: Database,
        now: Callable[[], datetime],
        answer: Answers,
        wake: Callable[[str], None],
        secrets: Secrets,
        credentials: GiveCredentials,
        nonce: Callable[[], str] = lambda: randomness.token_hex(16),
    ) -> None:
        """`wake` is told of the action execution, once its answer is written down."""
        self._db, self._now, self._nonce = db, now, nonce
        self._answer, self._wake = answer, wake
        self._secrets, self._credentials = secrets, credentials

    @operation("PollForJobs", _polled_arn)
    async def poll(self, call: Call) -> Shape:
        type = _type(call)
        if type.owner != custom_types_table.CUSTOM:
            text = "PollForJobs can only be used for action types with Custom in the owner field."
            raise Refused("ValidationException", text)
        most = min(call.input.get("maxBatchSize") or 1, _AT_MOST)

        def offer(tx: Tx) -> tuple[Stored, ...]:
            spec = custom_types_table.catalogue(tx, call.owner).find(type)
            if spec is None or spec.executor is not Executor.JOB_WORKER:
                raise not_available(type, call.region)
            queue = _asked_queue(spec, call.input.get("queryParam") or {})
            return jobs_table.offer(tx, call.owner, type, queue, most, self._nonce, self._now())

        offered = await self._db.write(offer)
        return {"jobs": [shape for each in offered if (shape := await self._offered(each)) is not None]}

    @operation("AcknowledgeJob")
    async def acknowledge(self, call: Call) -> Shape:
        nonce, done = call.input["nonce"], list[Job]()

        def acknowledged(job: Job) -> Job:
            if job not in done:  # else the commit's answer was lost on the way
                done.append(jobs.acknowledge(job, nonce, self._now()))
            return done[-1]

        changed = await self._db.write(lambda tx: jobs_table.change(tx, call.owner, call.input["jobId"], acknowledged))
        if changed is None:
            raise _not_found(call)
        return {"status": changed.job.status.value}

    @operation("GetJobDetails")
    async def details(self, call: Call) -> Shape:
        """With new credentials each time; of a job that is over, without, and without secrets."""
        stored = await self._db.read(lambda tx: jobs_table.found(tx, call.owner, call.input["jobId"]))
        if stored is None:
            raise _not_found(call)
        if jobs.as_of(stored.job, self._now()).status in OPEN:
            data = await self._data(stored)
        else:
            data = job_data.data(stored.job, stored.about, {}, None)
        return {"jobDetails": {"id": stored.job.id, "accountId": stored.about.account, "data": data}}

    @operation("PutJobSuccessResult")
    async def succeed(self, call: Call) -> Shape:
        return await self._finish(call, job_results.success(call.input, VARIABLES_AT_MOST))

    @operation("PutJobFailureResult")
    async def fail(self, call: Call) -> Shape:
        return await self._finish(call, job_results.failure(call.input))

    async def _finish(self, call: Call, result: Result) -> Shape:
        now, id, done = self._now(), call.input["jobId"], list[Stored]()

        def finished(job: Job) -> Job:
            if any(job == each.job for each in done):  # our first try has just been committed
                return job
            return jobs.finish(job, succeeded=result.failure is None, now=now)

        def work(tx: Tx) -> str:
            stored = jobs_table.found(tx, call.owner, id)
            if stored is None:
                raise _not_found(call)
            if stored in done:  # the commit's answer was lost on the way
                return stored.job.run
            done.append(replace(stored, job=finished(stored.job), result=result))
            # The action execution's row before the job's, as whoever ends the execution and with it its jobs.
            self._answer(tx, stored.job.run, {"job": id})
            jobs_table.change(tx, call.owner, id, finished)
            jobs_table.put_result(tx, id, result)
            return stored.job.run

        self._wake(await self._db.write(work))
        return {}

    async def _offered(self, stored: Stored) -> Shape | None:
        """The shape Job; None, if nobody can do it now: it is offered again later."""
        try:
            data = await self._data(stored)
        except CodeyardError as error:  # its role was deleted, say; other jobs need not wait for that
            _log.warning("job_not_offered job=%s run=%s why=%s", stored.job.id, stored.job.run, error)
            return None
        return {"id": stored.job.id, "nonce": stored.job.nonce, "accountId": stored.about.account, "data": data}

    async def _data(self, stored: Stored) -> dict[str, Any]:
        about = stored.about
        secrets = await self._secrets(stored.owner, stored.job.run) if about.secrets else {}
        read, written = [each.arn for each in about.inputs], [each.arn for each in about.outputs]
        credentials = await self._credentials(about.role, read, written) if read or written else None
        return job_data.data(stored.job, about, secrets, credentials)


def _asked_queue(spec: ActionTypeSpec, asked: Mapping[str, str]) -> str:
    """Which jobs are asked for. ValidationException: not by the type's queryable key, or by one that it has not."""
    key = spec.queryable.name if spec.queryable is not None else None
    if set(asked) != ({key} if key is not None else set()):
        wanted = f"have exactly the key {key}" if key is not None else "be empty"
        raise Refused("ValidationException", f"The queryParam of a poll for jobs of {spec.id} must {wanted}.")
    return job_data.queue(spec, asked)


def _type(call: Call) -> ActionType:
    given = call.input["actionTypeId"]
    return ActionType(given["category"], given["owner"], given["provider"], given["version"])


def _not_found(call: Call) -> Refused:
    return Refused("JobNotFoundException", f"The job {call.input['jobId']} does not exist.")
