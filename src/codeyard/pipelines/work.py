"""One action execution as its action sees it: `actions.Work` over the rows, the blobs and the role's rights."""

import asyncio
import json
import secrets
import string
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from codeyard.artifacts import BlobStore, chunks
from codeyard.artifacts.buckets import Note, OpenBucket
from codeyard.artifacts.publish import Packaging, publish_to_bucket
from codeyard.artifacts.transfer import load_manifest
from codeyard.durable import Answer
from codeyard.errors import Conflict
from codeyard.ident import Owner
from codeyard.pipelines import executions_table, pipelines_table, runs_table
from codeyard.pipelines.actions import ActionFailed, Artifact, ErrorCode, Place, SourceOverride, Told
from codeyard.pipelines.expressions import TooLong, Unresolved, resolve_all
from codeyard.pipelines.masking import secret_values
from codeyard.pipelines.model import Action, Declaration, parse
from codeyard.pipelines.run_data import Gathered, artifact_json, gathered, parse_artifact, told_data
from codeyard.pipelines.starting import pinned
from codeyard.pipelines.state import RunStatus
from codeyard.pipelines.stored import StoredExecution, StoredRun
from codeyard.store import Database, Tx, patiently

_ALPHABET = string.ascii_letters + string.digits
_KEY = 7  # characters of an object's name: those of AWS's keys
_PIPELINE, _ARTIFACT = 20, 10  # characters that a key has of the names (reference: artifact store layout)
Permit = Callable[[str, str], Awaitable[None]]


class NotOurs(Conflict):
    """The run has ended, or another runner has it: this one leaves it alone."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a role may do, and its buckets. `permit` raises ActionFailed; buckets block, and ask by themselves."""

    permit: Permit
    open_bucket: OpenBucket


@dataclass(frozen=True, slots=True)
class Means:
    """What all runs of a runner share."""

    db: Database
    blobs: BlobStore
    rights: Callable[[Owner, str, str], Awaitable[Rights]]  # of an owner, a role's ARN and a session's name
    unsealed: Callable[[Owner, str, bytes], Mapping[str, str]]  # the secrets of a pipeline's definition, by path
    now: Callable[[], datetime]
    # Whether CodePipeline may take on, for this pipeline, its role, and that then the role of one of its actions.
    may_assume: Callable[[Owner, str, str, str], Awaitable[bool]]


