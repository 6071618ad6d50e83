"""A bare copy of each repository under a cache directory, so that the second clone brings only what is new.

A mirror serves one URL. It is locked by flock on a file beside it: alone to fetch, shared to copy from. Nothing but a
loss of what it already had is risked when it dies in the middle; one that is broken is made anew. A shallow clone of a
repository that has no mirror yet makes one of its own, as its history is cut off.
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from codeyard.sources.git_command import GitFailed, Server, environment_alone, environment_network, run_git
from codeyard.sources.git_names import Wanted

PACKS = 40  # more, and they are put together
_SCRATCH = "refs/codeyard/wanted"  # a ref that is neither a branch nor a tag
_HEAD = "refs/codeyard/head"
_GLOBS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
_NO_SUCH_REF = r"couldn't find remote ref|not our ref|unadvertised object|no such remote ref"
_OTHER_HASH = r"mismatched algorithms"


class VersionNotFound(Exception):
    """The repository has no such version. `why`, for a person."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Found:
    """A version that the mirror now has: the commit, and the ref that led to it, if one did."""

    commit: str
    ref: str | None


@dataclass(frozen=True, slots=True)
class Remote:
    """How to reach the repository that is mirrored."""

    server: Server
    base: Mapping[str, str]  # the environment of the caller
    ssh_command: str
    timeout: float  # seconds, of each git
    progress: Callable[[str], None]


