"""The process on a machine that is deployed to: asks its server what to do, has the host do it, says how it went.

Only this side opens connections. The server may be away: what runs goes on, what is to be told is told later, and the
polls begin again by themselves. Of what was told nothing need be kept here: a host that is given an assignment again
tells all of it again, and the server gives it again until it has heard of its end.
"""

import asyncio
import random
import shutil
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from codeyard.artifacts import Digest, Swept
from codeyard.deploys import Assignment, EventReport, EventStatus, assignment_from_json, report_to_json
from codeyard.deploys.door import Door, Shut
from codeyard.errors import CodeyardError, Denied, Fault, Invalid

_POLL, _TIMEOUT = 20.0, 40.0  # seconds that a poll may wait; that one is waited for
_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds between tries of a server that is away
_AT_ONCE = 50  # reports in one request
_AGAIN = 30.0  # seconds until what the server still lists after its end is done again
_TRIES, _BETWEEN = 3, 1.0  # of an assignment that not even the journal takes
_HOURLY, _KEPT = 3600.0, 14 * 86_400.0  # seconds: sweeps of blobs, and what they leave
_SPARE = 0.1  # of a disk; with less that is free it is crowded
_ORDER = 100.0  # seconds that the events under way may take to end

Report = Callable[[EventReport], Awaitable[None]]


class Performer(Protocol):
    """A `Host`."""

    async def perform(
        self, assignment: Assignment, report: Report, stop: asyncio.Event, over: Callable[[bool], None]
    ) -> bool: ...

    async def settle(self, assigned: Collection[str]) -> tuple[str, ...]: ...


class Blobs(Protocol):
    """What of `FetchedBlobs` an agent needs."""

    def of(self, deployment: str, tree: Digest) -> AbstractContextManager[None]: ...

    def close(self) -> None: ...

    def sweep(self, keep: Callable[[Digest], bool], *, older_than: float) -> Swept: ...


class _Paused(Exception):
    """The agent is to end: the next event is for when it starts again."""


@dataclass(slots=True)
class _Work:
    """An assignment, from its first poll to the delivery of its end."""

    assignment: Assignment
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    dropped: bool = False  # the server has given it up
    over: bool = False  # how it ended is told, though the host may still remove what is needed no more


