"""Running one script of a deployment: its environment, its output, its end, whatever it does.

A script runs in a session of its own, with its input closed. When its time is over, all of its process group is told
to end, then killed. One that ends but leaves behind a process which holds its output open is waited for until its time
is over, and has failed then; that process goes on. So nothing a script does can hold us longer than its time.
"""

import asyncio
import codecs
import errno
import os
import pwd
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from codeyard.deploys import MAX_TAIL, ErrorCode
from codeyard.errors import Fault

_GRACE = 5.0  # seconds between the request to end and the end
_PIECE = 1 << 16
_LONGEST_LINE = 4096  # characters; the rest of a longer one becomes lines of its own
MAX_LOG = 16 << 20  # characters that one event writes into a log; what comes after is left out
_FULL_LOG = 64 << 20  # bytes after which a log begins anew, and the old one is kept as `.1`
# What of our own environment a script may see: how to find programs and speak, and nothing that could be a secret.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Script:
    location: str  # relative to `root`, as messages name it
    root: Path  # nothing outside of it is run
    timeout: float  # seconds
    environment: Mapping[str, str]
    runas: str | None = None
    fixed: bool = False  # its file may not be touched, not even to make it executable


@dataclass(frozen=True, slots=True)
class Ran:
    """How a script, or a whole event, ended: SUCCESS, or what was wrong with it."""

    code: ErrorCode = ErrorCode.SUCCESS
    message: str = ""
    script: str = ""  # the one that ran last

    @property
    def good(self) -> bool:
        return self.code is ErrorCode.SUCCESS


class ScriptLog:
    """What an event's scripts say: into log files, bounded, and the last whole lines of it. Use it with `with`."""

    def __init__(self, deployment: str, event: str, own: Path, common: Path | None = None) -> None:
        self._event = event
        self._places = [(own, "")] + ([(common, f"[{deployment}]")] if common else [])
        self._tail: deque[str] = deque()
        self._length = self._written = 0
        self._files: list[tuple[IO[str], str]] = []
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files = []
        with suppress(OSError):  # a full disk must not fail a script
            self._closing.close()

    @property
    def tail(self) -> str:
        return "".join(self._tail)

    def begin(self, location: str) -> None:
        """A script begins."""
        if not self._written:
            self.add(f"LifecycleEvent - {self._event}")
        self.add(f"Script - {location}")

    def add(self, line: str) -> None:
        """One line, without its end."""
        entry = line[:_LONGEST_LINE] + "\n"
        if self._written <= MAX_LOG:
            with suppress(OSError):
                for file, mark in self._opened():
                    file.write(mark + entry)
        self._written += len(entry)
        self._tail.append(entry[-MAX_TAIL:])
        self._length += len(self._tail[-1])
        while self._length > MAX_TAIL:
            self._length -= len(self._tail.popleft())

    def _opened(self) -> list[tuple[IO[str], str]]:
        if not self._files:
            for path, mark in self._places:
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.exists() and path.stat().st_size > _FULL_LOG:
                    path.replace(path.with_name(f"{path.name}.1"))
                file = self._closing.enter_context(path.open("a", encoding="utf-8", errors="replace", buffering=1))
                self._files.append((file, mark))
        return self._files


async def run_script(script: Script, log: ScriptLog, started: Callable[[int], None]) -> Ran:
    """Run it to its end. `started` is told the process id, which is its group's too."""
    return replace(await _run(script, log, started), script=script.location)


async def _run(script: Script, log: ScriptLog, started: Callable[[int], None]) -> Ran:
    log.begin(script.location)
    found = _command(script)
    if isinstance(found, Ran):
        return _told(found, log)
    try:
        user = _user(script)
        running = _Running(script, found, user)
    except (OSError, subprocess.SubprocessError, Fault) as error:
        what = f"Script at specified location: {_named(script)} cannot be run: "
        return _told(Ran(ErrorCode.UNKNOWN_ERROR, what + str(error)), log)
    started(running.pid)
    return _told(await running.finish(log), log)


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a script: little of ours, and the variables."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {"PATH": _PATH, **passed, **variables}


def kill_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _told(ran: Ran, log: ScriptLog) -> Ran:
    if ran.message:
        log.add(f"[stderr]{ran.message}")
    return ran


def _named(script: Script) -> str:
    return f"{script.location} run as user {script.runas}" if script.runas else script.location


def _command(script: Script) -> list[str] | Ran:
    """What to execute, with the script made executable where that may be; or why it cannot be run."""
    path = script.root / script.location
    root, real = os.path.realpath(script.root), os.path.realpath(path)
    if not Path(real).is_file():
        return Ran(ErrorCode.SCRIPT_MISSING, f"Script does not exist at specified location: {path}")
    if not real.startswith(root + "/"):
        message = f"Script at specified location: {script.location} is a link that leads out of the revision"
        return Ran(ErrorCode.UNKNOWN_ERROR, message)
    if not os.stat(real).st_mode & 0o111:  # noqa: PTH116 - root may run what nobody may, says os.access
        if script.fixed:
            interpreter = _interpreter(real)
            if interpreter:
                return [*interpreter, real]
        else:
            with suppress(OSError):
                os.chmod(real, 0o755)  # noqa: PTH101, S103 - as CodeDeploy does
                return [real]
        message = f"Unable to set script at specified location: {script.location} as executable"
        return Ran(ErrorCode.SCRIPT_NOT_EXECUTABLE, message)
    return [real]


