"""The supervisor's script without a sandbox around it."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeyard.executors import Command, SandboxSpec
from codeyard.executors.supervisor import Control, launcher


@pytest.fixture
def spec(tmp_path: Path) -> SandboxSpec:
    spec = SandboxSpec(id="supervised", home=tmp_path)
    spec.prepare()
    return spec


async def alive() -> bool:
    return True


@pytest.fixture
def full(spec: SandboxSpec) -> Iterator[Control]:
    """A control whose supervisor can make files, and can write nothing to them: as on a full disk."""
    control = Control(spec, str(spec.home / "codebuild"))
    control.prepare()
    limited = f"trap '' XFSZ; ulimit -f 0; exec /bin/sh {control.supervisor} {control.inside}"
    running = subprocess.Popen(["/bin/sh", "-c", limited], start_new_session=True)
    yield control
    running.kill()
    running.wait()


async def test_a_full_disk_does_not_hide_how_a_command_ended(full: Control) -> None:
    ended = await asyncio.wait_for(full.run(Command("one", "exit 7"), alive), 20)

    assert ended.code == 7


async def test_a_key_that_two_processes_sent_runs_once(spec: SandboxSpec) -> None:
    control = Control(spec, str(spec.home / "codebuild"))
    control.prepare()
    (control.commands / "one.launch").write_text(f"echo ran >>{spec.home}/runs\n")
    running = subprocess.Popen(["/bin/sh", control.supervisor, control.inside], start_new_session=True)
    try:
        with (control.commands / "next").open("w") as keys:
            keys.write("one\none\n")
        await asyncio.wait_for(control.run(Command("two", "true"), alive), 20)
    finally:
        running.kill()
        running.wait()

    assert (spec.home / "runs").read_text() == "ran\n"


async def test_output_goes_on_when_what_carries_it_is_killed(spec: SandboxSpec) -> None:
    control = Control(spec, str(spec.home / "codebuild"))
    control.prepare()
    running = subprocess.Popen(["/bin/sh", control.supervisor, control.inside], start_new_session=True)
    # More than a pipe holds: the command waits until somebody carries.
    script = f"kill -9 $(cat {spec.home}/sandbox/pump); head -c 300000 /dev/zero"
    try:
        ended = await asyncio.wait_for(control.run(Command("one", script), alive), 20)
    finally:
        running.kill()
        running.wait()

    assert (ended.code, ended.spooled) == (0, 300_000)


def test_a_user_who_may_not_read_the_script_is_told() -> None:
    text = launcher(Command("one", "true", user="builder"), "/codebuild/control")

    assert "test -r /codebuild/control/commands/one.sh" in text
    assert "may not read the build" in text
