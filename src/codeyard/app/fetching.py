"""How the sources of a build are brought: which way serves which kind. Only what is used is imported."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from codeyard.artifacts import BlobStore
from codeyard.artifacts.buckets import OpenBucket, read_text
from codeyard.errors import CodeyardError, NotFound
from codeyard.sources import Fetched, Source, SourceKind, SourceSpec

_BUILDSPEC_AT_MOST = 1 << 20
_SERVERS = ("CODEYARD_", "AWS_")
_LEADING = frozenset({"XDG_CONFIG_HOME", "SSH_AUTH_SOCK", "SSH_AGENT_PID", "GNUPGHOME"})
_LEADS = ("GIT_SSH", "GIT_CONFIG", "GIT_ASKPASS", "SSH_ASKPASS")
_NOWHERE = "/nonexistent"  # as Debian has it for users with no home


def fetcher(
    mirrors: Path,
    open_bucket: OpenBucket,
    git: Mapping[str, str],
    blobs: BlobStore | None = None,
    ours: Path | None = None,
) -> Callable[[SourceSpec, Path, Callable[[str], None]], Awaitable[Fetched]]:
    """Brings any source. Clones of git repositories are remembered in `mirrors`; `git` is its environment; trees are
    in `blobs`. `ours` is a directory that is no part of any source."""

    async def fetch(spec: SourceSpec, destination: Path, progress: Callable[[str], None]) -> Fetched:
        if spec.kind is SourceKind.TREE and blobs is not None:
            from codeyard.sources.trees import TreeSource

            return await TreeSource(blobs).fetch(spec, destination, progress)
        if spec.kind is SourceKind.DIRECTORY:
            from codeyard.sources.directory import DirectorySource

            return await DirectorySource(git, ours).fetch(spec, destination, progress)
        return await _source(spec.kind, mirrors, open_bucket, git).fetch(spec, destination, progress)

    return fetch


def git_environment(as_its_user: bool, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What git gets of the server's environment: nothing of the server's, and unless it works `as_its_user` nothing
    that leads to that user's settings, keys and passwords. Proxies, certificates and the machine's settings hold.
    """
    kept = {name: value for name, value in base.items() if not name.startswith(_SERVERS)}
    if as_its_user:
        return kept
    kept = {name: value for name, value in kept.items() if name not in _LEADING and not name.startswith(_LEADS)}
    return {**kept, "HOME": _NOWHERE}


def _source(kind: SourceKind, mirrors: Path, open_bucket: OpenBucket, git: Mapping[str, str]) -> Source:
    if kind is SourceKind.GIT:
        from codeyard.sources.git import GitSource

        return GitSource(mirrors, git)
    from codeyard.sources.archive import NoSource, S3FolderSource, S3ZipSource, ZipSource

    if kind is SourceKind.NONE:
        return NoSource()
    if kind is SourceKind.ZIP:
        return ZipSource()
    return S3ZipSource(open_bucket) if kind is SourceKind.S3_ZIP else S3FolderSource(open_bucket)


def object_reader(open_bucket: OpenBucket) -> Callable[[str], Awaitable[str]]:
    """Reads the text of the object that `arn:aws:s3:::bucket/key` names. NotFound, Invalid."""

    async def read(arn: str) -> str:
        return await asyncio.to_thread(_read_object, arn, open_bucket)

    return read


def _read_object(arn: str, open_bucket: OpenBucket) -> str:
    try:
        return read_text(open_bucket, arn, _BUILDSPEC_AT_MOST)
    except CodeyardError as error:
        fix = "Check the bucket, the key and who may."
        raise NotFound(f"buildspec {arn}: {error.why}", "it cannot be read.", fix) from error
