"""Turns of pipelines, made in transactions, and the runner of this process told what came of them."""

import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

from codeyard.errors import Conflict
from codeyard.ident import Owner
from codeyard.pipelines import executions_table, pipelines_table
from codeyard.pipelines.happenings import Event
from codeyard.pipelines.runners import Runners
from codeyard.pipelines.stored import StoredPipeline, StoredRun
from codeyard.pipelines.turns import Taken, missing, take_held
from codeyard.store import Database, Duplicate, Tx

T = TypeVar("T")
M = TypeVar("M", Taken, Taken | None)
_TRIES = 10


class Taking:
    """See the module. `runners` is the bell of this process's runner, whose are the runs that begin here."""

    def __init__(self, db: Database, now: Callable[[], datetime], runners: Runners) -> None:
        self.db, self.now, self.runners = db, now, runners

    async def once(self, owner: Owner, name: str, work: Callable[[Tx, StoredPipeline], Taken]) -> Taken:
        """The turn that `work` makes of the pipeline, which is held. Refused.

        Where the commit's answer is lost on the way, the database does the transaction again: that finds the token of
        the first, and changes nothing.
        """
        token, made = f"turn-{uuid.uuid4()}", list[Taken]()

        def whole(tx: Tx) -> Taken:
            held = self.held(tx, owner, name)
            if executions_table.used(tx, owner, name, token) is None:
                executions_table.use(tx, owner, name, token, "", "")
                made.append(work(tx, held))
            return made[-1]

        return await self.turn(whole)

    async def turn(self, work: Callable[[Tx], M]) -> M:
        """What the transaction gives, once it is written down and told."""
        taken = await self.write(work)
        self.tell(taken)
        return taken

    def tell(self, taken: Taken | None) -> None:
        if taken is not None:
            self.runners.touched(taken.abandoned)
            self.runners.begun(taken.begun)

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Once more where somebody came in between: the same token or name twice at once."""
        for _ in range(_TRIES):
            with suppress(Duplicate, Conflict):
                return await self.db.write(work)
        return await self.db.write(work)

    def take(
        self,
        tx: Tx,
        held: StoredPipeline,
        event: Event,
        facts: Mapping[str, Any] | None = None,
        ended: StoredRun | None = None,
    ) -> Taken:
        """The turn, in this transaction; see `turns.take_held`."""
        return take_held(tx, held, event, runner=self.runners.id, now=self.now(), facts=facts, ended=ended)

    @staticmethod
    def held(tx: Tx, owner: Owner, name: str) -> StoredPipeline:
        """The pipeline, held. Refused: there is none."""
        found = pipelines_table.hold(tx, owner, name)
        if found is None:
            raise missing(owner, name)
        return found
