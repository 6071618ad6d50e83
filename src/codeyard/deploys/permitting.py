"""Permissions of what was installed: mode, ACLs, SELinux context, owner and group, in this order. Links have none."""

import grp
import os
import pwd
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

from codeyard.artifacts.failures import explained
from codeyard.artifacts.scan import Workspace
from codeyard.deploys.appspec import Permission
from codeyard.errors import CodeyardError, Fault, Invalid

_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_PATIENCE = 60  # seconds for one of the machine's programs


def permit(base: str, rest: str, permission: Permission) -> None:
    """Give them to the file or directory `rest` below `base`, or to `base` itself. Invalid for an unknown user or
    group, Fault where the machine has no such permissions."""
    owner = -1 if permission.owner is None else _user(permission.owner)
    group = -1 if permission.group is None else _group(permission.group)
    above, _, name = (rest or Path(base).name).rpartition("/")
    root = Path(base) if rest else Path(base).parent
    path = f"{base}/{rest}" if rest else base
    with Workspace(root) as workspace, explained(f"permissions of {path}"):
        directory = workspace.directory(above)
        handle = os.open(name, _HANDLE, dir_fd=directory)
        try:
            mode = os.fstat(handle).st_mode
            if not stat.S_ISLNK(mode):
                _set(handle, path, permission, mode)
        finally:
            os.close(handle)
        if (owner, group) != (-1, -1):
            os.chown(name, owner, group, dir_fd=directory, follow_symlinks=False)


def drop_context(path: str) -> None:
    """Let SELinux's own rules hold for the path again, as far as it knows others."""
    with suppress(CodeyardError):
        _run("semanage", "fcontext", "-d", path)


def _set(handle: int, path: str, permission: Permission, mode: int) -> None:
    if permission.mode is not None:
        mode = permission.mode
        os.chmod(f"/proc/self/fd/{handle}", mode)  # noqa: PTH101 - of the handle, whatever has its name now
    if permission.acls:
        # Of the handle too: whoever owns the directory could put a link to any file in its place meanwhile.
        entries = (*_base(mode), *_default_base(permission.acls, mode), *permission.acls)
        _run("setfacl", "--set", ",".join(entries), f"/proc/self/fd/{handle}", held=(handle,), named=path)
    if permission.context is not None:
        context = permission.context
        user = ("-s", context.user) if context.user else ()
        span = ("-r", context.range) if context.range else ()
        _run("semanage", "fcontext", "-a", *user, "-t", context.type, *span, path)
        _run("restorecon", path)


def _base(mode: int) -> list[str]:
    return [f"{who}::{mode >> shift & 7}" for who, shift in (("u", 6), ("g", 3), ("o", 0))]


def _default_base(acls: tuple[str, ...], mode: int) -> list[str]:
    """What default entries must stand beside."""
    default = any(acl.startswith(("d:", "default:")) for acl in acls)
    return [f"d:{entry}" for entry in _base(mode)] if default else []


def _user(name: str) -> int:
    try:
        return int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid
    except KeyError:
        raise _unknown("user", name) from None


def _group(name: str) -> int:
    try:
        return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise _unknown("group", name) from None


def _unknown(what: str, name: str) -> Invalid:
    return Invalid(f"{what} {name!r}", "this machine does not know it.", "Make it first, then deploy again.")


def _run(*command: str, held: tuple[int, ...] = (), named: str = "") -> None:
    """`held` are descriptors that the program has too; `named` is what errors call its last argument."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=_PATIENCE, stdin=subprocess.DEVNULL, pass_fds=held)
    except FileNotFoundError:
        raise Fault(command[0], "this machine does not have it.", f"Install {command[0]}.") from None
    except subprocess.TimeoutExpired:
        raise Fault(command[0], f"it did not end in {_PATIENCE} seconds.", "Look after the machine.") from None
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()[:500]
        raise Fault(f"{command[0]} on {named or command[-1]}", f"{said or 'it failed'}.", "Correct the permissions.")
