"""A Work for tests of actions: steps in a journal, blobs on the disk, a bucket in a directory; all below one place.

    declared = action("Invoke/AWS/Lambda/1", {"FunctionName": "f"}, inputs=["In"])
    bench = bench_at(tmp_path, declared, [a_tree(tmp_path, "In", {"a": b"x"})])
    outcome = await SomeAction(...).run(bench)
    bench.told, bench.permitted, bench.stored("key")

`bench.again()` is the same execution as another process finds it, after the first was killed: what its steps gave is
remembered, what it had in memory is not.
"""

import asyncio
import io
import tempfile
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast

from codeyard.artifacts import Digest, Entry, Kind, Tree
from codeyard.artifacts import tree as trees
from codeyard.artifacts.buckets import Note, OpenBucket
from codeyard.artifacts.disk import DiskStore
from codeyard.artifacts.transfer import load_manifest, save_manifest
from codeyard.artifacts.zips import write_zip
from codeyard.aws import Refused
from codeyard.durable import Answer
from codeyard.durable.journal import Journal
from codeyard.ident import Owner
from codeyard.objects.buckets import embedded
from codeyard.objects.directory import ObjectDirectory
from codeyard.pipelines.actions import ActionFailed, Artifact, ErrorCode, Place, SourceOverride, Told
from codeyard.pipelines.model import Action, ActionType, Output, Variable
from codeyard.secrets.sealing import KeyFile

OWNER = Owner("111122223333", "us-east-1")
ROLE = f"arn:aws:iam::{OWNER.account}:role/pipeline"
RUN = "11111111-2222-4333-8444-555555555555"
EXECUTION = "99999999-8888-4777-8666-555555555555"
BUCKET = "artifacts"  # of artifacts; there from the start, and empty
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def action(
    type: str,
    configuration: Mapping[str, str] | None = None,
    *,
    name: str = "Act",
    inputs: Sequence[str] = (),
    outputs: Sequence[str | Output] = (),
    environment: Sequence[Variable] = (),
    **more: Any,
) -> Action:
    """What a definition declares; `type` is Category/Owner/Provider/Version."""
    return Action(
        name,
        ActionType(*type.split("/")),
        configuration=dict(configuration or {}),
        inputs=tuple(inputs),
        outputs=tuple(Output(each) if isinstance(each, str) else each for each in outputs),
        environment=tuple(environment),
        **more,
    )


