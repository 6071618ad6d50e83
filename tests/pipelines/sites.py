"""Pipelines that run, for tests: a database, a control, and runners whose actions the test writes.

    async with a_site(database) as site:
        id = await site.create(definition("QUEUED", stage("Source", act("s")), stage("Build", act("b"))))
        await site.ended(id)

An action does nothing and succeeds, unless `site.script` has another for its name. A second `Site` on the same database
is another process; `site.link` may be cut, so that its database is away, or it is dead for all others.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from codeyard.artifacts.disk import DiskStore
from codeyard.durable import Answer
from codeyard.ident import Owner
from codeyard.pipelines import executions_table, outbox_table, pipelines_table, runs_table
from codeyard.pipelines.actions import Action, ActionFailed, ErrorCode, Outcome, Work
from codeyard.pipelines.actions.approval import ApprovalAction
from codeyard.pipelines.control import PipelineControl
from codeyard.pipelines.model import ActionType, Moment, RetryMode
from codeyard.pipelines.runner import Runner
from codeyard.pipelines.runners import Runners
from codeyard.pipelines.starting import Trigger
from codeyard.pipelines.stored import StoredExecution, StoredPipeline, StoredRun, StoredVersion
from codeyard.pipelines.work import Means, Rights
from codeyard.store import Away, Database, Tx

T = TypeVar("T")
Shape = dict[str, Any]
Script = Callable[[Work], Awaitable[Outcome]]
OWNER = Owner("111122223333", "us-east-1")
NAME = "demo"
BY = Trigger("StartPipelineExecution", "arn:aws:iam::111122223333:root")
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_PATIENCE = 20.0  # seconds for what ought to happen at once


def act(name: str, type: str = "Build/Custom/Nothing", order: int = 1, outputs: str = "", **more: Any) -> Shape:
    category, owner, provider = type.split("/")
    return {
        "name": name,
        "actionTypeId": {"category": category, "owner": owner, "provider": provider, "version": "1"},
        "runOrder": order,
        "outputArtifacts": [{"name": each} for each in outputs.split()],
        **more,
    }


def approval(name: str = "ask", **more: Any) -> Shape:
    return act(name, "Approval/AWS/Manual", **more)


def stage(name: str, *actions: Shape, **more: Any) -> Shape:
    return {"name": name, "actions": list(actions), **more}


def asking(result: str, *names: str) -> Shape:
    """A condition whose rules have these names."""
    rules = [{"name": each, "ruleTypeId": {"category": "Rule", "provider": "Nothing"}} for each in names]
    return {"conditions": [{"result": result, "rules": rules}]}


def definition(mode: str, *stages: Shape, **more: Any) -> Shape:
    return {
        "name": NAME,
        "roleArn": "arn:aws:iam::111122223333:role/pipeline",
        "version": 1,
        "pipelineType": "V2",
        "executionMode": mode,
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": list(stages),
        **more,
    }


SIMPLE = (stage("Source", act("s", outputs="Src")), stage("Build", act("b")), stage("Deploy", act("d")))


@dataclass
class Link:
    """A database as one process reaches it: `fine`, `away`, or `dead`: it never answers, for the process is."""

    db: Database
    state: str = "fine"

    async def read(self, work: Callable[[Tx], T]) -> T:
        await self._pass()
        return await self.db.read(work)

    async def write(self, work: Callable[[Tx], T]) -> T:
        await self._pass()
        return await self.db.write(work)

    async def _pass(self) -> None:
        if self.state == "away":
            raise Away("the database", "it does not answer.", "Wait.")
        while self.state == "dead":
            await asyncio.sleep(0.01)


@dataclass
class Clock:
    """The time of day, which a test may put forward."""

    ahead: timedelta = timedelta()
    last: datetime = _LONG_AGO

    def now(self) -> datetime:
        self.last = max(datetime.now(UTC) + self.ahead, self.last + timedelta(milliseconds=1))
        return self.last


class _Scripted:
    def __init__(self, script: Mapping[str, Script]) -> None:
        self._script = script

    async def run(self, work: Work) -> Outcome:
        return await self._script.get(work.place.action, well)(work)


async def well(work: Work) -> Outcome:
    """Nothing; its outputs are there."""
    return Outcome(tuple(replace(each, there=True) for each in work.outputs))


async def badly(_work: Work) -> Outcome:
    raise ActionFailed(ErrorCode.JOB_FAILED, "it went wrong")


async def _nobody(_work: Work, _topic: str | None, _subject: str, _body: str) -> None:
    """Nobody hears of an approval."""


@dataclass
class Hold:
    """An action that waits until the test lets it go, or has it fail. `runs` are those that came to it."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    runs: list[str] = field(default_factory=list)
    good: bool = True

    async def __call__(self, work: Work) -> Outcome:
        self.runs.append(work.run)
        await self.gate.wait()
        return await (well if self.good else badly)(work)


@dataclass
class Counted:
    """An action of steps, each of which may happen once: `done` says how often each did."""

    steps: tuple[str, ...]
    stop_before: str = ""  # the step that waits for `gate`
    done: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    there: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, work: Work) -> Outcome:
        for step in self.steps:
            if step == self.stop_before and not self.gate.is_set():
                self.there.set()
                await self.gate.wait()

            async def effect(step: str = step) -> Answer:
                self.done.append(step)
                return {"number": len(self.done)}

            await work.step(step, effect)
        return await well(work)


