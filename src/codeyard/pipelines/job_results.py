"""What came of a job, as whoever did it says. Pure.

The shapes are the inputs of PutJobSuccessResult and PutJobFailureResult.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from codeyard.aws import Refused
from codeyard.pipelines.actions import ActionFailed, ErrorCode, Revision, Told


@dataclass(frozen=True, slots=True)
class Result:
    """A success, of the action or, with a continuation token, of this job of it; with `failure`, of neither."""

    continuation: str | None = None
    summary: str | None = None
    external_id: str | None = None
    percent: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    revision: Mapping[str, str] | None = None  # see `_revision`
    failure: str | None = None  # an ErrorCode
    message: str = ""

    @property
    def told(self) -> Told:
        """What clients see of it at once."""
        return Told(external_id=self.external_id, summary=self.summary, percent=self.percent)

    @property
    def error(self) -> ActionFailed:
        """Of a failure."""
        assert self.failure is not None, "it is a success"
        return ActionFailed(ErrorCode(self.failure), self.message)

    @property
    def current_revision(self) -> Revision | None:
        """What a source of one's own found."""
        if self.revision is None:
            return None
        created = self.revision.get("created")
        return Revision(
            self.revision["id"],
            self.revision.get("summary", ""),
            self.revision["change_id"],
            created=None if created is None else datetime.fromisoformat(created),
        )


def success(input: Mapping[str, Any], most: int) -> Result:
    """What PutJobSuccessResult says; `most` are the bytes of all variables together.

    ValidationException, OutputVariablesSizeExceededException."""
    details = input.get("executionDetails") or {}
    variables = dict(input.get("outputVariables") or {})
    continuation = input.get("continuationToken")
    if variables and continuation is not None:
        text = "Output variables can be given only when there is no continuation token on the request."
        raise Refused("ValidationException", text)
    if sum(len(part.encode(errors="replace")) for pair in variables.items() for part in pair) > most:
        text = f"The output variables have more than {most} bytes together."
        raise Refused("OutputVariablesSizeExceededException", text)
    return Result(
        continuation,
        details.get("summary"),
        details.get("externalExecutionId"),
        details.get("percentComplete"),
        variables,
        _revision(input.get("currentRevision")),
    )


def failure(input: Mapping[str, Any]) -> Result:
    """What PutJobFailureResult says."""
    details = input["failureDetails"]
    return Result(external_id=details.get("externalExecutionId"), failure=details["type"], message=details["message"])


def to_json(result: Result) -> dict[str, Any]:
    return asdict(result)


def from_json(shape: Mapping[str, Any]) -> Result:
    """What `to_json` made this of."""
    return Result(**shape)


def _revision(shape: Mapping[str, Any] | None) -> dict[str, str] | None:
    if shape is None:
        return None
    created: datetime | None = shape.get("created")
    told = {
        "id": shape["revision"],
        "change_id": shape["changeIdentifier"],
        "summary": shape.get("revisionSummary"),
        "created": None if created is None else created.astimezone(UTC).isoformat(),
    }
    return {name: text for name, text in told.items() if text is not None}
