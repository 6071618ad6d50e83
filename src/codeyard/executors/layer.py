"""The privileged half of a sandbox: a user namespace of ordinary uids, and the file system that is bound into it.

Everything here needs root and acts on the calling thread alone, in a mount namespace of its own (`private_mounts`): the
thread must end afterwards. What it mounted is gone with the last process of that namespace. Paths are given to the
kernel as open directories, since a path may hold what a mount's options would take for a separator.

Why a build cannot read what only the host's root may, although its root owns what the host's root owns:
docs/decisions/0002-bubblewrap-layer.md.
"""

import ctypes
import os
import re
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

RANGE = 65536  # uids and gids to a sandbox

# Where the sandbox's root is put together, in the private namespace only: a directory that is always there, that
# everybody may enter, and in which no workspace lies.
SCRATCH = Path("/sys")
ROOT = SCRATCH / "root"
SKELETON = SCRATCH / "skeleton"  # what lies beneath a private root: to be laid out before `assemble`
GIVEN = SCRATCH / "given"  # and what is to cover the host's
_HOST, _SEEN, _CHANGED, _NOTHING = "host", "seen", "changed", "nothing"

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.clone.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_libc.unshare.argtypes = [ctypes.c_int]

# The same on every architecture (uapi/asm-generic/unistd.h); capget and capset are not.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_CAPABILITIES = {"x86_64": (125, 126), "aarch64": (90, 91), "riscv64": (90, 91)}  # capget, capset

# uapi/linux/{sched,mount,fcntl,capability}.h
_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_VM, _CLONE_VFORK = 0x20000, 0x10000000, 0x100, 0x4000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_SLAVE = 1, 2, 4, 32, 4096, 16384, 1 << 19
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_IDMAP = 1, 0x00100000
_OPEN_TREE_CLONE, _MOVE_FROM_FD, _MOVE_TO_FD = 1, 4, 0x40
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_WAIT_ALL = 0x40000000
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1 << 1, 1 << 2
_CAPABILITY_VERSION = 0x20080522


@dataclass(frozen=True, slots=True)
class Workspace:
    """A directory of the host's that the build sees at `target` (absolute, in the sandbox)."""

    source: Path
    target: str
    writable: bool


@dataclass(frozen=True, slots=True)
class Layer:
    """Two directories on one disk, for an overlay: `upper` takes what is written, `work` is the kernel's own."""

    upper: Path
    work: Path


@dataclass(frozen=True, slots=True)
class HostLayer:
    """What a build sees and changes below one of the host's mount points.

    `trees`: which directories of it are seen. `given`: a directory that covers what is at the same place in `mount`.
    """

    mount: str
    given: Path
    layer: Layer
    trees: tuple[str, ...]
    optional: bool = False  # left out where it cannot be layered


def user_namespace(base: int) -> int:
    """A new one in which 0..65535 are the machine's `base`..: an open handle to it. OSError.

    Its one process calls getpid and ends. As a zombie it still has the namespace, and nothing is left to be killed
    should we die here.
    """
    stack = ctypes.create_string_buffer(65536)
    top = (ctypes.addressof(stack) + len(stack)) & ~15
    does = ctypes.cast(_libc.getpid, ctypes.c_void_p)
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # our handlers are not for it
    try:
        pid = _checked(_libc.clone(does, top, _CLONE_NEWUSER | _CLONE_VM | _CLONE_VFORK, None), "clone")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
    try:
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{pid}/{kind}").write_text(f"0 {base} {RANGE}\n")
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.waitpid(pid, _WAIT_ALL)


def private_mounts() -> None:
    """Give the calling thread mounts of its own, with an empty SCRATCH that only it sees. OSError."""
    _checked(_libc.unshare(_CLONE_NEWNS), "unshare")
    # What is mounted or unmounted elsewhere is followed (a medium can be taken out), but nothing goes the other way.
    _mount(None, b"/", None, _MS_REC | _MS_SLAVE)
    _mount(b"tmpfs", os.fsencode(SCRATCH), b"tmpfs", _MS_NOSUID | _MS_NODEV, b"mode=0755,size=64m")
    ROOT.mkdir()


def assemble(own: Layer, host: tuple[HostLayer, ...], spaces: tuple[Workspace, ...], users: int) -> None:
    """At ROOT: SKELETON with `own` to write to, in it the trees of `host` to write to as well, and each of `spaces`.

    SKELETON, what is given and the upper directories belong to the ids of `users` (user_namespace); `spaces` belong to
    the host's ids on the disk, and to the same ones inside. OSError: the kernel or the file system lacks a part.
    """
    for name in (_HOST, _SEEN, _CHANGED, _NOTHING):
        (SCRATCH / name).mkdir()
    # A layer must not contain another, and a read-only overlay wants two: one is on a file system of its own.
    _mount(b"tmpfs", os.fsencode(SCRATCH / _NOTHING), b"tmpfs", _MS_RDONLY, b"size=4k")
    _overlay(ROOT, (SKELETON,), own)
    for number, one in enumerate(host):
        try:
            _show(one, str(number), users)
        except OSError:
            if not one.optional:
                raise
    for space in spaces:
        handle = _clone(space.source, users, writable=space.writable)
        try:
            _attach(handle, ROOT / space.target.lstrip("/"))
        finally:
            os.close(handle)


