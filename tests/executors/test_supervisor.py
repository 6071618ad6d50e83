"""The supervisor's script without a sandbox around it."""

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
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


async def test_a_command_prints_on_when_nobody_waits_for_it_any_more(spec: SandboxSpec) -> None:
    control = Control(replace(spec, heard=lambda: spec.spool.stat().st_size), str(spec.home / "codebuild"))
    control.prepare()
    running = subprocess.Popen(["/bin/sh", control.supervisor, control.inside], start_new_session=True)
    script = "echo begun; sleep 0.5; head -c 300000 /dev/zero; echo over"
    try:
        waiting = asyncio.ensure_future(control.run(Command("one", script), alive))
        await eventually(lambda: spec.spool.stat().st_size > 0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

        assert await eventually(lambda: spec.spool.read_bytes().endswith(b"over\n"))
    finally:
        running.kill()
        running.wait()


async def test_what_a_command_left_behind_prints_no_more_until_the_next(spec: SandboxSpec) -> None:
    control = Control(replace(spec, heard=lambda: spec.spool.stat().st_size), str(spec.home / "codebuild"))
    control.prepare()
    running = subprocess.Popen(["/bin/sh", control.supervisor, control.inside], start_new_session=True)
    try:
        first = await control.run(Command("one", "(sleep 0.2; echo later) & echo now"), alive)
        await asyncio.sleep(0.5)
        between = spec.spool.read_text()
        await control.run(Command("two", "true"), alive)
    finally:
        running.kill()
        running.wait()

    assert (first.spooled, between, spec.spool.read_text()) == (4, "now\n", "now\nlater\n")


async def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        await asyncio.sleep(0.002)
    return condition()


def test_a_user_who_may_not_read_the_script_is_told() -> None:
    text = launcher(Command("one", "true", user="builder"), "/codebuild/control")

    assert "test -r /codebuild/control/commands/one.sh" in text
    assert "may not read the build" in text
