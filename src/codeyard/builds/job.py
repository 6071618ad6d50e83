"""One build as a process works on it: its sandbox, its log, and what the phases so far have told."""

import asyncio
import json
import posixpath
import re
from collections.abc import Awaitable, Iterable, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any, TypeVar

from codeyard.artifacts.scan import Below, read_file
from codeyard.builds.buildspec import Buildspec, FailureAction, PhaseSpec, parse
from codeyard.builds.environment import SourceFacts
from codeyard.builds.model import Outcome, Phase, Settings, Status
from codeyard.builds.phases import timed_out
from codeyard.builds.script import Place, evaluation
from codeyard.builds.tools import Tools, WhichSources
from codeyard.errors import CodeyardError, Invalid, NotFound
from codeyard.events import Event
from codeyard.executors import Command, Exit, Sandbox, SandboxLost

T = TypeVar("T")
_EVALUATED_AT_MOST = 1 << 20
_PUMP_EVERY = 0.01
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PUMP_AT_ONCE = 8 << 20  # bytes; meanwhile nobody hears that the build was stopped, or its time is over
# What an event says in words of ours, which stay as they are even if somebody's secret is one of them.
_OUR_WORDS = frozenset({"at", "phase", "status", "code", "action", "format", "digest", "build", "log", "counts"})


