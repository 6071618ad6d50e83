"""A release: a tree in a directory of its own below `releases/`, made live by switching the link `current` to it.

The link is switched by one rename, so whoever looks finds the old release or the new one, whole. If what comes after
the switch fails, it is switched back at once. A release's name is the beginning of its tree's digest: to make an
earlier one current again takes no more than to check that it is still what it was.
"""

import asyncio
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from codeyard.artifacts import Digest, Tree
from codeyard.artifacts.copying import flush
from codeyard.artifacts.failures import explained
from codeyard.deploys import EVENTS, Assignment, ErrorCode, Kind, placing
from codeyard.deploys.health import answer, is_address
from codeyard.deploys.hooks import Ran, Script, ScriptLog, run_script
from codeyard.deploys.placing import Placed, Share
from codeyard.deploys.work import Ground, Notes, blocking
from codeyard.errors import Conflict, Fault, Invalid

_NAME = re.compile("[0-9a-f]{16}", re.ASCII)
_LINK = re.compile("releases/([0-9a-f]{16})", re.ASCII)
_DONORS = 4  # earlier releases that are searched for files
_PREVIOUS = "previous"  # the note of what `current` was
_RETRY = 0.5  # seconds between two looks at the health
_ANSWER = 5.0  # seconds that a health check's answer may take
KEEP, HEALTH_SECONDS, HOOK_TIMEOUT = 5, 30, 300


@dataclass(frozen=True, slots=True)
class Options:
    """What the options of an assignment say about a release."""

    path: Path
    keep: int
    scripts: Mapping[str, str]  # by event
    health_url: str
    health_seconds: int
    hook_timeout: int


def options(given: Mapping[str, str]) -> Options:
    """The options, checked. Invalid."""
    path = given.get("path", "")
    parts = path.split("/")[1:]
    if not path.startswith("/") or not any(parts) or {"..", "."} & set(parts) or re.search("[\0-\x1f\x7f]", path):
        raise _wrong("path", path, "an absolute path below /, with no `..` in it")
    health = given.get("health_check", "")
    url = health if re.match("https?://", health) else ""
    if url and not is_address(url):
        raise _wrong("health_check", url, "a script in the release, or an http or https address")
    names = {
        "BeforeSwitch": given.get("before_switch", ""),
        "AfterSwitch": given.get("after_switch", ""),
        "HealthCheck": "" if url else health,
    }
    scripts = {event: _script(location) for event, location in names.items() if location}
    return Options(
        Path("/", *filter(None, parts)),
        _whole(given, "keep", KEEP, 1, 1000),
        scripts,
        url,
        _whole(given, "health_seconds", HEALTH_SECONDS, 0, 3600),
        _whole(given, "hook_timeout", HOOK_TIMEOUT, 1, 3600),
    )


