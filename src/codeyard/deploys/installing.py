"""What the step Install does with files: clean up what the last deployment installed, then copy, then permissions.

The list of copies is made, and checked against what is there, before the first file is copied. Links of a revision are
made as links and never followed; of a path below an entry's destination no part may be a link (the destination itself
may lie behind one: whoever runs the machine made it).
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from codeyard.artifacts import Kind
from codeyard.artifacts.copying import pour
from codeyard.artifacts.failures import explained
from codeyard.artifacts.patterns import Found
from codeyard.artifacts.scan import Workspace, listing
from codeyard.deploys import permitting
from codeyard.deploys.appspec import EVERYTHING, AppSpec, FileExists, Permission, Target
from codeyard.errors import Invalid

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FIX = "Correct the AppSpec file, then deploy again."
_CONTEXT = "semanage\0"  # before a path in the cleanup file: a SELinux context to be dropped


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is to be made."""

    shown: str  # as the AppSpec file names it
    base: str  # the entry's destination without links in it
    rest: str  # below that; "" for a directory above it, which `base` then names

    @property
    def real(self) -> str:
        return f"{self.base}/{self.rest}" if self.rest else self.base


@dataclass(slots=True)
class Plan:
    """What Install does: directories (parents first) and copies in their order, then permissions."""

    # All by real path: two entries may name one directory differently.
    directories: dict[str, Place] = field(default_factory=dict)
    copies: dict[str, tuple[Place, Found]] = field(default_factory=dict)  # and what is copied there
    steps: list[str] = field(default_factory=list)  # in the order in which they are made
    permissions: dict[str, Permission] = field(default_factory=dict)


class Places:
    """The notes that deployments of one group leave each other, where CodeDeploy's agent has them."""

    def __init__(self, directory: Path, group: str) -> None:
        self.directory = directory
        self.last_successful = directory / f"{group}_last_successful_install"
        self.most_recent = directory / f"{group}_most_recent_install"
        self.cleanup = directory / f"{group}-cleanup"
        self.instructions = directory / f"{group}-install.json"

    def read(self, path: Path) -> str | None:
        """The directory that a note names; None if there is no note."""
        try:
            return path.read_text().strip() or None
        except FileNotFoundError:
            return None

    def write(self, path: Path, text: str) -> None:
        with explained(f"writing {path}"):
            draft = path.with_name(f".{path.name}")
            draft.write_text(text)
            draft.replace(path)

    def clean_up(self) -> None:
        """Remove what the last deployment installed, newest first; directories only if they are empty by then."""
        try:
            lines = os.fsdecode(self.cleanup.read_bytes()).split("\n")
        except FileNotFoundError:
            return
        for line in reversed(lines):
            if line.startswith(_CONTEXT):
                permitting.drop_context(line.removeprefix(_CONTEXT))
            elif line.startswith("/"):
                _remove(line)
        with explained(f"removing {self.cleanup}"):
            self.cleanup.unlink()


def install(spec: AppSpec, archive: Path, behavior: FileExists, places: Places) -> None:
    """Install the revision laid out at `archive`. Invalid, before anything is copied, if the plan cannot be."""
    plan = planned(spec, archive, behavior)
    places.write(places.instructions, json.dumps({"instructions": list(_told(plan, archive))}))
    with explained("installing"), places.cleanup.open("ab", buffering=0) as cleanup:
        for path in plan.steps:
            cleanup.write(os.fsencode(path) + b"\n")  # first: what is cut off is cleaned up too
            if path in plan.directories:
                _make_directory(plan.directories[path])
            else:
                place, found = plan.copies[path]
                _copy(archive, found, place)
        for path, permission in plan.permissions.items():
            place = plan.directories.get(path) or plan.copies[path][0]
            if permission.context is not None:
                cleanup.write(os.fsencode(_CONTEXT + place.real) + b"\n")
            permitting.permit(place.base, place.rest, permission)


# ── the plan ──


def planned(spec: AppSpec, archive: Path, behavior: FileExists) -> Plan:
    """What is to be done, once it is known that it can be."""
    found = {item.path: item for item in listing(archive)}
    plan = Plan()
    for entry in spec.files:
        base = os.path.realpath(entry.destination)
        start = len(entry.source) + 1 if entry.source else 0
        below = [path for path in found if not start or path.startswith(f"{entry.source}/")]
        item = found.get(entry.source)
        if entry.source and item is None:
            raise Invalid("files", f"No such file or directory in the revision: {entry.source}.", _FIX)
        _ancestors(plan, entry.destination, base)
        if item is not None and item.kind is not Kind.DIRECTORY:
            name = entry.source.rpartition("/")[2]
            _add(plan, Place(_join(entry.destination, name), base, name), item, behavior)
            continue
        for path in sorted(below):
            _add(plan, Place(_join(entry.destination, path[start:]), base, path[start:]), found[path], behavior)
    for permission in spec.permissions:
        _grant(plan, permission)
    return plan


def _join(directory: str, path: str) -> str:
    return f"{directory.rstrip('/')}/{path}"


def _ancestors(plan: Plan, shown: str, base: str) -> None:
    """The destination and what is above it, as far as it is missing."""
    missing: list[tuple[str, str]] = []
    while base not in plan.directories and not os.path.isdir(base):  # noqa: PTH112
        if os.path.lexists(base):
            raise _exists(shown)
        if base in plan.copies:
            raise _twice(shown)
        missing.append((shown, base))
        shown, base = os.path.dirname(shown), os.path.dirname(base)  # noqa: PTH120
    for above, real in reversed(missing):
        plan.directories[real] = Place(above, real, "")
        plan.steps.append(real)