class Agent:
    """See the module. `polling` and `telling` are two doors to the same server; `say` gets lines for people; `crowded`
    says whether the disk of the blobs is nearly full."""

    def __init__(
        self,
        polling: Door,
        telling: Door,
        host: Performer,
        blobs: Blobs,
        say: Callable[[str, EventStatus | None], None],
        crowded: Callable[[], bool],
    ) -> None:
        self._polling, self._telling, self._host, self._blobs = polling, telling, host, blobs
        self._say, self._crowded = say, crowded
        self._works: dict[str, _Work] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._finished: dict[str, float] = {}  # when their ends were delivered
        self._outbox: deque[dict[str, Any]] = deque()
        self._something = asyncio.Event()
        self._ending = asyncio.Event()
        # Of their own: the host may need all others for a long time, and the server must hear of us meanwhile.
        self._threads = ThreadPoolExecutor(2, "server")

    async def run(self, ending: asyncio.Event) -> None:
        """Until `ending` is set; then the events under way are waited for. Shut: the server knows us no more."""
        self._ending = ending
        loops = [asyncio.ensure_future(each) for each in (self._poll(), self._deliver(), self._tidy(), ending.wait())]
        try:
            done, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
            self._polling.close()
            await self._in_good_order()
        finally:
            ending.set()
            for each in (*loops, *self._tasks.values()):
                each.cancel()
            for close in (self._polling.close, self._telling.close, self._blobs.close):
                close()
            await asyncio.gather(*loops, *self._tasks.values(), return_exceptions=True)

    async def _in_good_order(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=_ORDER)
        with suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                while self._outbox:
                    await asyncio.sleep(0.01)

    async def _ask(self, door: Door, path: str, told: dict[str, Any]) -> dict[str, Any]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, door.post, path, told, _TIMEOUT)

    # ── what is to do ──

    async def _poll(self) -> None:
        pause, away, first = _PAUSE, False, True
        while True:
            try:
                asked = {"known": self._known(), "wait": 0 if first else _POLL}
                found = await self._ask(self._polling, "poll", asked)
                listed = [_assigned(each) for each in found.get("assignments", ())]
            except Shut:
                raise
            except CodeyardError as error:
                if not away:
                    self._say(f"{error.what}: {error.why} Trying again.", None)
                away = True
                await asyncio.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311 - not all agents at once
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            if away:
                self._say(f"server {self._polling.url}: it answers again.", None)
            pause, away = _PAUSE, False
            if first:
                first = False
                await self._settle({work.deployment for work, _ in listed})
            self._take({work.deployment: (work, stopping) for work, stopping in listed})
            if self._known() != {work.deployment: stopping for work, stopping in listed}:
                await asyncio.sleep(_PAUSE)  # the server would answer at once: do not ask in a circle

    def _known(self) -> dict[str, bool]:
        """What a poll says that we know; the server answers when that is not what it wants."""
        return {id: work.stop.is_set() for id, work in self._works.items() if not work.dropped}

    async def _settle(self, assigned: Collection[str]) -> None:
        """Undo what was cut off here when this machine was last up, and the server has given up since."""
        try:
            for id in await self._host.settle(assigned):
                self._say(f"{id}: it was cut off, and the server has given it up: undone.", EventStatus.FAILED)
        except CodeyardError as error:
            self._say(f"What was cut off could not be undone: {error}", EventStatus.FAILED)

    def _take(self, listed: dict[str, tuple[Assignment, bool]]) -> None:
        """Begin, and stop, as the server wants."""
        for id, (assignment, stopping) in listed.items():
            if id not in self._works and not self._ended_lately(id):
                self._works[id] = _Work(assignment)
                task = asyncio.ensure_future(self._work(self._works[id]))
                self._tasks[id] = task
                task.add_done_callback(lambda _, known=id: self._tasks.pop(known, None))  # type: ignore[misc]
            if stopping and id in self._works:
                self._stop(self._works[id])
        for id, work in self._works.items():
            if id not in listed and not work.dropped:
                work.dropped = True
                self._stop(work)

    def _stop(self, work: _Work) -> None:
        if not work.stop.is_set() and work.assignment.deployment in self._tasks:
            self._say(f"{work.assignment.deployment}: told to stop after the event that runs.", None)
        work.stop.set()

    def _ended_lately(self, id: str) -> bool:
        """An answer may be older than the delivery of an end. Later the server must have lost it: it gets it again."""
        now = asyncio.get_running_loop().time()
        self._finished = {each: at for each, at in self._finished.items() if now - at < _AGAIN}
        return id in self._finished

    async def _work(self, work: _Work) -> None:
        with suppress(_Paused):
            failed = await self._performed(work)
            if failed and not work.over:
                self._over(work, False, failed)

    def _over(self, work: _Work, good: bool, message: str = "") -> None:
        work.over = True
        done = {"succeeded": good, "message": message}
        self._put({"deployment": work.assignment.deployment, "done": done})

    async def _performed(self, work: _Work) -> str:
        """Why it has failed, if the host could not say so itself."""
        assignment = work.assignment
        for left in reversed(range(_TRIES)):
            try:
                with self._blobs.of(assignment.deployment, assignment.tree):
                    await self._host.perform(
                        assignment,
                        lambda report: self._report(work, report),
                        work.stop,
                        lambda good: self._over(work, good),
                    )
                return ""
            except CodeyardError as error:
                self._say(f"{assignment.deployment}: {error}", EventStatus.FAILED)
                if not left or work.stop.is_set():
                    return str(error)
            except _Paused:
                raise
            except Exception as error:  # noqa: BLE001 - a bug of ours must not leave the deployment without an end
                return f"The agent failed: {type(error).__name__}: {error}"
            await asyncio.sleep(_BETWEEN)
        raise AssertionError("the last try returns")

    # ── how it went ──

    async def _report(self, work: _Work, report: EventReport) -> None:
        if self._ending.is_set() and report.status is EventStatus.IN_PROGRESS:
            raise _Paused
        if report.status is EventStatus.FAILED and len(self._works) == 1 and self._crowded():
            # Before the server hears of it, and has us go back, which may need room too.
            await self._sweep(0.0)
        self._say(_line(work.assignment, report), report.status)
        self._put({"deployment": work.assignment.deployment, "event": report_to_json(report)})

    def _put(self, told: dict[str, Any]) -> None:
        self._outbox.append(told)
        self._something.set()

    async def _deliver(self) -> None:
        pause, at_once = _PAUSE, _AT_ONCE
        while True:
            await self._something.wait()
            some = [self._outbox[number] for number in range(min(at_once, len(self._outbox)))]
            if not some:
                self._something.clear()
                continue
            try:
                await self._ask(self._telling, "reports", {"reports": some})
            except Shut:
                raise
            except (Invalid, Denied) as error:
                if at_once > 1:
                    at_once = 1  # one of them is refused: which?
                    continue
                self._say(f"{some[0]['deployment']}: the server refuses a report: {error.why}", EventStatus.FAILED)
            except CodeyardError:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            pause, at_once = _PAUSE, _AT_ONCE
            for each in some:
                self._outbox.popleft()
                if "done" in each:
                    self._works.pop(each["deployment"], None)
                    self._finished[each["deployment"]] = asyncio.get_running_loop().time()

    async def _tidy(self) -> None:
        """Blobs that nobody has asked for in two weeks, or all on a crowded disk: releases have files of their own."""
        while True:
            await asyncio.sleep(_HOURLY)
            if not self._works:
                await self._sweep(0.0 if self._crowded() else _KEPT)

    async def _sweep(self, older_than: float) -> None:
        with suppress(CodeyardError, OSError):
            await asyncio.to_thread(self._blobs.sweep, lambda _: False, older_than=older_than)


def crowded(directory: Path) -> bool:
    """Whether the disk that a directory is on is nearly full, as far as that can be known."""
    with suppress(OSError):
        usage = shutil.disk_usage(directory)
        return usage.free < usage.total * _SPARE
    return False


def _assigned(found: Any) -> tuple[Assignment, bool]:
    """What an answer says of one assignment. Fault."""
    try:
        return assignment_from_json(found["assignment"]), bool(found["stopping"])
    except (KeyError, TypeError, Invalid) as error:
        raise Fault("the server", f"its answer is not understood: {error}.", "Use the same version on both.") from None


def _line(assignment: Assignment, report: EventReport) -> str:
    took = ""
    if report.started is not None and report.ended is not None:
        took = f" in {(report.ended - report.started).total_seconds():.1f} s"
    told = " ".join(report.message.split())[:500]
    what = f"{assignment.deployment} {assignment.application} {assignment.group}"
    return f"{what}: {report.name} {report.status}{took}{': ' + told if told else ''}"
