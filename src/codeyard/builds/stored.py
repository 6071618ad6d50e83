"""A build in the service: all that is known of it, and how that is stored. Pure; what becomes of it is in `life`.

What never changes of it (`request`) is stored apart from what does (`progress`), so that a phase that ends writes
little. The columns that lists and the queue need are the table's.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from codeyard.builds.handed import Handed, from_plain, to_plain
from codeyard.builds.model import Build, Context, Phase, PhaseRecord, Status, Variable, VariableType
from codeyard.builds.project import Project, from_json, to_json
from codeyard.builds.queue import Size
from codeyard.ident import BuildId, Owner


class Standing(StrEnum):
    """Whether a build waits for a worker, has one, or needs none any more."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    ENDED = "ENDED"


@dataclass(frozen=True, slots=True)
class Retries:
    """AutoRetryConfig: how often the build may be tried again by itself, and the builds before and after it."""

    limit: int = 0
    number: int = 0  # of the first 0, one more for each that follows
    previous: BuildId | None = None
    next: BuildId | None = None


@dataclass(frozen=True, slots=True)
class StoredBuild:
    """A build, whose id is unique in its account and region. Times are aware UTC."""

    owner: Owner
    build: Build
    number: int
    initiator: str
    project: Project  # as it was when the build was started, with what the call changed
    variables: tuple[Variable, ...]  # of the call: they go before the project's and the buildspec's
    need: Size
    queue_until: datetime
    priority: int = 0
    limit: int | None = None  # the project's concurrentBuildLimit
    retries: Retries = Retries()
    handed: Handed | None = None  # what a pipeline gave it, instead of the project's sources and artifacts
    facts: Mapping[str, Any] = field(default_factory=dict)  # what it made and learnt, with no secrets
    worker: str | None = None  # who has it, or had it
    claimed: datetime | None = None
    stopping: datetime | None = None  # when somebody asked for its end
    lost: bool = False  # it was ended because its worker was gone, which may still have its sandbox
    version: int = 1

    @property
    def id(self) -> BuildId:
        return self.build.id

    @property
    def run(self) -> str:
        """The uuid: the key of the row, of the workflow and of the directory."""
        return self.build.id.run

    @property
    def arn(self) -> str:
        return self.owner.arn(f"build/{self.id}")

    @property
    def managed(self) -> bool:
        """Whether it is of a pipeline's own compute: it has no project, so no number, and is in no list of builds."""
        return self.number == 0

    @property
    def acts_for(self) -> str:
        """The ARN of the project or, of managed compute, the pipeline: aws:SourceArn, where its role is taken on."""
        if self.managed and self.handed is not None:
            return self.handed.pipeline_arn(self.owner)
        return self.owner.arn(self.project.resource)

    @property
    def standing(self) -> Standing:
        if self.build.ended is not None:
            return Standing.ENDED
        return Standing.WAITING if self.worker is None else Standing.RUNNING

    @property
    def ended(self) -> bool:
        return self.build.ended is not None


def request_json(stored: StoredBuild) -> str:
    """What never changes of it, as text."""
    asked = {
        "project": to_json(stored.project),
        "variables": [[each.name, each.value, each.type.value] for each in stored.variables],
        "initiator": stored.initiator,
    }
    return _text(asked if stored.handed is None else asked | {"handed": to_plain(stored.handed)})


def progress_json(stored: StoredBuild) -> str:
    """What changes of it, as text."""
    build, retries = stored.build, stored.retries
    return _text(
        {
            "phase": build.phase,
            "phase_started": _written(build.phase_started),
            "started": _written(build.started),
            "ended": _written(build.ended),
            "status": build.status,
            "history": [_record(each) for each in build.history],
            "facts": stored.facts,
            "retries": [retries.limit, retries.number, _id(retries.previous), _id(retries.next)],
            "claimed": _written(stored.claimed),
            "stopping": _written(stored.stopping),
            "lost": stored.lost,
        }
    )


def parse(
    request: str,
    progress: str,
    *,
    id: BuildId,
    owner: Owner,
    number: int,
    need: Size,
    queue_until: datetime,
    priority: int,
    limit: int | None,
    worker: str | None,
    version: int,
) -> StoredBuild:
    """What `request_json` and `progress_json` wrote, with what the row's columns say."""
    asked, got = json.loads(request), json.loads(progress)
    retry_limit, retry_number, previous, following = got["retries"]
    return StoredBuild(
        owner=owner,
        build=Build(
            id=id,
            phase=Phase(got["phase"]),
            phase_started=datetime.fromisoformat(got["phase_started"]),
            started=datetime.fromisoformat(got["started"]),
            status=Status(got["status"]),
            history=tuple(_parse_record(each) for each in got["history"]),
            ended=_read(got["ended"]),
        ),
        number=number,
        initiator=asked["initiator"],
        project=from_json(asked["project"]),
        variables=tuple(Variable(name, value, VariableType(type)) for name, value, type in asked["variables"]),
        need=need,
        queue_until=queue_until,
        priority=priority,
        limit=limit,
        handed=from_plain(asked["handed"]) if "handed" in asked else None,
        retries=Retries(retry_limit, retry_number, _parse_id(previous), _parse_id(following)),
        facts=got["facts"],
        worker=worker,
        claimed=_read(got["claimed"]),
        stopping=_read(got["stopping"]),
        lost=got["lost"],
        version=version,
    )


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _record(record: PhaseRecord) -> list[Any]:
    contexts = [[context.code, context.message] for context in record.contexts]
    return [record.phase, _written(record.started), _written(record.ended), record.status, contexts]


def _parse_record(given: list[Any]) -> PhaseRecord:
    phase, started, ended, status, contexts = given
    return PhaseRecord(
        Phase(phase),
        datetime.fromisoformat(started),
        _read(ended),
        None if status is None else Status(status),
        tuple(Context(code, message) for code, message in contexts),
    )


def _written(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _read(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _id(id: BuildId | None) -> str | None:
    return None if id is None else str(id)


def _parse_id(text: str | None) -> BuildId | None:
    return None if text is None else BuildId.parse(text)
