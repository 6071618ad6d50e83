"""Clones a git repository: its mirror is brought up to date, then copied into a workspace and checked out.

The workspace has a `.git` of its own: HEAD detached at the commit, `origin` without a credential, no hooks, and
nothing shared with the mirror that a build could spoil.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from codeyard.errors import Invalid
from codeyard.sources import Credential, Fetched, SourceError, SourceKind, SourceSpec, not_found, split_credential
from codeyard.sources.copying import Copier, clear, in_thread, measure, told
from codeyard.sources.git_command import (
    REF_IN_THE_WAY,
    SERVER_TROUBLE,
    GitFailed,
    Server,
    clone_error,
    environment_alone,
    run_git,
)
from codeyard.sources.git_mirror import Found, Lock, Mirror, Remote, VersionNotFound, locked
from codeyard.sources.git_names import Wanted, hide_credentials, is_shallow, parse_version, place_of, resolve_submodule
from codeyard.sources.git_settings import Setting, Submodule, parse_settings, parse_submodules, render_settings

SUBMODULE_LEVELS = 10
SUBMODULE_LIMIT = 500


@dataclass(slots=True)
class _Clone:
    """What stays the same while one source and its submodules are cloned."""

    depth: int | None
    progress: Callable[[str], None]
    submodules: int = 0


@dataclass(frozen=True, slots=True)
class _Workspace:
    """A directory that becomes a repository with a work tree."""

    path: Path
    settings: list[Setting] = field(default_factory=list)

    @property
    def git(self) -> Path:
        return self.path / ".git"

    def make(self, commit: str, url: str) -> None:
        """Lay out an empty repository whose HEAD is the commit."""
        for part in ("objects/pack", "objects/info", "refs/heads", "refs/tags", "info"):
            (self.git / part).mkdir(parents=True, exist_ok=True)
        (self.git / "HEAD").write_text(f"{commit}\n")
        sha256 = len(commit) == 64
        self.settings[:] = [
            ("core.repositoryformatversion", "1" if sha256 else "0"),
            *([("extensions.objectformat", "sha256")] if sha256 else []),
            ("core.filemode", "true"),
            ("core.bare", "false"),
            ("core.logallrefupdates", "true"),
            ("remote.origin.url", url),
            ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
        ]
        self.write_settings()

    def write_refs(self, refs: tuple[tuple[str, bytes], ...]) -> None:
        """Write refs, given as object and name."""
        lines = (name.encode() + b" " + ref + b"\n" for name, ref in refs)
        (self.git / "packed-refs").write_bytes(b"".join(lines))

    def write_settings(self) -> None:
        (self.git / "config").write_bytes(render_settings(self.settings))


class GitSource:
    """Clones by way of mirrors under `cache`, with the environment `base`. `timeout` in seconds, of each git."""

    def __init__(self, cache: Path, base: Mapping[str, str], timeout: float = 3600.0) -> None:
        self._cache, self._base, self._timeout = cache, base, timeout
        self._alone = environment_alone(base)

    async def fetch(self, spec: SourceSpec, destination: Path, progress: Callable[[str], None]) -> Fetched:
        """Clone `spec.location` at `spec.version` into `destination`. SourceError."""
        if spec.kind is not SourceKind.GIT:
            raise Invalid(f"source of kind {spec.kind}", "it is not git.", "Name a git URL.")
        with told(destination):
            return await self._fetch(spec, destination, progress)

    async def _fetch(self, spec: SourceSpec, destination: Path, progress: Callable[[str], None]) -> Fetched:
        wanted = parse_version(spec.version)
        if wanted is None:
            raise not_found(spec, f"git allows no name such as {spec.version!r}.", "Name a branch, a tag or a commit.")
        server = Server(spec.location, spec.credential, spec.insecure_ssl)
        clone = _Clone(spec.depth if is_shallow(spec.depth) else None, progress)
        await in_thread(lambda _stopped: clear(destination))
        progress(f"Cloning {server.url}")
        try:
            found = await self._bring(server, wanted, destination, clone)
        except VersionNotFound as missing:
            raise not_found(
                spec,
                f"{spec.version or 'the default branch'} in {server.url}: {missing.why}",
                "See that it was pushed.",
            ) from None
        except GitFailed as failure:
            raise clone_error(failure) from None
        if spec.submodules:
            await self._bring_submodules(server, found.commit, destination, clone, level=1)
        files, size = await in_thread(lambda _stopped: measure(destination))
        return Fetched(
            resolved_version=found.commit,
            subpath=place_of(server.url),
            repo_url=server.url,
            version=spec.version or "",
            description=_describe(found, wanted),
            files=files,
            bytes=size,
        )

    async def _bring(self, server: Server, wanted: Wanted, destination: Path, clone: _Clone) -> Found:
        """Clone one repository. A mirror that proves broken is made anew, once. VersionNotFound, GitFailed."""
        remote = Remote(server, self._base, await self._ssh_command(server), self._timeout, clone.progress)
        try:
            return await self._bring_from_mirror(remote, wanted, destination, clone, cut=clone.depth is not None)
        except VersionNotFound:
            if clone.depth is None or wanted.commit is None:
                raise
        # A server need not give a commit by its id, and a short id is found only where all of them are (4.2).
        return await self._bring_from_mirror(remote, wanted, destination, clone, cut=False)

    async def _bring_from_mirror(
        self, remote: Remote, wanted: Wanted, destination: Path, clone: _Clone, cut: bool
    ) -> Found:
        async with locked(self._cache, remote.server.url, cut, clone.progress) as lock:
            mirror = Mirror(lock.path, remote)
            try:
                return await self._attempt(mirror, lock, wanted, destination, clone)
            except GitFailed as failure:
                if failure.says(SERVER_TROUBLE):
                    raise
                await lock.alone(clone.progress)
                if not failure.says(REF_IN_THE_WAY) and await mirror.is_sound():
                    raise
            clone.progress("The local mirror is broken; cloning anew")
            mirror.remove()
            await in_thread(lambda _stopped: clear(destination))
            return await self._attempt(mirror, lock, wanted, destination, clone)

    async def _attempt(self, mirror: Mirror, lock: Lock, wanted: Wanted, destination: Path, clone: _Clone) -> Found:
        found = await mirror.fetch(wanted, clone.depth if lock.shallow else None)
        await lock.share()
        workspace = _Workspace(destination)
        workspace.make(found.commit, mirror.url)
        if clone.depth is None:
            await in_thread(lambda stopped: _copy_objects(mirror.path, workspace.git, stopped))
            refs = await mirror.refs(() if wanted.only else ("refs/heads/",), found)
        else:
            refs = await mirror.refs((), found, tags=False)
            objects = {found.commit, *(name for name, _ref in refs)}
            await self._git(
                workspace, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", f"--depth={clone.depth}", "--",
                str(mirror.path), *sorted(objects),
                env=environment_alone(self._base, transports="file"),
            )  # fmt: skip
        workspace.write_refs(refs)
        await self._git(workspace, "read-tree", "--reset", "-u", found.commit, env=self._alone)
        return found

    async def _git(self, workspace: _Workspace, *arguments: str, env: Mapping[str, str]) -> bytes:
        return await run_git(
            f"--git-dir={workspace.git}", f"--work-tree={workspace.path}", "--literal-pathspecs", *arguments,
            env=env, timeout=self._timeout, cwd=workspace.path,
        )  # fmt: skip

    async def _ssh_command(self, server: Server) -> str:
        """What the person has for core.sshCommand."""
        if server.transport != "ssh":
            return ""
        try:
            out = await run_git("config", "--global", "--get", "core.sshCommand", env=dict(self._base), timeout=60)
        except GitFailed:
            return ""
        return out.decode("utf-8", "replace").strip()

    async def _bring_submodules(self, parent: Server, commit: str, path: Path, clone: _Clone, level: int) -> None:
        workspace = _Workspace(path)
        found = await self._submodules(workspace, commit)
        if not found:
            return
        if level > SUBMODULE_LEVELS or clone.submodules + len(found) > SUBMODULE_LIMIT:
            raise SourceError(
                "Git clone failed: too many submodules",
                f"they are nested deeper than {SUBMODULE_LEVELS} levels, or more than {SUBMODULE_LIMIT}.",
                "Fetch fewer.",
            )
        clone.submodules += len(found)
        for submodule, wanted in found:
            server = _submodule_server(parent, submodule)
            inside = _directory_inside(path, submodule.path)
            clone.progress(f"Cloning submodule {submodule.path!r} from {server.url}")
            try:
                await self._bring(server, Wanted(commit=wanted), inside, clone)
            except VersionNotFound as missing:
                raise SourceError(
                    f"Git clone failed: submodule {submodule.path!r} has no commit {wanted}", missing.why, "Push it."
                ) from None
            except GitFailed as failure:
                raise clone_error(failure) from None
            await self._bring_submodules(server, wanted, inside, clone, level + 1)
        await self._note_submodules(workspace, parent, [submodule for submodule, _ in found])

    async def _submodules(self, workspace: _Workspace, commit: str) -> list[tuple[Submodule, str]]:
        """The submodules that `.gitmodules` at the commit names, each with the commit that the tree has for it."""
        try:
            listed = _parse_tree(
                await self._git(workspace, "ls-tree", "-z", commit, "--", ".gitmodules", env=self._alone)
            )
            if not any(mode.startswith("100") for mode, _ in listed.values()):
                return []  # none, or a symlink, which git does not read either
            blob = listed[".gitmodules"][1]
            said = await self._git(workspace, "config", "--blob", blob, "--list", "-z", env=self._alone)
            named = parse_submodules(parse_settings(said))[: SUBMODULE_LIMIT + 1]
            paths = [submodule.path for submodule in named]
            tree = _parse_tree(
                await self._git(workspace, "ls-tree", "-z", commit, "--", *paths, env=self._alone) if paths else b""
            )
        except GitFailed as failure:
            raise clone_error(failure) from None
        return [
            (submodule, tree[submodule.path][1])
            for submodule in named
            if tree.get(submodule.path, ("", ""))[0] == "160000"
        ]

    async def _note_submodules(self, workspace: _Workspace, parent: Server, submodules: list[Submodule]) -> None:
        """Tell the workspace's settings that these are fetched, as `git submodule init` does."""
        said = await self._git(workspace, "config", "--local", "--list", "-z", env=self._alone)
        workspace.settings[:] = parse_settings(said)
        for submodule in submodules:
            url = _submodule_server(parent, submodule).url
            workspace.settings.append((f"submodule.{submodule.name}.active", "true"))
            workspace.settings.append((f"submodule.{submodule.name}.url", url))
        workspace.write_settings()


