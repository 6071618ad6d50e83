"""appspec.yml for servers: text to an `AppSpec`, or every mistake in it with its place.

The rules are those of CodeDeploy's AppSpec file reference (EC2/on-premises) and of what its agent makes of the file.
Nothing is looked up on the machine here: whether a script exists or a user is known, running it will tell.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from codeyard.errors import Misspelt, Mistake
from codeyard.located_yaml import TRUE, Cursor, Scalar, excerpt, read

NAME = "appspec.yml"
TIMEOUT = 3600  # seconds; the default of a script, and the most that all scripts of one event may take
MAX_MISTAKES = 200
EVERYTHING = "**"
# The events that may have scripts, with a load balancer or without; others are unknown (reference 4.2).
SCRIPTABLE = (
    "BeforeBlockTraffic",
    "AfterBlockTraffic",
    "ApplicationStop",
    "BeforeInstall",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
    "BeforeAllowTraffic",
    "AfterAllowTraffic",
)
_WHO = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,254}\$?", re.ASCII)
_ACL = re.compile(r"(?:(?:u|user|g|group):)?[A-Za-z0-9_][A-Za-z0-9_.@-]{0,254}\$?:(?:[rwxX-]{1,3}|[0-7])", re.ASCII)
_SELINUX = re.compile(r"[A-Za-z0-9_.:,-]{1,255}", re.ASCII)
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?|[+-]?\.[0-9]+", re.ASCII)


class System(StrEnum):
    LINUX = "linux"
    WINDOWS = "windows"


class FileExists(StrEnum):
    """What happens to a file that is there already, and that no deployment of the group had put there."""

    DISALLOW = "DISALLOW"
    OVERWRITE = "OVERWRITE"
    RETAIN = "RETAIN"


class Target(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"


@dataclass(frozen=True, slots=True)
class Copy:
    """One entry of `files`."""

    source: str  # relative to the revision, `/` between parts; "" is the whole revision
    destination: str  # an absolute directory, normalised


@dataclass(frozen=True, slots=True)
class Context:
    """A SELinux context."""

    type: str
    user: str | None = None
    range: str | None = None


@dataclass(frozen=True, slots=True)
class Permission:
    object: str  # an absolute path, normalised
    pattern: str = EVERYTHING
    excepted: tuple[str, ...] = ()
    types: frozenset[Target] = frozenset(Target)
    mode: int | None = None
    owner: str | None = None
    group: str | None = None
    acls: tuple[str, ...] = ()
    context: Context | None = None

    def covers(self, path: str) -> bool:
        """Whether the entry, of a directory, is meant for `path`: `**` takes all beneath it, any other pattern and
        every exception only its direct children."""
        start = self.object.rstrip("/") + "/"
        if not path.startswith(start):
            return False
        name = path[len(start) :]
        wanted = self.pattern == EVERYTHING or _fits(name, self.pattern)
        return wanted and not any(_fits(name, exception) for exception in self.excepted)


@dataclass(frozen=True, slots=True)
class Hook:
    """One script of a lifecycle event."""

    location: str  # relative to the revision
    timeout: int = TIMEOUT  # seconds
    runas: str | None = None
    sudo: bool = False


@dataclass(frozen=True, slots=True)
class AppSpec:
    os: System
    files: tuple[Copy, ...] = ()
    file_exists: FileExists | None = None
    permissions: tuple[Permission, ...] = ()
    hooks: Mapping[str, tuple[Hook, ...]] = field(default_factory=dict)

    @property
    def unknown_events(self) -> tuple[str, ...]:
        """Names under `hooks` that are no lifecycle event's: the step Install refuses them."""
        return tuple(name for name in self.hooks if name not in SCRIPTABLE)


def parse(text: str) -> AppSpec:
    """What the text says. Misspelt with all of its mistakes."""
    document = read(text)
    root = Cursor.root(document)
    spec = AppSpec(System.LINUX)
    if not root.findings.mistakes:
        spec = _read(root)
    wrong = tuple(mistake for mistake in root.findings.mistakes if not mistake.warning)
    if wrong:
        raise Misspelt(NAME, tuple(sorted(wrong, key=_place))[:MAX_MISTAKES])
    return spec


