"""Turns of pipelines, made in transactions, and the runner of this process told what came of them."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

from codeyard.errors import Conflict
from codeyard.ident import Owner
from codeyard.pipelines import pipelines_table
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
