"""Deployments to machines of one's own: CodeDeploy in place, and Release, which switches a link.

Sources: "CodeDeploy deploy action reference" of the User Guide; a Release is ours (docs/deployments.md). A deployment
goes on when its action is stopped. Asked for again after a crash it is the same one: its key is the action execution.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from codeyard.artifacts import Digest
from codeyard.aws import Refused
from codeyard.deploys import EventReport, Kind
from codeyard.deploys.control import DeployControl
from codeyard.deploys.model import Deployment, DeploymentRequest, DeploymentTarget, RollbackEvent, Status
from codeyard.deploys.selection import Selection
from codeyard.durable import Answer
from codeyard.ident import Owner
from codeyard.pipelines import our_keys
from codeyard.pipelines.actions import ActionFailed, Artifact, ErrorCode, Outcome, Told, Work
from codeyard.pipelines.actions.importing import tree_of

# The request of a deployment to an application's group: of a tree, the RevisionLocation that clients are shown, and a
# description. Refused.
GroupRequest = Callable[[Owner, str, str, Digest, Mapping[str, Any], str], Awaitable[DeploymentRequest]]
_LINE = 300  # characters of what a failed script printed last
# Our keys → the options that targets know.
_OPTIONS = {
    "Path": "path",
    "Keep": "keep",
    "BeforeSwitch": "before_switch",
    "AfterSwitch": "after_switch",
    "HealthCheck": "health_check",
    "HealthCheckSeconds": "health_seconds",
    "HookTimeout": "hook_timeout",
}


@dataclass(frozen=True, slots=True)
class ReleaseAction:
    """Places the artifact's tree on every target that has the tags, and makes it current."""

    control: DeployControl

    async def run(self, work: Work) -> Outcome:
        given, place = work.declared.configuration, work.place
        tags = our_keys.tags(given.get("Targets", ""))
        minimum = our_keys.minimum(given.get("MinimumHealthy", "0"))
        if not tags or minimum is None:
            raise ActionFailed(ErrorCode.CONFIGURATION, "Targets or MinimumHealthy is not of its form")
        selection, prefix = Selection.of_tags(tags), f"arn:aws:codedeploy:{place.owner.region}:{place.owner.account}"
        # A release runs scripts there: the role must be allowed the place in the pipeline, and each of the machines.
        about = f"deploymentgroup:{place.pipeline}/{place.stage}/{place.action}"
        machines = await self.control.selected(place.owner, selection)
        for resource in (about, *(f"instance:{name}" for name in machines)):
            await work.permit("codedeploy:CreateDeployment", f"{prefix}:{resource}")
        tree = await tree_of(work.inputs[0], work)
        back = frozenset({RollbackEvent.FAILURE}) if given.get("RollBack", "true") == "true" else frozenset()
        request = DeploymentRequest(
            owner=place.owner,
            application=place.pipeline,
            group=f"{place.stage}/{place.action}"[:100],
            kind=Kind.RELEASE,
            tree=tree,
            targets=selection,
            minimum=minimum,
            config=given.get("MinimumHealthy", "0"),
            strict=True,
            options={_OPTIONS[key]: value for key, value in given.items() if key in _OPTIONS},
            roll_back_on=back,
            description=f"{place.pipeline} {place.execution}",
            queue=True,
            revision=_revision(work.inputs[0]),
        )
        return await _deployed(work, self.control, request)


@dataclass(frozen=True, slots=True)
class CodeDeployAction:
    """Deploys to a deployment group, by its settings."""

    control: DeployControl
    request: GroupRequest

    async def run(self, work: Work) -> Outcome:
        given, place = work.declared.configuration, work.place
        owner, application, group = place.owner, given.get("ApplicationName", ""), given.get("DeploymentGroupName", "")
        prefix = f"arn:aws:codedeploy:{owner.region}:{owner.account}"
        await work.permit("codedeploy:RegisterApplicationRevision", f"{prefix}:application:{application}")
        await work.permit("codedeploy:CreateDeployment", f"{prefix}:deploymentgroup:{application}/{group}")
        tree = await tree_of(work.inputs[0], work)
        about = f"{place.pipeline} {place.execution}"
        try:
            request = await self.request(owner, application, group, tree, _revision(work.inputs[0]), about)
        except Refused as refused:
            raise ActionFailed(ErrorCode.CONFIGURATION, f"{refused.message} (Code: {refused.code})") from None
        return await _deployed(work, self.control, request)


