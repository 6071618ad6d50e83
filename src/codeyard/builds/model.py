"""What a build is. Pure values; what may follow what is in `phases`."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from codeyard.ident import BuildId, Owner


class Phase(StrEnum):
    """The phases in their order (BuildPhaseType; reference 2.2)."""

    SUBMITTED = "SUBMITTED"
    QUEUED = "QUEUED"
    PROVISIONING = "PROVISIONING"
    DOWNLOAD_SOURCE = "DOWNLOAD_SOURCE"
    INSTALL = "INSTALL"
    PRE_BUILD = "PRE_BUILD"
    BUILD = "BUILD"
    POST_BUILD = "POST_BUILD"
    UPLOAD_ARTIFACTS = "UPLOAD_ARTIFACTS"
    FINALIZING = "FINALIZING"
    COMPLETED = "COMPLETED"


USER_PHASES = (Phase.INSTALL, Phase.PRE_BUILD, Phase.BUILD, Phase.POST_BUILD)


class Status(StrEnum):
    """How a phase or a build stands (StatusType; reference 2.4)."""

    IN_PROGRESS = "IN_PROGRESS"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    FAULT = "FAULT"
    TIMED_OUT = "TIMED_OUT"
    STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True)
class Context:
    """Why a phase ended as it did; both empty where all went well (reference 2.5)."""

    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a phase ended."""

    status: Status
    context: Context = Context()

    @property
    def ok(self) -> bool:
        return self.status is Status.SUCCEEDED


SUCCEEDED = Outcome(Status.SUCCEEDED)


@dataclass(frozen=True, slots=True)
class PhaseRecord:
    """One entry of a build's history. COMPLETED has only a start; what runs has no end (reference 2.2)."""

    phase: Phase
    started: datetime
    ended: datetime | None = None
    status: Status | None = None
    contexts: tuple[Context, ...] = ()

    @property
    def seconds(self) -> int | None:
        """Whole seconds, cut and not rounded, as AWS gives them."""
        return None if self.ended is None else int((self.ended - self.started).total_seconds())


@dataclass(frozen=True, slots=True)
class Build:
    """One run of a project. `history` holds the phases that ended; `phase` is the one in progress."""

    id: BuildId
    phase: Phase
    phase_started: datetime
    started: datetime
    status: Status = Status.IN_PROGRESS
    history: tuple[PhaseRecord, ...] = ()
    ended: datetime | None = None

    @property
    def records(self) -> tuple[PhaseRecord, ...]:
        """The history and the current phase, as BatchGetBuilds lists them."""
        return (*self.history, PhaseRecord(self.phase, self.phase_started))

    @property
    def succeeding(self) -> bool:
        return self.status in {Status.IN_PROGRESS, Status.SUCCEEDED}


class VariableType(StrEnum):
    """Where a variable's value comes from (EnvironmentVariableType)."""

    PLAINTEXT = "PLAINTEXT"
    PARAMETER_STORE = "PARAMETER_STORE"
    SECRETS_MANAGER = "SECRETS_MANAGER"


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of a build's environment; the value of a secret one is its reference."""

    name: str
    value: str
    type: VariableType = VariableType.PLAINTEXT


@dataclass(frozen=True, slots=True)
class ComputeType:
    """What a build may use (reference 3.4)."""

    name: str
    cpus: float
    memory: int  # bytes


_GIB = 1024**3
_SIZES = (("SMALL", 2, 4), ("MEDIUM", 4, 8), ("LARGE", 8, 16), ("XLARGE", 36, 72), ("2XLARGE", 72, 144))
COMPUTE_TYPES = {
    f"BUILD_GENERAL1_{name}": ComputeType(f"BUILD_GENERAL1_{name}", cpus, gib * _GIB) for name, cpus, gib in _SIZES
}


@dataclass(frozen=True, slots=True)
class ArtifactTarget:
    """Where a build's artifacts go. `location` is a directory or `s3://bucket/path`; `name` may be `/` (5.2)."""

    location: str
    name: str
    zipped: bool = False  # one zip, instead of a folder of files
    namespaced: bool = False  # BUILD_ID is part of the path
    override_name: bool = True  # the buildspec's `name` is used
    path: str | None = None  # of the project: before the build's id and the name
    encrypt_by: str | None = None  # AWS's name of the key; None: encryptionDisabled


@dataclass(frozen=True, slots=True)
class Settings:
    """What a build was asked for, but for its sources: all that decides it and nothing about the machine."""

    id: BuildId
    owner: Owner
    number: int
    initiator: str
    image: str
    submitted: datetime
    compute: ComputeType
    claimed: datetime | None = None  # when its turn came; None: at once
    privileged: bool = False
    buildspec: str | None = None  # inline text, a path in the primary source, or an S3 ARN; None: buildspec.yml
    overrides: tuple[Variable, ...] = ()  # of the start call: before the project's, before the buildspec's
    project_variables: tuple[Variable, ...] = ()
    artifacts: ArtifactTarget | None = None
    secondary_artifacts: dict[str, ArtifactTarget] = field(default_factory=dict)
    any_secondary: ArtifactTarget | None = None  # where those go, under their own names, that are not named there
    outputs: tuple[str, ...] | None = None  # the artifacts a pipeline wants, instead of all that; None: no pipeline
    cache: bool = True
    cache_scope: str | None = None  # who shares the cache; None: the project alone
    timeout: timedelta = timedelta(hours=1)
    log_path: str | None = None  # the log stream's name; None: the run's uuid
    encryption_key: str | None = None  # an ARN; None: that of AWS's own key for S3
    build_url: str | None = None  # where the build can be looked at; None: where AWS's console would have it
    public_url: str | None = None  # where anybody can, if its project is public
    service_variables: dict[str, str] = field(
        default_factory=dict
    )  # how it reaches our API; every level goes over them
    hidden: tuple[str, ...] = ()  # values that no log may show, besides its secrets

    def secondary_target(self, identifier: str) -> ArtifactTarget | None:
        """Where this secondary artifact goes; None if the project has none of that name."""
        if identifier in self.secondary_artifacts:
            return self.secondary_artifacts[identifier]
        if self.any_secondary is None:
            return None
        return replace(self.any_secondary, name=f"{identifier}.zip" if self.any_secondary.zipped else identifier)
