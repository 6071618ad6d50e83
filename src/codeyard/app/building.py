"""One build of a server: its executor, its sources, its secrets, its log, made of a row; then the engine runs it.

DATA/builds/<run>/  is the build's directory, 0700:
    chosen      the executor and image it runs in, chosen once
    log, log.times   its log, and when each part of it was written
    over        the engine is done with it: what else was there may go
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from codeyard.app import choose
from codeyard.app.allowing import Permit, check_log_group, check_reach, check_role, on_threads, permission
from codeyard.app.caches import PermittedCache
from codeyard.app.fetching import fetcher, git_environment, object_reader
from codeyard.app.first_start import write_private
from codeyard.app.machine import Capacity
from codeyard.app.reaching import Reaching
from codeyard.app.requests import cache_place, settings_of
from codeyard.app.workspace import clear_workspace
from codeyard.artifacts import BlobStore, chunks
from codeyard.artifacts.buckets import OpenBucket
from codeyard.artifacts.cache import CacheStore
from codeyard.artifacts.disk import DiskStore
from codeyard.artifacts.publish import publish_log
from codeyard.aws import Caller, Identities
from codeyard.builds.build_sources import handed_sources, sources_of
from codeyard.builds.build_wire import log_stream, s3_log
from codeyard.builds.credentials import SourceCredentials
from codeyard.builds.model import Settings
from codeyard.builds.project_wire import key_arn
from codeyard.builds.run import Finished, run_build
from codeyard.builds.stored import StoredBuild
from codeyard.builds.tools import Sources, Tools
from codeyard.config import Config
from codeyard.durable import Steps
from codeyard.errors import CodeyardError, Denied, Invalid
from codeyard.events import BuildStarted, Event, Progressed
from codeyard.executors import Executor, Limits, SandboxLost, SandboxSpec
from codeyard.ident import Owner
from codeyard.logs import LogPiece
from codeyard.logs.archive import ArchivedLog
from codeyard.logs.groups import LogGroups
from codeyard.secrets import SecretProvider

_CURATED = "aws/codebuild/"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Door:
    """How builds reach the API: what they call it, and where that is as this process reaches it."""

    url: str  # http://127.0.0.1:PORT, as a build sees it
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Means:
    """What all builds of a worker share."""

    config: Config
    capacity: Capacity
    identities: Identities
    build_caller: Callable[[StoredBuild], Awaitable[Caller | None]]  # a session of its service role, if it may have one
    secrets: Callable[[Owner, Callable[[str, str], Awaitable[None]]], SecretProvider]
    credentials: SourceCredentials
    open_bucket: Callable[[Owner, Callable[[str, str], None]], OpenBucket]
    groups: LogGroups
    blobs: BlobStore
    token: Callable[[str], str]  # what a build shows for its role's credentials
    door: Door
    now: Callable[[], datetime]
    grew: Callable[[str, int], None]  # the log of this run has so many bytes now
    behind: dict[str, Callable[[], int]]  # by run: how many bytes its log is behind what it printed
    close_log: Callable[[str], None]  # the log of this run is complete
    archive: Callable[[str], Awaitable[None]]  # keep the log of this run where other machines read it
    build_url: Callable[[StoredBuild], str]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a build runs in."""

    executor: str
    image: str | None
    reason: str


