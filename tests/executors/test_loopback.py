import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeyard.errors import Conflict, Denied, Fault
from codeyard.executors import SandboxLost
from codeyard.executors.loopback import listen_here, listen_within
from codeyard.executors.processes import ProcessId

OURS = Path("/proc/thread-self/ns/net")


def gone() -> SandboxLost:
    return SandboxLost("the sandbox", "is gone.", "Start it again.")


@pytest.fixture
def sleeper() -> Iterator[ProcessId]:
    """A process in the network that we are in."""
    child = subprocess.Popen(["sleep", "60"])
    found = ProcessId.of(child.pid)
    assert found is not None
    yield found
    child.kill()
    child.wait()


def test_it_listens_on_the_loopback_alone() -> None:
    with listen_here(0) as made:
        address, port = made.getsockname()

    assert (address, port > 0) == ("127.0.0.1", True)


def test_a_port_that_is_taken_is_told() -> None:
    with listen_here(0) as made, pytest.raises(Conflict, match="Choose another port"):
        listen_here(made.getsockname()[1])


@pytest.mark.parametrize("port", [-1, 65536])
def test_what_is_no_port_is_told(port: int) -> None:
    with pytest.raises(Fault, match="Choose a port from 1 to 65535"):
        listen_here(port)


async def test_a_process_that_has_ended_is_gone(sleeper: ProcessId) -> None:
    another = ProcessId(sleeper.pid, sleeper.started + 1, sleeper.boot)
    with pytest.raises(SandboxLost):
        await listen_within(another, 0, gone)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can enter a network")
async def test_we_stay_where_we_are_when_another_network_is_entered(sleeper: ProcessId) -> None:
    before = OURS.stat().st_ino
    with await listen_within(sleeper, 0, gone) as made, socket.create_connection(made.getsockname()):
        pass

    assert OURS.stat().st_ino == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who is not")
def test_who_may_not_enter_is_told() -> None:
    told = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY.format(pid=os.getpid())],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert told.stdout == f"{Denied.__name__}: Run Codeyard as root.\n", told.stderr


_AS_NOBODY = """
import asyncio, os
from codeyard.executors import loopback
from codeyard.executors.processes import ProcessId
os.setgid(65534); os.setuid(65534)
try:
    asyncio.run(loopback.listen_within(ProcessId.of({pid}), 0, RuntimeError))
except Exception as error:
    print(f"{{type(error).__name__}}: {{error.fix}}")
"""
