"""Deployments are created, stopped, watched and moved on: each fact in one transaction with all that follows from it.

So whatever is killed at any moment, the rows say what is to be done next, and nothing is decided twice: which target is
next, whether it is over, whether the group's last good revision comes back, and which deployment of the group follows.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from codeyard.aws import Page, Refused
from codeyard.deploys import EventReport, progress, table, targets_table
from codeyard.deploys.model import Deployment, DeploymentRequest, Status, assignment
from codeyard.deploys.selection import Selection
from codeyard.deploys.turns import Turn, new_id
from codeyard.deploys.wakes import Wakes
from codeyard.errors import Conflict
from codeyard.ident import Owner
from codeyard.store import Database, Tx

T = TypeVar("T")
_FIRST, _LAST = 0.010, 0.250  # seconds between looks at a deployment that somebody waits for
_TRIES = 10
_SILENT = "Nothing has been heard of the agent for {:.0f} seconds."
_REMOVED = "The target was removed."


class DeployControl:
    """See the module. One for each process that serves; `sweep` is called every second or so."""

    def __init__(self, db: Database, now: Callable[[], datetime], *, heard_for: float = 30.0) -> None:
        """`heard_for`: seconds of silence after which a target that works counts as gone."""
        self._db, self._now = db, now
        self.heard_for = heard_for
        self.wakes = Wakes()
        self._swept: datetime | None = None
        self._watching = now()  # since when agents could reach us, as far as we know

    # ── for clients ──

    async def create(self, request: DeploymentRequest, key: str | None = None) -> Deployment:
        """The new deployment, or the one that was created with this key. It may have ended already: see its error.

        Refused: DeploymentLimitExceededException, if one of the group is in flight and the request does not queue.
        Invalid: a part of the request cannot be told to targets.
        """
        asked = request if request.group_id else replace(request, group_id=group_id_of(request))
        id = new_id()
        assignment(Deployment(id, asked, self._now()))  # refuses what would be found out too late

        def work(turn: Turn) -> Deployment:
            tx = turn.tx
            line = table.hold_line(tx, asked.group_id)
            # The connection may have been lost in the commit: then this is asked again, and it is there.
            there = (None if key is None else table.keyed(tx, asked.owner, key)) or table.load(tx, id)
            if there is not None:
                return there
            if line.in_flight is not None and not asked.queue:
                raise _busy(asked, line.in_flight)
            new = Deployment(id, asked, self._now(), Status.QUEUED)
            table.insert(tx, new, key)
            if line.in_flight is None:
                turn.next(line)
            return table.load(tx, id) or new

        return await self._write(work)

    async def get(self, owner: Owner, id: str) -> Deployment:
        """Refused: DeploymentDoesNotExistException."""
        return await self._db.read(lambda tx: _mine(table.load(tx, id), owner, id))

    async def list(
        self,
        owner: Owner,
        *,
        group_id: str | None = None,
        statuses: Iterable[str] = (),
        start: datetime | None = None,
        end: datetime | None = None,
        after: str | None = None,
    ) -> Page:
        """A page of ids, the newest first. Invalid: `after` is nothing of ours."""
        wanted = tuple(statuses)
        return await self._db.read(
            lambda tx: table.listed(
                tx, owner, group_id=group_id, statuses=wanted, start=start, end=end, after=after
            )
        )  # fmt: skip

    async def last(self, group_id: str) -> tuple[Deployment | None, Deployment | None]:
        """The group's last deployment that succeeded, and the last that was begun; without their targets."""

        def work(tx: Tx) -> tuple[Deployment | None, Deployment | None]:
            line = table.line(tx, group_id)
            return tuple(  # type: ignore[return-value]
                None if id is None else table.load_alone(tx, id) for id in (line.last_successful, line.last_attempted)
            )

        return await self._db.read(work)

    async def stop(self, owner: Owner, id: str, roll_back: bool = False) -> Deployment:
        """The deployment, which is Stopped, or will be when the events that run have ended.

        Refused: DeploymentDoesNotExistException, DeploymentAlreadyCompletedException.
        """

        def rule(was: Deployment) -> Deployment:
            if was.ended:
                raise Refused("DeploymentAlreadyCompletedException", f"The deployment {id} has already completed.")
            return progress.stop_asked(was, roll_back, self._now())

        _mine(await self._db.read(lambda tx: table.load_alone(tx, id)), owner, id)
        changed = await self._change(id, rule)
        return _mine(changed, owner, id)

    async def selected(self, owner: Owner, selection: Selection) -> tuple[str, ...]:
        """The names of the targets that it means now."""
        found = await self._db.read(lambda tx: targets_table.enrolled(tx, owner))
        return tuple(each.name for each in found if selection.selects(each.tags))

    async def ended(self, owner: Owner, id: str) -> Deployment:
        """The deployment, once it has ended. Refused: DeploymentDoesNotExistException."""
        pause = _FIRST
        with self.wakes.waiting(id) as news:
            while True:
                news.clear()
                # Without its targets, which may be hundreds: this is asked four times a second.
                found = await self._db.read(lambda tx: _mine(table.load_alone(tx, id), owner, id))
                if found.ended:
                    return await self.get(owner, id)
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), pause)
                pause = min(pause * 1.5, _LAST)

    # ── for agents ──

    async def assigned(self, target: str) -> tuple[Deployment, ...]:
        """What the target is to work on, the first begun first; without the deployments' targets."""
        return await self._db.read(lambda tx: table.assigned(tx, target))

    async def heard(self, target: str) -> None:
        """Its agent lives."""
        now = self._now()
        await self._db.write(lambda tx: targets_table.heard(tx, target, now))

    async def reported(self, target: str, id: str, report: EventReport) -> None:
        """How an event stands; nothing changes if it is known, or if the target does not work on the deployment."""

        def work(tx: Tx) -> None:
            found = table.hold_target(tx, id, target)
            if found is None or found[0] is not Status.IN_PROGRESS:
                return
            after = progress.reported(found[1], report, self._now())
            if after != found[1]:
                table.save_target(tx, id, after)

        await self._db.write(work)
        self.wakes.wake((id,))

    async def done(self, target: str, id: str, succeeded: bool, message: str = "") -> None:
        """The target's part is over; nothing changes if it was before, or was never its."""
        await self._change(id, lambda was: progress.ended(was, target, succeeded, message, self._now()))

    # ── for the root ──

    async def sweep(self) -> bool:
        """What nobody tells: targets that say nothing, events and deployments without end, groups that may go on.

        Whether anything is under way.
        """
        now = self._now()
        # Nobody can be heard while we are away: whoever was silent meanwhile gets their time again.
        if self._swept is None or now - self._swept > timedelta(seconds=max(5.0, self.heard_for / 2)):
            self._watching = now
        self._swept = now
        working, flying, waiting = await self._db.read(
            lambda tx: (table.under_way(tx), table.in_flight(tx), table.groups_that_may_go_on(tx))
        )
        for each in working:
            if progress.overdue(each.event_began, now):
                await self._given_up(each, lambda was, known=each.target: progress.too_long(was, known, now))  # type: ignore[misc]
            elif (why := self._silence(each, now)) is not None:
                await self._given_up(
                    each,
                    lambda was, known=each.target, why=why: progress.unheard(was, known, now, why),  # type: ignore[misc]
                )
        for id in flying:
            begun = await self._db.read(lambda tx, known=id: table.load_alone(tx, known))  # type: ignore[misc]
            if begun is not None and progress.time_over(begun, now) != begun:
                await self._change(id, lambda was: progress.time_over(was, now))
        for group_id in waiting:
            await self._write(lambda turn, group=group_id: turn.go_on(group))  # type: ignore[misc]
        return bool(working or flying or waiting)

    def _silence(self, each: table.UnderWay, now: datetime) -> str | None:
        """Why a target that works counts as gone, if it does."""
        if each.heard is None:
            return _REMOVED
        silent = now - max(each.heard, each.updated, self._watching)
        return _SILENT.format(silent.total_seconds()) if silent > timedelta(seconds=self.heard_for) else None

    async def _given_up(self, each: table.UnderWay, rule: Callable[[Deployment], Deployment]) -> None:
        """By the rule, unless it has told something meanwhile."""

        def unless_told(was: Deployment) -> Deployment:
            target = was.target(each.target)
            return was if target is None or target.updated != each.updated else rule(was)

        await self._change(each.deployment, unless_told)

    # ── transactions ──

    async def _change(self, id: str, rule: Callable[[Deployment], Deployment]) -> Deployment | None:
        """The deployment after the rule, with all that follows from it; None: there is none of this id."""
        return await self._write(lambda turn: turn.change(id, rule))

    async def _write(self, work: Callable[[Turn], T]) -> T:
        """Once more where another process came in between; then whoever waits in this one looks again."""
        news: set[str] = set()
        for _ in range(_TRIES):
            with suppress(Conflict):
                found = await self._db.write(lambda tx: work(Turn(tx, self._now, news)))
                break
        else:
            found = await self._db.write(lambda tx: work(Turn(tx, self._now, news)))
        self.wakes.wake(news)
        return found


def group_id_of(request: DeploymentRequest) -> str:
    """The id of a group that has no row: always the same for one owner, application and group."""
    owner = request.owner
    parts = "\0".join((owner.account, owner.region, request.application, request.group))
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def _mine(found: Deployment | None, owner: Owner, id: str) -> Deployment:
    if found is None or found.owner != owner:
        raise Refused("DeploymentDoesNotExistException", f"The deployment {id[:40]} could not be found")
    return found


def _busy(asked: DeploymentRequest, id: str) -> Refused:
    text = f"The Deployment Group '{asked.group}' already has an active Deployment '{id}'"  # as AWS says it
    return Refused("DeploymentLimitExceededException", text)
