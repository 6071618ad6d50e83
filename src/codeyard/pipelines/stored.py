"""Pipelines, their versions, executions and runs as their rows have them. Pure; the tables read and write them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from codeyard.ident import Owner
from codeyard.pipelines.model import Moment
from codeyard.pipelines.state import Execution, Line, RunStatus


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One version of a definition: the normalised shape with its secrets taken out, which are sealed beside it."""

    version: int
    created: datetime
    shape: Mapping[str, Any]
    secrets: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class StoredPipeline:
    """A pipeline as its row has it; the line has no executions here."""

    owner: Owner
    name: str
    created: datetime
    updated: datetime
    line: Line
    tags: Mapping[str, str]

    @property
    def version(self) -> int:
        return self.line.version

    @property
    def arn(self) -> str:
        return f"arn:aws:codepipeline:{self.owner.region}:{self.owner.account}:{self.name}"


@dataclass(frozen=True, slots=True)
class StoredExecution:
    """An execution. `facts`: trigger, variables, overrides, stop reason, revisions, in JSON."""

    owner: Owner
    pipeline: str
    execution: Execution
    started: datetime
    updated: datetime
    facts: Mapping[str, Any]

    @property
    def id(self) -> str:
        return self.execution.id


@dataclass(frozen=True, slots=True)
class StoredRun:
    """An action's execution; of a rule `moment` says which condition it belongs to."""

    id: str
    owner: Owner
    pipeline: str
    execution: str
    stage: str
    name: str
    moment: Moment | None
    started: datetime
    updated: datetime
    deadline: datetime
    status: RunStatus = RunStatus.IN_PROGRESS
    runner: str | None = None
    generation: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)  # see `run_data`
    answers: tuple[Mapping[str, Any], ...] = ()
