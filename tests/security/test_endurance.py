"""A build makes whoever runs it wait for ever, or fall over: it ends all the same, and nothing of it stays."""

import os
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from codeyard.cli import local
from tests.acceptance.harness import Yard, living

# 1,500 directories inside one another: too deep for a path, and for a program that recurses.
DEEP = """
level=$(i=0; while [ $i -lt 100 ]; do printf d/; i=$((i+1)); done)
mkdir -p tree
i=0
X/$level && mv tree next/${level}tree && mv next tree || exit 1; i=$((i+1)); done
"""


def test_a_tree_that_is_too_deep_to_walk_is_removed(yard: Yard) -> None:
    result = yard.build({"phases": {"build": {"commands": [DEEP]}}, "artifacts": {"files": ["tree/**/*"]}})

    assert (result.status, result.phases[-2]) == ("FAILED", ("UPLOAD_ARTIFACTS", "FAILED"))


# What stands in the place of a sandbox's tar. The first writes the beginning of a long name that never ends.
LONG_NAME = r"""
{ printf './@LongLink'; head -c 90 /dev/zero; printf '0000644\0000000000\0000000000\00077777777777\00000000000000\000'
  printf '011673\000 L'; head -c 100 /dev/zero; printf 'ustar  '; head -c 248 /dev/zero; yes; }
"""
ENDLESS = "exec cat /dev/zero"
LEFT_BEHIND = "cat /dev/zero & exit 0"
SILENT = "exec sleep 1000"


@pytest.mark.parametrize("tar", [LONG_NAME, ENDLESS, LEFT_BEHIND, SILENT], ids=["long", "endless", "left", "silent"])
def test_a_program_that_copies_files_out_for_ever_is_not_listened_to_for_ever(yard: Yard, tar: str) -> None:
    yard.machine.require_isolation()
    began = time.monotonic()
    result = yard.build(
        {
            "phases": {
                "build": {
                    "commands": [
                        "mkdir -p /opt/made && echo x >/opt/made/file",
                        f"cat >/tmp/tar <<'END'\n#!/bin/sh\n{tar}\nEND\n",
                        "chmod 755 /tmp/tar && mv /tmp/tar $(command -v tar)",
                    ]
                }
            },
            "artifacts": {"files": ["/opt/made/*"]},
        },
        timeout_minutes=0.05,
    )

    assert result.status in {"FAILED", "TIMED_OUT", "SUCCEEDED"}  # docker has a tar of its own
    assert time.monotonic() - began < 45
    assert result.status != "SUCCEEDED" or yard.machine.name == "docker"


