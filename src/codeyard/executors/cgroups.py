"""Limits that the kernel keeps: one control group to a sandbox, in whichever of cgroup v1 and v2 rules each resource.

Groups are `codeyard/<id>` at the top of the hierarchy, else below the highest group that we may write to: not below
our own, which a service manager would kill, with the builds in it, when it restarts us.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from codeyard.executors import Limits

RESOURCES = ("cpu", "memory", "pids")
_PARENT = "codeyard"
_PERIOD = 100_000  # microseconds: the kernel's default


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted tree of groups that rules some resources."""

    mount: Path
    own: str  # the path below `mount` of the group that we are in
    resources: frozenset[str]
    unified: bool  # v2

    def parents(self) -> Iterator[Path]:
        """The groups below which ours could be, best first."""
        parts = [part for part in self.own.split("/") if part not in {"", "."}]
        if ".." in parts:  # we are outside of what is mounted
            parts = []
        for end in range(len(parts) + 1):
            yield self.mount.joinpath(*parts[:end])


def hierarchies(mounts: str, own: str) -> list[Hierarchy]:
    """What rules what, of the texts of /proc/self/mountinfo and /proc/self/cgroup (proc(5), cgroups(7)).

    Of v2 it is not known here which resources it rules, so it is said to rule all that v1 does not.
    """
    groups: dict[str, str] = {}
    for line in own.splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        groups.update(dict.fromkeys(names.split(","), path))
    first: dict[str, Hierarchy] = {}
    unified = None
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")
        if len(fields) < 5 or len(kind) < 3:
            continue
        mount, root = Path(_unescaped(fields[4])), _unescaped(fields[3])
        if kind[0] == "cgroup":
            ruled = frozenset(kind[2].split(",")) & frozenset(RESOURCES)
            for name in ruled:
                first.setdefault(name, Hierarchy(mount, _below(groups.get(name, "/"), root), ruled, unified=False))
        elif kind[0] == "cgroup2" and unified is None:
            unified = (mount, _below(groups.get("", "/"), root))
    found = list({hierarchy.mount: hierarchy for hierarchy in first.values()}.values())
    left_over = frozenset(RESOURCES) - first.keys()
    if unified is not None and left_over:
        found.append(Hierarchy(*unified, left_over, unified=True))
    return found


