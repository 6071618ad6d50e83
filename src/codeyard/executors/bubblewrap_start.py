"""Start a sandbox's first process: what is set up before, how bwrap is called, and what is written down about it."""

import fcntl
import json
import os
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from codeyard.artifacts.removal import remove_tree
from codeyard.errors import Fault
from codeyard.executors import Network, SandboxSpec, layer, seccomp, skeleton
from codeyard.executors.cgroups import Group, here
from codeyard.executors.processes import ProcessId
from codeyard.executors.supervisor import Control
from codeyard.executors.uid_ranges import FIRST, SIZE, give_back, take

ROOT = "/codebuild"
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

# In its user namespace, while it still may: there shall be none below it, where it had all capabilities again.
_NO_NAMESPACES_BELOW = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'

_PATIENCE = 30.0  # seconds that bwrap may take on a busy machine


class Mode(StrEnum):
    """What a machine allows."""

    LAYERED = "layered"  # as root: every directory can be written to, in a private layer
    MAPPED = "mapped"  # as root, lacking idmapped mounts or overlays: the system's directories are read-only
    ROOTLESS = "rootless"  # as anybody else: the same, and no user but root


class CannotLayer(Fault):
    """The kernel or a file system lacks what LAYERED needs."""


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
    """Start it, and write down what it is. In a thread that ends after this. CannotLayer, Fault."""
    clear(spec)  # what is left of an opener that died
    records = Records(spec.home)
    records.directory.mkdir()
    spec.home.chmod(0o700)  # set-user-id files of the build's root are root's there: nobody may come near them
    try:
        Control(spec, ROOT).prepare()
        records.write("mode", mode)
        with ExitStack() as stack:
            bounds = _bounds(spec, records, stack)
            users = None if mode is Mode.ROOTLESS else _users(records, stack)
            try:
                _assemble(spec, mode, records, users)
            except OSError as error:
                raise _cannot_make(mode, str(error)) from error
            _start(spec, mode, records, None if users is None else users.handle, bounds, stack)
    except BaseException:
        records.group().discard()
        clear(spec)
        raise


def _assemble(spec: SandboxSpec, mode: Mode, records: Records, users: "_Users | None") -> None:
    if users is None:
        _assemble_rootless(records)
    elif mode is Mode.LAYERED:
        _assemble_layered(spec, records, users)
    else:
        _assemble_mapped(spec, records, users)


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What a process has to be let into to be limited."""

    doors: tuple[int, ...] = ()  # Group.doors
    processes: int | None = None  # to be limited without a group

    def hold(self, pid: int) -> None:
        for door in self.doors:
            os.write(door, f"{pid}\n".encode())
        if self.processes is not None:
            # The second line: it counts the processes of one uid in one user namespace.
            with suppress(OSError, ValueError):
                resource.prlimit(pid, resource.RLIMIT_NPROC, (self.processes, self.processes))


def _bounds(spec: SandboxSpec, records: Records, stack: ExitStack) -> _Bounds:
    limits = spec.limits
    wanted = {"cpu": limits.cpus, "memory": limits.memory, "pids": limits.processes}
    asked = frozenset(name for name, value in wanted.items() if value is not None)
    group, able = Group.make(spec.id, here(), asked)
    records.write("groups", str(group))
    try:
        group.limit(limits)
        doors = tuple(group.doors(stack))
    except OSError as error:
        spec.progress(f"bubblewrap: cannot set limits by cgroup: {error}")
        return _Bounds(processes=limits.processes)
    return _Bounds(doors, limits.processes if "pids" not in able else None)


@dataclass(frozen=True, slots=True)
class _Users:
    """A user namespace, and the host's uid of its root."""

    handle: int
    base: int


def _users(records: Records, stack: ExitStack) -> _Users:
    base = take(records.directory)
    try:
        handle = layer.user_namespace(base)
        stack.callback(os.close, handle)
        layer.private_mounts()
    except OSError as error:
        raise _cannot_make(Mode.MAPPED, str(error)) from error
    return _Users(handle, base)


def _spaces(spec: SandboxSpec) -> tuple[layer.Workspace, ...]:
    return (
        layer.Workspace(spec.home / "codebuild", ROOT, writable=False),
        layer.Workspace(spec.output, f"{ROOT}/output", writable=True),
        layer.Workspace(spec.home / "codebuild" / "control" / "status", f"{ROOT}/control/status", writable=True),
    )


