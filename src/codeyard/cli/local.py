"""A build with no server: its request in a file, its parts wired by hand, its state in a directory of its own.

<state>/runs/<uuid>/request.json   what was asked for, so that another process can go on (0600)
                    log            the whole log, masked
                    events.jsonl   what happened
                    result.json    how it ended: then nothing goes on with it
                    lock           held by the process that is at it
                    artifacts/     what it made, unless it was to go elsewhere
Removed at the end: journal        the steps that finished
                    spool          what the sandbox printed, raw (0600)
                    log.index      how the log was merged from that
                    masks          what to hide in it (0600)
                    codebuild/     what the sandbox sees
                    sandbox/       what its executor keeps
                    incoming/, gathered/  files on their way into the sandbox, and out of it
"""

import asyncio
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

from codeyard.app import choose
from codeyard.app.fetching import fetcher, object_reader
from codeyard.app.workspace import clear_workspace
from codeyard.artifacts.cache import CacheStore
from codeyard.artifacts.disk import DiskStore
from codeyard.builds.model import (
    COMPUTE_TYPES,
    ArtifactTarget,
    Settings,
    Variable,
    VariableType,
)
from codeyard.builds.run import Finished, run_build
from codeyard.builds.tools import Sources, Tools, WhichSources
from codeyard.durable.journal import Journal
from codeyard.errors import Conflict, Invalid, NotFound
from codeyard.events import BuildStarted, Event, Progressed
from codeyard.executors import Executor, Limits, Network, SandboxLost, SandboxSpec
from codeyard.ident import BuildId, Owner
from codeyard.logs import LogPiece
from codeyard.logs.archive import ArchivedLog
from codeyard.secrets import Secret, SecretProvider, SecretReference
from codeyard.sources import parse_location, split_credential

if TYPE_CHECKING:
    from codeyard.artifacts.buckets import Bucket

T = TypeVar("T")
_EVENT_AT_MOST = 4 << 20  # bytes: a command may be as long as a buildspec
MACHINE_IMAGE = "codeyard/machine"  # what CODEBUILD_BUILD_IMAGE says where no image is used


@dataclass(frozen=True, slots=True)
class Request:
    """What `codeyard run` was asked for, in plain values: what is needed to go on in another process."""

    id: str
    number: int
    submitted: str
    executor: str
    reason: str
    source: str
    cwd: str
    source_version: str | None = None
    secondary: dict[str, str] = field(default_factory=dict)
    buildspec: str | None = None
    image: str | None = None
    compute_type: str = "BUILD_GENERAL1_SMALL"
    privileged: bool = False
    network: str = "default"
    variables: dict[str, str] = field(default_factory=dict)
    artifacts: str | None = None
    zipped: bool = False
    cache: str | None = None  # a directory; None: off
    timeout_minutes: float = 60
    secrets: str = "vault"
    region: str = "us-east-1"


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who is told of the build: of its events, and of its log as it is written."""

    event: Callable[[Event], None]
    log: Callable[[LogPiece], None]


def now() -> datetime:
    return datetime.now(UTC)


def run_directory(state: Path, run: str) -> Path:
    return state / "runs" / run


def next_number(state: Path, project: str) -> int:
    """The project's next build number, counted in a file (reference 2.1)."""
    directory = state / "projects" / project
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "number").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        number = int(file.read() or 0) + 1
        file.seek(0)
        file.truncate()
        file.write(str(number))
    return number


def submit(state: Path, request: Request) -> Path:
    """Write the request down; from here on another process could run it. The run's directory."""
    home = run_directory(state, BuildId.parse(request.id).run)
    home.mkdir(parents=True, mode=0o700)
    staged = home / ".request.json"
    staged.touch(mode=0o600)
    staged.write_text(json.dumps(asdict(request), indent=1))
    staged.rename(home / "request.json")
    return home


