"""Making a revision live on machines, as CodeDeploy does, and as a release that is switched by one rename.

What the server and the machines say to each other is here: an **Assignment** tells a target what to do, an
**EventReport** tells the server how one of its lifecycle events went. Both travel as JSON and are checked on arrival.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar

from codeyard.artifacts import Digest
from codeyard.errors import Invalid

_ID = re.compile(r"d-[A-Z0-9]{9}", re.ASCII)
_GROUP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", re.ASCII)  # it names a directory on the target
_Enum = TypeVar("_Enum", bound=StrEnum)
_CONTROL = re.compile("[\0-\x1f\x7f]")
MAX_OPTIONS = 32
MAX_TEXT = 4096  # characters of one option, and of a report's message
MAX_TAIL = 2048  # characters of a script's output that a report carries, as CodeDeploy's diagnostics.logTail
MAX_NAME = 100


class Kind(StrEnum):
    """How a revision becomes live."""

    RELEASE = "RELEASE"  # ours: a directory of its own, and `current` switched to it
    IN_PLACE = "IN_PLACE"  # CodeDeploy's: files copied to where appspec.yml says


class EventStatus(StrEnum):
    """CodeDeploy's statuses of a lifecycle event."""

    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    UNKNOWN = "Unknown"


class ErrorCode(StrEnum):
    """CodeDeploy's codes of a lifecycle event's diagnostics; NONE while there is nothing to tell."""

    NONE = ""
    SUCCESS = "Success"
    SCRIPT_MISSING = "ScriptMissing"
    SCRIPT_NOT_EXECUTABLE = "ScriptNotExecutable"
    SCRIPT_TIMED_OUT = "ScriptTimedOut"
    SCRIPT_FAILED = "ScriptFailed"
    UNKNOWN_ERROR = "UnknownError"


# The events of each kind, in their order. In place those of reference 4.1 without a load balancer; for a release ours.
EVENTS: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        Kind.IN_PLACE: (
            "ApplicationStop",
            "DownloadBundle",
            "BeforeInstall",
            "Install",
            "AfterInstall",
            "ApplicationStart",
            "ValidateService",
        ),
        Kind.RELEASE: ("Verify", "Place", "BeforeSwitch", "Switch", "AfterSwitch", "HealthCheck"),
    }
)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a target is told to do. Invalid if a part of it has not its form."""

    deployment: str  # `d-` and 9 upper-case letters and digits
    kind: Kind
    tree: Digest  # of the tree to make live
    application: str
    group: str
    group_id: str
    creator: str = "user"  # or "codeDeployRollback", and the others of reference 7.4
    options: Mapping[str, str] = field(default_factory=dict)  # those of `release.py` or `inplace.py`

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.deployment):
            raise _bad(f"deployment id {self.deployment[:80]!r}", "it is not `d-` and 9 upper-case letters and digits.")
        if not _GROUP_ID.fullmatch(self.group_id):
            raise _bad(f"deployment group id {self.group_id[:120]!r}", "it is not letters, digits, `-` and `_`.")
        for what, text in (("application", self.application), ("group", self.group), ("creator", self.creator)):
            if not 0 < len(text) <= MAX_NAME or _CONTROL.search(text):
                raise _bad(f"{what} {text[:120]!r}", f"it is not 1 to {MAX_NAME} printable characters.")
        if len(self.options) > MAX_OPTIONS:
            raise _bad("the options", f"there are {len(self.options)}, more than {MAX_OPTIONS}.")
        for key, value in self.options.items():
            if len(key) > MAX_NAME or len(value) > MAX_TEXT or "\0" in value:
                raise _bad(f"option {key[:120]!r}", f"it is longer than {MAX_TEXT} characters, or holds a NUL.")
        object.__setattr__(self, "options", dict(self.options))  # nobody else holds it


@dataclass(frozen=True, slots=True)
class EventReport:
    """How one lifecycle event of a deployment stands on a target."""

    name: str
    status: EventStatus
    started: datetime | None = None
    ended: datetime | None = None
    error_code: ErrorCode = ErrorCode.NONE
    script: str = ""
    message: str = ""
    log_tail: str = ""  # at most MAX_TAIL characters, the last ones


def to_json(assignment: Assignment) -> dict[str, Any]:
    """The assignment as JSON has it; `assignment_from_json` reads it."""
    return {
        "deployment": assignment.deployment,
        "kind": str(assignment.kind),
        "tree": str(assignment.tree),
        "application": assignment.application,
        "group": assignment.group,
        "groupId": assignment.group_id,
        "creator": assignment.creator,
        "options": dict(assignment.options),
    }


def assignment_from_json(found: object) -> Assignment:
    """The assignment that `to_json` wrote. Invalid for anything else."""
    parts = _object(found, "assignment")
    options = parts.get("options")
    if not isinstance(options, dict) or not all(isinstance(part, str) for pair in options.items() for part in pair):
        raise _bad("assignment", "its `options` is not an object of texts.")
    return Assignment(
        _text(parts, "deployment"),
        _member(Kind, parts, "kind"),
        Digest.parse(_text(parts, "tree")),
        _text(parts, "application"),
        _text(parts, "group"),
        _text(parts, "groupId"),
        _text(parts, "creator"),
        options,
    )


def report_to_json(report: EventReport) -> dict[str, Any]:
    """The report as JSON has it, times in seconds since 1970; `report_from_json` reads it."""
    return {
        "name": report.name,
        "status": str(report.status),
        "started": report.started.timestamp() if report.started else None,
        "ended": report.ended.timestamp() if report.ended else None,
        "errorCode": str(report.error_code),
        "script": report.script,
        "message": report.message,
        "logTail": report.log_tail,
    }


def report_from_json(found: object) -> EventReport:
    """The report that `report_to_json` wrote; texts that are too long are cut. Invalid for anything else."""
    parts = _object(found, "event report")
    name = _text(parts, "name")
    if not any(name in names for names in EVENTS.values()):
        raise _bad(f"event report {name[:80]!r}", "there is no such lifecycle event.")
    return EventReport(
        name,
        _member(EventStatus, parts, "status"),
        _time(parts, "started"),
        _time(parts, "ended"),
        _member(ErrorCode, parts, "errorCode"),
        _text(parts, "script")[:MAX_TEXT],
        _text(parts, "message")[:MAX_TEXT],
        _text(parts, "logTail")[-MAX_TAIL:],
    )


def _object(found: object, what: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise _bad(what, "it is no JSON object.")
    return found


def _text(parts: dict[str, Any], name: str) -> str:
    found = parts.get(name)
    if not isinstance(found, str):
        raise _bad(f"member {name!r}", "it is missing, or no text.")
    return found


def _member(enum: type[_Enum], parts: dict[str, Any], name: str) -> _Enum:
    text = _text(parts, name)
    if text not in [str(known) for known in enum]:
        raise _bad(f"member {name!r}", f"{text[:80]!r} is none of {', '.join(enum)}.")
    return enum(text)


def _time(parts: dict[str, Any], name: str) -> datetime | None:
    found = parts.get(name)
    if found is None:
        return None
    if not isinstance(found, int | float) or isinstance(found, bool) or not 0 <= found < 253402300800:  # year 10000
        raise _bad(f"member {name!r}", "it is no number of seconds since 1970.")
    return datetime.fromtimestamp(found, UTC)


def _bad(what: str, why: str) -> Invalid:
    return Invalid(what, why, "Server and targets must run the same version of codeyard.")
