"""One machine that is deployed to: it does what it is assigned, event by event, and tells how each one went.

Every step is journaled. Killed at any moment and given the same assignment again, it goes on: what has ended is not
repeated, its reports are; what can be done again is; a script that ran when the host was killed may not be run twice,
so its event has failed. Deployments to one place wait for each other; others run at the same time.
"""

import asyncio
import fcntl
import hashlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from codeyard.artifacts import BlobStore
from codeyard.artifacts.failures import explained
from codeyard.artifacts.stamps import Stamps
from codeyard.deploys import EVENTS, MAX_TEXT, Assignment, ErrorCode, EventReport, EventStatus, Kind
from codeyard.deploys.hooks import Ran, ScriptLog, kill_group
from codeyard.deploys.inplace import InPlace
from codeyard.deploys.journal import Journal
from codeyard.deploys.manifests import Manifests
from codeyard.deploys.release import Release
from codeyard.deploys.work import Ground, Work, blocking
from codeyard.errors import CodeyardError, Conflict, Fault

RESTARTED = "Failing in-progress lifecycle event after an agent restart."
Report = Callable[[EventReport], Awaitable[None]]
_POLL = 0.1  # seconds between two looks whether another process has finished
_GRACE = 2.0  # seconds for a script that a killed host has left
_KINDS: dict[Kind, Callable[[Assignment, Ground, Journal], Work]] = {Kind.RELEASE: Release, Kind.IN_PLACE: InPlace}