class Interrupted(Exception):
    """The build was stopped, or its time is over: the phase ends so."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class Vanished(SandboxLost):
    """The sandbox that an earlier process had opened is no more: nothing that the build did, as far as is known."""


class Job:
    """See the module. What must last is in `facts`, which the finished steps gave; the rest is found again."""

    def __init__(self, settings: Settings, sources: WhichSources, tools: Tools) -> None:
        self.settings, self.sources, self.tools = settings, sources, tools
        self.facts: dict[str, Any] = {}
        self.succeeding = True
        self.last_exit = 0
        self.began = settings.submitted  # when its time began to run: at the end of QUEUED
        self.source: SourceFacts | None = None
        self.spec: Buildspec | None = None
        self._sandbox: Sandbox | None = None
        self._masks = tools.sandbox.home / "masks"
        if self._masks.exists():  # an earlier process of this build had these to hide, and so has this one
            tools.log.mask(tuple(json.loads(self._masks.read_text())))

    def hide(self, values: tuple[str, ...]) -> None:
        """From now on no log and no message shows these, in whatever process."""
        if values:
            # Whole or not at all: half a file would keep every later process from going on.
            staged = self._masks.with_name(".masks.new")
            staged.touch(mode=0o600)
            staged.write_text(json.dumps(values))
            staged.rename(self._masks)
            self.tools.log.mask(values)

    def learn(self, facts: Mapping[str, Any]) -> None:
        """Take in what a step that finished, perhaps in another process, has told."""
        self.facts.update(facts)
        self.last_exit = self.facts.get("last_exit", 0)
        if "source" in facts:
            self.source = _source(facts["source"])
        if "buildspec" in facts:
            self.spec = parse(facts["buildspec"])

    # ── the sandbox ──

    async def open(self) -> None:
        self._sandbox = await self.tools.executor.open(self.tools.sandbox)

    async def sandbox(self) -> Sandbox:
        """The open sandbox; after a restart, the one that another process opened. Vanished."""
        if self._sandbox is None:
            try:
                self._sandbox = await self.tools.executor.adopt(self.tools.sandbox)
            except SandboxLost as error:
                raise Vanished(error.what, error.why, error.fix) from error
        return self._sandbox

    async def close(self) -> None:
        """End the sandbox, whoever opened it. What it spooled is in the log before."""
        with suppress(SandboxLost):  # gone already
            sandbox = await self.sandbox()
            await sandbox.close()
        self.tools.log.pump()

    async def abandon(self) -> None:
        """End the sandbox and no more."""
        with suppress(CodeyardError, OSError):
            await (await self.sandbox()).close()

    async def run(self, command: Command) -> Exit:
        """Run it, with its output going to the log as it comes. Interrupted, SandboxLost."""
        sandbox = await self.sandbox()
        pumping = asyncio.ensure_future(self._pump())
        try:
            ended = await self.within(sandbox.run(command))
            await self.within(self._catch_up(ended.spooled))
        except Interrupted:
            # At once, and only then its last words: it may print faster than they can be written down.
            with suppress(CodeyardError):  # it is tried again, and told, in FINALIZING
                await self.close()
            raise
        except SandboxLost:
            self.tools.log.pump()
            raise
        finally:
            pumping.cancel()
        return ended

    async def within(self, work: Awaitable[T]) -> T:
        """What `work` gives, unless the build is stopped or its time is over before. Interrupted."""
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self.tools.stop.wait())
        try:
            await asyncio.wait({task, stop}, timeout=self._remaining(), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Interrupted(Outcome(Status.STOPPED) if stop.done() else timed_out())
        finally:
            task.cancel()
            stop.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    async def _pump(self) -> None:
        while True:
            await asyncio.sleep(0 if self.tools.log.pump(_PUMP_AT_ONCE) else _PUMP_EVERY)

    async def _catch_up(self, spooled: int) -> None:
        """Write down what was printed by then, and no more. A process that was left behind may print for ever."""
        log = self.tools.log
        while (left := spooled - log.read) > 0 and log.pump(min(left, _PUMP_AT_ONCE)):
            await asyncio.sleep(0)

    def _remaining(self) -> float:
        """Seconds until the build's time is over. The queue has a limit of its own (reference 2.6)."""
        ends = self.began + self.settings.timeout
        return max(0.0, (ends - self.tools.now()).total_seconds())

    # ── what is where ──

    @property
    def tag(self) -> str:
        """The digits in `/codebuild/output/src<digits>`: of the build, so that a repeated step finds the same."""
        return str(int(self.settings.id.run.replace("-", ""), 16))[-9:]

    async def place(self) -> Place:
        sandbox = await self.sandbox()
        directory = self.source.directory if self.source is not None else f"{sandbox.root}/output/src{self.tag}/src"
        return Place(sandbox.root, directory)

    async def on_host(self, inside: str) -> Below | None:
        """Where the host sees an absolute path inside: beneath the build's writable tree, or nowhere (None)."""
        path, prefix = posixpath.normpath(inside), f"{(await self.sandbox()).root}/output"
        if path != prefix and not path.startswith(f"{prefix}/"):
            return None
        return Below(self.tools.sandbox.output, path[len(prefix) + 1 :])

    @property
    def buildspec(self) -> Buildspec:
        assert self.spec is not None, "DOWNLOAD_SOURCE comes before"
        return self.spec

    def phase_spec(self, phase: Phase) -> PhaseSpec | None:
        if self.spec is None:
            return None
        return next((found for found in self.spec.phases if found.name == phase.lower()), None)

    def on_failure(self, phase: Phase) -> FailureAction | None:
        """What the buildspec says of this phase, if anything."""
        found = self.phase_spec(phase)
        return found.on_failure.kind if found is not None and found.on_failure is not None else None

    # ── what the shell inside says ──

    async def evaluate(self, key: str, expressions: tuple[str, ...]) -> tuple[str, ...]:
        """What the build's shell makes of each, with the variables as they are now (reference 1.8, 1.9). Invalid."""
        if not expressions:
            return ()
        place = await self.place()
        script = evaluation(
            expressions, place, f"{place.root}/output/tmp/{key}", shared=self.buildspec.version != "0.1"
        )
        await self.run(Command(f"value-{key}", script, shell=self.shell))
        try:
            content = read_file(self.tools.sandbox.output, f"tmp/{key}", _EVALUATED_AT_MOST)
        except NotFound as error:  # there is no such shell, or no command in it that a shell can read
            what = f"{self.shell} cannot evaluate {' '.join(expressions)[:200]}"
            raise Invalid(what, "it ended before it had.", "See in the log what it said.") from error
        values = content.decode(errors="replace").split("\0")[:-1]
        return tuple(values[: len(expressions)]) + ("",) * (len(expressions) - len(values))

    @property
    def shell(self) -> str:
        return self.buildspec.env.shell or "/bin/sh"

    # ── the log ──

    def say(self, key: str, text: str) -> None:
        self.tools.log.say(key, text)

    def say_each(self, key: str, lines: Iterable[str]) -> None:
        """A line each, whatever a build has put into the names that stand there: no name can make a line of its own."""
        for number, line in enumerate(lines):
            self.say(f"{key}-line-{number}", _CONTROL.sub("?", line))

    def masked(self, text: str) -> str:
        return self.tools.log.masked(text)

    def shown(self, value: Any) -> Any:
        """A plain value, with its texts as the log would show them."""
        match value:
            case str():
                return self.masked(value)
            case Mapping():
                return {name: self.shown(each) for name, each in value.items()}
            case list() | tuple():
                return [self.shown(each) for each in value]
            case _:
                return value

    def tell(self, event: Event) -> None:
        """Let the event be known, with no secret in what it says in words of the build's."""
        free = (part.name for part in fields(event) if part.name not in _OUR_WORDS)
        self.tools.emit(replace(event, **{name: self.shown(getattr(event, name)) for name in free}))

    def say_phase_end(self, phase: Phase, outcome: Outcome) -> None:
        """The two lines that end a phase (reference 10.3); the first phases have none."""
        if phase in {Phase.QUEUED, Phase.PROVISIONING} and outcome.ok:
            return
        self.say(f"{phase}-complete", f"Phase complete: {phase} State: {outcome.status}")
        self.say(
            f"{phase}-context",
            f"Phase context status code: {outcome.context.code} Message: {outcome.context.message}",
        )


def _source(plain: Mapping[str, Any]) -> SourceFacts:
    facts = SourceFacts(**plain)
    return replace(facts, secondary={name: SourceFacts(**other) for name, other in plain["secondary"].items()})