def _read(root: Cursor) -> AppSpec:
    if not root.given or (isinstance(root.node, Scalar) and root.node.text in ("false", "False", "no")):
        what = "The deployment failed because the application specification file was empty."
        root.mistake(what, "Define at least `version` and `os`.")
        return AppSpec(System.LINUX)
    top = root.block("version", "os", "files", "file_exists_behavior", "permissions", "hooks")
    _version(top["version"])
    return AppSpec(
        _system(top["os"]),
        tuple(found for item in top["files"].list("entry") if (found := _copy(item)) is not None),
        _file_exists(top["file_exists_behavior"]),
        tuple(entry for item in top["permissions"].list("entry") if (entry := _permission(item)) is not None),
        {name: _hooks(cursor) for name, cursor in top["hooks"].pairs()},
    )


def _version(cursor: Cursor) -> None:
    text = cursor.text()
    plain = isinstance(cursor.node, Scalar) and not cursor.node.style
    if text is None or not plain or not _NUMBER.fullmatch(text) or float(text) != 0:
        what = (
            f"The deployment failed because an invalid version value ({excerpt(text or '')}) was entered in the "
            "application specification file."
        )
        cursor.mistake(what, "Write `version: 0.0`, without quotes.")


def _system(cursor: Cursor) -> System:
    text = cursor.text()
    if text not in [str(system) for system in System]:
        what = (
            "The deployment failed because the application specification file specifies an unsupported operating "
            f"system ({excerpt(text or '')})."
        )
        cursor.mistake(what, "Write `os: linux` or `os: windows`.")
        return System.LINUX
    return System(text)


def _file_exists(cursor: Cursor) -> FileExists | None:
    text = cursor.text()
    if text is not None and text not in [str(known) for known in FileExists]:
        what = f"The deployment failed because an invalid file_exists_behavior was specified: {excerpt(text)}"
        cursor.mistake(what, f"Valid options are {', '.join(FileExists)}.")
        return None
    return FileExists(text) if text is not None else None


def _copy(cursor: Cursor) -> Copy | None:
    parts = cursor.block("source", "destination")
    source, destination = parts["source"].word(), parts["destination"].word()
    if not parts["source"].given or not parts["destination"].given:
        given = "only a source file" if parts["source"].given else "a destination, but no source file"
        what = f"The deployment failed because the application specification file specifies {given}."
        cursor.mistake(what, "Give each entry of `files` both a `source` and a `destination`.")
    if source is None or destination is None:
        return None
    inside = _inside(parts["source"], source)
    outside = _absolute(parts["destination"], destination)
    return Copy(inside, outside) if inside is not None and outside is not None else None


def _inside(cursor: Cursor, text: str) -> str | None:
    """A path in the revision: as the agent, a leading slash means the revision's root."""
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts or "\\" in text:
        cursor.mistake(f"path {excerpt(text)} leads out of the revision", "Use a path below the revision's root.")
        return None
    return "/".join(parts)


def _absolute(cursor: Cursor, text: str) -> str | None:
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not text.startswith("/") or ".." in parts:
        cursor.mistake(f"path {excerpt(text)} is not absolute", "Write it from the root, with no `..` in it.")
        return None
    if "\n" in text:
        cursor.mistake(f"path {excerpt(text)} has a line break in it", "Choose another name.")
        return None
    return "/" + "/".join(parts)


# ── permissions ──


def _permission(cursor: Cursor) -> Permission | None:
    keys = ("object", "pattern", "except", "type", "mode", "owner", "group", "acls", "context")
    parts = cursor.block(*keys)
    text = parts["object"].word()
    if not parts["object"].given:
        what = (
            "The deployment failed because a permission listed in the application specification file has no object "
            "value."
        )
        cursor.mistake(what, "Give it an `object`.")
    if text is None:
        return None
    place = _absolute(parts["object"], text)
    acls = tuple(acl for item in parts["acls"].items() if (acl := _acl(item)) is not None)
    found = Permission(
        place or "/",
        parts["pattern"].word() or EVERYTHING,
        tuple(parts["except"].texts()),
        _types(parts["type"]),
        _mode(parts["mode"]),
        _named(parts["owner"]),
        _named(parts["group"]),
        acls,
        _context(parts["context"]),
    )
    if any(acl.startswith(("d:", "default:")) for acl in acls) and Target.FILE in found.types:
        parts["acls"].mistake("a default acl on files", "Restrict the entry with `type: [directory]`.")
    return found if place is not None else None