def assemble_plain(root: Path, trees: tuple[str, ...], spaces: tuple[Workspace, ...]) -> None:
    """At ROOT: `root`, the host's `trees` read-only, and `spaces`, all with the ids that they have. OSError."""
    _bind(root, ROOT)
    for path in trees:
        _bind(Path(path), ROOT / path.lstrip("/"), writable=False)
    for space in spaces:
        _bind(space.source, ROOT / space.target.lstrip("/"), writable=space.writable)


def _show(host: HostLayer, name: str, users: int) -> None:
    """Let the trees of one of the host's file systems be seen, and written to in its layer.

    An overlay checks twice: the caller against what it shows, and whoever mounted it against what lies below. For the
    first of these two we are neither owner nor group there, and lay down, while mounting, the capabilities that would
    not ask. So what the world may not read cannot be read through it, not even by root.
    """
    below, seen, changed = (SCRATCH / kind / name for kind in (_HOST, _SEEN, _CHANGED))
    for place in (below, seen, changed):
        place.mkdir()
    handle = _clone(Path(host.mount), users, writable=False)
    try:
        _attach(handle, below)
    finally:
        os.close(handle)
    with _without_override():
        _overlay(seen, (below, SCRATCH / _NOTHING), None)
    _overlay(changed, (host.given, seen), host.layer)
    # All of the file system is in that overlay, but only these parts of it are where the sandbox can come.
    for tree in host.trees:
        _bind(changed / tree.removeprefix(host.mount).strip("/"), ROOT / tree.lstrip("/"))


def _overlay(target: Path, lowers: tuple[Path, ...], layer: Layer | None) -> None:
    opened: list[int] = []

    def opened_as(path: Path) -> str:
        opened.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        return f"/proc/thread-self/fd/{opened[-1]}"

    try:
        options = "lowerdir=" + ":".join([opened_as(path) for path in lowers])
        if layer is not None:
            # volatile: it is thrown away with the sandbox, so neither its end nor the build's fsync waits for the disk.
            options += f",upperdir={opened_as(layer.upper)},workdir={opened_as(layer.work)},volatile"
        flags = _MS_NOSUID | _MS_NODEV | (_MS_RDONLY if layer is None else 0)
        _mount(b"overlay", os.fsencode(target), b"overlay", flags, options.encode())
    finally:
        for handle in opened:
            os.close(handle)


def _clone(path: Path, users: int, *, writable: bool) -> int:
    """A copy of the mount at `path`, not attached, in which the ids are those of `users`."""
    source = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        handle = _checked(
            _libc.syscall(_OPEN_TREE, source, b"", _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_EMPTY_PATH), "open_tree"
        )
    finally:
        os.close(source)
    try:
        wanted = _MOUNT_ATTR_IDMAP | (0 if writable else _MOUNT_ATTR_RDONLY)
        attributes = struct.pack("=QQQQ", wanted, 0, 0, users)  # struct mount_attr
        size = ctypes.c_size_t(len(attributes))
        _checked(_libc.syscall(_MOUNT_SETATTR, handle, b"", _AT_EMPTY_PATH, attributes, size), "mount_setattr")
    except OSError:
        os.close(handle)
        raise
    return handle


def _attach(mount: int, target: Path) -> None:
    place = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _checked(_libc.syscall(_MOVE_MOUNT, mount, b"", place, b"", _MOVE_FROM_FD | _MOVE_TO_FD), "move_mount")
    finally:
        os.close(place)


def _bind(source: Path, target: Path, *, writable: bool = True) -> None:
    _mount(os.fsencode(source), os.fsencode(target), None, _MS_BIND | (_MS_REC if not writable else 0))
    if not writable:
        _mount(None, os.fsencode(target), None, _MS_BIND | _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)


def mount_points() -> frozenset[str]:
    """Where something is mounted, as the calling thread sees it (proc_pid_mountinfo(5))."""
    lines = Path("/proc/thread-self/mountinfo").read_text(errors="surrogateescape").splitlines()
    found = (line.split(" ", 5)[4] for line in lines)
    return frozenset(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), point) for point in found)


def mount_of(path: str, points: frozenset[str]) -> str:
    """The mount point, of `points`, that `path` lies on."""
    place = path
    while place != "/" and place not in points:
        place = place.rpartition("/")[0] or "/"
    return place


@contextmanager
def _without_override() -> Iterator[None]:
    """The calling thread, meanwhile without the capabilities to read and write what it may not."""
    get, put = _CAPABILITIES.get(os.uname().machine, (None, None))
    if get is None or put is None:
        raise OSError(0, "capget is not known for this machine")
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION, 0))
    had = ctypes.create_string_buffer(24)  # struct __user_cap_data_struct[2]
    _checked(_libc.syscall(get, header, had), "capget")
    effective, *rest = struct.unpack("=6I", had.raw)
    effective &= ~(_CAP_DAC_OVERRIDE | _CAP_DAC_READ_SEARCH)
    _checked(_libc.syscall(put, header, struct.pack("=6I", effective, *rest)), "capset")
    try:
        yield
    finally:
        _checked(_libc.syscall(put, header, had), "capset")


def _mount(source: bytes | None, target: bytes, kind: bytes | None, flags: int, options: bytes | None = None) -> None:
    _checked(_libc.mount(source, target, kind, flags, options), f"mount {os.fsdecode(target)}")


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