def _assemble_layered(spec: SandboxSpec, records: Records, users: _Users) -> None:
    names, points = skeleton.trees(), layer.mount_points()
    mounts: dict[str, list[str]] = {}
    for path in names:
        mounts.setdefault(layer.mount_of(path, points), []).append(path)
    for point in sorted(points - mounts.keys()):
        if point.startswith(tuple(f"{path}/" for path in names)) and Path(point).is_dir():
            mounts[point] = [point]
    host = []
    for number, (mount, paths) in enumerate(mounts.items()):
        given = layer.GIVEN / str(number)
        given.mkdir(parents=True)
        for path in paths:
            skeleton.cover(path, given / path.removeprefix(mount).strip("/"), users.base)
        private, optional = _layer(records, str(number), users), mount not in names and paths == [mount]
        host.append(layer.HostLayer(mount, given, private, tuple(paths), optional))
    skeleton.lay_out(layer.SKELETON, names, users.base)
    layer.assemble(_layer(records, "root", users), tuple(host), _spaces(spec), users.handle)


def _layer(records: Records, name: str, users: _Users) -> layer.Layer:
    upper, work = (records.directory / kind / name for kind in ("upper", "work"))
    upper.mkdir(parents=True)
    work.mkdir(parents=True)
    os.chown(upper, users.base, users.base)
    upper.chmod(0o755)
    return layer.Layer(upper, work)


def _assemble_mapped(spec: SandboxSpec, records: Records, users: _Users) -> None:
    root = records.directory / "root"
    skeleton.lay_out(root, skeleton.trees(), users.base)
    skeleton.fill_run(root)
    hand_over(spec)
    layer.assemble_plain(root, skeleton.trees(), _spaces(spec))


def _assemble_rootless(records: Records) -> None:
    root = records.directory / "root"
    skeleton.lay_out(root, skeleton.trees(), None)
    skeleton.fill_run(root)


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
        for space in _spaces(spec):
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


def _start(
    spec: SandboxSpec, mode: Mode, records: Records, users: int | None, bounds: _Bounds, stack: ExitStack
) -> None:
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
    control = Control(spec, ROOT)
    command = ["bwrap", "--args", str(passed[-1]), "--", "/bin/sh", "-c", _GATE, control.supervisor, control.inside]
    if users is not None:
        if not spec.privileged:
            command = ["/bin/sh", "-c", _NO_NAMESPACES_BELOW, "sh", *command]
        command = ["nsenter", f"--user=/proc/{os.getpid()}/fd/{users}", "--setuid=0", "--setgid=0", "--", *command]
    errors = records.directory / "errors"
    with errors.open("wb") as said:
        try:
            child = subprocess.Popen(
                command,
                cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath)},
                stdin=gate,
                stdout=said,
                stderr=said,
                pass_fds=passed,
                start_new_session=True,
            )
        except OSError as error:
            raise _cannot_make(mode, str(error)) from error
    child.returncode = 0  # it is not ours to wait for: nothing warns when this object goes
    first, waiter = ProcessId.of(_first_process(answer, child.pid)), ProcessId.of(child.pid)
    if first is None or waiter is None:
        with suppress(ChildProcessError):
            os.waitpid(child.pid, os.WNOHANG)
        raise _cannot_make(mode, errors.read_text(errors="replace").strip() or "bwrap ended at once")
    records.write("process", f"{first}\n{waiter}\n")
    bounds.hold(first.pid)
    os.write(word, b"go\n")


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


def _cannot_make(mode: Mode, why: str) -> Fault:
    if mode is Mode.LAYERED:
        return CannotLayer("cannot layer the file system", why, "Use Linux 5.19 or later, with ext4, xfs or btrfs.")
    return Fault("cannot make a sandbox with bubblewrap", f"{why}.", _fix(mode))


def _fix(mode: Mode) -> str:
    """What most probably forbids namespaces here."""
    off = {
        # Ubuntu 24.04: https://discourse.ubuntu.com/t/spec-unprivileged-user-namespace-restrictions-via-apparmor
        "kernel/apparmor_restrict_unprivileged_userns": ("1", "0"),
        "kernel/unprivileged_userns_clone": ("0", "1"),
        "user/max_user_namespaces": ("0", "65536"),
    }
    for name, (bad, good) in off.items():
        with suppress(OSError):
            if Path("/proc/sys", name).read_text().strip() == bad:
                return f"As root: sysctl -w {name.replace('/', '.')}={good}"
    if mode is Mode.ROOTLESS:
        return "Allow unprivileged user namespaces, or start it as root."
    return "A container needs --privileged for this; else use another executor."


def hand_over(spec: SandboxSpec) -> None:
    """Give what is ours in the workspace to the build's root: without idmapped mounts it could not write there.

    Never through a symlink, and only what is root's: so what a build made is not touched.
    """
    base = take(Records(spec.home).directory)
    for top in (spec.output, spec.home / "codebuild" / "control" / "status"):
        for _, directories, files, handle in os.fwalk(top, follow_symlinks=False):
            for name in (*directories, *files):
                with suppress(FileNotFoundError):
                    if os.stat(name, dir_fd=handle, follow_symlinks=False).st_uid == 0:
                        os.chown(name, base, base, dir_fd=handle, follow_symlinks=False)
        os.chown(top, base, base)
    os.chown(spec.home / "codebuild" / "control" / "commands" / "next", base, base)


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
