"""An action of a type of one's own, whose jobs a worker polls for (User Guide, "Create a custom action")."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from codeyard.durable import Answer
from codeyard.pipelines import custom_types_table, job_data
from codeyard.pipelines.action_types import ActionTypeSpec, link
from codeyard.pipelines.actions import ActionFailed, ErrorCode, Outcome, Told, Work
from codeyard.pipelines.actions.job_rounds import EncryptionKey, Rounds, outcome, owner_of
from codeyard.pipelines.job_data import About
from codeyard.pipelines.job_results import Result
from codeyard.pipelines.jobs import Doer
from codeyard.store import Database, patiently

_QUERIED = 50  # characters of a value that jobs are asked for by (ActionConfigurationQueryableValue)


# AWS names no limit; a worker that goes on at once each time, for a day, would fill the database.
ROUNDS = 10_000


class CustomAction:
    """Of every type that has job workers. `rounds`: how many jobs one execution may have."""

    def __init__(
        self, db: Database, now: Callable[[], datetime], encryption_key: EncryptionKey, *, rounds: int = ROUNDS
    ) -> None:
        self._db, self._rounds, self._most = db, Rounds(db, now, encryption_key), rounds

    async def run(self, work: Work) -> Outcome:
        spec = await self._spec(work)
        about = await self._rounds.about(work, spec)
        if entity := link(spec, "entityUrlTemplate", about.configuration):
            await work.tell(Told(entity_url=entity))
        result = Result()
        for number in range(self._most):
            await self._post(work, spec, about, number, result)
            result = await self._rounds.result(work, number)
            if result.continuation is None:
                return await self._outcome(work, spec, about, result)
        text = f"The action had {self._most} jobs, each of which ended with a continuation token."
        raise ActionFailed(ErrorCode.JOB_FAILED, text)

    async def _outcome(self, work: Work, spec: ActionTypeSpec, about: About, last: Result) -> Outcome:
        if url := _execution_url(spec, about, last):
            await work.tell(Told(external_url=url))
        ended = await outcome(work, last)
        found = ended.revision
        url = None if found is None else link(spec, "revisionUrlTemplate", about.configuration, found.id)
        return ended if found is None or url is None else replace(ended, revision=replace(found, url=url))

    async def _spec(self, work: Work) -> ActionTypeSpec:
        owner, type = owner_of(work), work.declared.type
        catalogue = await patiently(lambda: self._db.read(lambda tx: custom_types_table.catalogue(tx, owner)))
        spec = catalogue.find(type)
        if spec is None:
            text = f"The action type {type} was deleted, or was never there."
            raise ActionFailed(ErrorCode.CONFIGURATION, text)
        asked = spec.queryable
        if asked is not None and len(work.declared.configuration.get(asked.name, "")) > _QUERIED:
            text = f"The value of {asked.name} has more than {_QUERIED} characters, and no worker can ask for it."
            raise ActionFailed(ErrorCode.CONFIGURATION, text)
        return spec

    async def _post(self, work: Work, spec: ActionTypeSpec, about: About, number: int, last: Result) -> None:
        async def post() -> Answer:
            if number > 0:  # here, so that a process that goes through it again does not tell of old progress
                await work.tell(replace(last.told, external_url=_execution_url(spec, about, last)))
            queue = job_data.queue(spec, about.configuration)
            stored = await self._rounds.post(
                work, about, Doer.WORKER, number, last.continuation, queue=queue, deadline=work.deadline
            )
            return {"id": stored.job.id}

        await work.step(f"job {number}", post)


def _execution_url(spec: ActionTypeSpec, about: About, last: Result) -> str | None:
    id = last.external_id
    return None if id is None else link(spec, "executionUrlTemplate", about.configuration, id)
