"""What the actions have in common whose work somebody outside does: job after job is posted, and its result awaited.

Each job is one round. Its result ends the action, or bears a continuation token, with which the next round begins.
Whoever does a job is told of it by what its row has; when it is done, `answer` of the Work wakes the action.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from codeyard.artifacts.buckets import OpenBucket
from codeyard.durable import Answer
from codeyard.errors import Denied, NotFound
from codeyard.ident import Owner
from codeyard.pipelines import job_data, jobs, jobs_table
from codeyard.pipelines.action_types import ActionTypeSpec
from codeyard.pipelines.actions import ActionFailed, Artifact, ErrorCode, Outcome, Place, Told, Work
from codeyard.pipelines.actions.importing import tree_of
from codeyard.pipelines.job_data import About
from codeyard.pipelines.job_results import Result
from codeyard.pipelines.jobs import Doer, Job
from codeyard.pipelines.jobs_table import Stored
from codeyard.store import Database, Duplicate, Tx, patiently

# The key by which objects of the artifact bucket of a place are encrypted: AWS's name of it, None where it has none.
EncryptionKey = Callable[[Place], Awaitable[str | None]]
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


def owner_of(work: Work) -> Owner:
    """Whose the jobs are: an action in another region has them there, for there whoever does them asks."""
    owner = work.place.owner
    return Owner(owner.account, work.declared.region or owner.region)


class Rounds:
    """The jobs of action executions, in the database."""

    def __init__(self, db: Database, now: Callable[[], datetime], encryption_key: EncryptionKey) -> None:
        self._db, self._now, self._encryption_key = db, now, encryption_key

    async def about(self, work: Work, spec: ActionTypeSpec) -> About:
        """What the action has its jobs do. Its inputs are objects of the bucket from now on."""

        async def prepare() -> Answer:
            inputs = [await work.zipped(each) for each in work.inputs]
            key = await self._encryption_key(work.place)
            return job_data.to_json(job_data.about(work, inputs, spec.secrets, key))

        return job_data.from_json(await work.step("prepare", prepare))

    async def post(
        self,
        work: Work,
        about: About,
        doer: Doer,
        number: int,
        continuation: str | None,
        *,
        queue: str,
        deadline: datetime,
    ) -> Stored:
        """The job of this number, made if it is not there yet."""
        now = self._now()
        made = jobs.made(
            Job(
                id=str(uuid.uuid4()),
                run=work.run,
                number=number,
                doer=doer,
                type=work.declared.type,
                created=now,
                deadline=deadline,
                queue=queue,
                continuation=continuation,
            )
        )
        new = Stored(owner_of(work), made, about)

        def put(tx: Tx) -> Stored:
            there = jobs_table.numbered(tx, work.run, number)
            if there is None:
                jobs_table.insert(tx, new)
            return there or new

        try:
            return await patiently(lambda: self._db.write(put))
        except Duplicate:  # another process, that was taken for dead, did it at this moment
            return await self.posted(work, number)

    async def posted(self, work: Work, number: int) -> Stored:
        """The job of this number, which is there."""
        found = await patiently(lambda: self._db.read(lambda tx: jobs_table.numbered(tx, work.run, number)))
        assert found is not None, "jobs are kept for longer than actions run"
        return found

    async def result(self, work: Work, number: int) -> Result:
        """What came of the job of this number, once there is something."""
        await work.answer(number)
        result = (await self.posted(work, number)).result
        assert result is not None, "whoever answers leaves a result"
        return result

    async def give_up(self, work: Work, number: int) -> Result | None:
        """Take no result of this job any more; what came of it, if there was one at the last moment."""

        def end(tx: Tx) -> Result | None:
            jobs_table.end(tx, work.run)
            found = jobs_table.numbered(tx, work.run, number)
            return None if found is None else found.result

        return await patiently(lambda: self._db.write(end))


async def outcome(work: Work, result: Result) -> Outcome:
    """How the action ends by its last result. ActionFailed: it failed, or an output was not uploaded."""
    if result.failure is not None:
        if result.external_id is not None:
            await work.tell(result.told)
        raise result.error

    async def look() -> Answer:
        return {each.name: await asyncio.to_thread(_begins_as_zip, each, work.open_bucket) for each in work.outputs}

    if result.percent is not None:
        await work.tell(Told(percent=result.percent))
    zips = await work.step("outputs", look) if work.outputs else {}
    outputs = [await _imported(work, replace(each, there=True), zipped=zips[each.name]) for each in work.outputs]
    revision = result.current_revision
    if revision is not None and work.declared.type.category == "Source":
        outputs = [replace(each, revision=revision.id) for each in outputs]
    else:
        revision = None
    return Outcome(tuple(outputs), result.variables, revision, result.summary or "", result.external_id)


async def _imported(work: Work, output: Artifact, *, zipped: bool) -> Artifact:
    """With its tree, if it is a zip that can be unpacked; else it is what it is: an object, for whoever can use it."""
    if not zipped:
        return output
    try:
        return replace(output, tree=await tree_of(output, work))
    except ActionFailed as failed:
        if failed.code is not ErrorCode.CONFIGURATION:
            raise
        return output


def _begins_as_zip(output: Artifact, open_bucket: OpenBucket) -> bool:
    try:
        with open_bucket(f"s3://{output.bucket}").read(output.key) as found:
            head = b""
            for piece in found.pieces:
                head += piece
                if len(head) >= len(_ZIP[0]):
                    break
    except NotFound:
        text = (
            f"The output artifact {output.name} was not uploaded: there is no object {output.key} in the bucket "
            f"{output.bucket}."
        )
        raise ActionFailed(ErrorCode.JOB_FAILED, text) from None
    except Denied as denied:
        text = f"Unable to access the artifact with Amazon S3 object key '{output.key}': {denied.why}"
        raise ActionFailed(ErrorCode.PERMISSION, text) from None
    return head[:4] in _ZIP
