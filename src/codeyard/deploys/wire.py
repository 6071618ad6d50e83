"""Deployments, their targets and groups in CodeDeploy's shapes. Pure."""

from collections.abc import Mapping
from typing import Any

from codeyard.aws import Shape
from codeyard.deploys import ErrorCode, EventReport, EventStatus
from codeyard.deploys.model import ENDED, Application, Deployment, DeploymentTarget, Group, RollbackEvent, Target
from codeyard.deploys.waves import PREDEFINED, Minimum

_STYLE = {"deploymentType": "IN_PLACE", "deploymentOption": "WITHOUT_TRAFFIC_CONTROL"}


def application_to_wire(found: Application) -> Shape:
    return {
        "applicationId": found.id,
        "applicationName": found.name,
        "createTime": found.created,
        "linkedToGitHub": False,
        "computePlatform": found.platform,
    }


def group_to_wire(group: Group, good: Deployment | None, last: Deployment | None) -> Shape:
    """`good` is the last deployment that succeeded, `last` the last that was begun."""
    return {
        "deploymentStyle": _STYLE,
        "outdatedInstancesStrategy": "UPDATE",
        **{name: value for name, value in group.settings.items() if name != "tags"},
        "applicationName": group.application,
        "deploymentGroupId": group.id,
        "deploymentGroupName": group.name,
        "computePlatform": "Server",
        "targetRevision": None if good is None else good.request.revision,
        "lastSuccessfulDeployment": _last(good),
        "lastAttemptedDeployment": _last(last),
    }


def _last(found: Deployment | None) -> Shape | None:
    if found is None:
        return None
    return {
        "deploymentId": found.id,
        "status": found.status.value,
        "createTime": found.created,
        "endTime": found.completed,
    }


def deployment_to_wire(found: Deployment) -> Shape:
    asked = found.request
    options = asked.options
    return {
        "applicationName": asked.application,
        "deploymentGroupName": asked.group,
        "deploymentConfigName": asked.config,
        "deploymentId": found.id,
        "revision": asked.revision,
        "status": found.status.value,
        "errorInformation": None
        if found.error is None
        else {"code": found.error.code.value, "message": found.error.message},
        "createTime": found.created,
        "startTime": found.started,
        "completeTime": found.completed,
        "deploymentOverview": found.counts() if found.targets else None,
        "description": asked.description or None,
        "creator": asked.creator,
        "ignoreApplicationStopFailures": options.get("ignore_application_stop_failures") == "true",
        "autoRollbackConfiguration": _rollback_on(asked.roll_back_on),
        "updateOutdatedInstancesOnly": asked.outdated_only,
        "rollbackInfo": _rollback(found),
        "deploymentStyle": _STYLE,
        "fileExistsBehavior": options.get("file_exists_behavior") or "DISALLOW",
        "instanceTerminationWaitTimeStarted": False,
        "computePlatform": "Server",
    }


def _rollback_on(events: frozenset[RollbackEvent]) -> Shape | None:
    return {"enabled": True, "events": sorted(event.value for event in events)} if events else None


def _rollback(found: Deployment) -> Shape | None:
    told = {
        "rollbackDeploymentId": found.rolled_back_by,
        "rollbackTriggeringDeploymentId": found.rolls_back,
        "rollbackMessage": found.rollback_message or None,
    }
    return told if any(told.values()) else None


def target_to_wire(deployment: Deployment, target: DeploymentTarget) -> Shape:
    owner = deployment.owner
    return {
        "deploymentTargetType": "InstanceTarget",
        "instanceTarget": {
            "deploymentId": deployment.id,
            "targetId": target.name,
            "targetArn": f"arn:aws:codedeploy:{owner.region}:{owner.account}:instance/{target.name}",
            "status": target.status.value,
            "lastUpdatedAt": target.updated,
            "lifecycleEvents": [_event(event, target) for event in target.events],
        },
    }


def _event(event: EventReport, target: DeploymentTarget) -> Shape:
    told = event.error_code is not ErrorCode.NONE
    return {
        "lifecycleEventName": event.name,
        "diagnostics": {
            "errorCode": event.error_code.value,
            "scriptName": event.script,
            "message": event.message or (target.message if event.status is EventStatus.FAILED else ""),
            "logTail": event.log_tail,
        }
        if told
        else None,
        "startTime": event.started,
        "endTime": event.ended,
        "status": event.status.value,
    }


def stop_to_wire(found: Deployment) -> Shape:
    """Pending: the events that run are waited for."""
    if found.status in ENDED:
        return {"status": "Succeeded", "statusMessage": "No more commands will be scheduled for execution"}
    return {"status": "Pending", "statusMessage": "The deployment stops when the running events have ended"}


def config_to_wire(name: str, minimum: Minimum) -> Shape:
    return {
        "deploymentConfigId": f"00000000-0000-0000-0000-{list(PREDEFINED).index(name) + 1:012d}",
        "deploymentConfigName": name,
        "minimumHealthyHosts": {"type": minimum.rule.value, "value": minimum.value},
        "computePlatform": "Server",
    }


def instance_to_wire(target: Target) -> Shape:
    return {
        "instanceName": target.name,
        "instanceArn": target.arn,
        "registerTime": target.registered,
        "deregisterTime": target.removed,
        "tags": _tags(target.tags),
    }


def _tags(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
