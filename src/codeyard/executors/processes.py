"""What the kernel says about processes: is this the one that was started, what descends from it, kill all of it."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A pid and the moment it started (in clock ticks since boot): together never used twice until the next boot."""

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The process that has this pid now, or None if there is none (or only its zombie)."""
        fields = _stat(pid)
        if fields is None or fields[0] == "Z":
            return None
        return cls(pid, int(fields[19]), _boot())

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """What `str` gave, or None."""
        parts = text.split()
        if len(parts) != 3 or not (parts[0].isdigit() and parts[1].isdigit()):
            return None
        return cls(int(parts[0]), int(parts[1]), parts[2])

    def __str__(self) -> str:
        return f"{self.pid} {self.started} {self.boot}"

    def alive(self) -> bool:
        return ProcessId.of(self.pid) == self


def asleep(pid: int) -> bool:
    """Whether it waits for something other than a disk, or is no more."""
    fields = _stat(pid)
    return fields is None or fields[0] in {"S", "Z", "X"}


def descendants(pid: int) -> set[int]:
    """Every process below `pid`, as of now."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir(_PROC):
        if entry.isdigit() and (fields := _stat(int(entry))) is not None:
            children.setdefault(int(fields[1]), []).append(int(entry))
    found: set[int] = set()
    front = [pid]
    while front:
        below = [child for child in children.get(front.pop(), ()) if child not in found]
        found.update(below)
        front.extend(below)
    return found


def kill(process: ProcessId) -> None:
    """Kill this one, and never another that got its pid. PermissionError."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(process.pid)
        try:
            if process.alive():  # then the handle is this one's
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


async def kill_tree(root: ProcessId) -> bool:
    """Kill everything below `root`, and last `root` itself, which as a subreaper inherits what loses its parent.

    Frozen first, so that nothing starts while the rest is killed. Whether `root` lived and stood alone.
    """
    deadline = time.monotonic() + 10
    looked = alone = False
    while root.alive() and time.monotonic() < deadline:
        _signal(root.pid, signal.SIGSTOP)
        below = {pid for pid in descendants(root.pid) if (fields := _stat(pid)) is not None and fields[0] != "Z"}
        if not below:
            alone = not looked and root.alive()  # had it died meanwhile, what was below it would be elsewhere
            break
        looked = True
        for pid in below:
            _signal(pid, signal.SIGSTOP)
        for pid in below:
            _signal(pid, signal.SIGKILL)
        await asyncio.sleep(0.002)
    if root.alive():
        _signal(root.pid, signal.SIGKILL)
    while root.alive() and time.monotonic() < deadline:
        await asyncio.sleep(0.001)
    return alone


async def kill_marked(variable: str) -> None:
    """Kill every process that was started with `variable` (NAME=value) in its environment, and what these start."""
    mark, deadline = variable.encode(), time.monotonic() + 10
    while time.monotonic() < deadline:
        found = [pid for entry in os.listdir(_PROC) if entry.isdigit() and _marked(pid := int(entry), mark)]
        if not found:
            return
        for pid in found:
            _signal(pid, signal.SIGKILL)
        await asyncio.sleep(0.002)


def _marked(pid: int, mark: bytes) -> bool:
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on (proc(5)): [0] state, [1] parent, [19] start time."""
    try:
        stat = os.open(f"/proc/{pid}/stat", os.O_RDONLY)  # hundreds are read to find one: Path takes most of the time
        try:
            text = os.read(stat, 4096).decode(errors="replace")
        finally:
            os.close(stat)
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def _boot() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
