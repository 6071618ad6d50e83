"""Looks at pipelines' sources from time to time, and starts an execution for what changed: once, however many look.

A row for each pipeline says what was seen, and when to look again; whoever changes it compares its turn. What is to be
started is written down together with what was seen, and taken away once it is started: who dies in between leaves it to
the next, and each start has a token by which a second one is known. The first look at a source, and the first after
its configuration changed, only remembers.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from codeyard.aws import Refused
from codeyard.errors import CodeyardError, Invalid, NotFound
from codeyard.ident import Owner
from codeyard.pipelines import polling_table as table
from codeyard.pipelines.changes import Begin, Change, Seen, Source, Watched, begins, mark, sources
from codeyard.pipelines.looking import Found
from codeyard.pipelines.pipelines_table import Current
from codeyard.pipelines.polling_table import Due, Poll
from codeyard.store import Database, Duplicate

AT_ONCE = 8  # pipelines that are looked at, of those that did not fail the last time and of those that did
LOOK = 240.0  # seconds that looking at one pipeline may take
LEASE = timedelta(seconds=300)  # then another may look; more than LOOK and what comes after
LONGEST = timedelta(minutes=15)  # between looks at what always fails
_log = logging.getLogger(__name__)

Look = Callable[[Watched, Source, Seen | None], Awaitable[Found]]


class Watches(Protocol):
    """Knows the pipelines; see `watching`."""

    async def names(self) -> Sequence[Current]:
        """All whose sources are looked at."""
        ...

    async def watched(self, name: Current) -> Watched | None:
        """One of these; None: it is gone."""
        ...


class Start(Protocol):
    """Starts executions."""

    async def __call__(self, watched: Watched, begin: Begin) -> None:
        """Start it, unless one of this token was; see `Begin.given`. Refused, NotFound, Invalid; CodeyardError: not
        now."""
        ...


class Polling:
    """`every` is in seconds. `look` is `Looking.look`."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        watching: Watches,
        look: Look,
        start: Start,
        every: float = 60.0,
    ) -> None:
        self._database, self._now, self._watching = database, now, watching
        self._look, self._start, self._every = look, start, timedelta(seconds=every)
        # Hosts that do not answer take their time: that is not to be the others'.
        self._well, self._failing = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(AT_ONCE)
        self._under_way: set[Current] = set()
        self._silent: set[tuple[Owner, str]] = set()  # pipelines of which a source did not answer the last time

    async def run(self) -> None:
        """Look until cancelled. Nothing that goes wrong ends it."""
        pause = max(0.05, min(self._every.total_seconds() / 4, 15.0))
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    await self._begin(group)
                except Exception:  # noqa: BLE001 - told to the log; the next time it may work
                    _log.exception("polling_failed")
                await asyncio.sleep(pause)

    async def once(self) -> None:
        """Look at every pipeline whose time has come. What the database raises."""
        async with asyncio.TaskGroup() as group:
            await self._begin(group)

    async def _begin(self, group: asyncio.TaskGroup) -> None:
        """Those whose time has come, in tasks of the group, but for those that are still being looked at."""
        dues = await self._database.read(table.dues)
        named = {(one.owner, one.pipeline): one for one in await self._watching.names()}
        # Rows were read first: one that is here and has no pipeline has none any more.
        for owner, pipeline in dues.keys() - named.keys():
            turn = dues[owner, pipeline].turn
            await self._database.write(partial(table.remove, owner=owner, pipeline=pipeline, turn=turn))
        for key, one in named.items():
            row = dues.get(key) or await self._made(one)
            if row is not None and row.at <= self._now() and one not in self._under_way:
                self._under_way.add(one)
                task = group.create_task(self._limited(one, row))
                task.add_done_callback(partial(self._over, one))

    async def _limited(self, one: Current, row: Due) -> None:
        try:
            silent = (one.owner, one.pipeline) in self._silent
            async with self._failing if row.failing or silent else self._well:
                await self._turn(one, row.turn)
        except Exception:  # noqa: BLE001 - told to the log; one pipeline is not to stop the others
            _log.exception("poll_failed pipeline=%s", one.pipeline)

    def _over(self, one: Current, _task: "asyncio.Task[None]") -> None:
        self._under_way.discard(one)

    async def _made(self, one: Current) -> Due | None:
        row = Poll(one.owner, one.pipeline, self._now())
        try:
            await self._database.write(lambda tx: table.insert(tx, row))
        except Duplicate:  # another server was quicker, and looks
            return None
        return Due(row.due, row.turn, failing=False)

    async def _turn(self, one: Current, turn: int) -> None:
        """One look at one pipeline, if nobody else has it."""
        until = self._now() + LEASE
        held = await self._database.write(lambda tx: table.claim(tx, one.owner, one.pipeline, turn, until))
        watched = await self._watching.watched(one) if held is not None else None
        if held is None or watched is None:
            return
        if held.pending:  # somebody died, or could not start them
            held = await self._started(watched, held)
            if held is None or held.pending:
                return
        seen, changes, failed = await self._looked(watched, held.seen)
        failures = held.failures + 1 if failed else 0
        token = _token(held)
        found = await self._saved(
            held, seen=seen, pending=begins(changes, token), failures=failures, due=self._next(failures)
        )
        if found is not None and found.pending:
            await self._started(watched, found)

    async def _looked(
        self, watched: Watched, before: Mapping[str, tuple[str, Seen]]
    ) -> tuple[dict[str, tuple[str, Seen]], list[Change], bool]:
        """What was seen of each source, what changed, and whether no source at all could be looked at."""
        seen: dict[str, tuple[str, Seen]] = {}
        changes: list[Change] = []
        looked = 0
        every = sources(watched.declaration)
        key = (watched.owner, watched.pipeline)
        self._silent.discard(key)
        for source in every:
            now = mark(watched, source)
            known = before.get(source.name)
            same = known if known is not None and known[0] == now else None
            try:
                async with asyncio.timeout(LOOK / len(every)):
                    found = await self._look(watched, source, None if same is None else same[1])
            except (CodeyardError, TimeoutError) as error:
                _log.warning("poll_failed pipeline=%s action=%s error=%s", watched.pipeline, source.name, error)
                if isinstance(error, TimeoutError):
                    self._silent.add(key)
                if same is not None:
                    seen[source.name] = same
                continue
            looked += 1
            seen[source.name] = (now, found.seen)
            changes += found.changes
        return seen, changes, looked == 0

    async def _started(self, watched: Watched, row: Poll) -> Poll | None:
        """The row, once all that was pending is started; with what is left, if one could not be."""
        left = list(row.pending)
        failures = row.failures
        while left:
            try:
                await self._start(watched, left[0])
            except CodeyardError as error:
                _log.warning("start_failed pipeline=%s error=%s", watched.pipeline, error)
                if not _for_good(error):
                    failures += 1
                    break
            left.pop(0)
        due = self._next(failures) if left else row.due
        return await self._saved(row, pending=tuple(left), failures=failures, due=due)

    async def _saved(self, was: Poll, **changes: object) -> Poll | None:
        """The row as it is now; None if somebody else changed it."""
        now: Poll = replace(was, turn=was.turn + 1, **changes)  # type: ignore[arg-type]
        return now if await self._database.write(lambda tx: table.save(tx, was, now)) else None

    def _next(self, failures: int) -> datetime:
        pause = self._every * (1 << min(failures, 12))
        return self._now() + min(pause, max(LONGEST, self._every))


def _for_good(error: CodeyardError) -> bool:
    """Whether the same start can never succeed, so that trying again would only stand in the way of others."""
    if isinstance(error, Refused):
        return error.status < 500 and not any(sign in error.code for sign in ("Limit", "Conflict", "Throttling"))
    return isinstance(error, NotFound | Invalid)


def _token(row: Poll) -> str:
    """The same for the same change, whoever starts it."""
    told = f"{row.owner.account}/{row.owner.region}/{row.pipeline}/{row.due.isoformat()}/{row.turn}"
    return hashlib.sha256(told.encode()).hexdigest()[:40]