class Host:
    """See the module. `state` is a directory for this host alone; `blobs` may be far away.

    `flush`: a release is on the disk, and not only in the kernel's memory, before it is switched to. `share_store`:
    files of releases may be those of the store on the same disk, under a second name, which takes no time; a program
    that writes to such a file, which only root can, damages the blob, which its digest tells when it is next placed."""

    def __init__(
        self,
        state: Path,
        blobs: BlobStore,
        now: Callable[[], datetime],
        *,
        flush: bool = True,
        share_store: bool = False,
    ) -> None:
        with explained(f"making {state}"):
            state.mkdir(parents=True, exist_ok=True)
        manifests = Manifests(state / "manifests", blobs)
        self._ground = Ground(state, blobs, manifests, Stamps(state / "stamps"), flush, share_store)
        self._now = now
        self._locks: dict[Path, asyncio.Lock] = {}

    async def perform(
        self, assignment: Assignment, report: Report, stop: asyncio.Event, over: Callable[[bool], None] | None = None
    ) -> bool:
        """Do it to its end; whether it succeeded. Once `stop` is set, no further event begins.

        `over` is told so too, and earlier: before what is needed no more is removed, which nobody need wait for.
        Raises only what `report` raises, and CodeyardError if not even the journal can be written: performed again,
        it goes on. After `over` was told it raises nothing."""
        over = over or _ignored
        journal = await blocking(Journal.open, self._ground.state / "deployments", assignment)
        telling = _Telling(journal, report, self._now)
        if journal.ended is not None:
            await telling.all_again()
            over(journal.ended)
            return journal.ended
        try:
            work = _KINDS[assignment.kind](assignment, self._ground, journal)
            await blocking(work.prepare)
            os.close(await blocking(_opened, work.lock))
        except CodeyardError as error:
            await telling.fail(error)
            return await self._end(journal, False, over)
        async with self._alone(work.lock, stop) as mine:
            try:
                if mine:
                    await self._take_over(work, journal)
                elif journal.done or journal.running:
                    what, why = f"deployment {assignment.deployment}", "another one is at work at its place."
                    raise Conflict(what, why, "Deploy again.")
            except CodeyardError as error:
                await telling.fail(error)
                return await self._end(journal, False, over)
            good = await self._end(journal, await _Performance(work, journal, telling, stop).run(), over)
            if good:
                with suppress(CodeyardError, OSError):  # what is left behind harms nobody
                    await work.finish()
            await blocking(self._ground.memory.save_all)
            return good

    async def _end(self, journal: Journal, good: bool, over: Callable[[bool], None]) -> bool:
        await blocking(journal.end, good)
        over(good)
        return good

    @asynccontextmanager
    async def _alone(self, path: Path, stop: asyncio.Event) -> AsyncIterator[bool]:
        """Alone on this place, among all tasks and processes. False if others are there, and it is to stop."""
        lock = self._locks.setdefault(path, asyncio.Lock())
        while lock.locked():
            if stop.is_set():
                yield False
                return
            await asyncio.sleep(_POLL)
        async with lock:
            handle = await blocking(_opened, path)
            try:
                while not (taken := _locked(handle)) and not stop.is_set():
                    await asyncio.sleep(_POLL)
                yield taken
            finally:
                os.close(handle)  # and so the lock is free

    async def _take_over(self, work: Work, journal: Journal) -> None:
        """Note that this deployment is the one at this place. One that was cut off there, and that nobody will take up
        again, is undone first. Conflict if it is this one that was overtaken."""
        folder = self._ground.state / "places"
        file = folder / hashlib.sha256(os.fsencode(work.lock)).hexdigest()
        mine = journal.assignment.deployment
        with explained(f"writing {file}"):
            folder.mkdir(exist_ok=True)
            owner = file.read_text() if file.exists() else ""
        if owner and owner != mine:
            if journal.done or journal.running:
                what = f"deployment {mine}"
                raise Conflict(what, f"deployment {owner} has begun at the same place since.", "Deploy again.")
            before = Journal.find(self._ground.state / "deployments", owner)
            if before is not None and before.ended is None:
                await self._settle(before)
        with explained(f"writing {file}"):
            draft = folder / f".{file.name}"
            draft.write_text(mine)
            draft.replace(file)

    async def settle(self, assigned: Collection[str]) -> tuple[str, ...]:
        """End what a killed host has begun and nobody assigns any more, and undo it; the deployments' ids.

        The server has given them up, so that they have failed; nothing else would, until the next one comes here.
        CodeyardError, if one cannot be looked at."""
        over = asyncio.Event()
        over.set()  # where another is at work, it sees to that itself
        settled = []
        for file in await blocking(_entries, self._ground.state / "places"):
            before = await blocking(self._cut_off, file, assigned)
            if before is None:
                continue
            work = _KINDS[before.assignment.kind](before.assignment, self._ground, before)
            async with self._alone(work.lock, over) as mine:
                before = self._cut_off(file, assigned) if mine else None
                if before is not None:
                    await self._settle(before)
                    settled.append(before.assignment.deployment)
        return tuple(settled)

    def _cut_off(self, place: Path, assigned: Collection[str]) -> Journal | None:
        """Of the deployment that was the last at a place: if it has not ended, and is not assigned."""
        with explained(f"reading {place}"):
            owner = place.read_text()
        before = None if owner in assigned else Journal.find(self._ground.state / "deployments", owner)
        return before if before is not None and before.ended is None else None

    async def _settle(self, before: Journal) -> None:
        """End the deployment of a host that was killed."""
        kind = before.assignment.kind
        if any(event not in before.done for event in EVENTS[kind]):  # else only the last note is missing
            await blocking(_stop_script, before)
            await _KINDS[kind](before.assignment, self._ground, before).undo()
        await blocking(before.end, False)


