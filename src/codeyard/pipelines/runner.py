"""A runner does action executions: those that begin in its process, and those that nobody does any more.

It may be killed at any moment: the next process of its name, or any other once its lease is over, takes its runs over,
with the steps that they have done. It ends a run when its time is over, and leaves one that somebody else ended.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from codeyard.errors import CodeyardError, Invalid
from codeyard.pipelines import runs_table
from codeyard.pipelines.actions import Action, ActionFailed, ErrorCode, Outcome, code_of
from codeyard.pipelines.control import PipelineControl
from codeyard.pipelines.model import ActionType
from codeyard.pipelines.run_data import VARIABLES_AT_MOST, outcome_data, type_of
from codeyard.pipelines.runs_table import Glance, glance_of
from codeyard.pipelines.stored import StoredRun
from codeyard.pipelines.work import Means, NotOurs, RunWork, prepare
from codeyard.store import Away, Tx

ActionFor = Callable[[ActionType], Action | None]
_AT_ONCE = 1000  # runs taken over in one go
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Held:
    """A run that is being done here."""

    run: StoredRun
    glance: Glance  # as it was seen last
    task: "asyncio.Task[None] | None" = None
    work: RunWork | None = None
    answers: list[Any] = field(default_factory=list)


class Runner:
    """Works for as long as it is entered. Leaving it ends no run: another process goes on with them."""

    def __init__(
        self,
        control: PipelineControl,
        means: Means,
        action_for: ActionFor,
        *,
        lease: float = 30.0,
        poll: float = 1.0,
    ) -> None:
        """Times are in seconds. `control.runners.id` is this runner's name; `action_for` gives what does a type."""
        assert control.runners.id is not None
        self._id: str = control.runners.id
        self._control, self._means, self._action_for = control, means, action_for
        self._db, self._now, self._bell = means.db, means.now, control.runners
        self._lease, self._beat, self._poll = timedelta(seconds=lease), lease / 6, poll
        self._held: dict[str, _Held] = {}
        self._said_alive = 0.0
        self._looked = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        with suppress(Away):  # before anything begins here, that nobody takes it over
            await self._say_alive()
        self._task = asyncio.create_task(self._go_on(), name=f"runner {self._id}")
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        tasks = [each for each in (self._task, *(held.task for held in self._held.values())) if each is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(CodeyardError):  # so that another need not wait for the lease to be over
            await self._db.write(lambda tx: runs_table.say_alive(tx, self._id, self._now()))

    @property
    def running(self) -> int:
        """How many runs it has."""
        return len(self._held)

    # ── what there is to do ──

    async def _go_on(self) -> None:
        while True:
            begun, touched = self._bell.taken()
            for run in begun:
                self._do(run)
            try:
                await self._look(touched)
            except Away as error:
                _log.warning("runner_waits runner=%s error=%s", self._id, error)
                await asyncio.sleep(self._poll)
            except Exception:  # noqa: BLE001 - nothing may end a runner
                _log.exception("runner_broke runner=%s", self._id)
                await asyncio.sleep(self._poll)
            with suppress(TimeoutError):
                # Who has nothing is called for what begins here, and looks seldom for what others left.
                async with asyncio.timeout(self._poll if self._held else max(self._poll, self._beat)):
                    await self._bell.bell.wait()

    async def _look(self, touched: set[str]) -> None:
        """At the rows: those that were touched, now and then at all of ours, and for runs that nobody has."""
        mine = touched & set(self._held)
        if mine:
            self._compare(await self._db.read(lambda tx: runs_table.these(tx, mine)), mine)
        if time.monotonic() - self._looked < self._poll:
            return
        if time.monotonic() - self._said_alive >= self._beat:
            await self._say_alive()
        before = set(self._held)
        free, seen = await self._db.read(self._seen)
        if free:
            await self._db.write(lambda tx: runs_table.claim(tx, self._id, self._now(), _AT_ONCE))
            free, seen = await self._db.read(self._seen)
        self._looked = time.monotonic()
        await self._follow(seen, before)

    async def _follow(self, seen: dict[str, Glance], before: set[str]) -> None:
        """Read what is new of the runs that are ours, and nothing else; `before`: those held when they were seen."""
        now = self._now()
        known = {id: held.glance for id, held in self._held.items()}
        news = {id for id, glance in seen.items() if glance.deadline < now or known.get(id) != glance}
        rows = await self._db.read(lambda tx: runs_table.these(tx, news)) if news else {}
        self._compare(rows, before - set(seen) | before & news)
        for run in rows.values():
            if run.status.is_running and run.runner == self._id:
                self._do(run)
                self._held[run.id].glance = seen[run.id]
        await self._end_overdue(rows)

    def _seen(self, tx: Tx) -> tuple[bool, dict[str, Glance]]:
        """Whether there are runs that nobody has; and ours."""
        return runs_table.any_free(tx, self._now()), runs_table.held_by(tx, self._id)

    async def _say_alive(self) -> None:
        await self._db.write(lambda tx: runs_table.say_alive(tx, self._id, self._now() + self._lease))
        self._said_alive = time.monotonic()

    def _compare(self, rows: dict[str, StoredRun], held: set[str]) -> None:
        """Leave those that ended or are another's; bring answers."""
        for id in held & set(self._held):
            mine, row = self._held[id], rows.get(id)
            if row is None or not row.status.is_running or row.generation != mine.run.generation:
                if mine.task is not None:
                    mine.task.cancel()
                continue
            mine.answers = list(row.answers)
            if mine.work is not None and len(mine.work.answers) < len(mine.answers):
                mine.work.answers = mine.answers
                mine.work.news.set()

    async def _end_overdue(self, rows: dict[str, StoredRun]) -> None:
        now = self._now()
        for run in rows.values():
            if run.deadline < now:
                minutes = round((run.deadline - run.started).total_seconds() / 60)
                text = f"The action execution timed out after {minutes} minutes"
                await self._control.end_run(run, (ErrorCode.JOB_FAILED, text), {})

    # ── one run ──

    def _do(self, run: StoredRun) -> None:
        if run.id in self._held:
            return
        held = _Held(run, glance_of(run))
        self._held[run.id] = held
        held.task = asyncio.create_task(self._done(held), name=f"action {run.id}")

    async def _done(self, held: _Held) -> None:
        try:
            await self._perform(held)
        except NotOurs:
            pass
        except Exception:  # noqa: BLE001 - it is begun again at the next look
            _log.exception("run_broke run=%s", held.run.id)
        finally:
            self._held.pop(held.run.id, None)

    async def _perform(self, held: _Held) -> None:
        while True:
            try:
                error, more = await self._result(held)
                return await self._end(held.run, error, more)
            except Away as away:  # the action goes on from its steps when the database is back
                _log.warning("action_waits run=%s error=%s", held.run.id, away)
            await asyncio.sleep(self._poll)

    async def _result(self, held: _Held) -> tuple[tuple[ErrorCode, str] | None, dict[str, Any]]:
        """The error that it ended with, if it failed, and what is written down of it. NotOurs; Away."""
        try:
            return None, outcome_data(await self._outcome(held))
        except (NotOurs, Away):
            raise
        except ActionFailed as failed:
            return (failed.code, failed.message), {"summary": failed.summary} if failed.summary else {}
        except CodeyardError as wrong:
            return (code_of(wrong), str(wrong)), {}
        except Exception as wrong:  # noqa: BLE001 - a mistake of ours, which must not leave the run running
            _log.exception("action_broke run=%s type=%s", held.run.id, type_of(held.run))
            return (ErrorCode.UNAVAILABLE_SYSTEM, f"a bug in Codeyard: {type(wrong).__name__}"), {}

    async def _outcome(self, held: _Held) -> Outcome:
        kind = type_of(held.run)
        action = self._action_for(kind)
        if action is None:
            raise ActionFailed(ErrorCode.CONFIGURATION, f"Actions of type {kind} cannot be run here")
        held.work = await prepare(held.run, self._means)
        if len(held.work.answers) < len(held.answers):
            held.work.answers = held.answers
        outcome = await action.run(held.work)
        size = sum(len(name) + len(value.encode()) for name, value in outcome.variables.items())
        if size > VARIABLES_AT_MOST:
            raise Invalid("output variables", f"they have {size} bytes, over {VARIABLES_AT_MOST}.", "Give fewer.")
        return outcome

    async def _end(self, run: StoredRun, error: tuple[ErrorCode, str] | None, more: dict[str, Any]) -> None:
        while True:
            try:
                return await self._control.end_run(run, error, more, run.generation)
            except Away as away:  # what was done was done: it is written down when the database is back
                _log.warning("run_end_waits run=%s error=%s", run.id, away)
            await asyncio.sleep(self._poll)
