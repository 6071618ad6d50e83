"""No isolation at all: commands run as ordinary processes of the user who started them.

For machines that allow nothing else. A build can read and write whatever that user can; only its processes are
watched over, so that none is left when the sandbox closes.
"""

import asyncio
import ctypes
import os
import shutil
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

from codeyard.errors import Fault
from codeyard.executors import Ability, Command, Exit, SandboxLost, SandboxSpec
from codeyard.executors.loopback import listen_here
from codeyard.executors.processes import ProcessId, kill_marked, kill_tree
from codeyard.executors.supervisor import Control

_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


class ProcessSandbox:
    """Commands under one supervising shell, which adopts (PR_SET_CHILD_SUBREAPER) every daemon they leave behind."""

    def __init__(self, spec: SandboxSpec, process: ProcessId) -> None:
        self._spec, self._process = spec, process
        self._control = Control(spec, self.root)

    @property
    def root(self) -> str:
        return str(self._spec.home / "codebuild")

    async def run(self, command: Command) -> Exit:
        return await self._control.run(command, self._alive)

    async def fetch(self, path: str, into: Path) -> bool:
        return await asyncio.to_thread(_copy, Path(path), into)

    async def place(self, source: Path, path: str) -> None:
        await asyncio.to_thread(shutil.copytree, source, path, symlinks=True, dirs_exist_ok=True)

    @property
    def shares_loopback(self) -> bool:
        return True

    async def listen(self, port: int) -> socket.socket:
        return listen_here(port)

    async def close(self) -> None:
        if not await kill_tree(self._process):  # had it nothing left below it, nothing can be elsewhere
            await kill_marked(f"HOME={_home(self._spec)}")
        await self._control.finish()
        with suppress(ChildProcessError):  # another process may have started it
            os.waitpid(self._process.pid, os.WNOHANG)  # noqa: ASYNC222 - it does not wait
        shutil.rmtree(self._spec.home / "sandbox", ignore_errors=True)

    async def _alive(self) -> bool:
        return self._process.alive()


class ProcessExecutor:
    """See the module."""

    name = "process"

    async def ability(self) -> Ability:
        return Ability(
            self.name, True, "no isolation: builds can do whatever you can; no image, no limits, no private network"
        )

    async def open(self, spec: SandboxSpec) -> ProcessSandbox:
        if (found := _find(spec)) is not None:
            return ProcessSandbox(spec, found)
        control = Control(spec, str(spec.home / "codebuild"))
        control.prepare()
        try:
            with spec.spool.open("ab") as spool:
                child = subprocess.Popen(  # noqa: ASYNC220 - returns at the exec, and must outlive this process
                    ["/bin/sh", control.supervisor, control.inside],
                    cwd=spec.output,
                    env=_environment(spec),
                    stdin=subprocess.DEVNULL,
                    stdout=spool,
                    stderr=spool,
                    start_new_session=True,
                    preexec_fn=_adopt_orphans,
                )
        except OSError as error:
            raise Fault("cannot start /bin/sh", str(error), "Install a POSIX shell as /bin/sh.") from error
        child.returncode = 0  # it is not ours to wait for: nothing warns when this object goes
        process = ProcessId.of(child.pid)
        if process is None:
            raise SandboxLost("the sandbox's shell ended at once", "see its output.", "Try `codeyard doctor`.")
        (spec.home / "sandbox" / "process").write_text(str(process))
        return ProcessSandbox(spec, process)

    async def adopt(self, spec: SandboxSpec) -> ProcessSandbox:
        found = _find(spec)
        if found is None:
            raise SandboxLost(
                f"the sandbox of {spec.id} is gone", "its processes no longer run.", "Start the build again."
            )
        return ProcessSandbox(spec, found)


# What of the caller's environment a build may see: how to find programs and speak, and nothing that could be a secret.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TERM", "TMPDIR")


def _home(spec: SandboxSpec) -> Path:
    """HOME of every command, and so the mark by which they are known if their supervisor was killed."""
    return spec.home / "codebuild" / "home"


def _environment(spec: SandboxSpec) -> dict[str, str]:
    home = _home(spec)
    home.mkdir(exist_ok=True)
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {"PATH": os.defpath, **passed, "HOME": str(home), **spec.environment}


def _find(spec: SandboxSpec) -> ProcessId | None:
    try:
        found = ProcessId.parse((spec.home / "sandbox" / "process").read_text())
    except FileNotFoundError:
        # Its opener may have died before it could write down whom it had started.
        script = spec.home / "codebuild" / "control" / "commands" / "supervisor"
        found = _running(os.fsencode(script)) if script.exists() else None
    return found if found is not None and found.alive() else None


def _running(script: bytes) -> ProcessId | None:
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cmdline").read_bytes().split(b"\0")[1:2] == [script]:
                return ProcessId.of(int(entry.name))
    return None


def _adopt_orphans() -> None:
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _copy(path: Path, into: Path) -> bool:
    """Plain files, directories and symlinks only."""
    if not os.path.lexists(path):
        return False
    if path.is_dir() and not path.is_symlink():
        shutil.copytree(path, into, symlinks=True, dirs_exist_ok=True, ignore=_special)
    elif path.is_file() or path.is_symlink():
        into.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, into, follow_symlinks=False)
    else:
        return False
    return True


def _special(directory: str, names: list[str]) -> set[str]:
    found = (Path(directory, name) for name in names)
    return {path.name for path in found if not (path.is_symlink() or path.is_file() or path.is_dir())}