@dataclass
class Bench:
    """See the module. It is a Work; what is below `home` outlives it."""

    home: Path
    declared: Action
    inputs: tuple[Artifact, ...] = ()
    pinned: SourceOverride | None = None
    run: str = RUN
    role: str = ROLE
    began: datetime = NOON
    deadline: datetime = NOON + timedelta(hours=1)
    denied: Collection[str] = ()  # IAM actions, such as s3:PutObject
    told: list[Told] = field(default_factory=list)
    permitted: list[tuple[str, str]] = field(default_factory=list)  # action and ARN
    answers: list[Mapping[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.place = Place(OWNER, "Pipeline", EXECUTION, "Stage", self.declared.name)
        self.outputs = tuple(
            Artifact(each.name, BUCKET, f"Pipeline/{each.name[:10]}/{self.run[:7]}") for each in self.declared.outputs
        )
        self._steps = Journal(self.home / "journal")
        self.blobs = DiskStore(self.home / "blobs")
        keys = KeyFile(self.home / "vault.key")
        keys.newest()
        self.objects = ObjectDirectory(self.home / "objects", keys)
        if not self.objects.buckets(OWNER.account):
            self.objects.create(OWNER.account, BUCKET, OWNER.region)
        self._news = asyncio.Event()

    @property
    def open_bucket(self) -> OpenBucket:
        return embedded(self.objects, OWNER.account)

    async def step(self, name: str, work: Callable[[], Awaitable[Answer]]) -> Answer:
        return await self._steps.step(name, work)

    async def tell(self, told: Told) -> None:
        self.told.append(told)

    async def permit(self, action: str, arn: str) -> None:
        self.permitted.append((action, arn))
        if action in self.denied:
            text = f"{self.role} is not authorized to perform: {action} on resource: {arn}"
            raise ActionFailed(ErrorCode.PERMISSION, text)

    async def answer(self, after: int = 0) -> Mapping[str, Any]:
        while len(self.answers) <= after:
            self._news.clear()
            await self._news.wait()
        return self.answers[after]

    async def zipped(self, artifact: Artifact) -> Artifact:
        if not artifact.there:
            await asyncio.to_thread(self._zip, artifact)
        return replace(artifact, there=True)

    # ── for tests ──

    def give(self, answer: Mapping[str, Any]) -> None:
        """An answer from outside."""
        self.answers.append(answer)
        self._news.set()

    def again(self) -> "Bench":
        """The same execution in another process. Its answers are kept, and so is what it told."""
        return replace(self)

    def put(self, key: str, content: bytes) -> None:
        """An object into the bucket."""
        self.open_bucket(f"s3://{BUCKET}").write(key, content, Note())

    def stored(self, key: str) -> bytes:
        """An object of the bucket. Refused: NoSuchKey."""
        with self.objects.open(OWNER.account, BUCKET, key) as found:
            return b"".join(found.read())

    def keys(self) -> list[str]:
        """Of all objects in the bucket."""
        return [one.key for one in self.objects.list(OWNER.account, BUCKET)[0]]

    def tree(self, artifact: Artifact) -> Tree:
        """What is in an artifact that is a tree."""
        assert artifact.tree is not None
        return load_manifest(artifact.tree, self.blobs)

    def files(self, artifact: Artifact) -> dict[str, bytes]:
        """The files of an artifact that is a tree, by path."""
        found = {}
        for entry in self.tree(artifact).entries:
            if entry.digest is not None:
                with self.blobs.open(entry.digest) as file:
                    found[entry.path] = file.read()
        return found

    def _zip(self, artifact: Artifact) -> None:
        bucket = self.open_bucket(f"s3://{artifact.bucket}")
        try:
            self.objects.head(OWNER.account, artifact.bucket, artifact.key)
            return
        except Refused:
            pass
        if artifact.raw is not None:
            with self.blobs.open(artifact.raw) as blob:
                bucket.write(artifact.key, blob.read(), Note())
            return
        assert artifact.tree is not None, "a reference has no zip"
        with tempfile.TemporaryFile() as file:
            write_zip(load_manifest(artifact.tree, self.blobs), self.blobs, cast(BinaryIO, file))
            file.seek(0)
            bucket.write(artifact.key, cast(BinaryIO, file), Note())


def bench_at(home: Path, declared: Action, inputs: Iterable[Artifact] = (), **more: Any) -> Bench:
    """The Work of a declared action, whose inputs these are. `more` are fields of Bench."""
    return Bench(home, declared, tuple(inputs), **more)


def put_tree(
    home: Path, files: Mapping[str, bytes], executable: Collection[str] = (), links: Mapping[str, str] | None = None
) -> Digest:
    """A tree in the blob store of a bench at `home`; links are path → target."""
    blobs = DiskStore(home / "blobs")
    entries = [Entry(path, Kind.LINK, target=target) for path, target in (links or {}).items()]
    for path, content in files.items():
        kind = Kind.EXECUTABLE if path in executable else Kind.FILE
        entries.append(Entry(path, kind, len(content), blobs.put(io.BytesIO(content)).digest))
    return save_manifest(trees.make(entries), blobs)


def a_tree(home: Path, name: str, files: Mapping[str, bytes], **more: Any) -> Artifact:
    """An artifact of these files, with no object yet."""
    return Artifact(name, BUCKET, f"Pipeline/{name[:10]}/abcdefg", tree=put_tree(home, files, **more))


def a_blob(home: Path, name: str, content: bytes) -> Artifact:
    """An artifact of bytes as they are, as of an S3 source, with no object yet."""
    blob = DiskStore(home / "blobs").put(io.BytesIO(content))
    return Artifact(name, BUCKET, f"Pipeline/{name[:10]}/abcdefg", raw=blob.digest)