def find(state: Path, id: str) -> Path:
    """The directory of the run that an id, its uuid or the beginning of that names. NotFound, Invalid."""
    wanted = id.rpartition(":")[2]
    runs = sorted(path for path in (state / "runs").glob("*") if wanted and path.name.startswith(wanted))
    if not runs:
        raise NotFound(f"build {id!r}", f"there is no such run in {state / 'runs'}.", "See `codeyard runs`.")
    if len(runs) > 1:
        raise Invalid(f"build {id!r}", f"{len(runs)} runs begin so.", "Give more of the id.")
    return runs[0]


def load(home: Path) -> Request:
    return Request(**json.loads((home / "request.json").read_text()))


async def perform(state: Path, home: Path, watcher: Watcher, stop: asyncio.Event, *, resumed: bool) -> Finished:
    """Run the build of this directory to its end. Conflict if another process is at it, or it has ended.

    A watcher that cannot be told any more (a closed pipe, a full disk) stops the build; its OSError is raised at the
    end of it.
    """
    request = load(home)
    if (home / "result.json").exists():
        _clear(home)  # perhaps the process that ended it died in doing so
        raise Conflict(f"build {request.id}", "it has already ended.", f"Its log is {home / 'log'}.")
    with _alone(home, request.id), _events(home / "events.jsonl") as record:
        executor = choose.executor(request.executor)
        audience = _Audience(watcher, stop)
        emit = _recording(audience, record)
        tools = _tools(state, home, request, executor, emit, audience, stop)
        emit(
            BuildStarted(
                at=now(),
                build=request.id,
                executor=executor.name,
                image=request.image or "",
                reason=request.reason,
                resumed=resumed,
                directory=str(home),
            )
        )
        finished = await run_build(_settings(request), _sources(request), tools, Journal(home / "journal"))
        tools.log.close()
        await asyncio.to_thread(_conclude, home, finished)
    if audience.left is not None:
        raise audience.left
    return finished


@contextmanager
def _alone(home: Path, id: str) -> Iterator[None]:
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"build {id}", "another process is running it.", "Watch that one.") from None
        yield


@contextmanager
def _events(path: Path) -> Iterator[TextIO]:
    """Open it to write on, without the half of a line that a machine's sudden end may have left."""
    with path.open("a+b") as file:
        file.seek(max(0, file.tell() - _EVENT_AT_MOST))
        last = file.read()
        file.truncate(file.tell() - len(last) + last.rfind(b"\n") + 1)
    with path.open("a") as record:
        yield record


class _Audience:
    """A watcher that may leave: then the build stops in good order, instead of being left alone half way."""

    def __init__(self, watcher: Watcher, stop: asyncio.Event) -> None:
        self._watcher, self._stop = watcher, stop
        self.left: OSError | None = None

    def event(self, event: Event) -> None:
        self._tell(self._watcher.event, event)

    def log(self, piece: LogPiece) -> None:
        self._tell(self._watcher.log, piece)

    def _tell(self, listener: Callable[[T], None], news: T) -> None:
        if self.left is not None:
            return
        try:
            listener(news)
        except OSError as error:
            self.left = error
            self._stop.set()


def _recording(audience: _Audience, record: TextIO) -> Callable[[Event], None]:
    def emit(event: Event) -> None:
        record.write(json.dumps(event.fields()) + "\n")
        record.flush()
        audience.event(event)

    return emit


def _tools(
    state: Path,
    home: Path,
    request: Request,
    executor: Executor,
    emit: Callable[[Event], None],
    audience: _Audience,
    stop: asyncio.Event,
) -> Tools:
    compute = COMPUTE_TYPES[request.compute_type]
    blobs = DiskStore(state / "artifacts")

    def progress(text: str) -> None:
        emit(Progressed(at=now(), what=text))

    spec = SandboxSpec(
        id=home.name,
        home=home,
        image=request.image,
        limits=Limits(cpus=compute.cpus, memory=compute.memory),
        privileged=request.privileged,
        network=Network(request.network),
        progress=progress,
    )
    spec.prepare()
    log = ArchivedLog(spec.spool, home / "log", now, audience.log)
    return Tools(
        executor=executor,
        sandbox=replace(spec, heard=lambda: log.read),
        fetch=fetcher(state / "mirrors", _open_bucket, os.environ, ours=state),
        object_text=object_reader(_open_bucket),
        secrets=_Secrets(state, request.secrets, request.region),
        blobs=blobs,
        cache=None if request.cache is None else _cache(Path(request.cache)),
        log=log,
        emit=emit,
        now=now,
        stop=stop,
    )