@dataclass(slots=True)
class RunWork:
    """See `actions.Work`. `answers` grows as somebody answers; the runner rings `news`."""

    stored: StoredRun
    declared: Action
    role: str
    inputs: tuple[Artifact, ...]
    outputs: tuple[Artifact, ...]
    pinned: SourceOverride | None
    means: Means
    rights: Rights
    key: str | None  # of the artifact store's encryption
    known: dict[str, Answer]
    answers: list[Mapping[str, Any]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def run(self) -> str:
        return self.stored.id

    @property
    def place(self) -> Place:
        run = self.stored
        return Place(run.owner, run.pipeline, run.execution, run.stage, run.name, run.moment)

    @property
    def began(self) -> datetime:
        return self.stored.started

    @property
    def deadline(self) -> datetime:
        return self.stored.deadline

    @property
    def blobs(self) -> BlobStore:
        return self.means.blobs

    @property
    def open_bucket(self) -> OpenBucket:
        return self.rights.open_bucket

    async def step(self, name: str, work: Callable[[], Awaitable[Answer]]) -> Answer:
        if name not in self.known:
            answer = json.loads(json.dumps(await work()))  # as another process will read it
            await self._write(lambda tx: runs_table.add_step(tx, self.run, self.stored.generation, name, answer))
            self.known[name] = answer
        return self.known[name]

    async def tell(self, told: Told) -> None:
        changes = told_data(told)
        if all(self.stored.data.get(name) == value for name, value in changes.items()):
            return
        await self.note(changes)

    async def note(self, changes: Mapping[str, Any]) -> None:
        """Write these down of the run."""

        def work(tx: Tx) -> StoredRun:
            now = runs_table.hold(tx, self.run)
            if now is None or now.status is not RunStatus.IN_PROGRESS or now.generation != self.stored.generation:
                raise NotOurs(f"action execution {self.run}", "it has ended, or is another's.", "Leave it.")
            changed = replace(now, data={**now.data, **changes}, updated=self.means.now())
            runs_table.save(tx, changed)
            return changed

        self.stored = await patiently(lambda: self.means.db.write(work))

    async def permit(self, action: str, arn: str) -> None:
        await self.rights.permit(action, arn)

    async def answer(self, after: int = 0) -> Mapping[str, Any]:
        while len(self.answers) <= after:
            self.news.clear()
            await self.news.wait()
        return self.answers[after]

    async def zipped(self, artifact: Artifact) -> Artifact:
        if artifact.there:
            return artifact
        await asyncio.to_thread(publish, artifact, self.blobs, self.open_bucket, self.key)
        return replace(artifact, there=True)

    async def _write(self, work: Callable[[Tx], None]) -> None:
        try:
            await patiently(lambda: self.means.db.write(work))
        except Conflict as error:
            raise NotOurs(error.what, error.why, error.fix) from None


def publish(artifact: Artifact, blobs: BlobStore, open_bucket: OpenBucket, key: str | None) -> None:
    """Put the artifact's object at its place: its bytes as they are, or a zip of its tree. It blocks."""
    url, note = f"s3://{artifact.bucket}", Note(key=key)
    if artifact.raw is not None:
        with blobs.open(artifact.raw) as file:
            open_bucket(url).write(artifact.key, chunks(file), note)
    elif artifact.tree is not None:
        tree = load_manifest(artifact.tree, blobs)
        publish_to_bucket(tree, blobs, url, artifact.key, Packaging.ZIP, open_bucket=open_bucket, encrypt_by=key)
    else:
        text = f"The artifact {artifact.name} is a reference to a repository, which only CodeBuild can use"
        raise ActionFailed(ErrorCode.CONFIGURATION, text)


@dataclass(frozen=True, slots=True)
class _Found:
    """What the rows say of a run that begins, or goes on."""

    run: StoredRun
    execution: StoredExecution
    plan: Declaration
    sealed: bytes | None
    gathered: Gathered
    known: dict[str, Answer]


async def prepare(run: StoredRun, means: Means) -> RunWork:
    """The work of a run: its variables resolved, its inputs found, places for its outputs chosen and written down.

    ActionFailed: a variable or an artifact is not there. NotOurs: the run has ended.
    """
    found = await patiently(lambda: means.db.read(lambda tx: _find(tx, run.id)))
    if found is None or found.run.status is not RunStatus.IN_PROGRESS or found.run.generation != run.generation:
        raise NotOurs(f"action execution {run.id}", "it has ended, or is another's.", "Leave it.")
    run = found.run
    declared = _declared(found.plan, run)
    inputs = tuple(_input(found.gathered, name) for name in declared.inputs)
    store = found.plan.store(declared.region or run.owner.region)
    bucket = store.bucket if store is not None else ""
    written = {each["name"]: parse_artifact(each) for each in run.data.get("outputs", ())}
    outputs = tuple(
        written.get(each.name) or Artifact(each.name, bucket, object_key(run.pipeline, each.name))
        for each in declared.outputs
    )
    shown = _resolved(declared, found)
    unsealed = {} if found.sealed is None else means.unsealed(run.owner, run.pipeline, found.sealed)
    secret = secret_values(run.stage, declared, unsealed) if unsealed and run.moment is None else {}
    role = declared.role or found.plan.role
    rights = await _rights(found, role, outputs, means)
    work = RunWork(
        stored=run,
        declared=replace(shown, configuration={**shown.configuration, **secret}),
        role=role,
        inputs=inputs,
        outputs=outputs,
        pinned=pinned(found.execution.facts, run.name) if run.moment is None else None,
        means=means,
        rights=rights,
        key=store.key if store is not None else None,
        known=found.known,
        answers=list(run.answers),
    )
    if "resolved" not in run.data:
        await work.note(
            {
                "resolved": dict(shown.configuration),
                "inputs": [artifact_json(each) for each in inputs],
                "outputs": [artifact_json(each) for each in outputs],
            }
        )
    return work


async def _rights(found: _Found, role: str, outputs: tuple[Artifact, ...], means: Means) -> Rights:
    """The role's, which still trusts whom it has to, and which may write the outputs: who reads them at their places
    makes objects of them later, whoever that is. ActionFailed."""
    run, own = found.run, found.plan.role
    if not await means.may_assume(run.owner, run.pipeline, own, role):
        who = "CodePipeline" if role == own else f"The role {own} of the pipeline"
        text = f"{who} is not authorized to perform AssumeRole on role {role}"
        raise ActionFailed(ErrorCode.PERMISSION, text)
    rights = await means.rights(run.owner, role, f"pipeline-{run.id}")
    for each in outputs:
        await rights.permit("s3:PutObject", f"arn:aws:s3:::{each.bucket}/{each.key}")
    return rights


def object_key(pipeline: str, artifact: str) -> str:
    """A new one, as AWS lays them out: what it has of the names is cut."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_KEY))
    return f"{pipeline[:_PIPELINE]}/{artifact[:_ARTIFACT]}/{random}"


def _find(tx: Tx, id: str) -> _Found | None:
    run = runs_table.load(tx, id)
    if run is None:
        return None
    execution = executions_table.load(tx, run.owner, run.pipeline, run.execution)
    if execution is None:
        return None
    version = pipelines_table.version_of(tx, run.owner, run.pipeline, execution.execution.version)
    if version is None:
        return None
    so_far = gathered(runs_table.of_execution(tx, run.execution))
    if execution.execution.target is not None:
        so_far = so_far.over(gathered(runs_table.of_execution(tx, execution.execution.target)))
    values = {
        **so_far.variables,
        "codepipeline": {"PipelineExecutionId": run.execution},
        "variables": execution.facts.get("variables", {}),
    }
    return _Found(
        run,
        execution,
        parse(version.shape),
        version.secrets,
        Gathered(so_far.artifacts, values),
        runs_table.steps_of(tx, id),
    )


def _declared(plan: Declaration, run: StoredRun) -> Action:
    stage = plan.stage(run.stage)
    assert stage is not None, "a run is of a stage of its execution's version"
    if run.moment is None:
        found = stage.action(run.name)
    else:
        condition = stage.condition(run.moment)
        found = next((rule for rule in (condition.rules if condition else ()) if rule.name == run.name), None)
    assert found is not None, "a run is of an action of its execution's version"
    return found


def _input(found: Gathered, name: str) -> Artifact:
    artifact = found.artifacts.get(name)
    if artifact is None:
        text = f"The input artifact {name} is not there: no action of this execution has made it"
        raise ActionFailed(ErrorCode.CONFIGURATION, text)
    return artifact


def _resolved(declared: Action, found: _Found) -> Action:
    """With variables in place of their names. ActionFailed: some have no value, or theirs are too long together."""
    texts = (*declared.configuration.values(), *declared.commands, *(each.value for each in declared.environment))
    try:
        resolved = iter(resolve_all(texts, found.gathered.variables))  # in one go: their length is limited together
    except (Unresolved, TooLong) as error:
        raise ActionFailed(ErrorCode.CONFIGURATION, f"{error.what}: {error.why}") from error
    return replace(
        declared,
        configuration={name: next(resolved) for name in declared.configuration},
        commands=tuple(next(resolved) for _ in declared.commands),
        environment=tuple(replace(each, value=next(resolved)) for each in declared.environment),
    )
