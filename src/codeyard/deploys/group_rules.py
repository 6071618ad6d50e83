"""What a deployment group may be set to, and what its settings mean. Pure.

The errors are those of CreateDeploymentGroup in CodeDeploy's API Reference; what cannot be had here is refused by the
error that AWS gives where the like of it is wrong.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from codeyard.aws import Refused, Shape
from codeyard.deploys.model import RollbackEvent
from codeyard.deploys.selection import MOST_FILTERS, MOST_LISTS, Filters, Selection, filter_of
from codeyard.deploys.waves import DEFAULT, PREDEFINED

_NAME = re.compile(r"[A-Za-z0-9._+=,@-]{1,100}", re.ASCII)
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\x21-\x7e]{1,512}", re.ASCII)
SETTINGS = (
    "deploymentConfigName", "ec2TagFilters", "onPremisesInstanceTagFilters", "ec2TagSet", "onPremisesTagSet",
    "serviceRoleArn", "autoRollbackConfiguration", "alarmConfiguration", "outdatedInstancesStrategy",
    "deploymentStyle", "terminationHookEnabled",
)  # fmt: skip
# Of a flat list and a set, either is given; giving one takes the other away.
_PAIRS = (("ec2TagFilters", "ec2TagSet", "EC2"), ("onPremisesInstanceTagFilters", "onPremisesTagSet", "OnPremises"))
_NOT_HERE = (
    ("autoScalingGroups", "InvalidAutoScalingGroupException", "There are no Auto Scaling groups here"),
    ("triggerConfigurations", "InvalidTriggerConfigException", "Notifications of deployments are not sent here yet"),
    ("loadBalancerInfo", "InvalidLoadBalancerInfoException", "There are no load balancers here"),
    ("ecsServices", "InvalidECSServiceException", "Groups are for servers here"),
    (
        "blueGreenDeploymentConfiguration", "InvalidBlueGreenDeploymentConfigurationException",
        "Blue/green deployments are not made here",
    ),
)  # fmt: skip


def check_application_name(name: object) -> str:
    """Refused: ApplicationNameRequired-, InvalidApplicationNameException."""
    if not name:
        raise Refused("ApplicationNameRequiredException", "Application name is missing")
    if _NAME.fullmatch(str(name)) is None:
        raise Refused("InvalidApplicationNameException", "Application name contains characters that are not allowed")
    return str(name)


def check_group_name(name: object) -> str:
    """Refused: DeploymentGroupNameRequired-, InvalidDeploymentGroupNameException."""
    if not name:
        raise Refused("DeploymentGroupNameRequiredException", "Deployment Group name is missing")
    if _NAME.fullmatch(str(name)) is None:
        text = "Deployment Group name contains characters that are not allowed"
        raise Refused("InvalidDeploymentGroupNameException", text)
    return str(name)


def created(given: Shape) -> dict[str, Any]:
    """The settings of a new group. Refused, by the error of what is wrong."""
    if not given.get("serviceRoleArn"):
        raise Refused("RoleRequiredException", "Service role ARN is missing")
    return _checked({"deploymentConfigName": DEFAULT, **_given(given)}, given)


def updated(was: Mapping[str, Any], given: Shape) -> dict[str, Any]:
    """The settings after UpdateDeploymentGroup: what is given replaces, an empty list clears. Refused."""
    changes = _given(given)
    kept = dict(was)
    for flat, listed, _ in _PAIRS:
        if changes.get(flat):
            kept.pop(listed, None)
        if changes.get(listed):
            kept.pop(flat, None)
    return _checked({**kept, **changes}, given)


def selection_of(settings: Mapping[str, Any]) -> Selection:
    """The targets that a group selects."""
    alternatives: list[tuple[Filters, ...]] = []
    for flat, listed, kind in _PAIRS:
        if settings.get(flat):
            alternatives.append((_filters(settings[flat], kind),))
        lists = _lists(settings.get(listed))
        if lists:
            alternatives.append(tuple(_filters(each, kind) for each in lists))
    return Selection(tuple(alternatives))


def rollback_events(settings: Mapping[str, Any]) -> frozenset[RollbackEvent]:
    """What the group's deployments are rolled back on."""
    found = settings.get("autoRollbackConfiguration") or {}
    return frozenset(map(RollbackEvent, found.get("events") or ())) if found.get("enabled") else frozenset()


