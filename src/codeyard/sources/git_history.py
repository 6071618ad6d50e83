"""Asks repositories what they have, and gives the files of a commit, by way of the same mirrors as clones."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from codeyard.errors import NotFound
from codeyard.sources import Credential
from codeyard.sources.copying import told
from codeyard.sources.git_command import (
    REF_IN_THE_WAY,
    SERVER_TROUBLE,
    GitFailed,
    Server,
    clone_error,
    environment_alone,
    environment_network,
    run_git,
)
from codeyard.sources.git_facts import CommitFacts, parse_commit, parse_paths, parse_refs
from codeyard.sources.git_mirror import Mirror, Remote, VersionNotFound, locked
from codeyard.sources.git_names import Wanted

T = TypeVar("T")
_ASK = 120.0  # seconds, for a list of refs
_ID = re.compile(r"[0-9a-f]{7,64}")


class GitHistories:
    """Histories by mirrors under `cache`, with the environment `base`; those of GitSource, if it has the same."""

    def __init__(self, cache: Path, base: Mapping[str, str], timeout: float = 3600.0) -> None:
        self._cache, self._base, self._timeout = cache, base, timeout
        self._alone = environment_alone(base)

    async def refs(
        self, url: str, credential: Credential | None, patterns: tuple[str, ...] = ("refs/heads/*", "refs/tags/*")
    ) -> Mapping[str, str]:
        """See Histories. Nothing is fetched."""
        server = Server(url, credential)
        # A tag's commit comes under the tag's name with ^{} behind it, which a pattern must match too.
        peeled = tuple(f"{pattern}^{{}}" for pattern in patterns if pattern.startswith("refs/tags/"))
        try:
            listing = await run_git(
                "ls-remote", "--quiet", "--", url, *patterns, *peeled,
                env=environment_network(self._base, server, await self._ssh_command(server)),
                timeout=_ASK, hide=server.hide,
            )  # fmt: skip
        except GitFailed as failure:
            raise clone_error(failure) from None
        return parse_refs(listing)

    async def commit(self, url: str, credential: Credential | None, commit: str, ref: str | None) -> CommitFacts:
        """See Histories. The mirror is brought up to date first, if it has not got the commit yet."""
        if _ID.fullmatch(commit) is None:
            raise NotFound(f"commit {commit[:80]!r}", "it is no commit's id.", "Copy it from `git log`.")

        async def work(mirror: Mirror) -> CommitFacts:
            raw = await self._raw(mirror.path, commit) if _is_full(commit) else None
            if raw is not None:
                return parse_commit(commit, raw)
            # By a ref alone, only that is fetched; by nothing but an id, it may be anywhere.
            wanted = Wanted((ref,), commit, only=True) if ref is not None else Wanted(commit=commit)
            found = await mirror.fetch(wanted, None)
            raw = await self._raw(mirror.path, found.commit)
            if raw is None:
                raise VersionNotFound("It is no commit.")
            return parse_commit(found.commit, raw)

        try:
            return await self._mended(Server(url, credential), work)
        except VersionNotFound as missing:
            raise NotFound(f"commit {commit} of {url}", missing.why, "See that it was pushed.") from None

    async def check_out(self, url: str, commit: str, destination: Path) -> None:
        """See Histories."""
        index = destination.with_name(f"{destination.name}.index")
        try:
            with told(destination):
                async with self._mirror(Server(url), share=True) as mirror:
                    await self._git(
                        mirror.path, f"--work-tree={destination}", "read-tree", "--reset", "-u", commit,
                        env={**self._alone, "GIT_INDEX_FILE": str(index)},
                    )  # fmt: skip
        except GitFailed as failure:
            raise clone_error(failure) from None
        finally:
            index.unlink(missing_ok=True)

    async def changed(self, url: str, before: str | None, after: str, limit: int) -> tuple[str, ...]:
        """See Histories."""
        what = ("ls-tree",) if before is None else ("diff-tree", "--no-renames")
        trees = (after,) if before is None else (before, after)
        try:
            async with self._mirror(Server(url), share=True) as mirror:
                listing = await self._git(mirror.path, *what, "-r", "-z", "--name-only", *trees)
        except GitFailed as failure:
            raise clone_error(failure) from None
        return parse_paths(listing, limit)

    async def _mended(self, server: Server, work: Callable[[Mirror], Awaitable[T]]) -> T:
        """What `work` gives; a mirror that proves broken is made anew, once."""
        async with self._mirror(server) as mirror:
            try:
                return await work(mirror)
            except GitFailed as failure:
                if failure.says(SERVER_TROUBLE):
                    raise clone_error(failure) from None
                if not failure.says(REF_IN_THE_WAY) and await mirror.is_sound():
                    raise clone_error(failure) from None
            mirror.remove()
            try:
                return await work(mirror)
            except GitFailed as failure:
                raise clone_error(failure) from None

    @asynccontextmanager
    async def _mirror(self, server: Server, *, share: bool = False) -> AsyncIterator[Mirror]:
        async with locked(self._cache, server.url, False, _nobody) as lock:
            if share:
                await lock.share()
            ssh = "" if share else await self._ssh_command(server)
            yield Mirror(lock.path, Remote(server, self._base, ssh, self._timeout, _nobody))

    async def _raw(self, mirror: Path, commit: str) -> bytes | None:
        try:
            return await self._git(mirror, "cat-file", "commit", commit)
        except GitFailed:
            return None

    async def _ssh_command(self, server: Server) -> str:
        """What the person has for core.sshCommand."""
        if server.transport != "ssh":
            return ""
        try:
            out = await run_git("config", "--global", "--get", "core.sshCommand", env=dict(self._base), timeout=60)
        except GitFailed:
            return ""
        return out.decode("utf-8", "replace").strip()

    async def _git(self, mirror: Path, *arguments: str, env: Mapping[str, str] | None = None) -> bytes:
        return await run_git(
            f"--git-dir={mirror}", "--literal-pathspecs", *arguments, env=env or self._alone, timeout=self._timeout
        )


def _is_full(commit: str) -> bool:
    return len(commit) in (40, 64)


def _nobody(_line: str) -> None:
    """Progress that nobody hears."""
