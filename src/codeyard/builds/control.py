"""Builds are started, stopped, tried again, deleted and listed: checked, written down, and a worker woken.

What is over a limit waits, or is refused as AWS does, as the settings say.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from codeyard.aws import Page, Refused, Shape
from codeyard.builds import claiming, ending, life, lines_table, projects_table, table, tokens_table
from codeyard.builds.ends import Ends
from codeyard.builds.handed import Handed, run_of
from codeyard.builds.project import Project
from codeyard.builds.project_overrides import handed_over, overridden, start_variables
from codeyard.builds.projects import missing
from codeyard.builds.queue import Place
from codeyard.builds.stored import StoredBuild
from codeyard.builds.tokens_table import Token
from codeyard.config import OverLimit
from codeyard.errors import Conflict
from codeyard.ident import BuildId, Owner
from codeyard.store import Database, Tx, patiently

T = TypeVar("T")
_TOKEN_AT_MOST = 64
_STOP_POLL = 0.02
_TRIES = 10


@dataclass(frozen=True, slots=True)
class StartLimits:
    """How many builds an account and region may have at once (None: any number), and what becomes of more."""

    account: int | None = None
    over: OverLimit = OverLimit.QUEUE


@dataclass(frozen=True, slots=True)
class Deleted:
    """What became of builds that were to be deleted."""

    deleted: tuple[BuildId, ...]
    in_progress: tuple[BuildId, ...]


class BuildControl:
    """Everything that clients do with builds. `wake` tells this process's worker, if it has one."""

    def __init__(
        self,
        db: Database,
        now: Callable[[], datetime],
        limits: StartLimits = StartLimits(),
        wake: Callable[[], None] = lambda: None,
        *,
        stop_patience: float = 2.0,
        ends: Ends | None = None,
    ) -> None:
        """`stop_patience`: seconds that `stop` waits for a build to end. `ends` is what this process's worker tells."""
        self._db, self._now, self._limits, self._wake = db, now, limits, wake
        self._stop_patience, self._ends = stop_patience, ends or Ends(db)

    async def start(self, owner: Owner, project: str, given: Shape, initiator: str) -> StoredBuild:
        """A new build, or the one that this token has started. `given` is StartBuild's input.

        Refused: there is no such project, an override is wrong, the token is another call's, a limit is reached.
        """
        token = token_of(owner, "StartBuild", given)

        def make(tx: Tx) -> StoredBuild:
            found = _project(tx, owner, project)
            changed, variables = overridden(found, given), start_variables(given)
            self._check_limits(tx, owner, project, changed.concurrent_build_limit)
            number = projects_table.next_build_number(tx, owner, project)
            return life.started(owner, changed, variables, initiator, number, self._now())

        return await self._insert(token, make)

    async def start_handed(self, owner: Owner, project: str, given: Shape, handed: Handed, token: str) -> StoredBuild:
        """A build of a project, whatever the types of its source and artifacts, of what a pipeline hands to it; for
        ever the same one for the same token. `given` has StartBuild's members. Refused: as `start`.
        """
        run = run_of(owner, token)

        def make(tx: Tx) -> StoredBuild:
            found = _project(tx, owner, project)
            changed, variables = handed_over(found, given, handed.primary.version), start_variables(given)
            self._check_limits(tx, owner, project, changed.concurrent_build_limit)
            number = projects_table.next_build_number(tx, owner, project)
            now = self._now()
            return life.started(owner, changed, variables, handed.initiator, number, now, run=run, handed=handed)

        return await self._insert(None, make, run)

    async def start_managed(self, owner: Owner, project: Project, handed: Handed, token: str) -> StoredBuild:
        """The same, on a pipeline's own compute: of a project that is in no row, and so in no list, nor its builds;
        see `managed`. Refused: a setting of it is wrong, the account's limit is reached.
        """
        run = run_of(owner, token)
        ready = handed_over(project, {}, handed.primary.version)

        def make(tx: Tx) -> StoredBuild:
            self._check_limits(tx, owner, project.name, None)
            return life.started(owner, ready, (), handed.initiator, 0, self._now(), run=run, handed=handed)

        return await self._insert(None, make, run)

    async def ended(self, owner: Owner, id: BuildId, *, patience: float | None = None) -> StoredBuild:
        """The build once it has ended, or as it is after `patience` seconds; None: however long it takes. A database
        that is away meanwhile is waited for. Refused: there is no such build, or no more.
        """
        build = await patiently(lambda: self._db.read(lambda tx: _load(tx, owner, id)))
        if build.ended:
            return build
        await self._ends.wait(id.run, patience)
        return await patiently(lambda: self._db.read(lambda tx: _load(tx, owner, id)))

    async def retry(self, owner: Owner, id: BuildId, given: Shape, initiator: str) -> StoredBuild:
        """A new build with the settings of that one, which must have ended (reference 2.8). Refused, as `start`."""
        token = token_of(owner, "RetryBuild", given)

        def make(tx: Tx) -> StoredBuild:
            was = _load(tx, owner, id)
            if not was.ended:
                raise Refused("InvalidInputException", f"Build {id} is still in progress and cannot be retried")
            if was.managed:
                raise Refused("InvalidInputException", f"Build {id} is of a pipeline's action and cannot be retried")
            project = _project(tx, owner, id.project)
            self._check_limits(tx, owner, id.project, project.concurrent_build_limit)
            number = projects_table.next_build_number(tx, owner, id.project)
            return life.retried(was, project, initiator, number, self._now())

        return await self._insert(token, make)

    async def stop(self, owner: Owner, id: BuildId) -> StoredBuild:
        """The build, which has ended or, if its end takes longer than a moment, will (reference 2.7). Refused."""

        def ask(tx: Tx) -> StoredBuild:
            _load(tx, owner, id)
            now = self._now()
            ended = ending.end(tx, id.run, lambda was: life.stopped(was, now), now)
            return ended or _load(tx, owner, id)

        build = await self._write(ask)
        self._wake()
        if build.ended:
            self._ends.tell(build.run)
        until = time.monotonic() + self._stop_patience
        while not build.ended and time.monotonic() < until:
            await asyncio.sleep(_STOP_POLL)
            build = await self._db.read(lambda tx: _load(tx, owner, id))
        return build

    async def delete(self, owner: Owner, ids: Iterable[BuildId]) -> Deleted:
        """Delete those that have ended. One that is not there counts as deleted."""
        wanted = tuple(dict.fromkeys(ids))

        def work(tx: Tx) -> Deleted:
            found = table.find(tx, owner, (id.run for id in wanted))
            here = {build.id: build for build in found.values()}
            busy = tuple(id for id in wanted if id in here and not here[id].ended)
            for id in wanted:
                if id in here and id not in busy and not table.delete(tx, here[id]):
                    raise Conflict(f"build {id}", "somebody else changed it.", "Do it again.")
            return Deleted(tuple(id for id in wanted if id not in busy), busy)

        return await self._write(work)

    async def get(self, owner: Owner, ids: Iterable[BuildId]) -> dict[BuildId, tuple[StoredBuild, Place | None]]:
        """Those that are there, each with where it stands in the queue if it waits."""
        wanted, limit = set(ids), self._limits.account

        def work(tx: Tx) -> dict[BuildId, tuple[StoredBuild, Place | None]]:
            found = table.find(tx, owner, (id.run for id in wanted))
            places = claiming.places(tx, owner, found.values(), limit, self._now())
            return {build.id: (build, places.get(run)) for run, build in found.items() if build.id in wanted}

        return await self._db.read(work)

    async def list(self, owner: Owner, *, ascending: bool = False, after: str | None = None) -> Page:
        """Ids as texts, in the order in which the builds were started. Invalid: `after` is nothing of ours."""
        return await self._db.read(lambda tx: table.listed(tx, owner, ascending=ascending, after=after))

    async def list_of_project(
        self, owner: Owner, project: str, *, ascending: bool = False, after: str | None = None
    ) -> Page:
        """Ids as texts, by build number. Refused: there is no such project. Invalid: `after` is nothing of ours."""

        def work(tx: Tx) -> Page:
            _project(tx, owner, project)
            return table.listed_of_project(tx, owner, project, ascending=ascending, after=after)

        return await self._db.read(work)

    def _check_limits(self, tx: Tx, owner: Owner, project: str, limit: int | None) -> None:
        """AccountLimitExceededException, if that is what the settings want (reference 2.9)."""
        if self._limits.over is OverLimit.QUEUE:
            return
        lines_table.alone_in(tx, owner)
        for most, of, name in ((self._limits.account, "account", None), (limit, "project", project)):
            if most is not None and lines_table.active(tx, owner, name) >= most:
                raise Refused(
                    "AccountLimitExceededException", f"Cannot have more than {most} active builds for the {of}"
                )

    async def _insert(
        self, token: Token | None, make: Callable[[Tx], StoredBuild], run: str | None = None
    ) -> StoredBuild:
        """The build that is made, unless the token or the run is of one that was: then that."""
        made: list[StoredBuild] = []

        def work(tx: Tx) -> StoredBuild:
            first = None if token is None else self._first_of(tx, token)
            first = table.load(tx, run) if run is not None else first
            # Where the connection was lost in the commit, this is asked again, and nobody knows whether that was made.
            first = first or next((kept for build in made if (kept := table.load(tx, build.run))), None)
            if first is not None:
                return first
            build = make(tx)
            made.append(build)
            table.insert(tx, build)
            if token is not None:
                tokens_table.keep(tx, token, build.run, self._now())
            return build

        build = await self._write(work)
        self._wake()
        return build

    def _first_of(self, tx: Tx, token: Token) -> StoredBuild | None:
        """The build that this token has started already. Refused: it was with other parameters."""
        used = tokens_table.used(tx, token, self._now())
        if used is None:
            return None
        digest, run = used
        if digest != token.digest:
            raise Refused(
                "InvalidInputException",
                "The idempotency token was used with other parameters less than five minutes ago",
            )
        first = table.load(tx, run)
        if first is None:  # it was deleted meanwhile: this call is the token's first one again
            tokens_table.drop(tx, token)
        return first

    async def _write(self, work: Callable[[Tx], T]) -> T:
        """Once more where somebody came in between: the same token twice at once, a build that ends just now."""
        for _ in range(_TRIES):
            with suppress(Conflict):
                return await self._db.write(work)
        return await self._db.write(work)


def token_of(owner: Owner, operation: str, given: Shape) -> Token | None:
    """The idempotency token of a call, with what else the call asks for. Refused: it is too long."""
    text = given.get("idempotencyToken")
    if not text:
        return None
    if len(text) > _TOKEN_AT_MOST:
        raise Refused("InvalidInputException", f"idempotencyToken is longer than {_TOKEN_AT_MOST} characters")
    asked = {name: value for name, value in given.items() if name != "idempotencyToken" and value is not None}
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
    return Token(owner, operation, text, digest)


def _project(tx: Tx, owner: Owner, name: str) -> Project:
    found = projects_table.find_project(tx, owner, name)
    if found is None:
        raise missing(owner, name)
    return found


def _load(tx: Tx, owner: Owner, id: BuildId) -> StoredBuild:
    """Refused: there is no such build."""
    build = table.load(tx, id.run)
    if build is None or build.owner != owner or build.id != id:
        raise Refused("ResourceNotFoundException", f"Build {id} does not exist")
    return build
