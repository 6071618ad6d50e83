"""CodeDeploy's in-place deployment on this machine: its directories, its order, its scripts.

Below `state/deployment-root` lies what CodeDeploy's agent keeps: the revisions of each group with their logs, what was
installed (so that the next deployment can clean it up), and which revision was installed last.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from codeyard.artifacts import Digest, Tree
from codeyard.artifacts import tree as trees
from codeyard.artifacts.failures import explained
from codeyard.artifacts.removal import remove_tree
from codeyard.artifacts.scan import read_file
from codeyard.deploys import EVENTS, Assignment, Kind, placing
from codeyard.deploys.appspec import NAME, TIMEOUT, AppSpec, FileExists, Hook, System, parse
from codeyard.deploys.hooks import Ran, Script, ScriptLog, run_script
from codeyard.deploys.installing import Places, install
from codeyard.deploys.placing import Placed, Share
from codeyard.deploys.release import deployment_environment
from codeyard.deploys.work import Ground, Notes, blocking
from codeyard.errors import CodeyardError, Invalid, Misspelt, NotFound
from codeyard.located_yaml import MAX_CHARACTERS

MAX_REVISIONS = 5  # kept of each group, the newest included
_OTHER_NAMES = ("appspec.yaml", "appspec.yml")  # that the step Install looks for, too
_BUNDLE = ("bundle_bucket", "bundle_key", "bundle_version", "bundle_etag", "bundle_commit")
_STOPS = "ApplicationStop"
_ARCHIVE = "deployment-archive"
_TREE = "tree"  # the digest of the revision, beside its archive


class InPlace:
    """One in-place deployment on this host; see `Work`."""

    events = EVENTS[Kind.IN_PLACE]

    def __init__(self, assignment: Assignment, ground: Ground, notes: Notes) -> None:
        del notes  # all that it needs to know again lies below the deployment root
        self._assignment, self._ground = assignment, ground
        self._forgives_stop = _flag(assignment.options, "ignore_application_stop_failures")
        self._file_exists = _file_exists(assignment.options)
        root = ground.state / "deployment-root"
        self._group = root / assignment.group_id
        self._directory = self._group / assignment.deployment
        self._archive = self._directory / _ARCHIVE
        self._places = Places(root / "deployment-instructions", assignment.group_id)
        self.lock = root / "ongoing-deployment" / assignment.group_id
        self.log = self._directory / "logs" / "scripts.log"
        self.common_log: Path | None = root / "deployment-logs" / "codedeploy-agent-deployments.log"

    def prepare(self) -> None:
        with explained(f"making {self._group}"):
            for directory in (self._places.directory, self.lock.parent):
                directory.mkdir(parents=True, exist_ok=True)
            self._group.mkdir(parents=True, exist_ok=True, mode=0o711)  # its revisions are not for everybody to list
            self.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)

    def scripted(self, event: str) -> bool:
        if event in ("DownloadBundle", "Install"):
            return False
        with suppress(CodeyardError, OSError, ValueError):
            return bool(self._hooks(event)[1])
        return True  # `perform` will say why its scripts cannot be known

    def forgives(self, event: str) -> bool:
        return event == _STOPS and self._forgives_stop

    async def perform(self, event: str, log: ScriptLog, started: Callable[[int], None]) -> Ran:
        if event == "DownloadBundle":
            return await blocking(self._download)
        if event == "Install":
            return await blocking(self._install)
        return await self._scripts(event, log, started)

    async def undo(self) -> str:
        return ""  # a rollback is a deployment of its own

    async def finish(self) -> None:
        pass

    # ── the two events without scripts ──

    def _download(self) -> Ran:
        """Lay out the revision, where the archive of a killed attempt may be."""
        self._remove_old()
        tree = _lifted(self._ground.manifests.get(self._assignment.tree))
        with explained(f"making {self._directory}"):
            self._directory.mkdir(parents=True, exist_ok=True)
            placing.tidy(self._directory)
            if os.path.lexists(self._archive) and not remove_tree(self._archive):
                raise Invalid(f"directory {self._archive}", "it cannot be removed.", "Remove it by hand.")
        moved = placing.place(
            tree, self._ground.blobs, self._archive, self._donors(), self._ground.memory, share=Share.NOTHING
        )
        self._places.write(self._directory / _TREE, self._assignment.tree)
        self._places.write(self._places.most_recent, str(self._directory))
        return Ran(message=f"{moved.here} files were here, {moved.fetched} were fetched ({moved.size} bytes)")

    def _install(self) -> Ran:
        self._places.clean_up()
        spec = self._any_spec()
        if spec.unknown_events:
            names = ", ".join(spec.unknown_events)
            raise Invalid(NAME, f"appspec.yml file contains unknown lifecycle events: [{names}].", "Correct the names.")
        install(spec, self._archive, spec.file_exists or self._file_exists, self._places)
        self._places.write(self._places.last_successful, str(self._directory))
        return Ran()

    def _any_spec(self) -> AppSpec:
        for name in (NAME, *_OTHER_NAMES):
            if os.path.lexists(self._archive / name):
                return _spec(self._archive, name)
        return _spec(self._archive, NAME)

    def _remove_old(self) -> None:
        """Leave room for this revision among those that are kept; never remove the one that was installed last."""
        found = [path for path in self._group.iterdir() if path != self._directory]
        surplus = max(0, len(found) + 1 - MAX_REVISIONS)
        last = self._places.read(self._places.last_successful)
        spare = [path for path in found if str(path) != last]
        for path in sorted(spare, key=lambda path: path.lstat().st_mtime_ns)[:surplus]:
            remove_tree(path)

    def _donors(self) -> list[Placed]:
        """The revision that was laid out before this one: what it has need not be fetched."""
        before = self._places.read(self._places.most_recent)
        if not before or Path(before).parent != self._group or Path(before) == self._directory:
            return []
        with suppress(CodeyardError, OSError):
            digest = Digest.parse((Path(before) / _TREE).read_text())
            tree = self._ground.manifests.get(digest)
            return [Placed(Path(before) / _ARCHIVE, _lifted(tree))]
        return []

    # ── scripts ──

    async def _scripts(self, event: str, log: ScriptLog, started: Callable[[int], None]) -> Ran:
        archive, hooks = await blocking(self._hooks, event)
        left = float(TIMEOUT)
        for hook in hooks:
            begun = time.monotonic()
            ran = await run_script(self._script(hook, event, archive, left), log, started)
            left = max(1.0, left - (time.monotonic() - begun))
            if not ran.good:
                return ran
        return Ran()

    def _hooks(self, event: str) -> tuple[Path, tuple[Hook, ...]]:
        """The scripts of an event, and where they are. Invalid."""
        archive = self._archive
        if event == _STOPS:  # of the revision that is to stop
            last = self._places.read(self._places.last_successful)
            if last is None:
                return archive, ()
            archive = Path(last) / _ARCHIVE
        return archive, _spec(archive, NAME).hooks.get(event, ())

    def _script(self, hook: Hook, event: str, archive: Path, left: float) -> Script:
        environment = deployment_environment(self._assignment, event)
        for name in _BUNDLE:  # where the revision came from, if it is told
            if value := self._assignment.options.get(name):
                environment[name.upper()] = value
        return Script(hook.location, archive, min(float(hook.timeout), left), environment, hook.runas)


def _spec(archive: Path, name: str) -> AppSpec:
    """The AppSpec file of a revision. Invalid if there is none, it has mistakes, or it is for another system."""
    path = archive / name
    try:
        text = read_file(archive, name, 4 * MAX_CHARACTERS).decode("utf-8", "replace")
    except NotFound:
        what = (
            "The CodeDeploy agent did not find an AppSpec file within the unpacked revision directory at "
            f'revision-relative path "{name}". The revision was unpacked to directory "{archive}", and the AppSpec '
            f'file was expected but not found at path "{path}".'
        )
        raise Invalid(name, what, "Put the file at the root of the revision.") from None
    try:
        spec = parse(text)
    except Misspelt as wrong:
        told = [f"line {mistake.line}, column {mistake.column}: {mistake.what}" for mistake in wrong.mistakes[:20]]
        raise Invalid(name, "; ".join(told) + ".", wrong.mistakes[0].fix) from wrong
    if spec.os is not System.LINUX:
        what = f"The deployment failed because the AppSpec file is for the operating system {spec.os}."
        raise Invalid(name, what, "Write `os: linux`, which this machine runs.")
    return spec


def _lifted(tree: Tree) -> Tree:
    """The revision's tree; if all of it is in one directory, with an AppSpec file in that, what is in there."""
    tops = {entry.path.partition("/")[0] for entry in tree.entries}
    names = {entry.path.partition("/")[2] for entry in tree.entries}
    if len(tops) == 1 and any(name.startswith("appspec") and "/" not in name for name in names):
        return trees.under(tree, *tops)
    return tree


def _flag(options: Mapping[str, str], name: str) -> bool:
    text = options.get(name) or "false"
    if text.lower() not in ("true", "false"):
        raise Invalid(f"option {name} {text[:80]!r}", "it is neither true nor false.", "Correct it in the options.")
    return text.lower() == "true"


def _file_exists(options: Mapping[str, str]) -> FileExists:
    text = options.get("file_exists_behavior") or FileExists.DISALLOW
    if text not in [str(known) for known in FileExists]:
        why = f"it is none of {', '.join(FileExists)}."
        raise Invalid(f"option file_exists_behavior {text[:80]!r}", why, "Correct it in the options.")
    return FileExists(text)