class Building:
    """Performs builds, and ends the sandboxes of those that were given up."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def perform(
        self, stored: StoredBuild, steps: Steps, emit: Callable[[Event], None], stop: asyncio.Event
    ) -> Finished:
        """Run it to its end, or on from where another process left it."""
        home = self._home(stored.run)
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        work = _Work(self._means, stored, home, emit, stop)
        try:
            finished = await work.run(steps)
        except Exception:
            await self._leave_nothing(stored)  # what breaks here ends the build
            raise
        await asyncio.to_thread(_done_with, home)
        return finished

    async def kill(self, stored: StoredBuild) -> None:
        """End its sandbox, if it has one here, and leave nothing of its workspace. Its log is complete then."""
        home = self._home(stored.run)
        with suppress(FileNotFoundError):
            chosen = Chosen(**json.loads((home / "chosen").read_text()))
            with suppress(SandboxLost):
                spec = SandboxSpec(id=stored.run, home=home, image=chosen.image)
                await (await choose.executor(chosen.executor).adopt(spec)).close()
        await self._close_log(stored)
        await asyncio.to_thread(_clear, home)

    async def _leave_nothing(self, stored: StoredBuild) -> None:
        try:
            await self.kill(stored)
        except (CodeyardError, OSError, ValueError) as error:
            _log.warning("remains_left build=%s error=%s", stored.id, error)

    async def _close_log(self, stored: StoredBuild) -> None:
        """Nobody writes to it any more: whoever follows it is told."""
        try:
            await asyncio.to_thread(self._means.close_log, stored.run)
            await self._means.groups.build_ended(stored.run)
            await self._means.archive(stored.run)
        except (CodeyardError, OSError) as error:
            _log.warning("log_left_open build=%s error=%s", stored.id, error)

    def _home(self, run: str) -> Path:
        return self._means.config.data / "builds" / run


class _Work:
    """One build, in this process."""

    def __init__(
        self, means: Means, stored: StoredBuild, home: Path, emit: Callable[[Event], None], stop: asyncio.Event
    ) -> None:
        self._means, self._stored, self._home, self._emit, self._stop = means, stored, home, emit, stop
        self._loop = asyncio.get_running_loop()

    async def run(self, steps: Steps) -> Finished:
        means, stored = self._means, self._stored
        caller = await means.build_caller(stored)
        permit = permission(means.identities, caller)
        secrets = means.secrets(stored.owner, permit)
        chosen = await self._chosen(caller, permit)
        executor = _Refusing(chosen) if isinstance(chosen, CodeyardError) else self._executor(chosen)
        spec = self._spec(chosen.image if isinstance(chosen, Chosen) else None)
        over = (self._home / "over").exists()
        log = _Silent() if over else self._log(spec)
        on_thread = on_threads(permit, self._loop)
        open_bucket = means.open_bucket(stored.owner, on_thread)

        private = means.config.data

        async def sources() -> Sources:
            bring = sources_of if stored.handed is None else partial(handed_sources, stored.handed)
            found = await bring(stored.owner, stored.project, means.credentials, secrets, private)
            check_reach(found, means.config)
            return found

        tools = Tools(
            executor=executor,
            sandbox=_heard(spec, log),
            fetch=fetcher(private / "mirrors", open_bucket, git_environment(means.config.host_git), means.blobs),
            object_text=object_reader(open_bucket),
            secrets=secrets,
            blobs=means.blobs,
            cache=self._cache(on_thread),
            log=log,
            emit=self._emit,
            now=means.now,
            open_bucket=open_bucket,
            stop=self._stop,
        )
        if isinstance(chosen, Chosen):
            await self._make_stream()
        self._tell_start(executor.name, chosen)
        means.behind[stored.run] = lambda: _size(spec.spool) - log.read
        try:
            finished = await run_build(self._settings(), sources, tools, steps)
        except Exception:
            with suppress(OSError):  # the disk is full, perhaps: what is open is closed all the same
                log.close()
            raise
        finally:
            del means.behind[stored.run]
        if not over:
            log.close()
            await self._keep_log(open_bucket)
        return finished

    # ── where it runs ──

    async def _chosen(self, caller: Caller | None, permit: Permit) -> Chosen | CodeyardError:
        """Chosen once: a process that comes later must find the same sandbox."""
        file = self._home / "chosen"
        with suppress(FileNotFoundError):
            return Chosen(**json.loads(file.read_text()))
        try:
            check_role(self._stored, caller)
            await check_log_group(self._stored, permit)
            chosen = await self._choose()
        except CodeyardError as error:
            return error
        write_private(file, json.dumps(asdict(chosen)))
        return chosen

    async def _choose(self) -> Chosen:
        config, environment = self._means.config, self._stored.project.environment
        if environment.privileged_mode and not config.privileged:
            raise Denied(
                "privilegedMode", "this server does not allow it.", "Set `privileged`, which gives builds the machine."
            )
        if not environment.type.startswith(("LINUX_", "ARM_")):
            raise Invalid(f"environment {environment.type}", "builds run on Linux here.", "Use LINUX_CONTAINER.")
        image: str | None = environment.image
        if config.executor in ("bubblewrap", "process"):
            image = None  # they have none: the machine's own programs it is, as docs/settings.md says
        elif image is not None and image.startswith(_CURATED) and config.curated_images == "machine":
            image = None
        wanted = "docker" if config.executor == "docker" and image is not None else config.executor
        if wanted == "docker" and image is None:
            wanted = "auto"
        name, reason = await choose.choose(wanted, image, privileged=environment.privileged_mode, state=config.data)
        if name == "process" and not config.unsafe_process:
            raise Denied(
                "a build with no isolation", "nothing stronger works on this machine: see `codeyard doctor`.",
                "Install bubblewrap, or set unsafe_process if every build may do what the server may.",
            )  # fmt: skip
        return Chosen(name, image if name == "docker" else None, reason)

    def _executor(self, chosen: Chosen) -> Executor:
        door = self._means.door
        return Reaching(choose.executor(chosen.executor), door.host, door.port, self._progress)

    def _spec(self, image: str | None) -> SandboxSpec:
        stored, capacity = self._stored, self._means.capacity
        spec = SandboxSpec(
            id=stored.run,
            home=self._home,
            image=image,
            limits=Limits(min(stored.need.cpus, capacity.cpus), min(stored.need.memory, capacity.memory)),
            privileged=stored.project.environment.privileged_mode,
            progress=self._progress,
        )
        if not (self._home / "over").exists():
            spec.prepare()
        return spec

    def _cache(self, permit: Callable[[str, str], None]) -> CacheStore | None:
        place = cache_place(self._stored)
        if place is None:
            return None
        owner, name = self._stored.owner, hashlib.sha256(place.store.encode()).hexdigest()
        root = self._means.config.data / "caches" / owner.account / owner.region / name
        kind, _, location = place.store.partition("/")
        return PermittedCache(root, location, permit) if kind == "s3" else CacheStore(root, DiskStore(root / "blobs"))

    def _settings(self) -> Settings:
        means, stored = self._means, self._stored
        token = means.token(stored.run)
        variables = {
            "AWS_ENDPOINT_URL": means.door.url,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{means.door.url}/container-credentials/{stored.run}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
        }
        return settings_of(stored, build_url=means.build_url(stored), service_variables=variables, hidden=(token,))

    # ── its log ──

    def _log(self, spec: SandboxSpec) -> ArchivedLog:
        size = 0

        def heard(piece: LogPiece) -> None:
            nonlocal size
            size += len(piece.content)
            self._means.grew(self._stored.run, size)

        return ArchivedLog(spec.spool, self._home / "log", self._means.now, heard, times=True)

    async def _make_stream(self) -> None:
        stream = log_stream(self._stored)
        if stream is not None:
            await self._means.groups.build_stream(self._stored.owner, *stream, self._stored.run)

    async def _keep_log(self, open_bucket: OpenBucket) -> None:
        """Where the project wants it, and where other machines read it. What fails here fails no build."""
        stored = self._stored
        if log_stream(stored) is not None:
            await self._means.groups.build_ended(stored.run)
        await self._means.archive(stored.run)
        if s3_log(stored) is None:
            return
        logs = stored.project.logs_config.s3_logs
        key = None if logs.encryption_disabled else key_arn(stored.project.encryption_key, stored.owner)
        try:
            await asyncio.to_thread(self._publish_log, logs.location or "", open_bucket, key)
        except CodeyardError as error:
            _log.warning("s3_log_failed build=%s error=%s", stored.id, error)

    def _publish_log(self, location: str, open_bucket: OpenBucket, key: str | None) -> None:
        with (self._home / "log").open("rb") as log:
            publish_log(
                open_bucket, location, self._stored.run, chunks(log), build_arn=self._stored.arn, encrypt_by=key
            )

    def _progress(self, text: str) -> None:
        self._emit(Progressed(at=self._means.now(), what=text))

    def _tell_start(self, executor: str, chosen: Chosen | CodeyardError) -> None:
        reason = chosen.reason if isinstance(chosen, Chosen) else str(chosen)
        image = (chosen.image or "") if isinstance(chosen, Chosen) else ""
        self._emit(
            BuildStarted(
                at=self._means.now(), build=str(self._stored.id), executor=executor, image=image, reason=reason,
                resumed=False, directory=str(self._home),
            )
        )  # fmt: skip


class _Refusing:
    """An Executor for a build that cannot run here: PROVISIONING fails, with the reason."""

    name = "none"

    def __init__(self, error: CodeyardError) -> None:
        self._error = error

    async def ability(self) -> Any:
        raise self._error

    async def open(self, spec: SandboxSpec) -> Any:
        raise self._error

    async def adopt(self, spec: SandboxSpec) -> Any:
        raise SandboxLost(self._error.what, self._error.why, self._error.fix)


class _Silent:
    """A LogWriter for a build whose log is closed already."""

    read = 0

    def say(self, key: str, text: str, upto: int | None = None) -> None: ...

    def end_output(self, key: str, upto: int) -> None: ...

    def pump(self, at_most: int | None = None) -> bool:
        return False

    def mask(self, values: tuple[str, ...]) -> None: ...

    def masked(self, text: str) -> str:
        return text

    def close(self) -> None: ...


def _heard(spec: SandboxSpec, log: ArchivedLog | _Silent) -> SandboxSpec:
    """The same place, whose output waits for this log."""
    return replace(spec, heard=lambda: log.read) if isinstance(log, ArchivedLog) else spec


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _done_with(home: Path) -> None:
    (home / "over").touch()
    _clear(home)


def _clear(home: Path) -> None:
    clear_workspace(home)
    for path in home.glob(".chosen.*"):  # half written by who was killed
        path.unlink(missing_ok=True)
