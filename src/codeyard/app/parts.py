"""What every process of a server is made of, whether it serves the API, builds, or both: made once, by constructor."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from codeyard.access.container_credentials import BuildCredentials
from codeyard.access.identities import Session, StoredIdentities
from codeyard.app.building import Door, Means
from codeyard.app.first_start import RootKey, prepare_database, root_key
from codeyard.app.machine import Capacity
from codeyard.artifacts import BlobStore
from codeyard.artifacts.buckets import Bucket, OpenBucket
from codeyard.artifacts.disk import DiskStore
from codeyard.aws import Caller, Refused
from codeyard.aws.paging import Pages
from codeyard.builds import table, workers_table
from codeyard.builds.credentials import SourceCredentials
from codeyard.builds.ends import Ends
from codeyard.builds.stored import Standing, StoredBuild
from codeyard.config import EVERYWHERE, Config
from codeyard.errors import Conflict, Fault, NotFound
from codeyard.ident import Owner
from codeyard.logs import Framing, LogFiles, Place
from codeyard.logs.files import LocalLogs
from codeyard.logs.groups import LogGroups
from codeyard.logs.remote import CombinedLogs, WorkerLogs
from codeyard.logs.tail import Tail
from codeyard.metrics import Metrics
from codeyard.objects.buckets import embedded, permitted
from codeyard.objects.directory import ObjectDirectory
from codeyard.secrets import SecretProvider
from codeyard.secrets.sealing import Key, KeyFile
from codeyard.secrets.stored import StoredSecrets
from codeyard.store import Database, Tx, patiently
from codeyard.store.engine import SqlDatabase


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Parts:
    """Shared by the API and the worker of one process."""

    config: Config
    database: Database
    key: Key
    root: RootKey
    identities: StoredIdentities
    pages: Pages
    objects: ObjectDirectory | None  # None: buckets are elsewhere
    blobs: BlobStore
    local_logs: LocalLogs
    logs: LogFiles
    tail: Tail
    groups: LogGroups
    archive: Callable[[str], Awaitable[None]]
    source_credentials: SourceCredentials
    container_credentials: BuildCredentials
    metrics: Metrics
    internal_token: str = field(repr=False)
    behind: dict[str, Callable[[], int]]  # see Means
    ends: Ends  # the worker tells, and whoever waits for a build is told

    def means(self, capacity: Capacity, door: Door) -> Means:
        """What the builds of this process are made with."""
        return Means(
            config=self.config,
            capacity=capacity,
            identities=self.identities,
            build_caller=self.build_caller,
            secrets=self.secrets,
            credentials=self.source_credentials,
            open_bucket=self.open_bucket,
            groups=self.groups,
            blobs=self.blobs,
            token=self.container_credentials.token,
            door=door,
            now=now,
            grew=lambda run, _size: self.tail.grew(run),
            behind=self.behind,
            close_log=self._close_log,
            archive=self.archive,
            build_url=lambda stored: build_url(public_url(self.config), stored),
        )

    def _close_log(self, run: str) -> None:
        with suppress(NotFound):  # it ended before it wrote anything
            self.local_logs.close(Place(Framing.LINES, run))

    async def session_caller(self, role: str, name: str) -> Caller | None:
        """A session of the role; None: it is gone."""
        return await _caller(lambda: self.identities.assume(role, name, 3600))

    async def build_caller(self, stored: StoredBuild) -> Caller | None:
        """A session of a build's service role; None: it is gone, or does not trust CodeBuild any more."""
        role, name = stored.project.service_role, f"AWSCodeBuild-{stored.run}"
        return await _caller(lambda: self.identities.assume_for(stored.acts_for, role, name, 3600))

    def secrets(self, owner: Owner, permit: Callable[[str, str], Awaitable[None]]) -> SecretProvider:
        return StoredSecrets(self.database, self.key, owner, permit)

    def open_bucket(self, owner: Owner, permit: Callable[[str, str], None]) -> OpenBucket:
        if self.objects is not None:
            return permitted(embedded(self.objects, owner.account), permit)
        return permitted(self._open_elsewhere, permit)

    def _open_elsewhere(self, url: str) -> Bucket:
        from codeyard.artifacts.object_store import open_bucket

        return open_bucket(url, endpoint=self.config.objects)


