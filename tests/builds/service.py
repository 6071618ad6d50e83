"""A service for builds in one process: a clock, workflows that survive a killed process, and builds that do nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from codeyard.builds import projects_table, table
from codeyard.builds.control import BuildControl, StartLimits
from codeyard.builds.minding import Told
from codeyard.builds.model import SUCCEEDED, Outcome, Phase, Status
from codeyard.builds.phases import finish_phase, submit
from codeyard.builds.queue import Size
from codeyard.builds.run import Finished
from codeyard.builds.stored import StoredBuild
from codeyard.builds.worker import Worker
from codeyard.builds.workers_table import WorkerRow
from codeyard.durable import Answer, Steps
from codeyard.events import Event, PhaseEnded, PhaseStarted
from codeyard.store import Database
from tests.builds.projects import NOW, OWNER, project

GIB = 1 << 30
SMALL = Size(2, 4 * GIB)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at

    def pass_by(self, **given: float) -> None:
        self.at += timedelta(**given)


class Workflows:
    """What a journal keeps: which workflows began, which steps are done, and which workflows are over."""

    def __init__(self) -> None:
        self.answers: dict[str, dict[str, Answer]] = {}
        self.over: set[str] = set()


class Process:
    """One process of a name: workflows that it starts run until it is killed, or they are over."""

    def __init__(self, workflows: Workflows) -> None:
        self._workflows = workflows
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.body: Callable[[str, Steps], Awaitable[None]] | None = None
        self.starts = True  # whether what is to be started is written down

    async def start(self, run: str) -> None:
        if not self.starts or run in self._workflows.answers:
            return
        self._workflows.answers[run] = {}
        self._go(run)

    def recover(self) -> None:
        """Take up again what a killed process of this name had begun."""
        for run in self._workflows.answers:
            if run not in self._workflows.over and run not in self._tasks:
                self._go(run)

    async def kill(self) -> None:
        """Nothing of it goes on, and nothing is written any more."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()

    def _go(self, run: str) -> None:
        self._tasks[run] = asyncio.create_task(self._run(run), name=f"workflow {run}")

    async def _run(self, run: str) -> None:
        assert self.body is not None
        await self.body(run, _Steps(self._workflows.answers[run]))
        self._workflows.over.add(run)


class _Steps:
    def __init__(self, answers: dict[str, Answer]) -> None:
        self._answers = answers

    async def step(self, name: str, work: Callable[[], Awaitable[Answer]]) -> Answer:
        if name not in self._answers:
            self._answers[name] = await work()
        return self._answers[name]


