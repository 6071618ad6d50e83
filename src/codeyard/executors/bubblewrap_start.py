"""Start a sandbox's first process: what is set up before, how bwrap is called, and what is written down about it."""

import fcntl
import json
import os
import resource
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from codeyard.artifacts.removal import remove_tree
from codeyard.executors import Network, SandboxSpec, layer, seccomp, skeleton
from codeyard.executors.bubblewrap_root import ROOT, Mode, assemble, cannot_make, make_users, spaces
from codeyard.executors.cgroups import Group, here
from codeyard.executors.processes import ProcessId
from codeyard.executors.supervisor import Control
from codeyard.executors.uid_ranges import FIRST, SIZE, give_back

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    # A distribution's Python is marked (PEP 668) so that pip does not change the machine. Here it is the build's own.
    "PIP_BREAK_SYSTEM_PACKAGES": "1",
}

# What Docker gives, without what is of no use in a user namespace: to make devices, to write audit records.
_CAPABILITIES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
)

# The first process: it waits for our word, so that it is limited and written down before anything else runs, and ends
# when we die before. Then it is the supervisor. As process 1 of its namespace nobody inside can kill it.
_GATE = 'read -r go && . "$0"'

# What starts bwrap is there before the file system is, and waits for that.
_ASSEMBLED = 'read -r go && exec "$@"'
# In its user namespace, while it still may: there shall be none below it, where it had all capabilities again.
_NO_NAMESPACES_BELOW = 'read -r go && echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'

_PATIENCE = 30.0  # seconds that bwrap may take on a busy machine


@dataclass(frozen=True, slots=True)
class Records:
    """What is written down about a sandbox, on the host, where it cannot look."""

    home: Path

    @property
    def directory(self) -> Path:
        return self.home / "sandbox"

    def processes(self) -> tuple[ProcessId, ...]:
        """Its first process, and the bwrap that waits for that one's end."""
        found = [ProcessId.parse(line) for line in self._read("process").splitlines()]
        return tuple(process for process in found if process is not None)

    def alive(self) -> bool:
        return any(process.alive() for process in self.processes()[:1])

    def group(self) -> Group:
        return Group.parse(self._read("groups"))

    def mode(self) -> Mode | None:
        text = self._read("mode")
        return Mode(text) if text in set(Mode) else None

    def write(self, name: str, text: str) -> None:
        staged = self.directory / f".{name}.new"
        staged.write_text(text)
        staged.rename(self.directory / name)

    def _read(self, name: str) -> str:
        try:
            return (self.directory / name).read_text()
        except OSError:
            return ""


def is_root() -> bool:
    """Whether we are the machine's root, or at least one with uids to give out."""
    if os.geteuid() != 0:
        return False
    with suppress(OSError, ValueError):
        _, _, count = Path("/proc/self/uid_map").read_text().split()
        return int(count) >= FIRST + SIZE
    return False


