"""What may happen to a pipeline, and what follows from it: the events and effects of the state machine. Pure."""

from dataclasses import dataclass

from codeyard.pipelines.model import Moment, RetryMode
from codeyard.pipelines.state import Transition

# ── events ──


@dataclass(frozen=True, slots=True)
class Started:
    """A new execution of the current definition. If there are too many: Refused when it is asked for `by_hand`, else
    it is one that has failed (User Guide, "Quotas": concurrent executions)."""

    id: str
    by_hand: bool = True


@dataclass(frozen=True, slots=True)
class RunEnded:
    """An action or a rule has ended."""

    execution: str
    run: str
    succeeded: bool


@dataclass(frozen=True, slots=True)
class StopAsked:
    execution: str
    abandon: bool


@dataclass(frozen=True, slots=True)
class RetryAsked:
    execution: str
    stage: str
    mode: RetryMode


@dataclass(frozen=True, slots=True)
class RollbackAsked:
    """By hand. That the target succeeded in the stage, and in which version, is for the asker to know."""

    id: str
    stage: str
    target: str


@dataclass(frozen=True, slots=True)
class OverrideAsked:
    execution: str
    stage: str
    moment: Moment


@dataclass(frozen=True, slots=True)
class TransitionChanged:
    stage: str
    transition: Transition


@dataclass(frozen=True, slots=True)
class Updated:
    """The definition was replaced by this version, which is among the plans."""

    version: int


@dataclass(frozen=True, slots=True)
class Deleted:
    """The pipeline is gone: so are its executions."""


Event = (
    Started | RunEnded | StopAsked | RetryAsked | RollbackAsked | OverrideAsked | TransitionChanged | Updated | Deleted
)


# ── effects ──


@dataclass(frozen=True, slots=True)
class StartRun:
    """Begin an action, or a rule of the condition of that moment."""

    execution: str
    stage: str
    name: str
    run: str
    moment: Moment | None = None


@dataclass(frozen=True, slots=True)
class AbandonRun:
    """Nobody waits for it any more; what it began elsewhere goes on."""

    run: str


@dataclass(frozen=True, slots=True)
class Changed:
    """What subscribers hear: the state of an execution, or of one of its stages (STARTED, RESUMED, SUCCEEDED, …)."""

    execution: str
    stage: str | None
    state: str


@dataclass(frozen=True, slots=True)
class RolledBack:
    """A stage's failure began this execution, which puts back what succeeded there last."""

    id: str
    stage: str
    target: str
    failed: str


Effect = StartRun | AbandonRun | Changed | RolledBack
