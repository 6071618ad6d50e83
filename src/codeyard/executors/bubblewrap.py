"""Builds on the machine's own file system, beneath a private writable layer: no daemon, no image, at once.

How much of that a machine allows is a Mode (bubblewrap_root). docs/executors.md says what is protected and what not.
"""

import asyncio
import os
import shutil
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from codeyard.errors import CodeyardError
from codeyard.executors import Ability, Command, Exit, Limits, Network, SandboxLost, SandboxSpec
from codeyard.executors.bubblewrap_root import ROOT, CannotLayer, Mode, hand_over
from codeyard.executors.bubblewrap_start import Records, clear, is_root, make, one_opener
from codeyard.executors.carry import carry_in, carry_out
from codeyard.executors.cgroups import RESOURCES, Group, here
from codeyard.executors.loopback import listen_here, listen_within
from codeyard.executors.processes import ProcessId, kill
from codeyard.executors.supervisor import Control
from codeyard.executors.uid_ranges import SIZE, free, held

_T = TypeVar("_T")
_DYING = 10.0  # seconds that a killed sandbox may take on a busy machine


class BubblewrapSandbox:
    """One set of namespaces."""

    def __init__(self, spec: SandboxSpec) -> None:
        self._spec, self._records = spec, Records(spec.home)
        self._control = Control(spec, ROOT)
        self._mapped = self._records.mode() is Mode.MAPPED

    @property
    def root(self) -> str:
        return ROOT

    async def run(self, command: Command) -> Exit:
        if self._mapped:
            await asyncio.to_thread(hand_over, self._spec)
        try:
            return await self._control.run(command, self._alive)
        except SandboxLost:
            raise _lost(self._spec) from None

    async def fetch(self, path: str, into: Path) -> bool:
        return await carry_out(self._control, self._alive, path, into)

    async def place(self, source: Path, path: str) -> None:
        await carry_in(self._control, self._alive, source, path)

    @property
    def shares_loopback(self) -> bool:
        return self._spec.network is Network.DEFAULT

    async def listen(self, port: int) -> socket.socket:
        if self.shares_loopback:
            return listen_here(port)
        for process in self._records.processes()[:1]:
            return await listen_within(process, port, lambda: _lost(self._spec))
        raise _lost(self._spec)

    async def close(self) -> None:
        await _end(self._records.processes())
        await self._control.finish()
        await self._records.group().remove()
        await Group.existing(self._spec.id, here()).remove()  # its opener may have died before it wrote that down
        if not self._records.directory.is_dir():
            await _end_forgotten(self._records.directory)
        await asyncio.to_thread(clear, self._spec)

    async def _alive(self) -> bool:
        return self._records.alive()


class BubblewrapExecutor:
    """See the module. `mode`: this one, rather than the best that works."""

    name = "bubblewrap"

    def __init__(self, mode: Mode | None = None) -> None:
        self._mode = mode

    async def ability(self) -> Ability:
        needed = {"bwrap": "bubblewrap", **({"nsenter": "util-linux"} if is_root() else {})}
        lacking = [name for name in needed if shutil.which(name) is None]
        if lacking:
            packages = " ".join(needed[name] for name in lacking)
            return Ability(self.name, False, f"there is no {' or '.join(lacking)} here", f"apt-get install {packages}")
        with tempfile.TemporaryDirectory(prefix="codeyard-try-") as directory:
            spec = SandboxSpec(id=f"try-{uuid.uuid4().hex[:12]}", home=Path(directory), limits=Limits(processes=None))
            spec.prepare()
            try:
                sandbox = await self.open(spec)
                try:
                    ended = await sandbox.run(Command("try", "exit 0"))
                    mode = Records(spec.home).mode() or Mode.ROOTLESS
                finally:
                    await sandbox.close()
            except CodeyardError as error:
                return Ability(self.name, False, f"{error.what}: {error.why}", error.fix)
        if ended.code != 0:
            return Ability(self.name, False, f"/bin/sh ended with {ended.code} in a sandbox", "Mend /bin/sh.")
        return judge(self.name, mode, await _limited())

    async def open(self, spec: SandboxSpec) -> BubblewrapSandbox:
        mode = self._mode or (Mode.LAYERED if is_root() else Mode.ROOTLESS)
        try:
            return await self._open(spec, mode)
        except CannotLayer as error:
            if self._mode is not None:
                raise
            spec.progress(f"bubblewrap: the system's directories are read-only in this build: {error.why}")
            return await self._open(spec, Mode.MAPPED)

    async def adopt(self, spec: SandboxSpec) -> BubblewrapSandbox:
        sandbox = BubblewrapSandbox(spec)
        if not Records(spec.home).alive():
            lost = _lost(spec)
            await sandbox.close()  # nobody else will
            raise lost
        return sandbox

    async def _open(self, spec: SandboxSpec, mode: Mode) -> BubblewrapSandbox:
        opening = asyncio.wrap_future(_apart(lambda: _find_or_make(spec, mode)))
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            await asyncio.wait({opening})  # it goes on without us
            if not opening.cancelled() and opening.exception() is None:
                await BubblewrapSandbox(spec).close()
            raise
        except SandboxLost:
            raise
        except BaseException:
            # Not in that thread, for which /sys is out of sight. No process is in it, unless others open the same.
            await asyncio.to_thread(Group.existing(spec.id, here()).discard)
            raise
        return BubblewrapSandbox(spec)


