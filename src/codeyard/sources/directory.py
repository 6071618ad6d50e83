"""Takes a directory as a developer has it: what git would not ignore, changed and new files too, deleted ones not.

Where the directory is the root of a repository, the copy gets a `.git` of its own: history, index, branches and tags,
and the settings that hold no credential and no command; so do submodules and other repositories within. Beneath the
root of a repository, its ignore rules hold and its commit is told, but there is no `.git`, which would tell of another
tree. Where git is not installed, or the directory belongs to no repository, everything is taken.
"""

import os
import re
import shutil
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codeyard.errors import Invalid
from codeyard.sources import Fetched, SourceError, SourceKind, SourceSpec
from codeyard.sources.copying import Copier, clear, in_thread, told
from codeyard.sources.git_command import GitFailed, clone_error
from codeyard.sources.git_names import place_of
from codeyard.sources.git_settings import render_settings, settings_for_build
from codeyard.sources.worktree import GitReader, Repository

NESTED_LEVELS = 10
_PASSES = 10

# Of a git directory a build gets these. It does not get hooks, reflogs, other work trees, or what is half done.
_OF_THE_WORK_TREE = ("HEAD", "index", "info/sparse-checkout")
_OF_THE_REPOSITORY = ("packed-refs", "shallow", "info/exclude", "info/attributes", "info/grafts")
_TREES = ("refs", "reftable", "objects")  # in this order: what a ref names is there once it is read
_NOT_FOR_BUILDS = re.compile(r"(?:.*/)?(?:[^/]*\.lock|tmp_[^/]*|alternates|http-alternates)", re.DOTALL)
_ALTERNATES = Path("objects/info/alternates")


@dataclass(frozen=True, slots=True)
class _Copy:
    """One directory to copy. `files` None: all that is there. `history`: the repository whose `.git` goes along."""

    source: Path
    target: Path
    files: tuple[str, ...] | None
    history: Repository | None = None


class DirectorySource:
    """Copies directories; git is asked with the environment `base`. `ours` is left out where it lies within one: the
    vault with its key is there, and all that earlier builds made."""

    def __init__(self, base: Mapping[str, str], ours: Path | None = None) -> None:
        self._reader = GitReader(base)
        self._ours = ours.resolve() if ours is not None else None

    async def fetch(self, spec: SourceSpec, destination: Path, progress: Callable[[str], None]) -> Fetched:
        """Copy `spec.location` into `destination`. SourceError."""
        if spec.kind is not SourceKind.DIRECTORY:
            raise Invalid(f"source of kind {spec.kind}", "it is not a directory.", "Name a directory.")
        with told(destination):
            return await self._fetch(spec, destination, progress)

    async def _fetch(self, spec: SourceSpec, destination: Path, progress: Callable[[str], None]) -> Fetched:
        root = Path(spec.location)
        if not root.is_dir():
            raise SourceError(f"Unable to read {spec.location}", "it is no directory any more.", "Name another.")
        await in_thread(lambda _stopped: clear(destination))
        try:
            repository = await self._repository(root, progress)
            copies = await self._plan(root, destination, repository, progress)
        except GitFailed as failure:
            raise clone_error(failure) from None
        never = [destination.resolve()]
        if self._ours is not None and self._ours.is_relative_to(root.resolve()) and self._ours != root.resolve():
            never.append(self._ours)
            progress(f"{self._ours} is Codeyard's own, and is left out")
            copies = [copy for copy in copies if not copy.source.resolve().is_relative_to(self._ours)]
        copier = await in_thread(lambda stopped: _carry_out(copies, Copier(stopped), never))
        if copier.left_out:
            progress(f"Left out {copier.left_out} sockets, pipes or devices")
        for copy in copies:
            if copy.history is not None:
                await self._copy_history(copy.history, copy.target / ".git")
        return _fetched(repository, copier)

    async def _repository(self, directory: Path, progress: Callable[[str], None]) -> Repository | None:
        if shutil.which("git", path=self._reader.env.get("PATH")) is None:
            progress("git is not installed: everything in the directory is copied, ignored files too")
            return None
        if (directory / ".git").is_symlink():
            progress("The .git here is a symlink and is not followed: everything in the directory is copied")
            return None
        try:
            repository = await self._reader.repository(directory)
            part = not repository.prefix or not await self._reader.is_ignored(repository)
        except GitFailed:
            part = False
        if not part:
            progress("The directory is part of no git repository: everything in it is copied")
            return None
        return repository

    async def _plan(
        self, source: Path, target: Path, repository: Repository | None, progress: Callable[[str], None], level: int = 0
    ) -> list[_Copy]:
        """What to copy: this directory's files, and those of the repositories within, each as its own git has them."""
        if repository is None:
            return [_Copy(source, target, None)]
        if level > NESTED_LEVELS:
            raise SourceError(
                f"Unable to copy {source}", f"repositories lie {level} deep within one another.", "Let git ignore them."
            )
        if not repository.points_back:
            progress(f"{repository.root}/.git names a repository that does not name it back: its history is left out")
        history = repository if repository.points_back and not repository.prefix else None
        listing = await self._reader.listing(source)
        copies = [_Copy(source, target, listing.files, history)]
        for name in listing.repositories:
            if _is_directory_inside(source, name):
                copies += await self._plan_nested(source / name, target / name, progress, level)
        return copies

    async def _plan_nested(
        self, source: Path, target: Path, progress: Callable[[str], None], level: int
    ) -> list[_Copy]:
        dot_git = source / ".git"
        if not dot_git.exists() or dot_git.is_symlink():
            return [_Copy(source, target, ())]  # a submodule that was not fetched
        try:
            repository = await self._reader.repository(source)
        except GitFailed:
            progress(f"{source} has a .git that git cannot read, and is left out")
            return [_Copy(source, target, ())]
        return await self._plan(source, target, repository, progress, level + 1)

    async def _copy_history(self, repository: Repository, git: Path) -> None:
        await in_thread(lambda stopped: _copy_git_directory(repository, git, Copier(stopped)))
        if (repository.common / _ALTERNATES).is_file():
            try:
                await self._reader.pack_borrowed(repository, git / "objects" / "pack")
            except GitFailed as failure:
                raise clone_error(failure) from None