@dataclass(frozen=True, slots=True)
class Group:
    """The control groups of one sandbox. `str` and `parse` keep it in a file."""

    directories: tuple[Path, ...]

    @classmethod
    def make(
        cls, id: str, found: list[Hierarchy], asked: frozenset[str] = frozenset(RESOURCES)
    ) -> tuple[Self, frozenset[str]]:
        """Make the directories for `id`, and say which resources they can limit. What cannot be made is left out."""
        made: list[Path] = []
        ruled: set[str] = set()
        for hierarchy in found:
            if not hierarchy.resources & asked:
                continue
            for parent in hierarchy.parents():
                directory, able = _make(parent, id, hierarchy)
                if able:
                    made.append(directory)
                    ruled |= able
                    break
                _unmake(directory)
        return cls(tuple(made)), frozenset(ruled)

    @classmethod
    def existing(cls, id: str, found: list[Hierarchy]) -> Self:
        """Those that there are for `id`."""
        places = (parent / _PARENT / id for hierarchy in found for parent in hierarchy.parents())
        return cls(tuple(place for place in places if place.is_dir()))

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(tuple(Path(line) for line in text.splitlines() if line))

    def __str__(self) -> str:
        return "".join(f"{directory}\n" for directory in self.directories)

    def limit(self, limits: Limits) -> None:
        """Set them; None is no limit. OSError where the kernel refuses a number."""
        for directory in self.directories:
            for name, value in _settings(limits):
                if (directory / name).exists():
                    (directory / name).write_text(value)

    def doors(self, stack: ExitStack) -> list[int]:
        """Open handles: whose pid is written to each is in the group. They also work where /sys is out of sight."""
        handles = []
        for directory in self.directories:
            handles.append(os.open(directory / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
            stack.callback(os.close, handles[-1])
        return handles

    def out_of_memory(self) -> bool:
        """Whether the kernel has killed a process of it for want of memory."""
        for directory in self.directories:
            for name in ("memory.events", "memory.oom_control"):
                with suppress(OSError):
                    told = (directory / name).read_text().split()
                    if "oom_kill" in told and told[told.index("oom_kill") + 1] != "0":
                        return True
        return False

    def discard(self) -> None:
        """Remove it if nothing runs in it. Blocking: of a process that has ended the kernel knows a moment later."""
        deadline = time.monotonic() + 1
        for directory in self.directories:
            while not _unmake(directory) and time.monotonic() < deadline:
                time.sleep(0.002)

    async def remove(self) -> None:
        """Kill what is still in it, and remove it; gives up after some seconds."""
        deadline = time.monotonic() + 5
        left = list(self.directories)
        while left:
            for directory in left:
                _kill(directory)
            left = [directory for directory in left if not _unmake(directory)]
            if left and time.monotonic() > deadline:
                return
            if left:
                await asyncio.sleep(0.002)


def here() -> list[Hierarchy]:
    """This machine's."""
    try:
        return hierarchies(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())
    except OSError:
        return []


def _settings(limits: Limits) -> Iterator[tuple[str, str]]:
    """File and content, of both versions; swap last, since v1 wants it to be no less than memory."""
    if limits.memory is not None:
        yield "memory.max", str(limits.memory)
        yield "memory.swap.max", "0"
        yield "memory.limit_in_bytes", str(limits.memory)
        yield "memory.memsw.limit_in_bytes", str(limits.memory)
    if limits.processes is not None:
        yield "pids.max", str(limits.processes)
    if limits.cpus is not None:
        quota = max(1000, round(limits.cpus * _PERIOD))
        yield "cpu.max", f"{quota} {_PERIOD}"
        yield "cpu.cfs_period_us", str(_PERIOD)
        yield "cpu.cfs_quota_us", str(quota)


def _make(parent: Path, id: str, hierarchy: Hierarchy) -> tuple[Path, frozenset[str]]:
    """The group, and what it can limit: nothing if it could not be made."""
    above, directory = parent / _PARENT, parent / _PARENT / id
    for _ in range(3):  # another may remove `above` as empty just now
        try:
            above.mkdir(exist_ok=True)
            if hierarchy.unified:
                for group in (parent, above):
                    _hand_down(group, hierarchy.resources)
            directory.mkdir(exist_ok=True)
            if not os.access(directory / "cgroup.procs", os.W_OK) or not _may_move(parent, hierarchy):
                return directory, frozenset()
        except FileNotFoundError:
            continue
        except OSError:
            return directory, frozenset()
        files = {"cpu": ("cpu.max", "cpu.cfs_quota_us"), "memory": ("memory.max", "memory.limit_in_bytes")}
        return directory, frozenset(
            name
            for name in hierarchy.resources
            if any((directory / file).exists() for file in files.get(name, ("pids.max",)))
        )
    return directory, frozenset()


def _hand_down(group: Path, resources: frozenset[str]) -> None:
    """Let the groups below limit them. In v2 one with processes of its own may not (EBUSY): then they stay without."""
    for name in resources:
        with suppress(OSError), (group / "cgroup.subtree_control").open("r+") as file:
            file.write(f"+{name}")


def _may_move(parent: Path, hierarchy: Hierarchy) -> bool:
    """v2 lets only those move a process who may write to the lowest group above both places (cgroup-v2.rst)."""
    return not hierarchy.unified or os.access(parent / "cgroup.procs", os.W_OK)


def _unmake(directory: Path) -> bool:
    try:
        directory.rmdir()
    except FileNotFoundError:
        pass
    except OSError:
        return False
    with suppress(OSError):
        directory.parent.rmdir()  # unless it has others
    return True


def _kill(directory: Path) -> None:
    with suppress(OSError):
        for pid in (directory / "cgroup.procs").read_text().split():
            if pid != "0":
                os.kill(int(pid), signal.SIGKILL)


def _below(path: str, root: str) -> str:
    """`path` as seen in a mount that shows the hierarchy from `root` on."""
    return path.removeprefix(root) if root != "/" and (path == root or path.startswith(f"{root}/")) else path


def _unescaped(text: str) -> str:
    return text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
