"""Build and Test by CodeBuild, and Compute by Commands: artifacts go in and come out as trees.

Sources: "CodeBuild build and test action reference" and "Commands action reference" of the User Guide. A build goes on
when its action is stopped, as AWS's does; asked for again after a crash, it is the same build: its id is the action
execution's for ever.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from codeyard.aws import Refused
from codeyard.builds.build_wire import log_stream
from codeyard.builds.control import BuildControl
from codeyard.builds.handed import Clone, Handed, HandedSource, outputs_of
from codeyard.builds.managed import managed_project
from codeyard.builds.model import Status
from codeyard.builds.project_parts import ProjectEnvironment
from codeyard.builds.stored import StoredBuild
from codeyard.durable import Answer
from codeyard.ident import BuildId
from codeyard.pipelines.actions import ActionFailed, Artifact, ErrorCode, Outcome, Told, Work
from codeyard.pipelines.actions.importing import tree_of

BuildUrl = Callable[[StoredBuild], str]
ServerOf = Callable[[str], str | None]  # the SourceType whose imported credentials let git in at this URL
_MISSING = "ResourceNotFoundException"


class CodeBuildAction:
    """Also the CodeBuild rule."""

    def __init__(self, builds: BuildControl, build_url: BuildUrl, server_of: ServerOf = lambda _url: None) -> None:
        self._builds, self._build_url, self._server_of = builds, build_url, server_of

    async def run(self, work: Work) -> Outcome:
        configuration = work.declared.configuration
        if configuration.get("BatchEnabled") == "true":
            raise ActionFailed(ErrorCode.CONFIGURATION, "BatchEnabled: batch builds cannot be run here")
        project, owner = configuration.get("ProjectName", ""), work.place.owner
        await work.permit("codebuild:StartBuild", owner.arn(f"project/{project}"))
        primary = _primary(work)
        given = {"environmentVariablesOverride": _variables(configuration.get("EnvironmentVariables"))}

        async def start() -> Answer:
            handed = await handed_over(work, primary, self._server_of)
            try:
                build = await self._builds.start_handed(owner, project, given, handed, work.run)
            except Refused as refused:
                text = f"Error calling startBuild: {refused.message} (Code: {refused.code})"
                raise ActionFailed(ErrorCode.CONFIGURATION, text) from None
            return {"id": str(build.id)}

        started = await work.step("start", start)
        build = await followed(work, self._builds, self._build_url, started["id"])
        return _outcome(work, build, build.facts.get("exported") or {}, self._build_url)


class CommandsAction:
    """Also the Commands rule."""

    def __init__(
        self,
        builds: BuildControl,
        build_url: BuildUrl,
        now: Callable[[], datetime],
        server_of: ServerOf = lambda _: None,
    ) -> None:
        self._builds, self._build_url, self._now, self._server_of = builds, build_url, now, server_of

    async def run(self, work: Work) -> Outcome:
        declared = work.declared
        kind = declared.configuration.get("EnvironmentType", "LINUX_CONTAINER")
        if kind != "LINUX_CONTAINER":
            raise ActionFailed(ErrorCode.CONFIGURATION, f"EnvironmentType {kind}: builds run on Linux here")
        environment = ProjectEnvironment(
            type=kind,
            image="aws/codebuild/standard:7.0",
            compute_type=declared.configuration.get("ComputeType", "BUILD_GENERAL1_SMALL"),
        )
        project = managed_project(work.place.pipeline, work.role, _buildspec(work), environment, self._now())

        async def start() -> Answer:
            handed = await handed_over(work, work.inputs[0], self._server_of)
            build = await self._builds.start_managed(work.place.owner, project, handed, work.run)
            return {"id": str(build.id)}

        started = await work.step("start", start)
        build = await followed(work, self._builds, self._build_url, started["id"])
        exported = build.facts.get("exported") or {}
        wanted = {name: exported[name] for name in declared.output_variables if name in exported}
        return _outcome(work, build, wanted, self._build_url)


async def handed_over(work: Work, primary: Artifact, server_of: ServerOf) -> Handed:
    """What the build gets, and what is wanted of it."""
    others = [each for each in work.inputs if each.name != primary.name]
    return Handed(
        work.place.pipeline,
        await _handed(work, primary, None, server_of),
        tuple([await _handed(work, each, each.name, server_of) for each in others]),
        tuple(each.name for each in work.outputs),
    )


async def _handed(work: Work, artifact: Artifact, identifier: str | None, server_of: ServerOf) -> HandedSource:
    if artifact.clone is not None:
        clone = Clone(artifact.clone.url, artifact.clone.commit, server_of(artifact.clone.url), known=True)
        return HandedSource(artifact.arn, identifier, clone=clone, resolved=artifact.clone.commit)
    tree = await tree_of(artifact, work)
    return HandedSource(artifact.arn, identifier, tree=tree, resolved=artifact.revision)


async def followed(work: Work, builds: BuildControl, build_url: BuildUrl, id: str) -> StoredBuild:
    """The build once it has ended; meanwhile clients see which it is."""
    owner, parsed = work.place.owner, BuildId.parse(id)
    found = await builds.get(owner, (parsed,))
    if parsed in found:
        build, _ = found[parsed]
        stream, arn = log_stream(build), None
        if stream is not None:
            arn = f"arn:aws:logs:{owner.region}:{owner.account}:log-group:{stream[0]}:log-stream:{stream[1]}"
        await work.tell(Told(external_id=id, external_url=build_url(build), log_stream=arn))
    try:
        return await builds.ended(owner, parsed)
    except Refused as gone:
        if gone.code != _MISSING:
            raise
        raise ActionFailed(ErrorCode.JOB_FAILED, f"The build {id} was deleted") from None


def _outcome(work: Work, build: StoredBuild, variables: Mapping[str, str], build_url: BuildUrl) -> Outcome:
    """Its trees and variables; ActionFailed if it did not succeed."""
    status = build.build.status
    if status is not Status.SUCCEEDED:
        text = f"Build terminated with state: {status.value}"
        contexts = [each for record in build.build.history for each in record.contexts if each.message]
        more = f". {contexts[-1].code}: {contexts[-1].message}" if contexts else ""
        raise ActionFailed(ErrorCode.JOB_FAILED, f"{text}{more}", text)
    trees = outputs_of(build.facts)
    if lacking := [each.name for each in work.outputs if each.name not in trees]:
        text = f"The build made no output artifact {', '.join(lacking)}: its buildspec has no artifacts of this name"
        raise ActionFailed(ErrorCode.CONFIGURATION, text)
    revisions = {each.name: each.revision for each in work.inputs}
    primary = next(iter(revisions.values()), None)
    return Outcome(
        outputs=tuple(replace(each, tree=trees[each.name], revision=primary) for each in work.outputs),
        variables=dict(variables),
        external_id=str(build.id),
        external_url=build_url(build),
    )


def _primary(work: Work) -> Artifact:
    name = work.declared.configuration.get("PrimarySource")
    if not work.inputs:
        raise ActionFailed(ErrorCode.CONFIGURATION, "The action has no input artifact")
    if name is None:
        return work.inputs[0]
    found = next((each for each in work.inputs if each.name == name), None)
    if found is None:
        raise ActionFailed(ErrorCode.CONFIGURATION, f"PrimarySource {name} is not an input artifact of the action")
    return found


def _variables(text: str | None) -> list[dict[str, str]]:
    """EnvironmentVariables, once its references are resolved: they may have broken its JSON."""
    if not text:
        return []
    try:
        given = json.loads(text)
        return [
            {"name": str(each["name"]), "value": str(each["value"]), "type": str(each.get("type", "PLAINTEXT"))}
            for each in given
        ]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        text = f"EnvironmentVariables is no JSON array of name, value and type: {error}"
        raise ActionFailed(ErrorCode.CONFIGURATION, text) from None


def _buildspec(work: Work) -> str:
    """What the commands come to: one phase, whose first failing command ends it."""
    declared = work.declared
    plain = {each.name: each.value for each in declared.environment if each.type == "PLAINTEXT"}
    secret = {each.name: each.value for each in declared.environment if each.type == "SECRETS_MANAGER"}
    env: dict[str, Any] = {"exported-variables": list(declared.output_variables)}
    if plain:
        env["variables"] = plain
    if secret:
        env["secrets-manager"] = secret
    spec: dict[str, Any] = {
        "version": 0.2,
        "env": env,
        "phases": {"build": {"on-failure": "ABORT", "commands": list(declared.commands)}},
    }
    if declared.outputs and declared.outputs[0].files:
        spec["artifacts"] = {"files": list(declared.outputs[0].files)}
    return json.dumps(spec)