def _revision(artifact: Artifact) -> Mapping[str, Any]:
    """The shape RevisionLocation, as AWS's CodePipeline registers it. Its object is made when somebody asks for it."""
    return {
        "revisionType": "S3",
        "s3Location": {"bucket": artifact.bucket, "key": artifact.key, "bundleType": "zip"},
    }


async def _deployed(work: Work, control: DeployControl, request: DeploymentRequest) -> Outcome:
    """Create it, and follow it to its end."""

    async def create() -> Answer:
        try:
            return {"id": (await control.create(request, work.run)).id}
        except Refused as refused:
            raise ActionFailed(ErrorCode.JOB_FAILED, f"{refused.message} (Code: {refused.code})") from None

    id = (await work.step("create", create))["id"]
    await work.tell(Told(external_id=id))
    try:
        ended = await control.ended(work.place.owner, id)
    except Refused as gone:
        raise ActionFailed(ErrorCode.JOB_FAILED, f"{gone.message} (Code: {gone.code})") from None
    await work.tell(Told(targets=tuple(_target(each) for each in ended.targets)))
    if ended.status is not Status.SUCCEEDED:
        raise ActionFailed(ErrorCode.JOB_FAILED, _why(ended), f"Deployment {id} failed")
    return Outcome(external_id=id, summary="Deployment Succeeded")


async def live_targets(control: DeployControl, owner: Owner, id: str) -> tuple[Mapping[str, Any], ...]:
    """The targets of a deployment as they are now, of the shape that `Told.targets` has; none, if there is no such."""
    try:
        return tuple(_target(each) for each in (await control.get(owner, id)).targets)
    except Refused:
        return ()


def _why(ended: Deployment) -> str:
    """What clients read of a deployment that did not succeed: the first target's first failed event, and what came
    of it."""
    told = [f"Deployment {ended.id} {ended.status.value.lower()}"]
    if ended.error is not None:
        told.append(ended.error.message)
    for target in ended.targets:
        event = next((each for each in target.events if each.status == "Failed"), None)
        if event is not None:
            printed = _printed(event)
            told.append(f"{target.name}: {event.name}: {event.message.rstrip('.')}{printed and f' ({printed})'}")
            break
        if target.message:
            told.append(f"{target.name}: {target.message}")
            break
    if ended.rolled_back_by is not None:
        told.append(f"It is rolled back by {ended.rolled_back_by}")
    return ". ".join(text.rstrip(".") for text in told)


def _printed(event: EventReport) -> str:
    """The last line that its script printed; the log has our message after it, or how that begins."""
    lines = (line for line in reversed(event.log_tail.splitlines()) if line.startswith(("[stdout]", "[stderr]")))
    texts = (line.partition("]")[2].strip() for line in lines)
    return next((text[-_LINE:] for text in texts if not event.message.startswith(text)), "")


def _target(target: DeploymentTarget) -> Mapping[str, Any]:
    """The shape DeployActionExecutionTarget, times as texts."""
    events = [
        {
            "name": event.name,
            "status": event.status.value,
            "startTime": None if event.started is None else event.started.isoformat(),
            "endTime": None if event.ended is None else event.ended.isoformat(),
            "context": {"message": event.message} if event.message else None,
        }
        for event in target.events
    ]
    return {
        "targetId": target.name,  # as the deployment has it
        "targetType": "INSTANCE",
        "status": target.status.value,
        "startTime": None if target.started is None else target.started.isoformat(),
        "endTime": None if target.updated is None else target.updated.isoformat(),
        "events": [{name: value for name, value in event.items() if value is not None} for event in events],
    }
