"""The workflow of a build: a durable step for each phase in which something is done, and what that is.

Every phase may be done again from its beginning by another process, so what it does is keyed: the sandbox by the
build, a command by its place in the buildspec, a line of the log by what it says.
"""

import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from codeyard.builds.buildspec import FailureAction
from codeyard.builds.commands import enter, is_idle, run_commands, sample_exported
from codeyard.builds.download import download
from codeyard.builds.job import Interrupted, Job, Vanished
from codeyard.builds.model import SUCCEEDED, USER_PHASES, Build, Context, Outcome, Phase, Settings, Status
from codeyard.builds.phases import finish_phase, submit
from codeyard.builds.tools import Tools, WhichSources
from codeyard.builds.upload import upload
from codeyard.durable import Answer, Steps
from codeyard.errors import CodeyardError, Fault, NotFound
from codeyard.events import ArtifactMade, BuildEnded, CacheUsed, PhaseEnded, PhaseStarted, ReportMade
from codeyard.executors import SandboxLost, SandboxTaken

UNABLE_TO_PULL = "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE"
FOUND_DEAD = "BUILD_CONTAINER_FOUND_DEAD"


@dataclass(frozen=True, slots=True)
class Finished:
    """A build that completed, and what it made: the facts without secrets, and without the buildspec's text."""

    build: Build
    facts: Mapping[str, Any] = field(default_factory=dict)


async def run_build(settings: Settings, sources: WhichSources, tools: Tools, steps: Steps) -> Finished:
    """Run the build to its end, or from where another process left it."""
    job = Job(settings, sources, tools)
    build = submit(settings.id, settings.submitted)
    idle: list[Phase] = []  # since the last step
    try:
        while build.phase is not Phase.COMPLETED:
            job.tell(PhaseStarted(at=build.phase_started, phase=build.phase))
            if (answer := _idle(job, build)) is not None:
                idle.append(build.phase)
            else:
                answer = await steps.step(build.phase, partial(_perform, job, build, tuple(idle)))
                idle.clear()
            outcome = Outcome(Status(answer["status"]), Context(answer["code"], answer["message"]))
            ended = datetime.fromisoformat(answer["ended"])
            job.learn(answer["facts"])
            if build.phase is Phase.QUEUED:
                job.began = ended
            _tell(job, build, outcome, ended, answer["facts"])
            # A dead sandbox runs no further phase, whatever the buildspec says.
            dead = outcome.context.code == FOUND_DEAD
            build = finish_phase(
                build, outcome, ended, on_failure=FailureAction.ABORT if dead else job.on_failure(build.phase)
            )
    except Exception:
        await job.abandon()  # nothing can be written down: the disk is full, say
        raise
    _tell_end(job, build)
    facts = {name: fact for name, fact in job.facts.items() if name != "buildspec"}
    return Finished(build, {name: fact if name in _EXACT else job.shown(fact) for name, fact in facts.items()})


# What of a step's facts the build itself has worded: secrets in it are hidden before the journal keeps it, not only
# where it is shown.
_TOLD = frozenset({"exported", "artifacts", "cache", "reports"})
# Digests by names of the pipeline's: the next action needs them as they are, whatever short secret is in one.
_EXACT = frozenset({"trees"})


def _idle(job: Job, build: Build) -> Answer | None:
    """How the current phase ends, if nothing is done in it; else None.

    That follows from what steps have told, so every process finds the same: it needs no step of its own, which takes
    longer than the phase. What the log says of it is the next step's to say.
    """
    if build.phase is Phase.QUEUED:
        return _answer(job, SUCCEEDED, job.settings.claimed or job.settings.submitted, {})
    if build.phase not in USER_PHASES or not is_idle(job, build.phase):
        return None
    facts: dict[str, Any] = {"last_exit": job.last_exit}
    if build.phase is Phase.POST_BUILD:
        facts["exported"] = {}
    return _answer(job, SUCCEEDED, build.phase_started, facts)


async def _perform(job: Job, build: Build, idle: tuple[Phase, ...]) -> Answer:
    """Do the current phase, and say how it ended and what was learnt. Those before it that were `idle` are logged."""
    facts: dict[str, Any] = {}
    try:
        for phase in idle:
            if phase in USER_PHASES:
                enter(job, phase)
            job.say_phase_end(phase, SUCCEEDED)
        outcome = await _PHASES[build.phase](job, build, facts)
    except Interrupted as interrupted:
        outcome = interrupted.outcome
    except (CodeyardError, OSError) as error:
        outcome = _broken(build.phase, error)
    except Exception as error:  # noqa: BLE001 - a mistake of ours, which must not leave the sandbox running
        outcome = Outcome(Status.FAULT, Context("SERVER_ERROR", _bug(error)))
    if build.phase is not Phase.FINALIZING:
        job.say_phase_end(build.phase, outcome)
    return _answer(job, outcome, job.tools.now(), facts)