class Mirror:
    """One repository's mirror at `path`, locked by whoever holds this."""

    def __init__(self, path: Path, remote: Remote) -> None:
        self.path = path
        self._remote = remote
        self._alone = environment_alone(remote.base)

    async def fetch(self, wanted: Wanted, depth: int | None) -> Found:
        """Bring `wanted` from its server, whole or (`depth`) cut off. VersionNotFound, GitFailed, SourceError."""
        await self._make("sha1")
        try:
            return await self._fetch(wanted, depth)
        except GitFailed as failure:
            if not failure.says(_OTHER_HASH):
                raise
        self.remove()
        await self._make("sha256")
        return await self._fetch(wanted, depth)

    async def _fetch(self, wanted: Wanted, depth: int | None) -> Found:
        if depth is not None:
            return await self._fetch_shallow(wanted, depth)
        if wanted.only:
            return await self._fetch_ref_for_commit(wanted)
        found = await self._fetch_all(wanted)
        await self._put_packs_together()
        return found

    async def _fetch_all(self, wanted: Wanted) -> Found:
        refs = wanted.refs
        others = [ref for ref in refs if not ref.startswith(("refs/heads/", "refs/tags/"))]
        if not refs and wanted.commit is None:
            await self._git_fetch("--prune", "--no-tags", specs=(*_GLOBS, f"+HEAD:{_HEAD}"))
            return await self._first(Wanted(refs=(_HEAD,)), "It has no commits, or no default branch.")
        await self._git_fetch("--prune", "--no-tags", specs=(*_GLOBS, *(f"+{ref}:{_SCRATCH}" for ref in others)))
        if others:
            return Found(await self._commit(_SCRATCH) or _missing(f"{others[0]} is no commit."), others[0])
        try:
            return await self._first(wanted, "It is no branch, tag or commit there.")
        except VersionNotFound:
            if wanted.commit is None or wanted.short:
                raise
        await self._git_fetch("--no-tags", specs=(f"+{wanted.commit}:{_SCRATCH}",))
        return Found(await self._commit(wanted.commit) or _missing("It is no commit."), None)

    async def _fetch_ref_for_commit(self, wanted: Wanted) -> Found:
        ref, commit = wanted.refs[0], wanted.commit
        assert commit is not None
        await self._git_fetch(specs=(f"+{ref}:{_kept_as(ref)}",))
        if await self._commit(commit) is None:  # the ref has moved since, by force
            await self._git_fetch("--no-tags", specs=(f"+{commit}:{_SCRATCH}",))
        return Found(await self._commit(commit) or _missing("It is no commit."), ref)

    async def _fetch_shallow(self, wanted: Wanted, depth: int) -> Found:
        """Try one after the other what it may mean: the server is not asked for a list, which may be long."""
        cut = ("--no-tags", f"--depth={depth}")
        if wanted.commit is not None and not wanted.short:
            await self._git_fetch(*cut, specs=(f"+{wanted.commit}:{_SCRATCH}",))
            commit = await self._commit(wanted.commit) or _missing("It is no commit.")
            return Found(commit, next(iter(wanted.refs), None))
        refs = wanted.refs or ("HEAD",)
        for ref in refs:
            try:
                await self._git_fetch(*cut, specs=(f"+{ref}:{_kept_as(ref)}",))
            except VersionNotFound:
                if ref == refs[-1]:
                    raise
            else:
                commit = await self._commit(_kept_as(ref)) or _missing(f"{ref} is no commit.")
                return Found(commit, ref if wanted.refs else None)
        raise AssertionError(refs)

    async def _first(self, wanted: Wanted, why: str) -> Found:
        for ref in wanted.refs:
            if commit := await self._commit(ref):
                return Found(commit, None if ref == _HEAD else ref)
        if wanted.commit and (commit := await self._commit(wanted.commit)):
            return Found(commit, None)
        raise VersionNotFound(why)

    async def _commit(self, name: str) -> str | None:
        """The full id of the commit that a ref, a tag or the beginning of an id leads to."""
        try:
            out = await self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        except GitFailed:
            return None
        return out.decode().strip()

    async def _git_fetch(self, *options: str, specs: tuple[str, ...]) -> None:
        remote = self._remote
        always = ("--force", "--progress", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance")
        try:
            await run_git(
                f"--git-dir={self.path}", "fetch", *always, *options, "--", remote.server.url, *specs,
                env=environment_network(remote.base, remote.server, remote.ssh_command),
                timeout=remote.timeout, hide=remote.server.hide, progress=remote.progress,
            )  # fmt: skip
        except GitFailed as failure:
            if failure.says(_NO_SUCH_REF):
                raise VersionNotFound(f"The server says: {failure.said[-1]}") from None
            raise

    async def _put_packs_together(self) -> None:
        if len(list((self.path / "objects" / "pack").glob("*.pack"))) > PACKS:
            with suppress(GitFailed):  # a git before 2.32 cannot; the mirror is only slower then
                await self._git("repack", "-d", "-q", "--geometric=2")

    async def _git(self, *arguments: str) -> bytes:
        # Named outright: from within a broken one, git would go and find a repository further up.
        return await run_git(f"--git-dir={self.path}", *arguments, env=self._alone, timeout=self._remote.timeout)

    async def _make(self, object_format: str) -> None:
        """Make it where there is none, or half of one; and remove the locks that a killed git left: we hold ours."""
        if _is_whole(self.path):
            _remove_locks(self.path)
            return
        self.remove()
        making = self.path.with_suffix(".making")
        shutil.rmtree(making, ignore_errors=True)
        await run_git(
            "init", "--quiet", "--bare", "--template=", f"--object-format={object_format}", "--", str(making),
            env=self._alone, timeout=60,
        )  # fmt: skip
        with (making / "config").open("a") as config:
            config.write("[uploadpack]\n\tallowAnySHA1InWant = true\n")
        making.rename(self.path)

    @property
    def url(self) -> str:
        return self._remote.server.url

    async def refs(self, prefixes: tuple[str, ...], found: Found, tags: bool = True) -> tuple[tuple[str, bytes], ...]:
        """Object and name of the refs of a clone: branches as those of `origin`, and tags.

        `found.ref` is always among them, the branches and tags beneath `prefixes` (and `tags`) besides.
        """
        kept = (*prefixes, *(("refs/tags/",) if tags else ()), *((found.ref,) if found.ref else ()))
        if not kept:
            return ()
        listing = await self._git("for-each-ref", "--format=%(objectname) %(refname)", *kept)
        named = (line.split(b" ", 1) for line in listing.splitlines())
        refs = sorted({(ref, name) for name, ref in named if ref.startswith((b"refs/heads/", b"refs/tags/"))})
        return tuple((name.decode(), ref.replace(b"refs/heads/", b"refs/remotes/origin/", 1)) for ref, name in refs)

    async def is_sound(self) -> bool:
        """Whether everything that its refs lead to is there and whole. Slow: it reads all of it."""
        try:
            packs = [str(path) for path in sorted((self.path / "objects" / "pack").glob("*.idx"))]
            if packs:
                await self._git("verify-pack", "--", *packs)
            await self._git("rev-list", "--objects", "--all", "--quiet")
        except GitFailed:
            return False
        return True

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def _missing(why: str) -> str:
    raise VersionNotFound(why)


def _kept_as(ref: str) -> str:
    """Where a mirror keeps what `ref` of its server led to, so that the next fetch can say that it has it."""
    if ref == "HEAD":
        return _HEAD
    return ref if ref.startswith(("refs/heads/", "refs/tags/")) else _SCRATCH


def _is_whole(path: Path) -> bool:
    return (path / "HEAD").is_file() and (path / "config").is_file() and (path / "objects" / "pack").is_dir()


def _remove_locks(path: Path) -> None:
    for lock in (*path.glob("*.lock"), *(path / "refs").rglob("*.lock"), *(path / "objects" / "pack").glob("tmp_*")):
        lock.unlink(missing_ok=True)


class Lock:
    """The lock of one mirror, at first held alone. `path` is the mirror's."""

    def __init__(self, descriptor: int, path: Path, shallow: bool) -> None:
        self._descriptor = descriptor
        self.path = path
        self.shallow = shallow  # the mirror's history is cut off

    async def acquire(self, how: int, progress: Callable[[str], None]) -> None:
        waited = 0.0
        while True:
            try:
                fcntl.flock(self._descriptor, how | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if waited == 0.0:
                    progress("Waiting for another clone of the same repository")
                pause = min(0.2, 0.01 + waited / 4)
                waited += pause
                await asyncio.sleep(pause)

    async def alone(self, progress: Callable[[str], None]) -> None:
        """Wait until nobody else uses the mirror."""
        await self.acquire(fcntl.LOCK_EX, progress)

    async def share(self) -> None:
        """Let others copy from it beside us. Linux lets go in between, so that another may fetch first: that removes
        nothing that we found; and if it made the mirror anew, the copy fails and all is tried again.
        """
        await self.acquire(fcntl.LOCK_SH, lambda _line: None)


@asynccontextmanager
async def locked(cache: Path, url: str, shallow: bool, progress: Callable[[str], None]) -> AsyncIterator[Lock]:
    """Lock the mirror of `url`. A shallow clone uses the whole mirror where there is one."""
    directory = cache / "git"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()[:40]
    cut = shallow and not (directory / f"{name}.git").exists()
    name += "-shallow" if cut else ""
    descriptor = os.open(directory / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        lock = Lock(descriptor, directory / f"{name}.git", cut)
        await lock.alone(progress)
        yield lock
    finally:
        os.close(descriptor)
