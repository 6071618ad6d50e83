"""Pipes and devices in the places of files: a pipe blocks whoever opens it, and some devices do things when opened."""

import os
import threading
from pathlib import Path

import pytest

from codeyard.artifacts.scan import read_file
from codeyard.errors import Invalid
from codeyard.executors import Command
from tests.acceptance.harness import Yard
from tests.machines import Machine


class Listening:
    """Whether anybody ever opens the pipe for reading: our opening for writing waits for that."""

    def __init__(self, pipe: Path) -> None:
        self._pipe = pipe
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        os.close(os.open(self._pipe, os.O_WRONLY))

    def ever(self) -> bool:
        self._thread.join(0.2)
        heard = not self._thread.is_alive()
        os.close(os.open(self._pipe, os.O_RDONLY | os.O_NONBLOCK))
        self._thread.join()
        return heard


def test_a_pipe_is_not_even_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    listening = Listening(tmp_path / "pipe")

    with pytest.raises(Invalid, match="not a regular file"):
        read_file(tmp_path, "pipe", 100)
    assert not listening.ever()


async def test_a_pipe_in_the_place_of_an_exit_code_is_not_even_opened(machine: Machine, tmp_path: Path) -> None:
    spec = machine.spec(f"security-{os.urandom(6).hex()}", tmp_path / "home")
    sandbox = await machine.executor().open(spec)
    try:
        pipe = spec.home / "codebuild" / "control" / "status" / "two.exit"
        ended = await sandbox.run(Command("one", f"mkfifo {sandbox.root}/control/status/two.exit"))
        assert ended.code == 0
        listening = Listening(pipe)
        after = f"sleep 2; rm {sandbox.root}/control/status/two.exit; exit 7"
        heard: list[bool] = []
        watching = threading.Timer(0.1, lambda: heard.append(listening.ever()))
        watching.start()
        ended = await sandbox.run(Command("two", after))
        watching.join()
    finally:
        await sandbox.close()

    assert (ended.code, heard) == (7, [False])


def test_a_build_that_makes_its_files_pipes_ends(yard: Yard) -> None:
    yard.machine.require_isolation()
    result = yard.build(
        {
            "env": {"exported-variables": ["HOME"]},
            "phases": {
                "build": {
                    "commands": ["rm -rf ../../tmp && mkdir ../../tmp && mkfifo ../../tmp/exported ../../tmp/names"]
                }
            },
            "artifacts": {"files": ["**/*"]},
        }
    )

    assert result.status in {"FAILED", "SUCCEEDED"}