def _whole(given: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = given.get(name) or str(default)
    if not re.fullmatch("[0-9]{1,9}", text, re.ASCII) or not least <= int(text) <= most:
        raise _wrong(name, text, f"a whole number from {least} to {most}")
    return int(text)


def _script(location: str) -> str:
    parts = [part for part in location.split("/") if part not in ("", ".")]
    if ".." in parts or location.startswith("/") or not parts:
        raise _wrong("of a script", location, "a path relative to the release, with no `..` in it")
    return "/".join(parts)


def _wrong(name: str, value: str, expected: str) -> Invalid:
    return Invalid(
        f"option {name} {value[:200]!r}", f"it is not {expected}.", "Correct it in the deployment's options."
    )


class Release:
    """One release on this host; see `Work`."""

    events = EVENTS[Kind.RELEASE]

    def __init__(self, assignment: Assignment, ground: Ground, notes: Notes) -> None:
        self._assignment, self._ground, self._notes = assignment, ground, notes
        self._options = options(assignment.options)
        self._path = self._options.path
        self._releases = self._path / "releases"
        self._id = release_id(assignment.tree)
        self._directory = self._releases / self._id
        self._tree: Tree | None = None
        self._checked = False  # since then, no script has run
        self.lock = self._path / ".deploying"
        self.log = ground.state / "deployments" / assignment.deployment / "scripts.log"
        self.common_log: Path | None = None

    def prepare(self) -> None:
        with explained(f"making {self._releases}"):
            self._releases.mkdir(parents=True, exist_ok=True)
            if self._releases.is_symlink():
                raise Invalid(f"directory {self._releases}", "it is a symbolic link.", "Use a directory.")
        self._current()

    def scripted(self, event: str) -> bool:
        return event in self._options.scripts

    def forgives(self, event: str) -> bool:
        return False

    async def perform(self, event: str, log: ScriptLog, started: Callable[[int], None]) -> Ran:
        if event == "Verify":
            return await blocking(self._verify)
        if event == "Place":
            return await blocking(self._place)
        if event == "Switch":
            return await blocking(self._switch)
        if event == "HealthCheck":
            return await self._health(log, started)
        if event in self._options.scripts:
            self._checked = False
            return await self._run(event, self._options.hook_timeout, log, started)
        return Ran()

    async def undo(self) -> str:
        return await blocking(self._go_back)

    async def finish(self) -> None:
        await blocking(self._prune)

    # ── the events that run nothing ──

    def _load(self) -> Tree:
        if self._tree is None:
            self._tree = self._ground.manifests.get(self._assignment.tree)
        return self._tree

    def _verify(self) -> Ran:
        tree = self._load()
        files = {entry.path for entry in tree.entries if entry.digest is not None}
        links = {entry.path for entry in tree.entries if entry.target}
        for location in self._options.scripts.values():
            if location not in files and not any(location == link or location.startswith(link + "/") for link in links):
                message = f"Script does not exist at specified location: {self._directory / location}"
                return Ran(ErrorCode.SCRIPT_MISSING, message, location)
        if not self._directory.exists():
            return Ran(message=f"release {self._id} is new here: {tree.files} files, {tree.size} bytes")
        verdict = self._check()
        if verdict.extra and self._current() != f"releases/{self._id}":
            placing.remove(self._directory, None, self._ground.memory)
            return Ran(message=f"release {self._id} had {len(verdict.extra)} files too many: it will be placed anew")
        more = f", and {len(verdict.extra)} more" if verdict.extra else ""
        return Ran(message=f"release {self._id} is here: {tree.files} files, as they were made{more}")

    def _check(self) -> placing.Verdict:
        """How the placed release differs from its tree. Invalid if a file of it was altered."""
        verdict = placing.verify(Placed(self._directory, self._load()), self._ground.memory)
        if verdict.altered:
            more = f", and {len(verdict.altered) - 1} more" if len(verdict.altered) > 1 else ""
            raise Invalid(
                f"release {self._directory}",
                f"it was altered after it was placed: {verdict.altered[0]}{more}.",
                "Find out what writes to releases, then remove that directory: it will be placed anew.",
            )
        self._checked = True
        return verdict

    def _place(self) -> Ran:
        placing.tidy(self._releases)
        if self._directory.exists():
            return Ran(message="it is here already")
        moved = placing.place(
            self._load(),
            self._ground.blobs,
            self._directory,
            self._donors(),
            self._ground.memory,
            share=Share.WITH_STORE if self._ground.share_store else Share.WITH_DONORS,
        )
        self._checked = True
        if self._ground.flush:
            with explained(f"flushing {self._releases}"):
                flush(self._releases)
        _remember_path(self._ground.state, self._path)
        return Ran(message=f"{moved.here} files were here, {moved.fetched} were fetched ({moved.size} bytes)")

    def _switch(self) -> Ran:
        if not self._checked:
            self._check()
        current = self._current()
        if _PREVIOUS not in self._notes.kept:
            self._notes.keep(_PREVIOUS, current)
        with suppress(OSError):
            os.utime(self._directory)  # `keep` counts from when a release was last made live
        self._point(f"releases/{self._id}")
        return Ran(message=f"current was {current or 'nothing'}, and is releases/{self._id}")

    # ── current ──

    def _current(self) -> str:
        """What `current` points to, "" if there is none. Conflict if it is no link."""
        link = self._path / "current"
        try:
            if not stat.S_ISLNK(link.lstat().st_mode):
                raise Conflict(f"path {link}", "it is no symbolic link.", "Move it away: a release is a link there.")
            return str(link.readlink())
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise Fault(f"path {link}", f"{error.strerror}.", "Look after the disk.") from error

    def _point(self, target: str) -> None:
        """Let `current` point there, by one rename; remove it for ""."""
        if self._current() == target:
            return
        with explained(f"switching {self._path / 'current'}"):
            place = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if target:
                    draft = f".current.{os.urandom(4).hex()}"
                    os.symlink(target, draft, dir_fd=place)
                    os.rename(draft, "current", src_dir_fd=place, dst_dir_fd=place)
                else:
                    os.unlink("current", dir_fd=place)
                os.fsync(place)
            finally:
                os.close(place)

    def _go_back(self) -> str:
        previous = self._notes.kept.get(_PREVIOUS)
        if previous is None:
            return ""
        if previous == f"releases/{self._id}":
            return "It was current before, and stays so."
        if previous and not (self._path / previous).is_dir():
            return f"{previous} is gone: it cannot be switched back to."
        if self._current() == f"releases/{self._id}":
            self._point(previous)
        return f"Switched back to {previous}." if previous else "There was no release before: current is removed."

    # ── scripts ──

    def _environment(self, event: str) -> dict[str, str]:
        noted = self._notes.kept.get(_PREVIOUS)
        previous = _LINK.fullmatch(self._current() if noted is None else noted)
        return {
            **deployment_environment(self._assignment, event),
            "CODEYARD_DEPLOYMENT_ID": self._assignment.deployment,
            "CODEYARD_RELEASE": self._id,
            "CODEYARD_RELEASE_PATH": str(self._directory),
            "CODEYARD_PREVIOUS": previous[1] if previous else "",
        }

    async def _run(self, event: str, seconds: float, log: ScriptLog, started: Callable[[int], None]) -> Ran:
        location = self._options.scripts[event]
        script = Script(location, self._directory, seconds, self._environment(event), fixed=True)
        return await run_script(script, log, started)

    async def _health(self, log: ScriptLog, started: Callable[[int], None]) -> Ran:
        """Ask until the answer is good or the time is over. What is asked once has as long as any script."""
        url, script = self._options.health_url, self._options.scripts.get("HealthCheck")
        if not url and not script:
            return Ran()
        until = time.monotonic() + self._options.health_seconds
        while True:
            left = max(1.0, until - time.monotonic()) if self._options.health_seconds else self._options.hook_timeout
            if script:
                ran = await self._run("HealthCheck", min(left, self._options.hook_timeout), log, started)
            else:
                ran = await answer(url, min(left, _ANSWER))
                log.add(ran.message)
            if ran.good or time.monotonic() + _RETRY >= until:
                return ran
            await asyncio.sleep(_RETRY)

    # ── what is here ──

    def _donors(self) -> list[Placed]:
        """Releases on this machine that may have some of the files, the likeliest first."""
        paths = [self._path, *(path for path in _other_paths(self._ground.state) if path != self._path)]
        wanted = [path / "releases" / self._id for path in paths]
        wanted += [path / "current" for path in paths]
        wanted += _newest(self._releases)
        missing = {entry.digest for entry in self._load().entries if entry.digest is not None}
        enough = len(missing) // 50
        found: dict[Path, Placed] = {}
        for place in wanted:
            directory = Path(os.path.realpath(place))
            if len(found) == _DONORS or len(missing) <= enough:
                break
            if directory not in found and _NAME.fullmatch(directory.name) and directory.is_dir():
                tree = self._ground.manifests.find(directory.name)
                if tree is not None:
                    found[directory] = Placed(directory, tree)
                    missing -= {entry.digest for entry in tree.entries}
        return list(found.values())

    def _prune(self) -> None:
        """Remove the releases that are the longest out of use; never the current one, nor that before it."""
        placing.tidy(self._releases)
        kept = [self._id]
        if previous := _LINK.fullmatch(self._notes.kept.get(_PREVIOUS, "")):
            kept.append(previous[1])
        names = [path.name for path in _newest(self._releases)]
        kept += [name for name in names if name not in kept][: max(0, self._options.keep - len(set(kept)))]
        keeper = Placed(self._directory, self._load())
        for name in names:
            if name not in kept:
                placing.remove(self._releases / name, keeper, self._ground.memory)


def release_id(tree: Digest) -> str:
    """The name of a tree's release on every target."""
    return tree[:16]


def deployment_environment(assignment: Assignment, event: str) -> dict[str, str]:
    """CodeDeploy's variables of every script."""
    return {
        "APPLICATION_NAME": assignment.application,
        "DEPLOYMENT_ID": assignment.deployment,
        "DEPLOYMENT_GROUP_NAME": assignment.group,
        "DEPLOYMENT_GROUP_ID": assignment.group_id,
        "LIFECYCLE_EVENT": event,
    }


def _newest(releases: Path) -> list[Path]:
    """The releases there, the one that was last made live first."""
    with suppress(OSError), os.scandir(releases) as scan:
        found = [(entry.stat(follow_symlinks=False).st_mtime_ns, Path(entry.path)) for entry in scan
                 if _NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)]  # fmt: skip
        return [path for _, path in sorted(found, reverse=True)]
    return []


def _remember_path(state: Path, path: Path) -> None:
    """Note that releases are made there, for those who look for files."""
    with suppress(OSError):
        (state / "paths").mkdir(exist_ok=True)
        name = hashlib.sha256(os.fsencode(path)).hexdigest()
        (state / "paths" / name).write_bytes(os.fsencode(path))


def _other_paths(state: Path) -> list[Path]:
    with suppress(OSError):
        files = sorted((state / "paths").iterdir(), key=lambda file: -file.stat().st_mtime_ns)
        return [Path(os.fsdecode(file.read_bytes())) for file in files]
    return []
