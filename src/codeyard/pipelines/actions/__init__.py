"""What an action is to whoever writes one, and what it is given.

An Action does one action execution, from its beginning to its end, as a coroutine:
  - it may be killed at any moment, and another process then calls it again with the same Work; what it does in a
    `step` is not done again once it ended, so each effect on the outside is in a step, and keyed by `Work.run` where
    the other side can tell a second asking from a first: no action with a side effect runs twice;
  - it returns an Outcome, or raises ActionFailed; a Denied, Invalid or NotFound that it lets pass fails it too, with
    the code of `code_of`;
  - it does not look at its own time: whoever runs it cancels it when its time is over, or when it is abandoned;
  - artifacts come and go as trees; a zip is made by `Work.zipped` only when something outside needs one.
A rule of a condition is done by an Action too: it succeeds by returning.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from codeyard.artifacts import BlobStore, Digest
from codeyard.artifacts.buckets import OpenBucket
from codeyard.durable import Answer
from codeyard.errors import CodeyardError, Denied, Fault, Invalid, NotFound
from codeyard.ident import Owner
from codeyard.pipelines.model import Action as Declared
from codeyard.pipelines.model import Moment


class ErrorCode(StrEnum):
    """`errorDetails.code` of a failed action: the values of FailureType."""

    JOB_FAILED = "JobFailed"
    CONFIGURATION = "ConfigurationError"
    PERMISSION = "PermissionError"
    OUT_OF_SYNC = "RevisionOutOfSync"
    UNAVAILABLE_REVISION = "RevisionUnavailable"
    UNAVAILABLE_SYSTEM = "SystemUnavailable"


class ActionFailed(CodeyardError):
    """The action came to its end and failed. `message` is what clients read in errorDetails."""

    def __init__(self, code: ErrorCode, message: str, summary: str = "") -> None:
        super().__init__(message, code.value, "")
        self.args = (code, message, summary)
        self.code, self.message, self.summary = code, message, summary

    def __str__(self) -> str:
        return self.message


def code_of(error: CodeyardError) -> ErrorCode:
    """The code of an action that let this error pass."""
    if isinstance(error, ActionFailed):
        return error.code
    if isinstance(error, Denied):
        return ErrorCode.PERMISSION
    if isinstance(error, Invalid | NotFound):
        return ErrorCode.CONFIGURATION
    return ErrorCode.UNAVAILABLE_SYSTEM if isinstance(error, Fault) else ErrorCode.JOB_FAILED


@dataclass(frozen=True, slots=True)
class Place:
    """Where an action is."""

    owner: Owner
    pipeline: str
    execution: str
    stage: str
    action: str
    moment: Moment | None = None  # of a rule: which condition it belongs to

    @property
    def pipeline_arn(self) -> str:
        return f"arn:aws:codepipeline:{self.owner.region}:{self.owner.account}:{self.pipeline}"


@dataclass(frozen=True, slots=True)
class CloneRef:
    """What a CODEBUILD_CLONE_REF artifact stands for: a repository at a commit, to be cloned with its history."""

    url: str  # as git reads it, with no credential in it
    commit: str
    branch: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """A named artifact of one execution, by what it holds: a tree of files, or bytes as they are, or a reference.

    `bucket` and `key` are where its object lies, or would if one was needed, in AWS's layout of keys. `there` says
    that there is one: somebody outside put it, or we did.
    """

    name: str
    bucket: str
    key: str
    tree: Digest | None = None  # of its manifest, which is in the blob store
    raw: Digest | None = None  # the blob of an object that is copied as it is: what an S3 source found
    clone: CloneRef | None = None
    there: bool = False
    revision: str | None = None  # of a source: what CODEBUILD_RESOLVED_SOURCE_VERSION says

    @property
    def arn(self) -> str:
        return f"arn:aws:s3:::{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class Revision:
    """What a source action found: artifactRevisions, sourceRevisions and currentRevision show it."""

    id: str  # commit, version id, digest
    summary: str = ""
    change_id: str = ""
    url: str = ""
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class SourceOverride:
    """What the start of the execution pins for a source action (SourceRevisionOverride), by its revisionType."""

    commit: str | None = None
    image_digest: str | None = None
    version_id: str | None = None
    object_key: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an action succeeded."""

    outputs: tuple[Artifact, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    revision: Revision | None = None
    summary: str = ""
    external_id: str | None = None
    external_url: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What an action that runs has clients see: only what is not None changes."""

    external_id: str | None = None
    external_url: str | None = None
    summary: str | None = None
    percent: int | None = None
    token: str | None = None
    log_stream: str | None = None  # an ARN
    targets: tuple[Mapping[str, Any], ...] | None = None  # of ListDeployActionExecutionTargets
    entity_url: str | None = None  # of what it acts on, where that is not `external_url`


class Work(Protocol):
    """One action execution, as the action sees it."""

    @property
    def run(self) -> str:
        """The actionExecutionId, a uuid: the key of whatever it begins."""
        ...

    @property
    def place(self) -> Place: ...

    @property
    def declared(self) -> Declared:
        """As the definition has it, with variables resolved in configuration, commands and environment, and with
        the secrets of its configuration in clear."""
        ...

    @property
    def inputs(self) -> tuple[Artifact, ...]:
        """In the order of the declaration."""
        ...

    @property
    def outputs(self) -> tuple[Artifact, ...]:
        """The declared outputs, empty, with the places that were chosen for them: to be returned filled."""
        ...

    @property
    def pinned(self) -> SourceOverride | None: ...

    @property
    def began(self) -> datetime: ...

    @property
    def deadline(self) -> datetime: ...

    @property
    def role(self) -> str:
        """The ARN of the role that it acts as: its own, else the pipeline's."""
        ...

    @property
    def blobs(self) -> BlobStore: ...

    @property
    def open_bucket(self) -> OpenBucket:
        """Buckets, as the role may use them. It blocks: for threads."""
        ...

    async def step(self, name: str, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """See `durable.Steps`."""
        ...

    async def tell(self, told: Told) -> None:
        """Have clients see this of it now. Saying the same again changes nothing."""
        ...

    async def permit(self, action: str, arn: str) -> None:
        """Nothing, if the role may do this; ActionFailed with PermissionError, in AWS's words, if not."""
        ...

    async def answer(self, after: int = 0) -> Mapping[str, Any]:
        """The answer number `after` + 1 that somebody gave to this execution from outside: a job's result, say.
        It waits for it, for as long as it takes."""
        ...

    async def zipped(self, artifact: Artifact) -> Artifact:
        """The artifact with an object at its place: a zip of its tree, or its bytes as they are, put there by the
        role's rights unless it is there already."""
        ...


class Action(Protocol):
    """See the module."""

    async def run(self, work: Work) -> Outcome: ...
