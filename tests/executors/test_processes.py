"""A process is known by more than its number, which another may have by now."""

import os
import subprocess
import sys
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from codeyard.executors.processes import ProcessId, descendants, kill_tree


def test_another_process_with_its_number_is_not_it() -> None:
    us = ProcessId.of(os.getpid())

    assert us is not None
    assert us.alive()
    assert not replace(us, started=us.started + 1).alive()
    assert not replace(us, boot="another").alive()


def test_what_is_written_down_is_read_back() -> None:
    us = ProcessId.of(os.getpid())

    assert ProcessId.parse(str(us)) == us


@given(st.text(max_size=40))
def test_whatever_stands_in_its_place_is_read_or_none(text: str) -> None:
    found = ProcessId.parse(text)

    assert found is None or found.pid >= 0


async def test_a_tree_is_killed_with_what_stands_in_it() -> None:
    family = "import subprocess, time; subprocess.Popen(['sleep', '1000']); print(flush=True); time.sleep(1000)"
    child = subprocess.Popen([sys.executable, "-c", family], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    root = ProcessId.of(child.pid)
    assert root is not None
    below = [ProcessId.of(pid) for pid in descendants(child.pid)]
    alone = await kill_tree(root)
    child.communicate()

    assert not alone
    assert not await kill_tree(root)  # it is gone: who knows what was below it
    assert len(below) == 1
    assert not any(process.alive() for process in below if process is not None)
    assert not root.alive()


async def test_what_has_nothing_below_it_is_known_to_stand_alone() -> None:
    with subprocess.Popen(["sleep", "1000"]) as child:
        root = ProcessId.of(child.pid)
        assert root is not None
        alone = await kill_tree(root)

    assert alone
