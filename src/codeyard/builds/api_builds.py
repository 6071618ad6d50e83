"""The operations on builds: what is asked is found in the input, what came of it is put into AWS's shapes."""

from collections.abc import Callable
from typing import Any

from codeyard.aws import Call, Identities, Refused, Shape, operation
from codeyard.aws.paging import Pages
from codeyard.builds.build_wire import stopped_to_wire, to_wire
from codeyard.builds.control import BuildControl
from codeyard.builds.project_rules import check_role
from codeyard.builds.projects import RequireRole, arn_of, local_name, missing
from codeyard.builds.stored import StoredBuild
from codeyard.errors import Invalid
from codeyard.ident import BuildId, Owner

_PASSED_TO = {"iam:PassedToService": "codebuild.amazonaws.com"}
_IN_PROGRESS = "BUILD_IN_PROGRESS"


def _project(call: Call) -> str:
    return arn_of(call.owner, str(call.input.get("projectName", "")))


def _project_of_build(call: Call) -> str:
    return _project_of(call.owner, str(call.input.get("id", "")))


def _projects_of_builds(call: Call) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_project_of(call.owner, text) for text in call.input.get("ids", ())))


def _project_of(owner: Owner, text: str) -> str:
    """A policy allows what is done with a build on its project."""
    name = text.removeprefix(owner.arn("build/")).partition(":")[0]
    return owner.arn(f"project/{name}")


def build_id(owner: Owner, text: str) -> BuildId | None:
    """The id that an id or an ARN means; None: it is one of another account or region. Refused: it is neither."""
    local = text.removeprefix(owner.arn("build/"))
    name = local.partition(":build/")[2] if local.startswith("arn:aws:codebuild:") else local
    try:
        id = BuildId.parse(name)
    except Invalid:
        raise Refused("InvalidInputException", "Invalid build ID provided") from None
    return id if name == local else None


class BuildOperations:
    """Start, stop, retry, read, list and delete builds."""

    def __init__(
        self,
        control: BuildControl,
        identities: Identities,
        require_service_role: RequireRole,
        pages: Pages,
        log_link: Callable[[StoredBuild], str | None] = lambda _build: None,
    ) -> None:
        """`log_link` says where people read a build's log, if not in AWS's console."""
        self._control, self._identities, self._pages = control, identities, pages
        self._require_role, self._log_link = require_service_role, log_link

    @operation("StartBuild", _project)
    async def start_build(self, call: Call) -> Shape:
        name = local_name(call.owner, call.input["projectName"])
        if name is None:
            raise missing(call.owner, call.input["projectName"])
        role = call.input.get("serviceRoleOverride")
        if role is not None:
            check_role(role, call.owner.account)
            await self._identities.authorise(call.caller, "iam:PassRole", (role,), {**call.context, **_PASSED_TO})
            await self._require_role(call.owner, role, call.owner.arn(f"project/{name}"))
        build = await self._control.start(call.owner, name, call.input, call.caller.name)
        return {"build": self._wire(build)}

    @operation("RetryBuild", _project_of_build)
    async def retry_build(self, call: Call) -> Shape:
        build = await self._control.retry(call.owner, self._one(call), call.input, call.caller.name)
        return {"build": self._wire(build)}

    @operation("StopBuild", _project_of_build)
    async def stop_build(self, call: Call) -> Shape:
        build = await self._control.stop(call.owner, self._one(call))
        return {"build": stopped_to_wire(build, self._log_link(build))}

    @operation("BatchGetBuilds", _projects_of_builds)
    async def batch_get_builds(self, call: Call) -> Shape:
        wanted = {text: build_id(call.owner, text) for text in call.input["ids"]}
        found = await self._control.get(call.owner, (id for id in wanted.values() if id is not None))
        there = dict.fromkeys(id for id in wanted.values() if id is not None and id in found)
        return {
            "builds": [to_wire(build, place, self._log_link(build)) for build, place in (found[id] for id in there)],
            "buildsNotFound": [text for text, id in wanted.items() if id not in there],
        }

    @operation("BatchDeleteBuilds", _projects_of_builds)
    async def batch_delete_builds(self, call: Call) -> Shape:
        wanted = {text: build_id(call.owner, text) for text in call.input["ids"]}
        done = await self._control.delete(call.owner, (id for id in wanted.values() if id is not None))
        busy = [{"id": call.owner.arn(f"build/{id}"), "statusCode": _IN_PROGRESS} for id in done.in_progress]
        return {
            "buildsDeleted": [call.owner.arn(f"build/{id}") for id in done.deleted] or None,
            "buildsNotDeleted": busy,
        }

    @operation("ListBuilds")
    async def list_builds(self, call: Call) -> Shape:
        ascending = call.input.get("sortOrder") == "ASCENDING"
        after = self._pages.open(call, call.input.get("nextToken"), filter=ascending)
        page = await self._control.list(call.owner, ascending=ascending, after=after)
        return {"ids": list(page.items), "nextToken": self._pages.seal(call, page.next, filter=ascending)}

    @operation("ListBuildsForProject", _project)
    async def list_builds_for_project(self, call: Call) -> Shape:
        name = local_name(call.owner, call.input["projectName"])
        if name is None:
            raise missing(call.owner, call.input["projectName"])
        ascending = call.input.get("sortOrder") == "ASCENDING"
        after = self._pages.open(call, call.input.get("nextToken"), filter=[name, ascending])
        page = await self._control.list_of_project(call.owner, name, ascending=ascending, after=after)
        return {"ids": list(page.items), "nextToken": self._pages.seal(call, page.next, filter=[name, ascending])}

    def _one(self, call: Call) -> BuildId:
        text = call.input.get("id")
        if text is None:
            raise Refused("InvalidInputException", "Build ID is required")
        id = build_id(call.owner, text)
        if id is None:
            raise Refused("ResourceNotFoundException", f"Build {text[:400]} does not exist")
        return id

    def _wire(self, build: StoredBuild) -> dict[str, Any]:
        return to_wire(build, log_link=self._log_link(build))