@contextmanager
def one_opener(directory: Path) -> Iterator[None]:
    """Let nobody else open the same sandbox meanwhile."""
    handle = os.open(directory.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def make(spec: SandboxSpec, mode: Mode) -> None:
    """Start it, and write down what it is. In a thread that ends after this. CannotLayer, Fault: its group is left."""
    clear(spec)  # what is left of an opener that died
    records = Records(spec.home)
    records.directory.mkdir()
    spec.home.chmod(0o700)  # set-user-id files of the build's root are root's there: nobody may come near them
    try:
        Control(spec, ROOT).prepare()
        records.write("mode", mode)
        with ExitStack() as stack:
            bounds = _bounds(spec, records, stack)
            users = None if mode is Mode.ROOTLESS else make_users(records.directory, stack)
            started = _start(spec, mode, records, None if users is None else users.handle, bounds, stack)
            try:
                assemble(spec, mode, records.directory, users)
            except OSError as error:
                raise cannot_make(mode, str(error)) from error
            _go_on(started, mode, records, bounds)
    except BaseException:
        clear(spec)
        raise


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What a process has to be let into to be limited."""

    doors: tuple[int, ...] = ()  # Group.doors
    processes: int | None = None  # to be limited without a group

    def expect(self, pid: int) -> None:
        """Let in who is about to start what will be held. No matter if it cannot be: `hold` tells."""
        with suppress(OSError):
            self._let_in(pid)

    def hold(self, pid: int) -> None:
        """Limit it, and all that it will start. OSError."""
        self._let_in(pid)
        if self.processes is not None:
            # The second line: it counts the processes of one uid in one user namespace.
            with suppress(OSError, ValueError):
                resource.prlimit(pid, resource.RLIMIT_NPROC, (self.processes, self.processes))

    def _let_in(self, pid: int) -> None:
        for door in self.doors:
            os.write(door, f"{pid}\n".encode())


def _bounds(spec: SandboxSpec, records: Records, stack: ExitStack) -> _Bounds:
    limits = spec.limits
    wanted = {"cpu": limits.cpus, "memory": limits.memory, "pids": limits.processes}
    asked = frozenset(name for name, value in wanted.items() if value is not None)
    group, able = Group.make(spec.id, here(), asked)
    records.write("groups", str(group))
    try:
        # bwrap itself, which waits for the end, may be one of those that are counted.
        group.limit(replace(limits, processes=None if limits.processes is None else limits.processes + 1))
        doors = tuple(group.doors(stack))
    except OSError as error:
        spec.progress(f"bubblewrap: cannot set limits by cgroup: {error}")
        return _Bounds(processes=limits.processes)
    return _Bounds(doors, limits.processes if "pids" not in able else None)


def _arguments(spec: SandboxSpec, mode: Mode) -> list[str]:
    """bwrap's own. They hold the environment: never put them on a command line, which everybody can see."""
    told = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--new-session", "--as-pid-1"]
    if spec.network is Network.NONE:
        told.append("--unshare-net")
    if mode is Mode.ROOTLESS:
        told += ["--unshare-user", "--uid", "0", "--gid", "0"]
        if not spec.privileged and _can_disable_namespaces():
            told.append("--disable-userns")
        told += ["--bind", str(spec.home / "sandbox" / "root"), "/"]
        for path in skeleton.trees():
            told += ["--ro-bind", path, path]
        for space in spaces(spec):
            told += ["--bind" if space.writable else "--ro-bind", str(space.source), space.target]
    else:
        told += ["--bind", str(layer.ROOT), "/"]
    told += ["--proc", "/proc", "--dev", "/dev", "--chdir", f"{ROOT}/output"]
    if spec.privileged:
        told += ["--cap-add", "ALL"]
    else:
        told += ["--cap-drop", "ALL"]
        for name in _CAPABILITIES:
            told += ["--cap-add", f"CAP_{name}"]
    told.append("--clearenv")
    for name, value in {**_ENVIRONMENT, **spec.environment}.items():
        told += ["--setenv", name, value]
    return told


@dataclass(frozen=True, slots=True)
class _Started:
    """The process that becomes bwrap, and by what it is spoken to."""

    child: "subprocess.Popen[bytes]"
    word: int  # a line written there lets it go on to its next wait
    answer: int  # bwrap writes there which process is the first
    errors: Path


def _start(
    spec: SandboxSpec, mode: Mode, records: Records, users: int | None, bounds: _Bounds, stack: ExitStack
) -> _Started:
    """Start it. When `stack` closes it has ended, unless `_go_on` went well.

    It is let into its group meanwhile, in another thread: the kernel waits for a grace period first (5 to 10 ms), and
    not again for those that follow within the next.
    """
    told = _arguments(spec, mode)
    passed = []
    if not spec.privileged and (program := seccomp.program(os.uname().machine)) is not None:
        passed.append(_in_memory(program, stack))
        told += ["--seccomp", str(passed[-1])]
    gate, word = os.pipe()
    for handle in (gate, word):
        stack.callback(os.close, handle)
    # A file, not a pipe: were we dead when bwrap writes to it, it would die of that, and leave its child waiting.
    answer = os.open(records.directory / "answer", os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    stack.callback(os.close, answer)
    told += ["--info-fd", str(answer)]
    passed += [answer, _in_memory(b"".join(os.fsencode(text) + b"\0" for text in told), stack)]
    errors = records.directory / "errors"
    with errors.open("wb") as said:
        try:
            child = subprocess.Popen(
                _command(spec, users, passed[-1]),
                cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath)},
                stdin=gate,
                stdout=said,
                stderr=said,
                pass_fds=passed,
                start_new_session=True,
            )
        except OSError as error:
            raise cannot_make(mode, str(error)) from error
    stack.callback(_end_unless_left, child)
    stack.enter_context(ThreadPoolExecutor(1, "codeyard-limit")).submit(bounds.expect, child.pid)
    return _Started(child, word, answer, errors)