def _is_directory_inside(root: Path, name: str) -> bool:
    """Whether `name` is a directory with no symlink on the way to it."""
    return all(stat.S_ISDIR(_mode(root.joinpath(*name.split("/")[:depth]))) for depth in range(1, name.count("/") + 2))


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except OSError:
        return 0


def _carry_out(copies: Sequence[_Copy], copier: Copier, never: Sequence[Path]) -> Copier:
    """Copy all but the directories `never`: the destination itself may lie within the source."""

    def is_left_out(_path: str, entry: os.DirEntry[str]) -> bool:
        same = any(entry.name == directory.name for directory in never)
        return same and entry.is_dir(follow_symlinks=False) and Path(entry.path).resolve() in never

    for copy in copies:
        copy.target.mkdir(parents=True, exist_ok=True)
        if copy.files is None:
            copier.tree(str(copy.source), str(copy.target), is_left_out)
        else:
            _copy_listed(str(copy.source), str(copy.target), _but(copy, never), copier)
    return copier


def _but(copy: _Copy, never: Sequence[Path]) -> list[str]:
    """Its files without those that lie in the directories `never`."""
    root = copy.source.resolve()
    without = tuple(f"{path.relative_to(root)}/" for path in never if path.is_relative_to(root))
    return [name for name in copy.files or () if not name.startswith(without)]


def _copy_listed(source: str, target: str, files: Sequence[str], copier: Copier) -> None:
    """Copy the files of these names, with the directories on the way. What lies behind a symlink is not there."""
    entered = {"": True}

    def enter(directory: str) -> bool:
        known = entered.get(directory)
        if known is None:
            above = directory.rpartition("/")[0]
            known = enter(above) and stat.S_ISDIR(_mode(Path(source, directory)))
            if known:
                copier.directory(f"{source}/{directory}", f"{target}/{directory}")
            entered[directory] = known
        return known

    for name in files:
        if enter(name.rpartition("/")[0]):
            copier.file(f"{source}/{name}", f"{target}/{name}")


def _copy_git_directory(repository: Repository, git: Path, copier: Copier) -> None:
    """Make `git` a git directory of its own with what a build may have of the repository's."""
    for part in ("objects/pack", "objects/info", "refs/heads", "refs/tags", "info"):
        (git / part).mkdir(parents=True, exist_ok=True)
    shared = [path.name for path in repository.git.glob("sharedindex.*")]
    for name in (*_OF_THE_WORK_TREE, *shared):
        _copy_plain(repository.git / name, git / name, copier)
    for name in _OF_THE_REPOSITORY:
        _copy_plain(repository.common / name, git / name, copier)
    for name in _TREES:
        if stat.S_ISDIR(_mode(repository.common / name)):
            _copy_changing(str(repository.common / name), str(git / name), copier)
    if not (git / "HEAD").exists():
        (git / "HEAD").write_text(f"{repository.commit or 'ref: refs/heads/main'}\n")
    (git / "config").write_bytes(render_settings(settings_for_build(repository.settings)))


def _copy_changing(source: str, target: str, copier: Copier) -> None:
    """Copy a tree that git may tidy up meanwhile (it does so by itself, behind a commit). It writes a pack before it
    removes what it has packed, so once nothing goes away any more, all is there; `pack` comes after the loose objects.
    """

    def is_left_out(path: str, entry: os.DirEntry[str]) -> bool:
        there = not entry.is_dir(follow_symlinks=False) and Path(target, path).exists()
        return there or _is_not_for_builds(path, entry)

    for _ in range(_PASSES):
        before = copier.vanished
        copier.tree(source, target, is_left_out)
        if copier.vanished == before:
            return
    raise SourceError(f"Unable to copy {source}", "git is changing it all the time.", "Try again when it is done.")


def _copy_plain(source: Path, target: Path, copier: Copier) -> None:
    if stat.S_ISREG(_mode(source)):
        copier.file(str(source), str(target))


def _is_not_for_builds(path: str, entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() or _NOT_FOR_BUILDS.fullmatch(path) is not None


def _fetched(repository: Repository | None, copier: Copier) -> Fetched:
    settings = dict(settings_for_build(repository.settings)) if repository is not None else {}
    origin = settings.get("remote.origin.url") or ""
    place = place_of(origin)
    commit = repository.commit if repository is not None else None
    return Fetched(
        resolved_version=commit,
        subpath=place,
        repo_url=origin if place else "",
        version="",
        description=f"directory at {commit[:8]}" if commit else "directory",
        files=copier.files,
        bytes=copier.bytes,
    )