def _add(plan: Plan, place: Place, item: Found, behavior: FileExists) -> None:
    if "\n" in place.real or item.kind is None:
        raise Invalid(f"path {item.path[:200]!r}", "it cannot be installed.", "Take it out of the revision.")
    real = place.real
    parent = os.path.dirname(real)  # noqa: PTH120
    if parent in plan.copies:
        raise _twice(parent)
    mode = _mode(place)
    if item.kind is Kind.DIRECTORY:
        if real in plan.copies:
            raise _twice(real)
        if mode is not None and stat.S_ISLNK(mode):
            raise _is_link(place, real)
        if mode is not None and not stat.S_ISDIR(mode):
            raise _exists(place.shown)
        if mode is None and real not in plan.directories:
            plan.directories[real] = place
            plan.steps.append(real)
        return
    if real in plan.copies or real in plan.directories:
        raise _twice(real)
    if mode is not None:
        if behavior is FileExists.RETAIN:
            return
        if behavior is FileExists.DISALLOW or stat.S_ISDIR(mode):
            raise _exists(place.shown)
    plan.copies[real] = (place, item)
    plan.steps.append(real)


def _mode(place: Place) -> int | None:
    """The mode of what is there now; None if there is nothing. Invalid if there is a link on the way."""
    current = place.base
    for part in place.rest.split("/")[:-1]:
        current += f"/{part}"
        if os.path.islink(current):  # noqa: PTH114
            raise _is_link(place, current)
    try:
        return os.lstat(place.real).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_link(place: Place, link: str) -> Invalid:
    return Invalid(f"path {place.shown[:200]!r}", f"{link} is a symbolic link.", "Remove it first.")


def _exists(path: str) -> Invalid:
    what = f"The deployment failed because a specified file already exists at this location: {path}"
    return Invalid("Install", what, "Remove it, or set file_exists_behavior.")


def _twice(path: str) -> Invalid:
    return Invalid("files", f"two entries would both be copied to {path}.", _FIX)


def _grant(plan: Plan, permission: Permission) -> None:
    """Which of what is installed the entry is meant for. Only what is made now is touched."""
    files = {place.shown: real for real, (place, _) in plan.copies.items()}
    directories = {place.shown: real for real, place in plan.directories.items()}
    if permission.object in files:
        if permission.pattern != EVERYTHING or permission.excepted:
            raise Invalid(f"permissions of {permission.object}", "a file has neither pattern nor except.", _FIX)
        chosen = [files[permission.object]] if Target.FILE in permission.types else []
    else:
        known = {**(files if Target.FILE in permission.types else {}),
                 **(directories if Target.DIRECTORY in permission.types else {})}  # fmt: skip
        chosen = [real for shown, real in known.items() if permission.covers(shown)]
    for path in chosen:
        if path in plan.permissions:
            raise Invalid(f"permissions of {path}", "two entries are meant for it.", _FIX)
        plan.permissions[path] = permission


def _told(plan: Plan, archive: Path) -> Iterator[Mapping[str, object]]:
    """The plan, for whoever wants to know afterwards."""
    for path in plan.steps:
        if path in plan.directories:
            yield {"type": "mkdir", "directory": path}
        else:
            yield {"type": "copy", "source": str(archive / plan.copies[path][1].path), "destination": path}
    for path, permission in plan.permissions.items():
        mode = None if permission.mode is None else f"{permission.mode:04o}"
        yield {"type": "permit", "file": path, "mode": mode, "owner": permission.owner, "group": permission.group}


# ── the deeds ──


def _make_directory(place: Place) -> None:
    if not place.rest:
        with suppress(FileExistsError):
            os.mkdir(place.base)  # noqa: PTH102
        return
    parent, _, name = place.rest.rpartition("/")
    with Workspace(Path(place.base)) as workspace, suppress(FileExistsError):
        os.mkdir(name, dir_fd=workspace.directory(parent))


def _copy(archive: Path, found: Found, place: Place) -> None:
    """A new file or link in the place of whatever file or link is there."""
    parent, _, name = place.rest.rpartition("/")
    with Workspace(Path(place.base)) as target, Workspace(archive) as source:
        directory = target.directory(parent)
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        if found.kind is Kind.LINK:
            os.symlink(found.target, name, dir_fd=directory)
            return
        with (
            os.fdopen(source.open(found.path), "rb", buffering=0) as old,
            os.fdopen(os.open(name, _NEW, 0o600, dir_fd=directory), "wb", buffering=0) as new,
        ):
            status = os.fstat(old.fileno())
            pour(old, new.fileno(), status.st_size)
            os.fchmod(new.fileno(), stat.S_IMODE(status.st_mode) & 0o1777)


def _remove(path: str) -> None:
    """One path of a cleanup file. What is gone is gone; nothing is reached through a link that came since."""
    parent = os.path.dirname(path)  # noqa: PTH120
    if os.path.realpath(parent) != parent:
        return
    with suppress(FileNotFoundError, NotADirectoryError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            with suppress(OSError):  # not empty, or busy
                os.rmdir(path)  # noqa: PTH106
        else:
            with explained(f"removing {path}"):
                os.unlink(path)  # noqa: PTH108
