"""Events as EventBridge has them (User Guide, "Monitoring CodePipeline events"). Pure."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from codeyard.ident import Owner
from codeyard.pipelines.stored import StoredRun

_PIPELINE = "CodePipeline Pipeline Execution State Change"
_STAGE = "CodePipeline Stage Execution State Change"
_ACTION = "CodePipeline Action Execution State Change"


class News:
    """What one turn of a pipeline tells; `mint` gives each event its id."""

    def __init__(self, owner: Owner, pipeline: str, at: datetime, mint: Callable[[], str]) -> None:
        self._owner, self._pipeline, self._at, self._mint = owner, pipeline, at, mint
        self.events: list[dict[str, Any]] = []

    def pipeline(self, execution: str, version: int, started: datetime, state: str, more: Mapping[str, Any]) -> None:
        """`more` has the execution's trigger when it is STARTED, the comments when it is STOPPING, the attempt."""
        self._add(_PIPELINE, execution, version, {"state": state, "start-time": _time(started), **more})

    def stage(self, execution: str, version: int, stage: str, state: str) -> None:
        self._add(_STAGE, execution, version, {"stage": stage, "state": state})

    def action(self, run: StoredRun, version: int, state: str) -> None:
        """Of rules there is no news: AWS documents none."""
        if run.moment is not None:
            return
        data = run.data
        category, owner, provider, kind_version = data["type"]
        detail: dict[str, Any] = {
            "stage": run.stage,
            "action": run.name,
            "action-execution-id": run.id,
            "state": state,
            "region": data.get("region") or self._owner.region,
            "type": {"owner": owner, "provider": provider, "category": category, "version": kind_version},
            "input-artifacts": [_artifact(each) for each in data.get("inputs", ())],
            "output-artifacts": [_artifact(each) for each in data.get("outputs", ())],
        }
        if state != "STARTED":
            error = data.get("error") or {}
            result = {
                "external-execution-url": data.get("external_url"),
                "external-execution-summary": data.get("summary") or error.get("message"),
                "external-execution-id": data.get("external_id"),
                "error-code": error.get("code"),
            }
            detail["execution-result"] = {name: value for name, value in result.items() if value is not None}
        self._add(_ACTION, run.execution, version, detail)

    def _add(self, kind: str, execution: str, version: int, detail: Mapping[str, Any]) -> None:
        owner = self._owner
        self.events.append(
            {
                "version": "0",
                "id": self._mint(),
                "detail-type": kind,
                "source": "aws.codepipeline",
                "account": owner.account,
                "time": _time(self._at),
                "region": owner.region,
                "resources": [f"arn:aws:codepipeline:{owner.region}:{owner.account}:{self._pipeline}"],
                "detail": {"pipeline": self._pipeline, "execution-id": execution, **detail, "version": version},
            }
        )


def _artifact(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": given["name"], "s3location": {"bucket": given["bucket"], "key": given["key"]}}


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