def _types(cursor: Cursor) -> frozenset[Target]:
    found = set()
    for item in cursor.items():
        text = item.text()
        if text not in [str(target) for target in Target]:
            item.mistake(f"type {excerpt(text or '')} is neither file nor directory", "Write file or directory.")
        else:
            found.add(Target(text))
    return frozenset(found or Target)


def _mode(cursor: Cursor) -> int | None:
    text = cursor.text()
    if text is None:
        return None
    quoted = isinstance(cursor.node, Scalar) and cursor.node.style
    if not re.fullmatch("[0-7]{1,4}", text, re.ASCII):
        cursor.mistake(f"mode {excerpt(text)} is not 1 to 4 octal digits", 'Write it as in mode: "0644".')
        return None
    if len(text) > 1 and text.startswith("0") and not quoted:
        what = f"mode {text} without quotes is the number {int(text, 8)} in YAML"
        cursor.mistake(what, f'Quote it: mode: "{text}".')
        return None
    return int(text, 8)


def _named(cursor: Cursor) -> str | None:
    text = cursor.word()
    if text is not None and not _WHO.fullmatch(text):
        cursor.mistake(f"{excerpt(text)} is no name of a user or group", "Write the name as the machine knows it.")
        return None
    return text


def _acl(cursor: Cursor) -> str | None:
    text = cursor.text()
    if text is None:
        return None
    if not _ACL.fullmatch(re.sub("^(d|default):(?=[^:]+:[^:]*(:|$))", "", text)):
        cursor.mistake(f"acl {excerpt(text)} is not `[d:]u|g:name:permissions`", "Base entries are set by `mode`.")
        return None
    return text


def _context(cursor: Cursor) -> Context | None:
    if not cursor.given:
        return None
    parts = cursor.block("type", "user", "name", "range", "role")
    if parts["role"].given:
        parts["role"].mistake_at_key("a context with a role", "Leave the role out: it cannot be set.")
    texts = {}
    for name in ("type", "user", "name", "range"):
        text = parts[name].word()
        if text is not None and not _SELINUX.fullmatch(text):
            parts[name].mistake(f"{excerpt(text)} is no part of a SELinux context", "Use letters, digits, `_:.,-`.")
        texts[name] = text
    if texts["type"] is None:
        if not parts["type"].given:
            cursor.mistake("a context without a type", "Give it a `type`.")
        return None
    return Context(texts["type"], texts["user"] or texts["name"], texts["range"])


# ── hooks ──


def _hooks(cursor: Cursor) -> tuple[Hook, ...]:
    return tuple(hook for item in cursor.list("script") if (hook := _hook(item)) is not None)


def _hook(cursor: Cursor) -> Hook | None:
    parts = cursor.block("location", "timeout", "runas", "sudo")
    location = parts["location"].text()
    if not parts["location"].given or (location is not None and not location.strip()):
        what = (
            "The deployment failed because the application specification file specifies a script with no location "
            "value."
        )
        cursor.mistake(what, "Specify the location in the hooks section.")
        return None
    if location is None:
        return None
    inside = _inside(parts["location"], location)
    runas = parts["runas"].word()
    if runas is not None and not _WHO.fullmatch(runas):
        parts["runas"].mistake(f"user {excerpt(runas)} is no name of a user", "Write the name as the machine knows it.")
    timeout = _timeout(parts["timeout"])
    sudo = parts["sudo"].text() in TRUE
    return Hook(inside, timeout, runas, sudo) if inside is not None else None


def _timeout(cursor: Cursor) -> int:
    text = cursor.text()
    if text is None:
        return TIMEOUT
    if not re.fullmatch("[0-9]{1,9}", text, re.ASCII) or int(text) <= 0:
        what = (
            "The deployment failed because an invalid timeout value was provided for a script in the application "
            f"specification file: {excerpt(text)}"
        )
        cursor.mistake(what, "Write a whole number of seconds above 0.")
        return TIMEOUT
    return int(text)


def _fits(name: str, glob: str) -> bool:
    """Whether a name of one part fits a glob in which `*` stands for any characters."""
    if "/" in name:
        return False
    return re.fullmatch(".*".join(re.escape(part) for part in glob.split("*")), name, re.DOTALL) is not None


def _place(mistake: Mistake) -> tuple[int, int]:
    return mistake.line, mistake.column