class _Performance:
    """The events of one deployment, from where its journal stands."""

    def __init__(self, work: Work, journal: Journal, telling: "_Telling", stop: asyncio.Event) -> None:
        self._work, self._journal, self._telling, self._stop = work, journal, telling, stop

    async def run(self) -> bool:
        good = True
        for event in self._work.events:
            known = self._journal.done.get(event)
            if known is not None:
                await self._telling.tell(known)
                good = good and (known.status is EventStatus.SUCCEEDED or self._forgiven(known))
            elif not good:
                await self._telling.ended(event, EventStatus.SKIPPED)
            elif self._stop.is_set() and self._journal.running is None:
                good = False
                await self._telling.ended(event, EventStatus.SKIPPED, Ran(message=await self._undone("")))
            else:
                ran = await self._event(event)
                status = EventStatus.SUCCEEDED if ran.good else EventStatus.FAILED
                if not ran.good and not self._work.forgives(event):
                    good = False
                    ran = replace(ran, message=await self._undone(ran.message))
                await self._telling.ended(event, status, ran)
        return good

    def _forgiven(self, report: EventReport) -> bool:
        return report.status is EventStatus.FAILED and self._work.forgives(report.name)

    async def _undone(self, message: str) -> str:
        try:
            told = await self._work.undo()
        except (CodeyardError, OSError) as error:
            told = f"Going back failed: {error}"
        return f"{message.rstrip('.')}. {told}" if message and told else message or told

    async def _event(self, event: str) -> Ran:
        once = await blocking(self._work.scripted, event)
        cut_off = self._journal.running
        await self._telling.begun(event, once=once and cut_off is None)
        if cut_off is not None and once:
            await blocking(_stop_script, self._journal)
            return Ran(ErrorCode.UNKNOWN_ERROR, RESTARTED)
        with self._telling.log(event, self._work) as log:
            try:
                return await self._work.perform(event, log, self._journal.script_started)
            except CodeyardError as error:
                return Ran(ErrorCode.UNKNOWN_ERROR, str(error))
            except OSError as error:
                return Ran(ErrorCode.UNKNOWN_ERROR, str(Fault(event, f"{error}.", "Look after the machine.")))


class _Telling:
    """The reports of one deployment: written down, then told."""

    def __init__(self, journal: Journal, report: Report, now: Callable[[], datetime]) -> None:
        self._journal, self._report, self._now = journal, report, now
        self._log: ScriptLog | None = None

    async def tell(self, report: EventReport) -> None:
        await self._report(report)

    async def all_again(self) -> None:
        for report in self._journal.done.values():
            await self._report(report)

    async def begun(self, event: str, *, once: bool) -> None:
        """`once`: this is on the disk before it begins."""
        running = self._journal.running or EventReport(event, EventStatus.IN_PROGRESS, self._now())
        await self._report(running)
        await blocking(self._journal.begin, running, once=once)
        self._log = None

    def log(self, event: str, work: Work) -> ScriptLog:
        self._log = ScriptLog(self._journal.assignment.deployment, event, work.log, work.common_log)
        return self._log

    async def ended(self, event: str, status: EventStatus, ran: Ran | None = None) -> None:
        running = self._journal.running
        ran = ran or Ran()
        report = EventReport(
            event,
            status,
            running.started if running else None,
            self._now() if running else None,
            ran.code if running else ErrorCode.NONE,
            ran.script,
            ran.message[:MAX_TEXT],
            self._log.tail if self._log and running else "",
        )
        await blocking(self._journal.finish, report)
        await self._report(report)

    async def fail(self, error: CodeyardError) -> None:
        """The whole deployment cannot be: its first event that has not ended has failed."""
        for event in EVENTS[self._journal.assignment.kind]:
            if event in self._journal.done:
                await self.tell(self._journal.done[event])
            elif any(report.status is EventStatus.FAILED for report in self._journal.done.values()):
                await self.ended(event, EventStatus.SKIPPED)
            else:
                await self.begun(event, once=False)
                await self.ended(event, EventStatus.FAILED, Ran(ErrorCode.UNKNOWN_ERROR, str(error)))


def _ignored(_: bool) -> None:
    pass


def _entries(folder: Path) -> list[Path]:
    """The files of a folder that may not be there, but for drafts."""
    with explained(f"reading {folder}"):
        return sorted(file for file in folder.glob("*") if not file.name.startswith("."))


def _opened(path: Path) -> int:
    with explained(f"opening {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _stop_script(journal: Journal) -> None:
    """End the script that a killed host has left running, if there is one: it has failed, whatever it does."""
    import time

    group = journal.script_left()
    if group is None:
        return
    kill_group(group, signal.SIGTERM)
    until = time.monotonic() + _GRACE
    while time.monotonic() < until and journal.script_left() is not None:
        time.sleep(0.02)
    kill_group(group, signal.SIGKILL)
