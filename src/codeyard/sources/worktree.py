"""What git knows of a developer's directory: its repository, its files, its commit. Reads only, and takes no lock."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from codeyard.sources.git_command import GitFailed, environment_reading, run_git
from codeyard.sources.git_settings import Setting, parse_settings

TIMEOUT = 600.0  # seconds, of each git
_SUBMODULE = b"160000"


@dataclass(frozen=True, slots=True)
class Repository:
    """A work tree and where git keeps what it knows of it.

    `common` differs from `git` in a linked work tree. `prefix` is where the directory asked about lies beneath `root`:
    "" or "sub/dir/". `commit` is None before the first one.
    """

    root: Path
    git: Path
    common: Path
    prefix: str
    commit: str | None
    settings: tuple[Setting, ...]

    @property
    def points_back(self) -> bool:
        """Whether its git directory is its own: beneath its root, or one that names this root for its work tree.

        A `.git` file can name any directory; without this a downloaded tree could ask for somebody else's history.
        """
        dot_git = self.root / ".git"
        if self.git == dot_git and dot_git.is_dir() and not dot_git.is_symlink():
            return True
        if self.git.resolve().is_relative_to(self.root.resolve()):
            return True
        named = self.git / "gitdir"  # a linked work tree's
        if named.is_file() and named.stat().st_size < 8192:
            return (self.git / named.read_text(errors="surrogateescape").removesuffix("\n")).resolve() == dot_git
        work_tree = dict(self.settings).get("core.worktree")  # a submodule's
        return work_tree is not None and (self.git / work_tree).resolve() == self.root.resolve()


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies in a work tree, relative to the directory asked about: what is there may differ. All names are such
    that they stay inside.
    """

    files: tuple[str, ...]
    repositories: tuple[str, ...]  # submodules, and others that were cloned into it


class GitReader:
    """Asks git, with the environment `base`, and the person's settings of what to ignore."""

    def __init__(self, base: Mapping[str, str]) -> None:
        self.env = environment_reading(base)

    async def repository(self, directory: Path) -> Repository:
        """The repository that the directory is in. GitFailed if it is in none, or belongs to another's work tree."""
        root, git, common, prefix = await self._places(directory)
        if (Path(root) / prefix).resolve() != directory.resolve():
            raise GitFailed(128, ("its work tree is elsewhere",))
        where = (directory / common).resolve()
        settings, commit = await asyncio.gather(self._settings(directory, where / "config"), self._commit(directory))
        own = Path(git) / "config.worktree"
        if ("extensions.worktreeconfig", "true") in settings and own.is_file():
            settings += await self._settings(directory, own)
        return Repository(Path(root), Path(git), where, prefix, commit, settings)

    async def listing(self, directory: Path) -> Listing:
        """What git would not ignore beneath the directory: tracked, and new."""
        # Two questions: the one knows modes, and so the submodules; the other, what is new.
        staged, others = await asyncio.gather(
            self._git(directory, "ls-files", "-z", "--stage"),
            self._git(directory, "ls-files", "-z", "--others", "--exclude-standard"),
        )
        entries = [item.partition(b"\t") for item in staged.split(b"\0")[:-1]]
        tracked = [os.fsdecode(name) for meta, _, name in entries if not meta.startswith(_SUBMODULE)]
        submodules = [os.fsdecode(name) for meta, _, name in entries if meta.startswith(_SUBMODULE)]
        new = [os.fsdecode(name) for name in others.split(b"\0")[:-1]]
        nested = [*submodules, *(name.removesuffix("/") for name in new if name.endswith("/"))]
        files = [*tracked, *(name for name in new if not name.endswith("/"))]
        return Listing(_inside(files), _inside(nested))

    async def is_ignored(self, repository: Repository) -> bool:
        """Whether the directory asked about is one that its repository ignores, and so not part of it."""
        try:
            # It takes no --literal-pathspecs, but nothing that begins so is one with magic.
            await self._run(repository.root, "check-ignore", "--quiet", "--", f"./{repository.prefix}")
        except GitFailed as failure:
            if failure.code != 1:
                raise
            return False
        return True

    async def pack_borrowed(self, repository: Repository, packs: Path) -> None:
        """Write a pack of what the repository's own refs and index need, wherever the objects lie now."""
        await self._git(
            repository.root, "pack-objects", "--all", "--indexed-objects", "--quiet", str(packs / "pack")
        )  # fmt: skip

    async def _places(self, directory: Path) -> tuple[str, str, str, str]:
        asked = ("--show-toplevel", "--absolute-git-dir", "--git-common-dir", "--show-prefix")
        lines = os.fsdecode(await self._git(directory, "rev-parse", *asked)).split("\n")
        if len(lines) != len(asked) + 1:  # a directory's name holds a newline
            answers = [await self._git(directory, "rev-parse", option) for option in asked]
            lines = [os.fsdecode(answer).removesuffix("\n") for answer in answers]
        return lines[0], lines[1], lines[2], lines[3]

    async def _settings(self, directory: Path, file: Path) -> tuple[Setting, ...]:
        return parse_settings(
            await self._git(directory, "config", "--file", str(file), "--no-includes", "--list", "-z")
        )

    async def _commit(self, directory: Path) -> str | None:
        try:
            commit = await self._git(directory, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        except GitFailed:
            return None
        return commit.decode("ascii").strip()

    async def _git(self, directory: Path, *arguments: str) -> bytes:
        return await self._run(directory, "--literal-pathspecs", *arguments)

    async def _run(self, directory: Path, *arguments: str) -> bytes:
        return await run_git("-C", str(directory), *arguments, env=self.env, timeout=TIMEOUT)


def _inside(names: list[str]) -> tuple[str, ...]:
    """Each once, without those that an index may hold only if it was forged."""
    return tuple(name for name in dict.fromkeys(names) if name and not _leads_out(name))


def _leads_out(name: str) -> bool:
    return any(part in ("", ".", "..") or part.lower() == ".git" for part in name.split("/"))