async def _trusted(*_: object) -> bool:
    return True


class Site:
    """See the module."""

    def __init__(self, db: Database, home: Path, id: str = "one", clock: Clock | None = None) -> None:
        self.db, self.link, self.clock = db, Link(db), clock or Clock()
        self.script: dict[str, Script] = {}
        self.control = PipelineControl(self.link, self.clock.now, Runners(id))
        means = Means(self.link, DiskStore(home), self._rights, lambda *_: {}, self.clock.now, _trusted)
        self.runner = Runner(self.control, means, self._action, lease=0.6, poll=0.05)
        self._approval, self._scripted = ApprovalAction(_nobody, lambda _: "page"), _Scripted(self.script)

    async def _rights(self, _owner: Owner, _role: str, _session: str) -> Rights:
        await self.link.read(lambda tx: None)  # as the real ones are rows

        async def permit(_action: str, _arn: str) -> None:
            """It may do all."""

        return Rights(permit, lambda _url: None)  # type: ignore[arg-type, return-value]

    def _action(self, type: ActionType) -> Action | None:
        if type.provider == "Unknown":
            return None
        return self._approval if type.category == "Approval" else self._scripted

    # ── what clients do ──

    async def create(self, shape: Shape) -> str:
        version = StoredVersion(1, self.clock.now(), shape)
        return (await self.control.definitions.create(OWNER, version, {}, BY.detail))[1]

    async def update(self, shape: Shape) -> None:
        def make(_tx: Tx, stored: StoredPipeline, _was: StoredVersion) -> StoredVersion:
            return StoredVersion(stored.version + 1, self.clock.now(), {**shape, "version": stored.version + 1})

        await self.control.definitions.update(OWNER, NAME, make)

    async def delete(self) -> None:
        await self.control.definitions.delete(OWNER, NAME)

    async def start(self, *, required: bool = True, **given: Any) -> str:
        return await self.control.start(OWNER, NAME, {"name": NAME, **given}, BY, required=required)

    async def stop(self, id: str, *, abandon: bool = False, reason: str = "") -> None:
        await self.control.stop(OWNER, NAME, id, abandon=abandon, reason=reason)

    async def retry(self, id: str, stage: str, mode: str = "FAILED_ACTIONS") -> None:
        await self.control.retry(OWNER, NAME, stage, id, RetryMode(mode))

    async def roll_back(self, stage: str, target: str) -> str:
        return await self.control.roll_back(OWNER, NAME, stage, target, BY.detail)

    async def override(self, id: str, stage: str, moment: str) -> None:
        await self.control.override(OWNER, NAME, stage, id, Moment(moment))

    async def approve(self, token: str, *, approved: bool = True, stage: str = "Build", action: str = "ask") -> None:
        await self.control.approve(OWNER, NAME, stage, action, token, approved=approved, summary="so be it", by="me")

    # ── what is to be seen ──

    async def stored(self, id: str) -> StoredExecution:
        found = await self.db.read(lambda tx: executions_table.load(tx, OWNER, NAME, id))
        assert found is not None
        return found

    async def status(self, id: str) -> str:
        return (await self.stored(id)).execution.status.value

    async def pipeline(self) -> StoredPipeline:
        found = await self.db.read(lambda tx: pipelines_table.load(tx, OWNER, NAME))
        assert found is not None
        return found

    async def runs(self, id: str, name: str | None = None) -> list[StoredRun]:
        found = await self.db.read(lambda tx: runs_table.of_execution(tx, id))
        return [each for each in found if name in (None, each.name)]

    async def run(self, id: str, name: str) -> StoredRun:
        """The latest of this action."""
        return (await self.runs(id, name))[-1]

    async def events(self) -> list[Any]:
        return [each.event for each in await self.db.read(lambda tx: outbox_table.owed(tx, 10_000))]

    async def until(self, true: Callable[[], Awaitable[T]]) -> T:
        """What it gives, once that is something."""
        async with asyncio.timeout(_PATIENCE):
            while not (found := await true()):
                await asyncio.sleep(0.005)
            return found

    async def ended(self, id: str) -> str:
        """The status that it ends with."""

        async def done() -> str:
            stored = await self.stored(id)
            return "" if stored.execution.live else stored.execution.status.value

        return await self.until(done)

    async def under_way(self, id: str, name: str) -> StoredRun:
        """The run of this action, once it is there and has not ended."""

        async def there() -> StoredRun | None:
            runs = await self.runs(id, name)
            return runs[-1] if runs and runs[-1].status.is_running else None

        found = await self.until(there)
        assert found is not None
        return found

    async def token(self, id: str, name: str = "ask") -> str:
        """The token of an approval that waits."""

        async def told() -> str:
            runs = await self.runs(id, name)
            return str(runs[-1].data.get("token", "")) if runs and runs[-1].status.is_running else ""

        return await self.until(told)


@asynccontextmanager
async def a_site(db: Database, id: str = "one", clock: Clock | None = None) -> AsyncIterator[Site]:
    """With its runner at work."""
    with tempfile.TemporaryDirectory() as home:
        site = Site(db, Path(home) / "blobs", id, clock)
        async with site.runner:
            yield site
        site.link.state = "fine"
