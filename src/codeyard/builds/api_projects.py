"""The operations on projects: what is asked is found in the input, what came of it is put into AWS's shapes."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from codeyard.aws import Call, Identities, Shape, operation
from codeyard.aws.paging import Pages
from codeyard.builds.api_credentials import CredentialOperations
from codeyard.builds.credentials import SourceCredentials
from codeyard.builds.curated_images import PLATFORMS
from codeyard.builds.project import to_wire
from codeyard.builds.project_parts import Visibility
from codeyard.builds.projects import Projects, RequireRole, arn_of
from codeyard.builds.resource_policies import ResourcePolicies
from codeyard.secrets.sealing import Key
from codeyard.store import Database


def project_handlers(
    database: Database,
    identities: Identities,
    require_service_role: RequireRole,
    key: Key,
    pages: Pages,
    now: Callable[[], datetime],
) -> tuple[object, ...]:
    """All handlers of this slice, for one `aws.Service("codebuild", …)`.

    `require_service_role(owner, role_arn, project_arn)` refuses a role that is not there or does not trust CodeBuild.
    """
    projects = Projects(database, identities, require_service_role, now)
    return (
        ProjectOperations(projects, pages),
        SharingOperations(projects, ResourcePolicies(database), pages),
        CredentialOperations(SourceCredentials(database, key)),
    )


def named(member: str) -> Callable[[Call], str]:
    """What a policy must allow: the ARN of the project whose name or ARN is in this member."""
    return lambda call: arn_of(call.owner, str(call.input.get(member, "")))


def _each_named(call: Call) -> tuple[str, ...]:
    return tuple(arn_of(call.owner, name) for name in call.input.get("names", ()))


class ProjectOperations:
    """Create, update, delete, read and list projects; forget their caches; the images there are."""

    def __init__(self, projects: Projects, pages: Pages) -> None:
        self._projects, self._pages = projects, pages

    @operation("CreateProject", named("name"))
    async def create_project(self, call: Call) -> Shape:
        project = await self._projects.create(call.owner, call.caller, call.input, call.context)
        return {"project": to_wire(project, call.owner)}

    @operation("UpdateProject", named("name"))
    async def update_project(self, call: Call) -> Shape:
        given = call.input
        project = await self._projects.update(call.owner, call.caller, given["name"], given, call.context)
        return {"project": to_wire(project, call.owner)}

    @operation("DeleteProject", named("name"))
    async def delete_project(self, call: Call) -> Shape:
        await self._projects.delete(call.owner, call.input["name"])
        return {}

    @operation("BatchGetProjects", _each_named)
    async def batch_get_projects(self, call: Call) -> Shape:
        found, absent = await self._projects.get_many(call.owner, tuple(call.input["names"]))
        return {"projects": [to_wire(each, call.owner) for each in found], "projectsNotFound": list(absent)}

    @operation("ListProjects")
    async def list_projects(self, call: Call) -> Shape:
        order = call.input.get("sortBy") or "NAME", call.input.get("sortOrder") or "ASCENDING"
        after = self._pages.open(call, call.input.get("nextToken"), filter=order)
        page = await self._projects.list(call.owner, *order, after)
        return {"projects": list(page.items), "nextToken": self._pages.seal(call, page.next, filter=order)}

    @operation("InvalidateProjectCache", named("projectName"))
    async def invalidate_project_cache(self, call: Call) -> Shape:
        await self._projects.invalidate_cache(call.owner, call.input["projectName"])
        return {}

    @operation("ListCuratedEnvironmentImages")
    async def list_curated_environment_images(self, call: Call) -> Shape:
        return {"platforms": PLATFORMS}


class SharingOperations:
    """Who else may see a project."""

    def __init__(self, projects: Projects, policies: ResourcePolicies, pages: Pages) -> None:
        self._projects, self._policies, self._pages = projects, policies, pages

    @operation("UpdateProjectVisibility", named("projectArn"))
    async def update_project_visibility(self, call: Call) -> Shape:
        given = call.input
        project = await self._projects.set_visibility(
            call.owner,
            call.caller,
            given["projectArn"],
            Visibility(given["projectVisibility"]),
            given.get("resourceAccessRole"),
            call.context,
        )
        answer: dict[str, Any] = {
            "projectArn": call.owner.arn(project.resource),
            "publicProjectAlias": project.public_project_alias,
            "projectVisibility": project.project_visibility.value,
        }
        return answer

    @operation("PutResourcePolicy", named("resourceArn"))
    async def put_resource_policy(self, call: Call) -> Shape:
        await self._policies.put(call.owner, call.input["resourceArn"], call.input["policy"])
        return {"resourceArn": call.input["resourceArn"]}

    @operation("GetResourcePolicy", named("resourceArn"))
    async def get_resource_policy(self, call: Call) -> Shape:
        return {"policy": await self._policies.get(call.owner, call.input["resourceArn"])}

    @operation("DeleteResourcePolicy", named("resourceArn"))
    async def delete_resource_policy(self, call: Call) -> Shape:
        await self._policies.delete(call.owner, call.input["resourceArn"])
        return {}

    @operation("ListSharedProjects")
    async def list_shared_projects(self, call: Call) -> Shape:
        """None: nobody shares a project with another account here. A token is none of ours."""
        self._pages.open(call, call.input.get("nextToken"))
        return {"projects": []}