async def _caller(assume: Callable[[], Awaitable[Session]]) -> Caller | None:
    try:
        return (await patiently(assume)).caller  # a build that is taken up again while the database is away waits
    except Refused:
        return None


def public_url(config: Config) -> str:
    """What clients call the server. One that listens everywhere is called as this machine's own clients can."""
    host, port = config.host_port
    here = EVERYWHERE.get(host, host)
    return (config.url or f"http://{f'[{here}]' if ':' in here else here}:{port}").rstrip("/")


def build_url(base: str, stored: StoredBuild) -> str:
    """Where people look at a build."""
    return f"{base}/console/builds/{stored.owner.region}/{stored.id}"


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Parts]:
    """The parts, over a database that is as this version needs it. Fault, Denied, Invalid."""
    database = SqlDatabase(config.database_url)
    try:
        yield await _made(config, database)
    finally:
        database.close()


async def _made(config: Config, database: SqlDatabase) -> Parts:
    key = await prepare_database(config, database)
    identities = StoredIdentities(database, key, now)
    token = hmac.digest(key.secret, b"codeyard internal 1", "sha256").hex()
    local, files, archive = _logs(config, database, token)
    objects = None if config.objects else ObjectDirectory(config.data / "objects", KeyFile(config.vault_key_file), now)
    if objects is not None:
        await asyncio.to_thread(objects.tidy)
    return Parts(
        config=config,
        database=database,
        key=key,
        root=await root_key(config, identities),
        identities=identities,
        pages=Pages(hashlib.sha256(b"codeyard pages 1" + key.secret).digest()),
        objects=objects,
        blobs=_blobs(config),
        local_logs=local,
        logs=files,
        tail=Tail(files),
        groups=LogGroups(database, now, files),
        archive=archive,
        source_credentials=SourceCredentials(database, key),
        container_credentials=BuildCredentials(
            identities, key, lambda run: _role_of(database, run), lambda run: _project_of(database, run)
        ),
        metrics=Metrics(),
        internal_token=token,
        behind={},
        ends=Ends(database),
    )


def _blobs(config: Config) -> BlobStore:
    if not config.bucket:
        return DiskStore(config.data / "artifacts")
    from codeyard.artifacts.object_store import ObjectBlobStore, open_store

    return ObjectBlobStore(open_store(f"{config.bucket.rstrip('/')}/artifacts", endpoint=config.objects or None))


def _logs(
    config: Config, database: Database, token: str
) -> tuple[LocalLogs, LogFiles, Callable[[str], Awaitable[None]]]:
    """This machine's logs; all there are: here, in the bucket, or on the worker that has them; and how one is kept."""
    local = LocalLogs(config.data)

    async def where(place: Place) -> str | None:
        return await database.read(lambda tx: _address(tx, place.name))

    workers = WorkerLogs(where, token)
    if not config.bucket:

        async def keep(_run: str) -> None: ...

        return local, CombinedLogs(local, workers), keep
    from codeyard.artifacts.object_store import open_store
    from codeyard.logs.bucket import BucketLogs

    bucket = BucketLogs(open_store(f"{config.bucket.rstrip('/')}/logs", endpoint=config.objects or None))

    async def archive(run: str) -> None:
        with suppress(NotFound, Conflict, Fault):  # it is read from here for as long as it is here
            await bucket.archive(local, Place(Framing.LINES, run))

    return local, CombinedLogs(local, bucket, workers), archive


def _address(tx: Tx, run: str) -> str | None:
    stored = table.load(tx, run)
    if stored is None or stored.worker is None:
        return None
    worker = workers_table.load(tx, stored.worker)
    return worker.address if worker is not None and worker.address else None


async def _role_of(database: Database, run: str) -> str | None:
    """The service role of a build that runs."""
    stored = await database.read(lambda tx: table.load(tx, run))
    if stored is None or stored.standing is not Standing.RUNNING:
        return None
    return stored.project.service_role


async def _project_of(database: Database, run: str) -> str | None:
    """The ARN of a build's project, or of the pipeline that it is managed compute of."""
    stored = await database.read(lambda tx: table.load(tx, run))
    return None if stored is None else stored.acts_for