def _submodule_server(parent: Server, submodule: Submodule) -> Server:
    """Where a submodule comes from. The parent's credential goes only to the parent's host."""
    url = resolve_submodule(parent.url, submodule.url)
    if url is None:
        raise SourceError(
            f"Git clone failed: submodule {submodule.path!r} has the URL {hide_credentials(submodule.url)!r}",
            "submodules are fetched by https only.",
            "Change it in .gitmodules, or fetch without submodules.",
        )
    clean, credential = split_credential(url)
    server = Server(clean)
    same: Credential | None = parent.credential if server.origin == parent.origin else None
    return Server(clean, credential or same, parent.insecure_ssl and server.origin == parent.origin)


def _directory_inside(root: Path, path: str) -> Path:
    """The directory `path` beneath `root`, made where it is missing; SourceError if a symlink is on the way."""
    here = root
    for part in path.split("/"):
        here = here / part
        here.mkdir(exist_ok=True) if not here.is_symlink() else None
        if here.is_symlink() or not here.is_dir():
            raise SourceError(
                f"Git clone failed: submodule {path!r} lies behind a symlink", "it is not followed.", "Move it."
            )
    return here


def _copy_objects(mirror: Path, git: Path, stopped: Callable[[], bool]) -> None:
    """Copy packs and loose objects: by shared blocks where the file system can, never by link."""
    Copier(stopped).tree(str(mirror / "objects"), str(git / "objects"), leave_out=_is_no_object)


def _is_no_object(path: str, _entry: os.DirEntry[str]) -> bool:
    folder, _, name = path.rpartition("/")
    if folder == "pack":
        return not name.endswith((".pack", ".idx", ".rev"))
    return path.startswith("info/")


def _parse_tree(listing: bytes) -> dict[str, tuple[str, str]]:
    """Path to (mode, object) of what `git ls-tree -z` prints."""
    entries: dict[str, tuple[str, str]] = {}
    for item in listing.split(b"\0")[:-1]:
        meta, _, path = item.partition(b"\t")
        mode, _, rest = meta.decode("ascii").partition(" ")
        entries[path.decode("utf-8", "surrogateescape")] = (mode, rest.partition(" ")[2])
    return entries


def _describe(found: Found, wanted: Wanted) -> str:
    short = found.commit[:8]
    if found.ref is None:
        return f"commit {short}" if wanted.commit else f"default branch at {short}"
    for prefix, kind in (("refs/heads/", "branch "), ("refs/tags/", "tag ")):
        if found.ref.startswith(prefix):
            return f"{kind}{found.ref.removeprefix(prefix)} at {short}"
    return f"{found.ref} at {short}"