def test_a_mistake_of_ours_ends_the_build_and_its_sandbox(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    from codeyard.builds import run
    from codeyard.builds.model import Phase

    async def broken(*_told: object) -> object:
        raise RecursionError("as deep as a build likes")

    monkeypatch.setitem(run._PHASES, Phase.BUILD, broken)
    result = yard.build({"phases": {"build": {"commands": ["true"]}}})

    assert (result.status, result.exit_code) == ("FAULT", 3)
    assert "as deep as a build likes" in result.contexts["BUILD"][1]


def test_a_build_that_prints_faster_than_a_log_is_written_ends_in_time(yard: Yard) -> None:
    began = time.monotonic()
    result = yard.build(
        {"phases": {"build": {"commands": ["while :; do head -c 100000000 /dev/zero; done"]}}}, timeout_minutes=0.005
    )

    assert result.status == "TIMED_OUT"
    assert time.monotonic() - began < 45


def test_a_process_left_behind_that_prints_for_ever_holds_nothing_up(yard: Yard) -> None:
    began = time.monotonic()
    result = yard.build(
        {"phases": {"build": {"commands": ["while :; do head -c 1000000 /dev/zero; done & sleep 0.2", "echo over"]}}}
    )

    assert result.status == "SUCCEEDED"
    assert time.monotonic() - began < 45


def test_a_flood_leaves_no_more_than_a_bound_on_the_disk(yard: Yard) -> None:
    """Beside the log, which is what was printed: the spool is never far ahead of it."""
    home = local.submit(
        yard.state,
        yard.request(
            {"phases": {"build": {"commands": ["while :; do head -c 1000000 /dev/zero; done & sleep 1", "sleep 1"]}}}
        ),
    )
    ahead: list[int] = []
    over = threading.Event()
    watching = threading.Thread(target=watch, args=(home, ahead, over))
    watching.start()
    result = yard.perform(home)
    over.set()
    watching.join()

    assert result.status == "SUCCEEDED"
    assert 0 < max(ahead) < 512 << 20


def watch(home: Path, ahead: list[int], over: threading.Event) -> None:
    """Look at how far the spool is ahead of the log, all the time."""
    while not over.wait(0.002):
        with suppress(FileNotFoundError):
            ahead.append((home / "spool").stat().st_size - (home / "log").stat().st_size)


@pytest.mark.parametrize("pattern", ["(x+x+)+y", "(.*.*)*=$", "(a|a)*b|(x|x)*z"])
def test_an_expression_that_takes_for_ever_does_not(yard: Yard, pattern: str) -> None:
    began = time.monotonic()
    result = yard.build(
        {"phases": {"build": {"on-failure": f"RETRY-2-{pattern}", "commands": [f"false {'x' * 200}"]}}},
        timeout_minutes=0.05,
    )

    assert result.status in {"TIMED_OUT", "FAILED"}
    assert time.monotonic() - began < 45


def test_an_expression_that_matches_runs_the_phase_again(yard: Yard) -> None:
    result = yard.build({"phases": {"build": {"on-failure": "RETRY-1-exit status [34]$", "commands": ["exit 3"]}}})

    assert "Retrying phase BUILD: attempt 1 of 1" in result.said


def test_more_patterns_than_anybody_has_time_for_are_refused(yard: Yard) -> None:
    began = time.monotonic()
    result = yard.build(
        {
            "phases": {"build": {"commands": ["mkdir made && cd made && seq 1 20000 | xargs touch"]}},
            "artifacts": {"files": [f"*a*b*c*{number}*" for number in range(9000)]},
        },
        timeout_minutes=0.2,
    )

    assert result.status == "FAILED"
    assert "too many" in result.contexts["UPLOAD_ARTIFACTS"][1]
    assert time.monotonic() - began < 45


@pytest.mark.parametrize("last", ["kill -9 $PPID", "kill -9 $PPID $$", "exec 3<&- ; kill -STOP $PPID; kill -9 $PPID"])
def test_what_a_build_leaves_behind_when_it_kills_what_watches_it_is_gone(yard: Yard, last: str) -> None:
    began = time.monotonic()
    result = yard.build(
        {"phases": {"build": {"commands": [f"(sleep 1000 & sleep 1000 & setsid sleep 1000 &) ; {last}; sleep 1000"]}}},
        timeout_minutes=0.05,
    )

    assert result.status in {"FAILED", "TIMED_OUT"}
    assert time.monotonic() - began < 45


def test_a_build_whose_output_fills_the_disk_leaves_nothing_running(yard: Yard, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", disk]).returncode:
        pytest.skip("only root can make a small disk")
    small = Yard(yard.machine, disk)
    try:
        small.request({"phases": {"build": {"commands": ["head -c 100000000 /dev/zero; sleep 1000"]}}})
        ended = small.cli()
        (home,) = small.homes()
        left = living(home.name)
        resumed = small.cli("--resume", home.name)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)

    assert (ended.returncode, left) == (3, [])
    assert b"No space left" in ended.stdout + ended.stderr
    assert resumed.returncode == 3


def test_a_file_of_terabytes_is_not_read_to_its_end(yard: Yard) -> None:
    began = time.monotonic()
    yard.request({"phases": {"build": {"commands": ["truncate -s 200G huge"]}}, "artifacts": {"files": ["huge"]}})
    ended = yard.cli("--timeout", "0.05")

    assert (ended.returncode, b"BUILD_TIMED_OUT" in ended.stdout) == (1, True)
    assert time.monotonic() - began < 45
