"""CodeDeploy's operations that a pipeline's deployments need: what is asked is found in the input, what came of it is
put into AWS's shapes."""

from collections.abc import Mapping
from typing import Any

from codeyard.aws import Call, Refused, Service, Shape, operation
from codeyard.aws.paging import Pages
from codeyard.deploys.api_tags import TagOperations
from codeyard.deploys.control import DeployControl
from codeyard.deploys.declined import DECLINED, OTHER
from codeyard.deploys.group_rules import check_application_name, check_config, check_group_name
from codeyard.deploys.groups import Groups
from codeyard.deploys.model import Deployment, Target
from codeyard.deploys.selection import Selection, filter_of
from codeyard.deploys.targets import Targets
from codeyard.deploys.turns import is_id
from codeyard.deploys.waves import PREDEFINED
from codeyard.deploys.wire import (
    application_to_wire,
    config_to_wire,
    deployment_to_wire,
    group_to_wire,
    instance_to_wire,
    stop_to_wire,
    target_to_wire,
)
from codeyard.errors import CodeyardError, Conflict, Denied, Fault, Invalid, NotFound
from codeyard.ident import Owner

ERRORS: dict[type[CodeyardError], str | tuple[str, int]] = {
    Invalid: "InvalidInputException",
    NotFound: "InvalidInputException",
    Conflict: "InvalidOperationException",
    Denied: ("AccessDeniedException", 403),
    Fault: ("ServiceUnavailableException", 503),
}
_BATCH = 25
_TOKEN = "InvalidNextTokenException"  # noqa: S105 - an error's name
_STATUSES = ("Created", "Queued", "InProgress", "Baking", "Succeeded", "Failed", "Stopped", "Ready")
_TARGET_STATUSES = ("Pending", "InProgress", "Succeeded", "Failed", "Skipped", "Unknown", "Ready")
_DEPLOYMENT = ":deployment:"


def codedeploy_service(
    control: DeployControl, groups: Groups, targets: Targets, pages: Pages, tags: TagOperations
) -> Service:
    """CodeDeploy, as far as it is answered, and why the rest is declined."""
    deployments = DeploymentOperations(control, groups, pages)
    applications, machines = ApplicationOperations(groups, control, pages), InstanceOperations(targets, pages)
    handlers = (applications, deployments, machines, tags)
    return Service("codedeploy", handlers, ERRORS, DECLINED, OTHER, deployments.exact)


def _arn(owner: Owner, resource: str) -> str:
    return f"arn:aws:codedeploy:{owner.region}:{owner.account}:{resource}"


def _application(call: Call) -> str:
    return _arn(call.owner, f"application:{call.input.get('applicationName', '')}")


def _group(call: Call) -> str:
    name = call.input.get("deploymentGroupName") or call.input.get("currentDeploymentGroupName") or ""
    return _arn(call.owner, f"deploymentgroup:{call.input.get('applicationName', '')}/{name}")


def _deployment(call: Call) -> str:
    return _arn(call.owner, f"deployment:{call.input.get('deploymentId', '')}")


def _config(call: Call) -> str:
    return _arn(call.owner, f"deploymentconfig:{call.input.get('deploymentConfigName', '')}")


def _instance(call: Call) -> str:
    return _arn(call.owner, f"instance:{call.input.get('instanceName', '')}")


