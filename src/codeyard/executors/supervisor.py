"""The script that is every sandbox's first process, and the host's half of the talk with it.

The host writes a command's files into `control/commands` (read-only inside) and its key into the FIFO there. The
supervisor claims the key by making `control/status/<key>.started`, runs it, and writes `<key>.exit`. So a key runs at
most once, whoever asks and however often; and a new process reads from the same files what became of it.
What it prints goes into the FIFO `control/commands/out`, and from there to the spool: see `pump`.
`control/status` is the build's to write: whatever is read there is bounded, and believed only about the build itself.
"""

import asyncio
import os
import re
import shlex
import stat
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from codeyard.errors import Invalid
from codeyard.executors import Command, Exit, SandboxLost, SandboxSpec
from codeyard.executors.pump import Pump

# Builtins only: an image need not have more than /bin/sh. `true` and not `:`, since a failing redirection of a
# special builtin ends the shell.
SUPERVISOR = r"""# $1: the control directory
set -C
exec </dev/null 1<>"$1/commands/out" 2>&1 3<>"$1/commands/next" || exit 125
true >|"$1/status/ready"
while IFS= read -r key <&3; do
    true 2>/dev/null >"$1/status/$key.started" || continue
    /bin/sh "$1/commands/$key.launch" 3<&-
    code=$?
    # On a full disk a file can be made that nothing can be written to: then its name says it.
    echo "$code" 2>/dev/null >|"$1/status/$key.exit" || true >|"$1/status/$key.exit.$code"
done
"""

_EXIT = re.compile(rb"(\d{1,3})\n")
_KEY = re.compile(r"[A-Za-z0-9._-]{1,100}")

# How often the end of a command is looked for: at once for the many that take milliseconds, seldom for the long ones.
_POLLS = ((0.02, 0.0005), (0.2, 0.002), (2.0, 0.01), (float("inf"), 0.02))
_ALIVE_EVERY = 0.5


def launcher(command: Command, control: str) -> str:
    """The script that runs `command.script` by its shell and as its user, or says why it cannot."""
    shell = shlex.quote(command.shell)
    script = f"{control}/commands/{command.key}.sh"
    run = f"{shell} {shlex.quote(script)}"
    lines = [
        f"command -v {shell} >/dev/null 2>&1 || {{",
        f"    echo {shlex.quote(f'There is no shell {command.shell} here: choose another in env.shell.')}",
        "    exit 127",
        "}",
    ]
    if command.user is None or command.user in {"root", "0"}:
        return "\n".join([*lines, f"exec {run}", ""])
    user, inner = shlex.quote(command.user), shlex.quote(f"exec {run}")
    refused = shlex.quote(
        f"Cannot run as {command.user}: there is no such user here, this sandbox cannot change users, or that user may "
        "not read the build's directory."
    )
    readable = shlex.quote(f"test -r {shlex.quote(script)}")
    lines += [
        f"if su -p -s /bin/sh {user} -c {readable} >/dev/null 2>&1; then",
        f"    exec su -p -s /bin/sh {user} -c {inner}",
        f"elif setpriv --reuid={user} --init-groups test -r {shlex.quote(script)} >/dev/null 2>&1; then",
        f'    exec setpriv --reuid={user} --regid="$(id -g {user})" --init-groups {run}',
        "fi",
        f"echo {refused}",
        "exit 126",
        "",
    ]
    return "\n".join(lines)


