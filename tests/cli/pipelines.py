"""Definitions, and what the API answers about their executions, for tests of what is shown."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from codeyard.cli.pipeline_picture import Picture, picture

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ID = "4f2c91aa-2222-4333-8444-555555555555"
OTHER = "99999999-8888-4777-8666-555555555555"
Shape = dict[str, Any]


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def declared(stages: Mapping[str, Sequence[str]], **more: Any) -> Shape:
    """`stages`: by name, their actions as Name:Provider or Name:Category/Provider."""
    return {
        "name": "shop",
        "version": 3,
        "stages": [{"name": name, "actions": [_action(each) for each in actions]} for name, actions in stages.items()],
        **more,
    }


def _action(text: str) -> Shape:
    name, _, kind = text.partition(":")
    category, _, provider = kind.rpartition("/")
    return {"name": name, "actionTypeId": {"category": category or "Build", "provider": provider, "owner": "AWS"}}


def ran(stage: str, name: str, status: str, began: float, ended: float | None = None, **more: Any) -> Shape:
    """An ActionExecutionDetail."""
    execution, result = more.pop("execution", ID), more.pop("result", {})
    return {
        "pipelineExecutionId": execution,
        "actionExecutionId": f"{execution}/{stage}/{name}/{began}",
        "stageName": stage,
        "actionName": name,
        "startTime": at(began),
        "lastUpdateTime": at(began if ended is None else ended),
        "status": status,
        "input": {"configuration": more},
        "output": {"executionResult": result},
    }


def stage(name: str, status: str = "", execution: str = ID, **more: Any) -> Shape:
    """A StageState. `live`: its ActionStates' latestExecutions by action."""
    live = more.pop("live", {})
    shown: Shape = {"stageName": name, "inboundTransitionState": {"enabled": True}, **more}
    shown["actionStates"] = [{"actionName": action, "latestExecution": told} for action, told in live.items()]
    if status:
        shown["latestExecution"] = {"pipelineExecutionId": execution, "status": status}
    return shown


def drawn(
    definition: Shape, states: Sequence[Shape], actions: Sequence[Shape], status: str = "InProgress", **more: Any
) -> Picture:
    """Of the execution ID, begun at noon; 100 seconds later, or ended then. `rules`: RuleExecutionDetails."""
    rules = more.pop("rules", ())
    execution = {"pipelineExecutionId": ID, "pipelineVersion": 3, "status": status, **more}
    listed = {"startTime": NOON, "lastUpdateTime": at(100)}
    return picture(definition, {"stageStates": states}, actions, rules, at(100), execution, listed)