@dataclass
class Builds:
    """A `perform` that runs nothing. BUILD of a build ends when its gate is opened, or it is stopped."""

    now: Callable[[], datetime]
    open: bool = True  # the gate of every build
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)  # of BUILD, by project
    begun: list[str] = field(default_factory=list)  # runs, once for each process that took the build up
    sandboxes: set[str] = field(default_factory=set)  # runs: they live on when a process dies
    most: int = 0  # sandboxes at the same time
    breaks: Exception | None = None

    async def perform(
        self, row: StoredBuild, steps: Steps, emit: Callable[[Event], None], stop: asyncio.Event
    ) -> Finished:
        self.begun.append(row.run)
        build = submit(row.id, row.build.started)
        facts: dict[str, Any] = {}
        while build.phase is not Phase.COMPLETED:
            emit(PhaseStarted(at=build.phase_started, phase=build.phase))
            phase = build.phase
            answer = await steps.step(phase, lambda: self._do(row, phase, stop))  # noqa: B023 - done at once
            outcome, ended = Outcome(Status(answer["status"])), datetime.fromisoformat(answer["ended"])
            facts |= answer["facts"]
            emit(PhaseEnded(at=ended, phase=phase, status=outcome.status, code="", message="", seconds=0.0))
            build = finish_phase(build, outcome, ended)
        return Finished(build, facts)

    async def _do(self, row: StoredBuild, phase: Phase, stop: asyncio.Event) -> Answer:
        outcome, facts = SUCCEEDED, {}
        if phase is Phase.PROVISIONING:
            if self.breaks is not None:
                raise self.breaks
            self.sandboxes.add(row.run)
            self.most = max(self.most, len(self.sandboxes))
        if phase is Phase.DOWNLOAD_SOURCE:
            facts = {"source": {"resolved": "abc123"}}
        if phase is Phase.BUILD:
            outcome = await self._build(row, stop)
        if phase is Phase.FINALIZING:
            self.sandboxes.discard(row.run)
        return {"status": outcome.status, "ended": self.now().isoformat(), "facts": facts}

    async def _build(self, row: StoredBuild, stop: asyncio.Event) -> Outcome:
        gate = self.gates.setdefault(row.run, asyncio.Event())
        if self.open:
            gate.set()
        waits = [asyncio.ensure_future(gate.wait()), asyncio.ensure_future(stop.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        if stop.is_set() and not gate.is_set():
            return Outcome(Status.STOPPED)
        return self.outcomes.get(row.id.project, SUCCEEDED)


@dataclass
class Service:
    """The parts, and what tests do with them again and again."""

    db: Database
    clock: Clock
    builds: Builds
    workflows: dict[str, Workflows] = field(default_factory=dict)

    def control(self, wake: Callable[[], None] = lambda: None, **given: Any) -> BuildControl:
        limits = given.pop("limits", StartLimits())
        return BuildControl(self.db, self.clock, limits, wake, **given)

    async def create(self, name: str = "site", **given: Any) -> None:
        """A project of this name."""
        made = project(name=name, **given)
        await self.db.write(lambda tx: projects_table.insert_project(tx, OWNER, made))

    async def start(self, name: str = "site", **given: Any) -> StoredBuild:
        return await self.control().start(OWNER, name, given, "root")

    async def row(self, run: str) -> StoredBuild:
        found = await self.db.read(lambda tx: table.load(tx, run))
        assert found is not None
        return found

    async def ended(self, *builds: StoredBuild, within: float = 8.0) -> list[StoredBuild]:
        """Those builds, once all have ended."""
        async with asyncio.timeout(within):
            while True:
                rows = [await self.row(build.run) for build in builds]
                if all(row.ended for row in rows):
                    return rows
                await asyncio.sleep(0.01)

    async def until(self, true: Callable[[], bool], within: float = 8.0) -> None:
        async with asyncio.timeout(within):
            while not true():
                await asyncio.sleep(0.005)

    def worker(
        self, process: Process, id: str = "one", size: Size = SMALL, told: Told | None = None, **given: Any
    ) -> Worker:
        known_as = WorkerRow(id, "machine", "", size, given.pop("slots", 1000), self.clock())
        heard = told or (lambda _build, _event: None)
        worker = Worker(
            self.db, process.start, self.builds.perform, known_as, self.clock,
            poll=given.pop("poll", 0.02), told=heard, **given,
        )  # fmt: skip
        process.body = worker.run
        return worker

    @asynccontextmanager
    async def working(self, id: str = "one", size: Size = SMALL, **given: Any) -> AsyncIterator[Worker]:
        """A worker in a process of its own, which is killed at the end."""
        process = Process(self.workflows.setdefault(id, Workflows()))
        process.starts = given.pop("starts", True)
        worker = self.worker(process, id, size, **given)
        async with worker:
            process.recover()
            try:
                yield worker
            finally:
                await process.kill()

    @asynccontextmanager
    async def killed(self, id: str = "one", size: Size = SMALL, **given: Any) -> AsyncIterator[Worker]:
        """The same, but at the end it has no time to say anything."""
        process = Process(self.workflows.setdefault(id, Workflows()))
        process.starts = given.pop("starts", True)
        worker = self.worker(process, id, size, **given)
        await worker.__aenter__()
        process.recover()
        try:
            yield worker
        finally:
            assert worker._task is not None
            worker._task.cancel()
            with suppress(asyncio.CancelledError):
                await worker._task
            await process.kill()


def a_service(db: Database) -> Service:
    clock = Clock()
    return Service(db, clock, Builds(clock))