class _Secrets:
    """The vault or AWS, imported and opened when the first secret is asked for: most builds ask for none."""

    def __init__(self, state: Path, kind: str, region: str) -> None:
        self._state, self._kind, self._region = state, kind, region

    @cached_property
    def _provider(self) -> SecretProvider:
        if self._kind == "aws":
            from codeyard.secrets.aws import AwsSecrets

            return AwsSecrets(region=self._region)
        from codeyard.secrets.vault import Vault

        return Vault(self._state / "vault")

    async def parameter(self, name: str) -> Secret:
        return await self._provider.parameter(name)

    async def secret(self, reference: SecretReference) -> Secret:
        return await self._provider.secret(reference)


def _cache(root: Path) -> CacheStore:
    """Caches have blobs of their own: what no cache names is removed there."""
    return CacheStore(root, DiskStore(root / "blobs"))


def _open_bucket(url: str) -> "Bucket":
    from codeyard.artifacts.object_store import open_bucket

    return open_bucket(url)


def _settings(request: Request) -> Settings:
    id = BuildId.parse(request.id)
    target = None
    if request.artifacts is not None:
        name = f"{id.project}.zip" if request.zipped else id.project
        target = ArtifactTarget(request.artifacts, name, zipped=request.zipped)
    return Settings(
        id=id,
        owner=Owner(region=request.region),
        number=request.number,
        initiator=os.environ.get("USER", "local"),
        image=request.image or MACHINE_IMAGE,
        submitted=datetime.fromisoformat(request.submitted),
        compute=COMPUTE_TYPES[request.compute_type],
        privileged=request.privileged,
        buildspec=request.buildspec,
        overrides=tuple(Variable(name, value, VariableType.PLAINTEXT) for name, value in request.variables.items()),
        artifacts=target,
        any_secondary=target,
        cache=request.cache is not None,
        timeout=timedelta(minutes=request.timeout_minutes),
    )


def _sources(request: Request) -> WhichSources:
    cwd = Path(request.cwd)
    sources = Sources(
        parse_location(request.source, cwd, version=request.source_version),
        tuple(parse_location(text, cwd, identifier=identifier) for identifier, text in request.secondary.items()),
    )

    async def which() -> Sources:
        return sources

    return which


def _conclude(home: Path, finished: Finished) -> None:
    """Write down how it ended, and leave nothing of the workspace, and no value of a variable."""
    staged = home / ".result.json"
    build = finished.build
    took = None if build.ended is None else (build.ended - build.started).total_seconds()
    staged.write_text(json.dumps({"status": build.status, "seconds": took, "facts": finished.facts}))
    staged.rename(home / "result.json")
    _clear(home)


def _clear(home: Path) -> None:
    clear_workspace(home)
    (home / "journal").unlink(missing_ok=True)
    request = json.loads((home / "request.json").read_text())
    request["variables"] = dict.fromkeys(request["variables"], "***")
    request["source"] = split_credential(request["source"])[0]
    request["secondary"] = {name: split_credential(text)[0] for name, text in request["secondary"].items()}
    (home / "request.json").write_text(json.dumps(request, indent=1))


async def kill(home: Path) -> None:
    """End whatever the build of this directory runs, and write nothing more: it can still be resumed, to its end."""
    request = load(home)
    with suppress(SandboxLost):
        sandbox = await choose.executor(request.executor).adopt(SandboxSpec(id=home.name, home=home))
        await sandbox.close()