def _answer(job: Job, outcome: Outcome, ended: datetime, facts: Mapping[str, Any]) -> Answer:
    return {
        "status": outcome.status,
        "code": outcome.context.code,
        "message": job.masked(outcome.context.message),
        "ended": ended.isoformat(),
        "facts": {name: job.shown(fact) if name in _TOLD else fact for name, fact in facts.items()},
    }


def _broken(phase: Phase, error: CodeyardError | OSError) -> Outcome:
    """How a phase ends whose work could not be done: FAILED where the request is the reason, else FAULT."""
    if isinstance(error, NotFound) and phase is Phase.PROVISIONING:
        return Outcome(Status.FAILED, Context(UNABLE_TO_PULL, str(error)))
    if isinstance(error, SandboxLost):
        status = Status.FAULT if isinstance(error, Vanished | SandboxTaken) else Status.FAILED
        return Outcome(status, Context(FOUND_DEAD, str(error)))
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return Outcome(Status.FAULT, Context("SERVER_ERROR", f"{error.strerror or error}{where}"))
    status = Status.FAULT if isinstance(error, Fault) else Status.FAILED
    return Outcome(status, Context("SERVER_ERROR" if status is Status.FAULT else "CLIENT_ERROR", str(error)))


def _bug(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"a bug in Codeyard, at {Path(last.filename).name}:{last.lineno}: {type(error).__name__}: {error}"[:2000]


async def _provision(job: Job, build: Build, facts: dict[str, Any]) -> Outcome:
    job.say("on-demand", "Running on CodeBuild On-demand")
    await job.within(job.open())
    job.say("waiting", "Waiting for agent ping")
    job.say("waiting-source", f"Waiting for {Phase.DOWNLOAD_SOURCE}")
    return SUCCEEDED


async def _download(job: Job, build: Build, facts: dict[str, Any]) -> Outcome:
    return await download(job, facts)


async def _commands(job: Job, build: Build, facts: dict[str, Any]) -> Outcome:
    job.succeeding = build.succeeding
    outcome = await run_commands(job, build.phase)
    if build.phase is Phase.POST_BUILD:
        facts["exported"] = await job.within(sample_exported(job))
    facts["last_exit"] = job.last_exit
    return outcome


async def _upload(job: Job, build: Build, facts: dict[str, Any]) -> Outcome:
    job.succeeding = build.succeeding
    return await upload(job, facts)


async def _finalize(job: Job, build: Build, facts: dict[str, Any]) -> Outcome:
    await job.close()
    return SUCCEEDED


_PHASES: dict[Phase, Callable[[Job, Build, dict[str, Any]], Awaitable[Outcome]]] = {
    Phase.PROVISIONING: _provision,
    Phase.DOWNLOAD_SOURCE: _download,
    **dict.fromkeys(USER_PHASES, _commands),
    Phase.UPLOAD_ARTIFACTS: _upload,
    Phase.FINALIZING: _finalize,
}


def _tell(job: Job, build: Build, outcome: Outcome, ended: datetime, facts: Mapping[str, Any]) -> None:
    for made in facts.get("cache", ()):
        job.tell(CacheUsed(at=ended, **made))
    for made in facts.get("reports", ()):
        job.tell(ReportMade(at=ended, **made))
    for made in facts.get("artifacts", ()):
        job.tell(ArtifactMade(at=ended, **made))
    job.tell(
        PhaseEnded(
            at=ended,
            phase=build.phase,
            status=outcome.status,
            **asdict(outcome.context),
            seconds=(ended - build.phase_started).total_seconds(),
        )
    )


def _tell_end(job: Job, build: Build) -> None:
    assert build.ended is not None
    job.tell(
        BuildEnded(
            at=build.ended,
            build=str(build.id),
            status=build.status,
            seconds=(build.ended - build.started).total_seconds(),
            exported=job.facts.get("exported", {}),
            resolved_source_version=job.source.resolved if job.source is not None else None,
            log=str(job.tools.sandbox.home / "log"),
        )
    )