def _command(spec: SandboxSpec, users: int | None, arguments: int) -> list[str]:
    control = Control(spec, ROOT)
    begin = _ASSEMBLED if users is None or spec.privileged else _NO_NAMESPACES_BELOW
    bwrap = ["bwrap", "--args", str(arguments), "--", "/bin/sh", "-c", _GATE, control.supervisor, control.inside]
    command = ["/bin/sh", "-c", begin, "sh", *bwrap]
    if users is None:
        return command
    return ["nsenter", f"--user=/proc/{os.getpid()}/fd/{users}", "--setuid=0", "--setgid=0", "--", *command]


def _end_unless_left(child: "subprocess.Popen[bytes]") -> None:
    if child.returncode is None:
        child.kill()
        child.wait()


def _go_on(started: _Started, mode: Mode, records: Records, bounds: _Bounds) -> None:
    """The file system is there: let it become bwrap, and what bwrap starts begin once that is limited and known."""
    child = started.child
    with suppress(BrokenPipeError):  # what it said is told
        os.write(started.word, b"assembled\n")
    first, waiter = ProcessId.of(_first_process(started.answer, child.pid)), ProcessId.of(child.pid)
    if first is None or waiter is None:
        raise cannot_make(mode, started.errors.read_text(errors="replace").strip() or "bwrap ended at once")
    records.write("process", f"{first}\n{waiter}\n")
    bounds.hold(first.pid)
    os.write(started.word, b"go\n")
    child.returncode = 0  # it is not ours to wait for: nothing warns when this object goes


def _first_process(answer: int, child: int) -> int:
    """The host's pid of the sandbox's first process, as bwrap tells it in JSON; 0 if it ended before."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        ended = ProcessId.of(child) is None or time.monotonic() > deadline
        told = os.pread(answer, 4096, 0).rstrip()
        if told.endswith(b"}"):
            return int(json.loads(told)["child-pid"])
        if ended:
            return 0
        time.sleep(0.0003)


def _in_memory(content: bytes, stack: ExitStack) -> int:
    handle = os.memfd_create("codeyard", os.MFD_CLOEXEC)
    stack.callback(os.close, handle)
    os.write(handle, content)
    os.lseek(handle, 0, os.SEEK_SET)
    return handle


def _can_disable_namespaces() -> bool:
    with suppress(OSError, ValueError, IndexError):
        said = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
        major, minor, *_ = (int(part) for part in said.split("."))
        return (major, minor) >= (0, 8)
    return False


def clear(spec: SandboxSpec) -> None:
    """Remove all that there was of it. Nothing of it may run any more."""
    directory = Records(spec.home).directory
    if not directory.is_dir():
        return
    if is_root():
        give_back(directory)
    for _ in range(3):
        if remove_tree(directory):
            return
