"""The four phases that run the buildspec's commands (reference 1.3, 1.6)."""

import asyncio
import json
import sys
from collections.abc import Sequence

from codeyard.builds.buildspec import FailureAction
from codeyard.builds.environment import settable
from codeyard.builds.job import Job
from codeyard.builds.model import SUCCEEDED, Context, Outcome, Phase, Status
from codeyard.builds.script import command, lone_command
from codeyard.events import CommandEnded, CommandStarted
from codeyard.executors import Command

COMMAND_ERROR = "COMMAND_EXECUTION_ERROR"
_MATCH = "import json, re, sys; sys.exit(re.search(*json.load(sys.stdin), re.DOTALL) is None)"
_MATCH_SECONDS = 5.0


def is_idle(job: Job, phase: Phase) -> bool:
    """Whether the phase has no commands, and nothing else to do."""
    spec = job.phase_spec(phase)
    commands = spec is not None and (spec.commands or spec.finally_commands)
    return not commands and not (phase is Phase.POST_BUILD and _exported(job))


def enter(job: Job, phase: Phase) -> None:
    job.say(f"{phase}-entering", f"Entering phase {phase}")


async def run_commands(job: Job, phase: Phase) -> Outcome:
    """Run the phase's commands, `finally` after them, and again as often as `on-failure: RETRY` says."""
    enter(job, phase)
    spec = job.phase_spec(phase)
    if spec is None:
        return SUCCEEDED
    user = spec.run_as or job.buildspec.run_as
    retry = spec.on_failure if spec.on_failure is not None and spec.on_failure.kind is FailureAction.RETRY else None
    began_well, attempt = job.succeeding, 0
    while True:
        series = f"{phase}-{attempt}"
        outcome = await _run_list(job, phase, series, spec.commands, user)
        last = await _run_list(job, phase, f"{series}-finally", spec.finally_commands, user, first=len(spec.commands))
        outcome = last if outcome.ok else outcome
        if outcome.ok or retry is None or attempt >= retry.count:
            return outcome
        if not await job.within(_matches(retry.pattern, outcome.context.message)):
            return outcome
        attempt += 1
        job.succeeding = began_well
        job.say(f"{series}-retry", f"Retrying phase {phase}: attempt {attempt} of {retry.count}")


async def sample_exported(job: Job) -> dict[str, str]:
    """The values of `exported-variables` as they are now; an unset one is empty (reference 1.4), and so is what can be
    no variable's name: the shell would give up all the others for it."""
    names = _exported(job)
    known = tuple(name for name in names if settable(name))
    values = await job.evaluate("exported", tuple(f"${{{name}-}}" for name in known))
    return dict.fromkeys(names, "") | dict(zip(known, values, strict=True))


def _exported(job: Job) -> tuple[str, ...]:
    names = job.buildspec.env.exported_variables
    return tuple(name for name in names if not name.startswith("AWS_") and name not in job.facts["secret_names"])


async def _run_list(
    job: Job, phase: Phase, series: str, texts: Sequence[str], user: str | None, *, first: int = 0
) -> Outcome:
    """One after another, until one fails."""
    for index, text in enumerate(texts):
        outcome = await _run_one(job, phase, f"{series}-{index}", first + index, text, user)
        if not outcome.ok:
            return outcome
    return SUCCEEDED


async def _run_one(job: Job, phase: Phase, key: str, index: int, text: str, user: str | None) -> Outcome:
    job.say(f"{key}-running", f"Running command {text}")
    shown, began = job.masked(text), job.tools.now()
    job.tell(CommandStarted(at=began, phase=phase, index=index, command=shown))
    write = lone_command if job.buildspec.version == "0.1" else command
    script = write(text, await job.place(), succeeding=job.succeeding, last_exit=job.last_exit)
    ended = await job.run(Command(key, script, shell=job.shell, user=user))
    job.tools.log.end_output(f"{key}-output", ended.spooled)
    job.last_exit = ended.code
    now = job.tools.now()
    job.tell(
        CommandEnded(
            at=now,
            phase=phase,
            index=index,
            command=shown,
            exit_code=ended.code,
            seconds=(now - began).total_seconds(),
        )
    )
    if ended.code == 0:
        return SUCCEEDED
    job.succeeding = False
    job.say(f"{key}-failed", f"Command did not exit successfully {text} exit status {ended.code}")
    message = f"Error while executing command: {text}. Reason: exit status {ended.code}"
    return Outcome(Status.FAILED, Context(COMMAND_ERROR, message))


async def _matches(pattern: str, message: str) -> bool:
    """Whether RETRY's expression matches somewhere in the error message (reference 1.6).

    In a process of its own, which is ended when it takes too long: some expressions take for ever, and nothing else
    could be done meanwhile.
    """
    if pattern == ".*":
        return True
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-c", _MATCH),
        env={},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_MATCH_SECONDS):
            await child.communicate(json.dumps([pattern, message]).encode())
        return child.returncode == 0
    except TimeoutError:
        return False
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