def _interpreter(path: str) -> list[str]:
    """What the first line of the script names, as the kernel reads it; empty if there is no such line."""
    with open(path, "rb") as file:  # noqa: PTH123
        first = file.readline(256)
    if not first.startswith(b"#!"):
        return []
    return [os.fsdecode(part) for part in first[2:].strip().split(None, 1)]


def _user(script: Script) -> pwd.struct_passwd | None:
    """Whom to become; None to stay who we are. Fault if that cannot be."""
    if script.runas is None:
        return None
    try:
        user = pwd.getpwnam(script.runas)
    except KeyError:
        raise Fault(f"user {script.runas}", "this machine does not know it.", "Make the user first.") from None
    if user.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise Fault(f"user {script.runas}", "only root can become another user.", "Run codeyard as root.")
    return user


class _Running:
    """A script that runs."""

    def __init__(self, script: Script, command: list[str], user: pwd.struct_passwd | None) -> None:
        self._script = script
        out, out_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        err, err_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for descriptor in (out_end, err_end):
            os.set_blocking(descriptor, True)
        try:
            self._process = _spawn(command, script, user, out_end, err_end)
        except BaseException:
            os.close(out)
            os.close(err)
            raise
        finally:
            os.close(out_end)
            os.close(err_end)
        self.pid = self._process.pid
        self._left = {out: _Lines("[stdout]"), err: _Lines("[stderr]")}
        self._names = {out: "STDOUT", err: "STDERR"}

    async def finish(self, log: ScriptLog) -> Ran:
        loop = asyncio.get_running_loop()
        closed, exited = asyncio.Event(), asyncio.Event()

        def end(descriptor: int) -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            for line in self._left.pop(descriptor).end():
                log.add(line)
            if not self._left:
                closed.set()

        def readable(descriptor: int) -> None:
            try:
                piece = os.read(descriptor, _PIECE)
            except BlockingIOError:
                return
            for line in self._left[descriptor].feed(piece):
                log.add(line)
            if not piece:
                end(descriptor)

        handle = os.pidfd_open(self.pid)

        def gone() -> None:
            loop.remove_reader(handle)
            exited.set()

        loop.add_reader(handle, gone)
        for descriptor in tuple(self._left):
            loop.add_reader(descriptor, readable, descriptor)
        try:
            return await self._ended(exited, closed, log)
        finally:
            loop.remove_reader(handle)
            os.close(handle)
            for descriptor in tuple(self._left):
                readable(descriptor)  # what it said last
            for descriptor in tuple(self._left):
                end(descriptor)

    async def _ended(self, exited: asyncio.Event, closed: asyncio.Event, log: ScriptLog) -> Ran:
        what = f"Script at specified location: {_named(self._script)}"
        try:
            async with asyncio.timeout(self._script.timeout):
                await exited.wait()
                code = self._process.wait()
                if code == 0:
                    await closed.wait()
        except TimeoutError:
            if not exited.is_set():
                await self._stop(exited)
                seconds = f"{self._script.timeout:g}"
                return Ran(ErrorCode.SCRIPT_TIMED_OUT, f"{what} failed to complete in {seconds} seconds")
            code = self._process.wait()
            if code == 0:
                name = self._names[min(self._left)]
                return Ran(ErrorCode.UNKNOWN_ERROR, f"{what} failed to close {name}")
        except BaseException:
            kill_group(self.pid, signal.SIGKILL)
            self._process.wait()
            raise
        if code != 0:
            return Ran(ErrorCode.SCRIPT_FAILED, f"{what} failed with exit code {code}")
        return Ran()

    async def _stop(self, exited: asyncio.Event) -> None:
        """End all of its group, politely, then not."""
        kill_group(self.pid, signal.SIGTERM)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(exited.wait(), _GRACE)
        finally:
            kill_group(self.pid, signal.SIGKILL)  # also of those that the script had left behind in it
            self._process.wait()


class _Lines:
    """Bytes to lines with a prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix, self._rest = prefix, ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, piece: bytes) -> list[str]:
        *lines, self._rest = (self._rest + self._decoder.decode(piece)).split("\n")
        limit = _LONGEST_LINE - len(self._prefix)
        while len(self._rest) > limit:
            lines.append(self._rest[:limit])
            self._rest = self._rest[limit:]
        return [self._prefix + line[start : start + limit] for line in lines
                for start in range(0, max(1, len(line)), limit)]  # fmt: skip

    def end(self) -> list[str]:
        return [self._prefix + self._rest] if self._rest else []


def _spawn(
    command: list[str], script: Script, user: pwd.struct_passwd | None, out: int, err: int
) -> "subprocess.Popen[bytes]":
    variables = environment(script.environment)
    with suppress(KeyError):  # a container may run us as somebody without a name
        me = user or pwd.getpwuid(os.geteuid())
        variables = {"HOME": me.pw_dir, "USER": me.pw_name, "LOGNAME": me.pw_name, "SHELL": me.pw_shell, **variables}

    def start(argv: list[str]) -> "subprocess.Popen[bytes]":
        try:
            return execute(argv)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            return execute(["/bin/sh", *argv])  # a script without a first line, as every shell runs it

    def execute(argv: list[str]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            argv,
            cwd=script.root,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=os.getgrouplist(user.pw_name, user.pw_gid) if user else None,
        )

    try:
        return start(command)
    except PermissionError:
        if user is None:
            raise
        # The directories above are closed to that user, as the agent's own is: from where it runs the script is near.
        return start([*command[:-1], f"./{os.path.relpath(command[-1], os.path.realpath(script.root))}"])
