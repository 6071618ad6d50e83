"""The workflow from its beginning to its end, in a sandbox that only pretends."""

import json
from dataclasses import replace
from pathlib import Path

from codeyard.builds.model import Status
from codeyard.builds.run import FOUND_DEAD, Finished, run_build
from codeyard.durable.journal import Journal
from codeyard.executors import Command, Exit
from tests.builds.jobs import ScriptedSandbox, bench

SPEC = {
    "version": 0.2,
    "phases": {name: {"on-failure": "CONTINUE", "commands": ["true"]} for name in ("install", "build", "post_build")},
}


class Dying(ScriptedSandbox):
    """Ends by itself with the first command of BUILD."""

    async def run(self, command: Command) -> Exit:
        self.lost = self.lost or command.key == "BUILD-0-0"
        return await super().run(command)


async def build_in(sandbox: type[ScriptedSandbox], home: Path) -> Finished:
    made = bench(home, files={"buildspec.yml": json.dumps(SPEC)})
    tools = replace(made.job.tools, executor=sandbox(made.sandbox.spec))
    return await run_build(made.job.settings, made.job.sources, tools, Journal(home / "journal"))


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
