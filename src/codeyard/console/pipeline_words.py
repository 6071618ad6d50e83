"""How the console says how executions, stages, actions and conditions stand, and what began them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Standing:
    """How something stands: `value` is a CSS class and an icon, `label` AWS's words, `sign` for a window's title."""

    value: str
    label: str
    sign: str
    live: bool = False


IDLE = Standing("idle", "Didn’t run", "–")
AHEAD = Standing("idle", "Not started", "–")
APPROVAL = Standing("waiting", "Approval needed", "?", live=True)
_STANDINGS = {
    "InProgress": Standing("running", "In progress", "▶", live=True),
    "Stopping": Standing("running", "Stopping", "■", live=True),
    "Stopped": Standing("stopped", "Stopped", "■"),
    "Succeeded": Standing("succeeded", "Succeeded", "✓"),
    "Failed": Standing("failed", "Failed", "✗"),
    "Cancelled": Standing("stopped", "Cancelled", "■"),
    "Superseded": Standing("skipped", "Superseded", "»"),
    "Skipped": Standing("skipped", "Skipped", "»"),
    "Abandoned": Standing("stopped", "Abandoned", "■"),
    "Errored": Standing("fault", "Errored", "✗"),
    "Overridden": Standing("skipped", "Overridden", "»"),
}
_TRIGGERS = {
    "CreatePipeline": "Pipeline created",
    "StartPipelineExecution": "Started",
    "PollForSourceChanges": "Source changed",
    "Webhook": "Webhook",
    "WebhookV2": "Webhook",
    "CloudWatchEvent": "Event",
    "PutActionRevision": "New revision",
    "ManualRollback": "Manual rollback",
    "AutomatedRollback": "Automated rollback",
}
BY_HAND = frozenset({"Pipeline created", "Started", "New revision", "Manual rollback"})
_MOMENTS = {
    "beforeEntryConditionState": ("Before entry", "BEFORE_ENTRY"),
    "onSuccessConditionState": ("On success", "ON_SUCCESS"),
    "onFailureConditionState": ("On failure", "ON_FAILURE"),
}


def standing(status: str | None) -> Standing:
    """Of AWS's word; of none: it did not run."""
    if not status:
        return IDLE
    return _STANDINGS.get(status, Standing("idle", status[:40], "–"))


def moments() -> Mapping[str, tuple[str, str]]:
    """The conditions of a stage's state: what people call them, and what OverrideStageCondition does."""
    return _MOMENTS


def trigger(execution: Mapping[str, Any]) -> tuple[str, str]:
    """What began an execution, and by whom or what: `("Started", "role/deployers")`."""
    given = execution.get("trigger") or {}
    kind, detail = str(given.get("triggerType") or ""), str(given.get("triggerDetail") or "")
    return _TRIGGERS.get(kind, kind or "–"), who(detail)


def who(arn: str) -> str:
    """`role/deployers/ann` of an IAM or STS ARN, whatever else as it is."""
    parts = arn.split(":", 5)
    if len(parts) == 6 and parts[0] == "arn" and parts[2] in ("iam", "sts"):
        return parts[5].removeprefix("assumed-role/")
    return arn


def short(id: str) -> str:
    """An execution's id as it is shown: its first eight characters."""
    return id[:8]