def judge(name: str, mode: Mode, limited: frozenset[str]) -> Ability:
    """What is told of an executor that works in this mode and can limit these resources by cgroup."""
    told = {
        Mode.LAYERED: "root of its own uids; the whole system can be written to, in a private layer",
        Mode.MAPPED: "root of its own uids; system directories are read-only (no idmapped mounts or overlays here)",
        Mode.ROOTLESS: "rootless: system directories are read-only, and there are no other users than root",
    }[mode]
    words = {"cpu": "CPUs", "memory": "memory", "pids": "processes"}
    can = [words[name] for name in RESOURCES if name in limited]
    cannot = [words[name] for name in RESOURCES if name not in limited]
    limits = f"limits {', '.join(can)}" if can else "limits nothing by cgroup"
    if not cannot:
        return Ability(name, True, f"{told}; {limits}")
    fix = (
        "Mount /sys/fs/cgroup writable, with its controllers free for groups below its top."
        if is_root()
        else "Start it with `systemd-run --user --scope -p Delegate=yes codeyard ...`."
    )
    more = " (processes by RLIMIT_NPROC)" if "pids" not in limited else ""
    return Ability(name, True, f"{told}; {limits}, cannot limit {', '.join(cannot)}{more}", fix)


async def _limited() -> frozenset[str]:
    group, able = Group.make(f"try-{uuid.uuid4().hex[:12]}", here())
    await group.remove()
    return able


def _find_or_make(spec: SandboxSpec, mode: Mode) -> None:
    records = Records(spec.home)
    with one_opener(records.directory):
        if records.alive():
            return
        if records.processes() and Control(spec, ROOT).ready():
            raise _lost(spec)
        make(spec, mode)


def _apart(work: Callable[[], _T]) -> "Future[_T]":
    """Do it in a thread of its own, which then ends: it is given mounts that no other work may see."""
    future: Future[_T] = Future()

    def body() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is told to whoever waits
            future.set_exception(error)

    threading.Thread(target=body, name="codeyard-open", daemon=True).start()
    return future


async def _end(processes: tuple[ProcessId, ...]) -> None:
    """Kill the first, and with it all of its pid namespace; the second sees to its remains, and ends by itself."""
    for process in processes:
        kill(process)
        deadline = time.monotonic() + _DYING
        while any(one.alive() for one in processes) and time.monotonic() < deadline:
            await asyncio.sleep(0.0005)
    for process in processes:
        with suppress(ChildProcessError):  # another process may have started it
            os.waitpid(process.pid, os.WNOHANG)  # noqa: ASYNC222 - it does not wait


async def _end_forgotten(directory: Path) -> None:
    """Kill what runs as a sandbox whose home somebody removed: its uids are nobody else's."""
    for base in held(directory):
        deadline = time.monotonic() + _DYING
        while time.monotonic() < deadline and (running := _running_as(range(base, base + SIZE))):
            for process in running:
                kill(process)
            await asyncio.sleep(0.002)
        free(base)


def _running_as(uids: range) -> list[ProcessId]:
    found = []
    for name in os.listdir("/proc"):
        with suppress(OSError):
            if name.isdigit() and Path("/proc", name).stat().st_uid in uids:
                found.append(ProcessId.of(int(name)))
    return [process for process in found if process is not None]


def _lost(spec: SandboxSpec) -> SandboxLost:
    what = "Build container found dead before completing the build"
    if Records(spec.home).group().out_of_memory():
        limit = f" of {spec.limits.memory // 2**20} MiB" if spec.limits.memory else ""
        return SandboxLost(what, f"out of memory: it used all its memory{limit}.", "Choose a larger compute type.")
    return SandboxLost(
        what,
        f"the processes of sandbox {spec.id} are gone: it was closed, killed, or the machine was restarted.",
        "Start the build again.",
    )
