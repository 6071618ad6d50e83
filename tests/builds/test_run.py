"""The workflow from its beginning to its end, in a sandbox that only pretends."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from codeyard.builds.model import Phase, Status
from codeyard.builds.run import FOUND_DEAD, Finished, run_build
from codeyard.durable.journal import Journal
from codeyard.executors import Command, Exit
from tests.builds.jobs import NOW, ScriptedSandbox, bench

SPEC = {
    "version": 0.2,
    "phases": {name: {"on-failure": "CONTINUE", "commands": ["true"]} for name in ("install", "build", "post_build")},
}


class Dying(ScriptedSandbox):
    """Ends by itself with the first command of BUILD."""

    async def run(self, command: Command) -> Exit:
        self.lost = self.lost or command.key == "BUILD-0-0"
        return await super().run(command)


class Clock:
    """Each moment that it tells is a second after the last one."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


async def build_in(
    sandbox: type[ScriptedSandbox], home: Path, spec: object = SPEC, now: datetime = NOW, **settings: Any
) -> Finished:
    made = bench(home, files={"buildspec.yml": json.dumps(spec)}, settings=settings)
    tools = replace(made.job.tools, executor=sandbox(made.sandbox.spec), now=Clock(now))
    return await run_build(made.job.settings, made.job.sources, tools, Journal(home / "journal"))


def steps(home: Path) -> list[str]:
    return [json.loads(line)[0] for line in (home / "journal").read_text().splitlines()]


async def test_every_phase_runs(tmp_path: Path) -> None:
    build = (await build_in(ScriptedSandbox, tmp_path / "home")).build

    assert build.status is Status.SUCCEEDED
    assert len(build.history) == 10


async def test_a_dead_sandbox_runs_no_further_phase_whatever_the_buildspec_says(tmp_path: Path) -> None:
    build = (await build_in(Dying, tmp_path / "home")).build
    phases = [(record.phase, record.status) for record in build.history[-2:]]

    assert phases == [("BUILD", Status.FAILED), ("FINALIZING", Status.SUCCEEDED)]
    assert build.history[-2].contexts[0].code == FOUND_DEAD


async def test_what_finished_says_holds_no_buildspec(tmp_path: Path) -> None:
    assert "buildspec" not in (await build_in(ScriptedSandbox, tmp_path / "home")).facts


FEW = {"version": 0.2, "phases": {"build": {"commands": ["true"]}}}


async def test_a_phase_in_which_nothing_is_done_has_no_step_and_is_told_and_logged_as_any(tmp_path: Path) -> None:
    claimed = NOW + timedelta(minutes=1)
    home = tmp_path / "home"
    build = (await build_in(ScriptedSandbox, home, FEW, claimed, claimed=claimed)).build
    ended = {record.phase: record.ended for record in build.history}
    log = (home / "log").read_text()

    assert steps(home) == ["PROVISIONING", "DOWNLOAD_SOURCE", "BUILD", "UPLOAD_ARTIFACTS", "FINALIZING"]
    assert [record.phase for record in build.history] == list(Phase)[:-1]
    assert ended[Phase.QUEUED] == claimed
    assert ended[Phase.DOWNLOAD_SOURCE] == ended[Phase.INSTALL] == ended[Phase.PRE_BUILD]
    for phase in ("INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD"):
        assert log.index(f"Entering phase {phase}") < log.index(f"Phase complete: {phase} State: SUCCEEDED")


@pytest.mark.parametrize("kept", range(5))
async def test_another_process_tells_the_same_of_the_phases_that_had_ended(tmp_path: Path, kept: int) -> None:
    home = tmp_path / "home"
    first = await build_in(ScriptedSandbox, home, FEW)
    lines = (home / "journal").read_text().splitlines(keepends=True)
    (home / "journal").write_text("".join(lines[:kept]))

    again = await build_in(ScriptedSandbox, home, FEW, NOW + timedelta(minutes=9))
    ended = [record for record in again.build.history if record.ended and record.ended < NOW + timedelta(minutes=9)]

    assert again.facts == first.facts
    assert ended == list(first.build.history[: len(ended)])
    assert len(ended) == (2, 3, 6, 8, 9)[kept]


async def test_a_journal_that_has_a_step_for_each_phase_is_gone_on_with(tmp_path: Path) -> None:
    """As they were written once."""
    home = tmp_path / "home"
    await build_in(ScriptedSandbox, home)
    ended = json.loads((home / "journal").read_text().splitlines()[-1])[1]
    lines = [json.dumps([name, {**ended, "facts": {}}]) for name in ("QUEUED", "PRE_BUILD")]
    (home / "journal").write_text("\n".join([*lines, *(home / "journal").read_text().splitlines()]) + "\n")

    build = (await build_in(ScriptedSandbox, home)).build

    assert (build.status, len(build.history)) == (Status.SUCCEEDED, 10)
