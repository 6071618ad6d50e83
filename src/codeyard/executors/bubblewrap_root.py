"""What a sandbox's processes see as their file system, in each Mode, and why there can be none."""

import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from codeyard.errors import Fault
from codeyard.executors import SandboxSpec, layer, skeleton
from codeyard.executors.uid_ranges import take

ROOT = "/codebuild"


class Mode(StrEnum):
    """What a machine allows."""

    LAYERED = "layered"  # as root: every directory can be written to, in a private layer
    MAPPED = "mapped"  # as root, lacking idmapped mounts or overlays: the system's directories are read-only
    ROOTLESS = "rootless"  # as anybody else: the same, and no user but root


class CannotLayer(Fault):
    """The kernel or a file system lacks what LAYERED needs."""


@dataclass(frozen=True, slots=True)
class Users:
    """A user namespace, and the host's uid of its root."""

    handle: int
    base: int


def make_users(sandbox: Path, stack: ExitStack) -> Users:
    """Of ids that are nobody else's; the calling thread gets mounts of its own. Fault."""
    base = take(sandbox)
    try:
        handle = layer.user_namespace(base)
        stack.callback(os.close, handle)
        layer.private_mounts()
    except OSError as error:
        raise cannot_make(Mode.MAPPED, str(error)) from error
    return Users(handle, base)


def assemble(spec: SandboxSpec, mode: Mode, sandbox: Path, users: Users | None) -> None:
    """Put it together, at layer.ROOT or in the directory `sandbox`. OSError: the machine lacks a part."""
    if users is None:
        _assemble_rootless(sandbox)
    elif mode is Mode.LAYERED:
        _assemble_layered(spec, sandbox, users)
    else:
        _assemble_mapped(spec, sandbox, users)


def spaces(spec: SandboxSpec) -> tuple[layer.Workspace, ...]:
    """What it sees of the workspace."""
    return (
        layer.Workspace(spec.home / "codebuild", ROOT, writable=False),
        layer.Workspace(spec.output, f"{ROOT}/output", writable=True),
        layer.Workspace(spec.home / "codebuild" / "control" / "status", f"{ROOT}/control/status", writable=True),
    )


def _assemble_layered(spec: SandboxSpec, sandbox: Path, users: Users) -> None:
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
        private, optional = _layer(sandbox, str(number), users), mount not in names and paths == [mount]
        host.append(layer.HostLayer(mount, given, private, tuple(paths), optional))
    skeleton.lay_out(layer.SKELETON, names, users.base)
    layer.assemble(_layer(sandbox, "root", users), tuple(host), spaces(spec), users.handle)


def _layer(sandbox: Path, name: str, users: Users) -> layer.Layer:
    upper, work = (sandbox / kind / name for kind in ("upper", "work"))
    upper.mkdir(parents=True)
    work.mkdir(parents=True)
    os.chown(upper, users.base, users.base)
    upper.chmod(0o755)
    return layer.Layer(upper, work)


def _assemble_mapped(spec: SandboxSpec, sandbox: Path, users: Users) -> None:
    root = sandbox / "root"
    skeleton.lay_out(root, skeleton.trees(), users.base)
    skeleton.fill_run(root)
    hand_over(spec)
    layer.assemble_plain(root, skeleton.trees(), spaces(spec))


def _assemble_rootless(sandbox: Path) -> None:
    root = sandbox / "root"
    skeleton.lay_out(root, skeleton.trees(), None)
    skeleton.fill_run(root)


def cannot_make(mode: Mode, why: str) -> Fault:
    """`why`, and what would help."""
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
    base = take(spec.home / "sandbox")
    for top in (spec.output, spec.home / "codebuild" / "control" / "status"):
        for _, directories, files, handle in os.fwalk(top, follow_symlinks=False):
            for name in (*directories, *files):
                with suppress(FileNotFoundError):
                    if os.stat(name, dir_fd=handle, follow_symlinks=False).st_uid == 0:
                        os.chown(name, base, base, dir_fd=handle, follow_symlinks=False)
        os.chown(top, base, base)
    os.chown(spec.home / "codebuild" / "control" / "commands" / "next", base, base)