class ApplicationOperations:
    """Applications, groups and the predefined configurations."""

    def __init__(self, groups: Groups, control: DeployControl, pages: Pages) -> None:
        self._groups, self._control, self._pages = groups, control, pages

    @operation("CreateApplication", _application)
    async def create_application(self, call: Call) -> Shape:
        return {"applicationId": (await self._groups.create_application(call.owner, call.input)).id}

    @operation("GetApplication", _application)
    async def get_application(self, call: Call) -> Shape:
        found = await self._groups.application(call.owner, call.input.get("applicationName", ""))
        return {"application": application_to_wire(found)}

    @operation("ListApplications")
    async def list_applications(self, call: Call) -> Shape:
        after = self._pages.open(call, call.input.get("nextToken"), _TOKEN)
        page = await self._groups.applications(call.owner, after)
        return {"applications": list(page.items), "nextToken": self._pages.seal(call, page.next)}

    @operation("DeleteApplication", _application)
    async def delete_application(self, call: Call) -> None:
        await self._groups.delete_application(call.owner, call.input.get("applicationName", ""))

    @operation("CreateDeploymentGroup", _group)
    async def create_deployment_group(self, call: Call) -> Shape:
        group = await self._groups.create(call.owner, call.caller, call.input, call.context)
        return {"deploymentGroupId": group.id}

    @operation("GetDeploymentGroup", _group)
    async def get_deployment_group(self, call: Call) -> Shape:
        asked = call.input
        group = await self._groups.get(
            call.owner, asked.get("applicationName", ""), asked.get("deploymentGroupName", "")
        )
        good, last = await self._control.last(group.id)
        return {"deploymentGroupInfo": group_to_wire(group, good, last)}

    @operation("UpdateDeploymentGroup", _group)
    async def update_deployment_group(self, call: Call) -> Shape:
        await self._groups.update(call.owner, call.caller, call.input, call.context)
        return {"hooksNotCleanedUp": []}

    @operation("DeleteDeploymentGroup", _group)
    async def delete_deployment_group(self, call: Call) -> Shape:
        asked = call.input
        await self._groups.delete(call.owner, asked.get("applicationName", ""), asked.get("deploymentGroupName", ""))
        return {"hooksNotCleanedUp": []}

    @operation("ListDeploymentGroups", _application)
    async def list_deployment_groups(self, call: Call) -> Shape:
        name = call.input.get("applicationName", "")
        after = self._pages.open(call, call.input.get("nextToken"), _TOKEN, filter=name)
        page = await self._groups.list(call.owner, name, after)
        token = self._pages.seal(call, page.next, filter=name)
        return {"applicationName": name, "deploymentGroups": list(page.items), "nextToken": token}

    @operation("GetDeploymentConfig", _config)
    async def get_deployment_config(self, call: Call) -> Shape:
        name = check_config(str(call.input.get("deploymentConfigName")))
        return {"deploymentConfigInfo": config_to_wire(name, PREDEFINED[name])}

    @operation("ListDeploymentConfigs")
    async def list_deployment_configs(self, call: Call) -> Shape:
        self._pages.open(call, call.input.get("nextToken"), _TOKEN)
        return {"deploymentConfigsList": list(PREDEFINED)}


class DeploymentOperations:
    """Deployments and their targets."""

    def __init__(self, control: DeployControl, groups: Groups, pages: Pages) -> None:
        self._control, self._groups, self._pages = control, groups, pages

    async def exact(self, call: Call, arns: tuple[str, ...]) -> tuple[str, ...]:
        """A policy allows what is done with a deployment on its group."""
        return tuple([await self._of_group(call.owner, arn) if _DEPLOYMENT in arn else arn for arn in arns])

    async def _of_group(self, owner: Owner, arn: str) -> str:
        id = arn.partition(_DEPLOYMENT)[2]
        try:
            found = (await self._control.get(owner, id)).request
        except Refused:
            return arn
        return _arn(owner, f"deploymentgroup:{found.application}/{found.group}")

    @operation("GetDeployment", _deployment)
    async def get_deployment(self, call: Call) -> Shape:
        return {"deploymentInfo": deployment_to_wire(await self._one(call))}

    @operation("ListDeployments", _group)
    async def list_deployments(self, call: Call) -> Shape:
        asked = call.input
        group_id = await self._group_id(call.owner, asked.get("applicationName"), asked.get("deploymentGroupName"))
        statuses = tuple(asked.get("includeOnlyStatuses") or ())
        if any(status not in _STATUSES for status in statuses):
            raise Refused("InvalidDeploymentStatusException", "There is no such deployment status")
        times = asked.get("createTimeRange") or {}
        start, end = times.get("start"), times.get("end")
        if start is not None and end is not None and start > end:
            raise Refused("InvalidTimeRangeException", "The time range begins after its end")
        filter = [group_id, statuses, start, end]
        after = self._pages.open(call, asked.get("nextToken"), _TOKEN, filter=filter)
        page = await self._control.list(
            call.owner, group_id=group_id, statuses=statuses, start=start, end=end, after=after
        )
        return {"deployments": list(page.items), "nextToken": self._pages.seal(call, page.next, filter=filter)}

    @operation("StopDeployment", _deployment)
    async def stop_deployment(self, call: Call) -> Shape:
        id = (await self._one(call)).id
        return stop_to_wire(await self._control.stop(call.owner, id, bool(call.input.get("autoRollbackEnabled"))))

    @operation("ListDeploymentTargets", _deployment)
    async def list_deployment_targets(self, call: Call) -> Shape:
        found = await self._begun(call)
        filters = call.input.get("targetFilters") or {}
        filter = sorted(filters.items())
        after = self._pages.open(call, call.input.get("nextToken"), _TOKEN, filter=filter)
        names = [each.name for each in found.targets if _wanted(each.status.value, filters)]
        first = int(after or "0")
        rest = str(first + 100) if len(names) > first + 100 else None
        return {"targetIds": names[first : first + 100], "nextToken": self._pages.seal(call, rest, filter=filter)}

    @operation("BatchGetDeploymentTargets", _deployment)
    async def batch_get_deployment_targets(self, call: Call) -> Shape:
        wanted = tuple(call.input.get("targetIds") or ())
        if not wanted:
            raise Refused("DeploymentTargetIdRequiredException", "At least one target id is required")
        if len(wanted) > _BATCH:
            text = f"At most {_BATCH} targets can be asked for at once"
            raise Refused("DeploymentTargetListSizeExceededException", text)
        found = await self._begun(call)
        here = {each.name: each for each in found.targets}
        for name in wanted:
            if name not in here:
                text = f"The target {name[:100]} is none of the deployment's"
                raise Refused("DeploymentTargetDoesNotExistException", text)
        return {"deploymentTargets": [target_to_wire(found, here[name]) for name in wanted]}

    async def _one(self, call: Call) -> Deployment:
        id = call.input.get("deploymentId")
        if not id:
            raise Refused("DeploymentIdRequiredException", "Deployment id is missing")
        if not is_id(id):
            raise Refused("InvalidDeploymentIdException", "The deployment id is not of its form")
        return await self._control.get(call.owner, id)

    async def _begun(self, call: Call) -> Deployment:
        found = await self._one(call)
        if found.started is None:
            raise Refused("DeploymentNotStartedException", f"The deployment {found.id} has not started")
        return found

    async def _group_id(self, owner: Owner, application: str | None, group: str | None) -> str | None:
        """Both or neither are given (ListDeployments)."""
        if application is None and group is None:
            return None
        return (await self._groups.get(owner, check_application_name(application), check_group_name(group))).id


