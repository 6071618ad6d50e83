"""What a build is done with: the contracts it calls, and what it is told from outside."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from codeyard.artifacts import BlobStore
from codeyard.artifacts.buckets import OpenBucket
from codeyard.artifacts.cache import CacheStore
from codeyard.events import Event
from codeyard.executors import Executor, SandboxSpec
from codeyard.logs import LogWriter
from codeyard.secrets import SecretProvider
from codeyard.sources import Fetched, SourceSpec

Fetch = Callable[[SourceSpec, Path, Callable[[str], None]], Awaitable[Fetched]]


@dataclass(frozen=True, slots=True)
class Revision:
    """What a build is told of a source's version, instead of what was brought: `resolved` None, as that resolved it."""

    version: str
    resolved: str | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of a build; the secondary ones carry an identifier each, and by that the rest goes, None the
    primary one's. `allowed` are those that may be reached whatever projects may not."""

    primary: SourceSpec
    secondary: tuple[SourceSpec, ...] = ()
    revisions: Mapping[str | None, Revision] = field(default_factory=dict)
    allowed: frozenset[str | None] = frozenset()


# Asked for in DOWNLOAD_SOURCE, which fails if they cannot be told: a credential is missing, or may not be read.
WhichSources = Callable[[], Awaitable[Sources]]


@dataclass(frozen=True, slots=True)
class Tools:
    """Everything that one build needs. `sandbox` says which place; its `home` is the build's own directory."""

    executor: Executor
    sandbox: SandboxSpec
    fetch: Fetch
    object_text: Callable[[str], Awaitable[str]]  # of an S3 ARN: for a buildspec that lies in a bucket
    secrets: SecretProvider
    blobs: BlobStore
    cache: CacheStore | None
    log: LogWriter
    emit: Callable[[Event], None]
    now: Callable[[], datetime]
    open_bucket: OpenBucket | None = None  # for artifacts; None: as the environment says
    stop: asyncio.Event = field(default_factory=asyncio.Event)
