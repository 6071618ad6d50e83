"""Definitions of pipelines: written down, replaced and deleted, each in one turn.

The document was checked by `rules`, and its secrets are sealed apart from it.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace

from codeyard.aws import Refused
from codeyard.ident import Owner
from codeyard.pipelines import executions_table, pipelines_table, runs_table
from codeyard.pipelines.happenings import Deleted, Started, Updated
from codeyard.pipelines.model import parse
from codeyard.pipelines.starting import Trigger, given_facts
from codeyard.pipelines.state import begin
from codeyard.pipelines.stored import StoredPipeline, StoredVersion
from codeyard.pipelines.taking import Taking
from codeyard.pipelines.turns import Taken, missing
from codeyard.store import Tx


class Definitions:
    """See the module."""

    def __init__(self, taking: Taking) -> None:
        self._taking = taking

    async def create(
        self, owner: Owner, version: StoredVersion, tags: Mapping[str, str], by: str
    ) -> tuple[StoredPipeline, str]:
        """A new pipeline, and the execution that begins with it. `version` is its first, checked and sealed.

        Refused: PipelineNameInUseException.
        """
        now, plan, id = self._taking.now(), parse(version.shape), str(uuid.uuid4())
        line = begin(1, plan.mode, tuple(stage.name for stage in plan.stages))
        stored = StoredPipeline(owner, plan.name, now, now, line, tags)
        facts = {"trigger": Trigger("CreatePipeline", by).shape, **given_facts(plan, {}, required=False)}

        def work(tx: Tx) -> Taken:
            there = pipelines_table.hold(tx, owner, plan.name)
            if there is not None and executions_table.load(tx, owner, plan.name, id) is not None:
                return Taken(there)  # the commit's answer was lost on the way
            if there is not None:
                text = f"A pipeline with the name '{plan.name}' already exists in account '{owner.account}'"
                raise Refused("PipelineNameInUseException", text)
            pipelines_table.insert(tx, stored, version)
            return self._taking.take(tx, stored, Started(id), facts)

        taken = await self._taking.turn(work)
        return taken.pipeline, id

    async def update(
        self, owner: Owner, name: str, make: Callable[[Tx, StoredPipeline, StoredVersion], StoredVersion]
    ) -> tuple[StoredPipeline, StoredVersion]:
        """The pipeline with a new version, which `make` makes of the pipeline and its version until now."""
        made: list[StoredVersion] = []

        def work(tx: Tx, held: StoredPipeline) -> Taken:
            was = pipelines_table.version_of(tx, owner, name, held.version)
            assert was is not None
            version = make(tx, held, was)
            made.append(version)
            pipelines_table.add_version(tx, owner, name, version)
            held = replace(held, updated=self._taking.now())
            pipelines_table.save(tx, held)
            return self._taking.take(tx, held, Updated(version.version))

        taken = await self._taking.once(owner, name, work)
        return taken.pipeline, made[-1]

    async def delete(self, owner: Owner, name: str) -> None:
        """With its executions. One that is not there counts as deleted."""

        def work(tx: Tx) -> Taken | None:
            held = pipelines_table.hold(tx, owner, name)
            if held is None:
                return None
            taken = self._taking.take(tx, held, Deleted())
            runs_table.remove(tx, owner, name)
            executions_table.remove(tx, owner, name)
            pipelines_table.remove(tx, owner, name)
            return taken

        await self._taking.turn(work)

    async def get(self, owner: Owner, name: str, version: int | None = None) -> tuple[StoredPipeline, StoredVersion]:
        """A pipeline and one version of its definition. Refused: Pipeline-, PipelineVersionNotFoundException."""

        def work(tx: Tx) -> tuple[StoredPipeline, StoredVersion]:
            stored = pipelines_table.load(tx, owner, name)
            if stored is None:
                raise missing(owner, name)
            found = pipelines_table.version_of(tx, owner, name, version or stored.version)
            if found is None:
                text = f"Account '{owner.account}' does not have a pipeline with name '{name}' and version '{version}'"
                raise Refused("PipelineVersionNotFoundException", text)
            return stored, found

        return await self._taking.db.read(work)