class InstanceOperations:
    """The machines that have enrolled are on-premises instances."""

    def __init__(self, targets: Targets, pages: Pages) -> None:
        self._targets, self._pages = targets, pages

    @operation("ListOnPremisesInstances")
    async def list_on_premises_instances(self, call: Call) -> Shape:
        status = call.input.get("registrationStatus")
        if status not in (None, "Registered", "Deregistered"):
            raise Refused("InvalidRegistrationStatusException", "It is neither Registered nor Deregistered")
        given = [dict(each) for each in call.input.get("tagFilters") or ()]
        selection = _selection(given)
        filter = [status, given]
        after = self._pages.open(call, call.input.get("nextToken"), _TOKEN, filter=filter)
        page = await self._targets.list(call.owner, after)
        names = [each.name for each in page.items if _stands(each, status) and _has(each, selection)]
        return {"instanceNames": names, "nextToken": self._pages.seal(call, page.next, filter=filter)}

    @operation("GetOnPremisesInstance", _instance)
    async def get_on_premises_instance(self, call: Call) -> Shape:
        return {"instanceInfo": instance_to_wire(await self._one(call))}

    @operation("DeregisterOnPremisesInstance", _instance)
    async def deregister_on_premises_instance(self, call: Call) -> None:
        await self._targets.remove(call.owner, _instance_name(call))

    async def _one(self, call: Call) -> Target:
        name = _instance_name(call)
        found = await self._targets.named(call.owner, name)
        if found is None:
            raise Refused("InstanceNotRegisteredException", f"The on-premises instance {name[:100]} is not registered")
        return found


def _instance_name(call: Call) -> str:
    name = call.input.get("instanceName")
    if not name:
        raise Refused("InstanceNameRequiredException", "Instance name is missing")
    return str(name)


def _stands(target: Target, status: str | None) -> bool:
    return status is None or (target.removed is None) == (status == "Registered")


def _has(target: Target, selection: Selection | None) -> bool:
    return selection is None or selection.selects(target.tags)


def _selection(given: list[dict[str, Any]]) -> Selection | None:
    filters = [filter_of(each) for each in given]
    found = tuple(each for each in filters if each is not None)
    if len(found) != len(filters):
        raise Refused("InvalidTagFilterException", "A tag filter needs what its Type looks at")
    return Selection(((found,),)) if found else None


def _wanted(status: str, filters: Mapping[str, Any]) -> bool:
    """Whether a target passes ListDeploymentTargets's filters. Refused."""
    for name, values in filters.items():
        if name == "TargetStatus":
            if any(value not in _TARGET_STATUSES for value in values):
                raise Refused("InvalidInstanceStatusException", "There is no such target status")
            if values and status not in values:
                return False
        elif name == "ServerInstanceLabel":
            if values:
                return False  # those of blue/green deployments have labels
        else:
            raise Refused("InvalidTargetFilterNameException", "The filters are TargetStatus and ServerInstanceLabel")
    return True