def check_config(name: str) -> str:
    """Refused: DeploymentConfigDoesNotExistException."""
    if name not in PREDEFINED:
        raise Refused("DeploymentConfigDoesNotExistException", f"No Deployment Configuration found for name: {name}")
    return name


def _given(given: Shape) -> dict[str, Any]:
    return {name: given[name] for name in SETTINGS if given.get(name) is not None}


def _checked(settings: dict[str, Any], given: Shape) -> dict[str, Any]:
    if _ROLE.fullmatch(str(settings.get("serviceRoleArn"))) is None:
        raise Refused("InvalidRoleException", "The service role ARN is not that of a role")
    check_config(settings["deploymentConfigName"])
    for name, code, text in _NOT_HERE:
        if _says_something(given.get(name)):
            raise Refused(code, f"{text}: leave {name} out")
    style = settings.get("deploymentStyle") or {}
    if style.get("deploymentType") == "BLUE_GREEN" or style.get("deploymentOption") == "WITH_TRAFFIC_CONTROL":
        text = "Deployments here are IN_PLACE and WITHOUT_TRAFFIC_CONTROL"
        raise Refused("InvalidDeploymentStyleException", text)
    _check_rollback(settings)
    alarms = settings.get("alarmConfiguration") or {}
    if alarms.get("enabled") and alarms.get("alarms"):
        raise Refused("InvalidAlarmConfigException", "There are no CloudWatch alarms here: leave alarms out")
    for flat, listed, kind in _PAIRS:
        _check_pair(settings, flat, listed, kind)
    selection_of(settings)
    return settings


def _check_rollback(settings: Mapping[str, Any]) -> None:
    rollback = settings.get("autoRollbackConfiguration") or {}
    if rollback.get("enabled") and not rollback.get("events"):
        text = "Auto rollback is enabled, and no events are given that lead to it"
        raise Refused("InvalidAutoRollbackConfigException", text)


def _check_pair(settings: Mapping[str, Any], flat: str, listed: str, kind: str) -> None:
    lists = _lists(settings.get(listed))
    if settings.get(flat) and lists:
        text = f"Either {flat} or {listed} can be given, not both"
        raise Refused(f"Invalid{kind}TagCombinationException", text)
    filters = sum(map(len, lists)) or len(settings.get(flat) or ())
    if len(lists) > MOST_LISTS or filters > MOST_FILTERS:
        text = f"{listed} can have {MOST_LISTS} groups, and {MOST_FILTERS} tags in all"
        raise Refused("TagSetListLimitExceededException", text)


def _lists(found: object) -> list[list[Mapping[str, Any]]]:
    if not isinstance(found, Mapping):
        return []
    lists = found.get("ec2TagSetList") or found.get("onPremisesTagSetList") or []
    return [each for each in lists if each]


def _filters(found: Iterable[Mapping[str, Any]], kind: str) -> Filters:
    filters = []
    for each in found:
        one = filter_of(each)
        if one is None:
            code = "InvalidEC2TagException" if kind == "EC2" else "InvalidTagException"
            raise Refused(code, "A tag filter needs what its Type looks at: a Key, a Value, or both")
        filters.append(one)
    return tuple(filters)


def _says_something(found: object) -> bool:
    """Whether there is any value in it: clients such as Terraform's send empty structures along."""
    if isinstance(found, Mapping):
        return any(_says_something(each) for each in found.values())
    if isinstance(found, list | tuple):
        return any(_says_something(each) for each in found)
    return found is not None and found != ""