class Control:
    """The host's side of one sandbox's control directory. `root` is what `/codebuild` is called inside."""

    def __init__(self, spec: SandboxSpec, root: str) -> None:
        self.host = spec.home / "codebuild" / "control"
        self.commands, self.status = self.host / "commands", self.host / "status"
        self.inside = f"{root}/control"
        self._pump = Pump(self.commands / "out", spec.spool, spec.home / "sandbox" / "pump", spec.heard)

    @property
    def supervisor(self) -> str:
        """The path of the supervisor's script inside: run it with `/bin/sh` and the control directory."""
        return f"{self.inside}/commands/supervisor"

    def prepare(self) -> None:
        """Make the directory; what is there stays, so that a second opener changes nothing."""
        for directory in (self.commands, self.status):
            directory.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.mkfifo(self.commands / "next", 0o600)
        with suppress(FileExistsError):
            os.mkfifo(self.commands / "out", 0o600)
        (self.commands / "out").chmod(0o666)  # a command that runs as another user may open /dev/stderr
        self._write("supervisor", SUPERVISOR)

    def ready(self) -> bool:
        """Whether the supervisor has begun."""
        return os.path.lexists(self.status / "ready")

    async def run(self, command: Command, alive: Callable[[], Awaitable[bool]]) -> Exit:
        """Start it unless it was started, and wait for its end. SandboxLost once `alive` says no."""
        if _KEY.fullmatch(command.key) is None:
            raise Invalid(f"command key {command.key!r}", "it may hold letters, digits and ._- only.", "Rename it.")
        self._pump.start()
        try:
            code = self._ended(command.key)
            if code is None:
                if not os.path.lexists(self.status / f"{command.key}.started"):
                    self._write(f"{command.key}.sh", command.script)
                    self._write(f"{command.key}.launch", launcher(command, self.inside))
                    await self._send(command.key, alive)
                self._pump.release()
                code = await self._wait(command.key, alive)
            spooled = await self._pump.drain()
            self._pump.hold()  # what a command left behind may print on and on
            return Exit(code=code, spooled=spooled)
        except asyncio.CancelledError:
            self._pump.go_on()  # it is to outlive us
            raise
        except SandboxLost:
            await self._pump.finish()  # its last words too
            raise
        finally:
            self._pump.release()

    async def finish(self) -> None:
        """Once all that ran in the sandbox is gone: wait until the last of what it printed is in the spool."""
        await self._pump.finish()

    async def _send(self, key: str, alive: Callable[[], Awaitable[bool]]) -> None:
        # The supervisor holds the FIFO open for reading and writing, so a key that was sent waits there, even if we
        # die before it is read. Without a reader the open fails: it has not begun yet, or never will.
        began = time.monotonic()
        while True:
            try:
                fifo = os.open(self.commands / "next", os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                if time.monotonic() - began > _ALIVE_EVERY and not await alive():
                    raise self._lost() from None
                await asyncio.sleep(0.001)
                continue
            try:
                os.write(fifo, f"{key}\n".encode())
            finally:
                os.close(fifo)
            return

    async def _wait(self, key: str, alive: Callable[[], Awaitable[bool]]) -> int:
        began = asked = time.monotonic()
        while True:
            if (code := self._ended(key)) is not None:
                return code
            now = time.monotonic()
            if now - asked > _ALIVE_EVERY:
                asked = now
                if not await alive():
                    # It may have ended between the two looks.
                    if (code := self._ended(key)) is not None:
                        return code
                    raise self._lost()
                if self._pump.stuck():
                    self._pump.start()
                    self._pump.release()
            self._pump.regulate()
            await asyncio.sleep(next(pause for until, pause in _POLLS if now - began < until))

    def _ended(self, key: str) -> int | None:
        try:
            place = os.open(self.status / f"{key}.exit", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            if not stat.S_ISREG(os.fstat(place).st_mode):  # a device, say, which to open is to start
                return None
            with open(f"/proc/self/fd/{place}", "rb", buffering=0) as file:  # noqa: PTH123 - the very same
                match = _EXIT.fullmatch(file.read(16))
        except OSError:
            return None
        finally:
            os.close(place)
        if match is None:
            return next((code for code in range(256) if os.path.lexists(self.status / f"{key}.exit.{code}")), None)
        return int(match[1]) & 0xFF

    def _write(self, name: str, text: str) -> None:
        path: Path = self.commands / name
        staged = path.with_name(f".{name}.new")
        staged.write_text(text)
        staged.chmod(0o644)  # a command may run as another user
        staged.rename(path)

    def _lost(self) -> SandboxLost:
        return SandboxLost(
            "Build container found dead before completing the build",
            "its first process ended by itself: out of memory, killed by a command, or by the machine's restart.",
            "Give it more memory with a larger compute type, or look for a command that kills what it did not start.",
        )
