"""What may be done with projects: made, changed, removed, found, listed, shown to all, their caches forgotten."""

import json
import secrets
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime

from codeyard.aws import Caller, Identities, Page, Refused, Shape
from codeyard.builds import lines_table
from codeyard.builds import projects_table as table
from codeyard.builds.life import priority_of
from codeyard.builds.project import Project
from codeyard.builds.project_input import created, updated
from codeyard.builds.project_parts import Visibility
from codeyard.builds.project_rules import check_name, check_role, is_name
from codeyard.builds.projects_table import Place
from codeyard.ident import Owner
from codeyard.store import Database, Duplicate, Tx

MOST = 5000  # projects of one account and region (CodeBuild's quotas)
PAGE = 100  # names
_PASSED_TO = {"iam:PassedToService": "codebuild.amazonaws.com"}
_COLUMNS = {"NAME": None, "CREATED_TIME": "created", "LAST_MODIFIED_TIME": "last_modified"}

Context = Mapping[str, str]
_NONE: Context = {}
# Of an owner, a role's ARN, and the ARN of what it is to be taken on for.
RequireRole = Callable[[Owner, str, str], Awaitable[None]]


class Projects:
    """The projects of all owners. `require_role` refuses a role that is not there or that CodeBuild may not take on."""

    def __init__(
        self, database: Database, identities: Identities, require_role: RequireRole, now: Callable[[], datetime]
    ) -> None:
        self._database, self._identities, self._require_role, self._now = database, identities, require_role, now

    async def create(self, owner: Owner, caller: Caller, given: Shape, context: Context = _NONE) -> Project:
        """`context` is what conditions may ask of the request, where a role is passed.

        Refused: InvalidInput-, ResourceAlreadyExists-, AccountLimitExceeded-, AccessDeniedException.
        """
        project = created(given, self._now(), cache_scope=uuid.uuid4().hex)
        for role in project.roles:
            await self._pass(owner, caller, role, owner.arn(project.resource), context)

        def insert(tx: Tx) -> None:
            if table.count_projects(tx, owner) >= MOST and table.find_project(tx, owner, project.name) is None:
                text = f"Cannot have more than {MOST} projects for the account"
                raise Refused("AccountLimitExceededException", text)
            table.insert_project(tx, owner, project)

        try:
            await self._database.write(insert)
        except Duplicate:
            text = f"Project already exists: {owner.arn(project.resource)}"
            raise Refused("ResourceAlreadyExistsException", text) from None
        return project

    async def update(self, owner: Owner, caller: Caller, name: str, given: Shape, context: Context = _NONE) -> Project:
        """A member that is given replaces what was there. Refused, as `create`, and ResourceNotFoundException."""
        batch = given.get("buildBatchConfig") or {}
        for role in (given.get("serviceRole"), batch.get("serviceRole")):
            if role is not None:
                await self._pass(owner, caller, role, arn_of(owner, name), context)
        now = self._now()
        return await self._change(owner, name, lambda was: updated(was, given, now))

    async def delete(self, owner: Owner, name: str) -> None:
        """The project and its policy; its builds stay. One that is not there is no error (reference 2.10)."""
        if not name.startswith("arn:"):
            check_name(name)
        local = local_name(owner, name)
        if local is None:
            return

        def remove(tx: Tx) -> None:
            table.remove_project(tx, owner, local)
            table.remove_policy(tx, owner.arn(f"project/{local}"))

        await self._database.write(remove)

    async def get(self, owner: Owner, name: str) -> Project:
        """The project of this name or ARN. Refused: ResourceNotFoundException."""
        local = local_name(owner, name)
        project = await self._database.read(lambda tx: table.find_project(tx, owner, local)) if local else None
        if project is None:
            raise missing(owner, name)
        return project

    async def get_many(self, owner: Owner, names: tuple[str, ...]) -> tuple[tuple[Project, ...], tuple[str, ...]]:
        """The projects in the order of their names or ARNs, each once, and the names that are of none."""
        wanted = {name: local_name(owner, name) for name in names}
        locals_ = tuple(name for name in wanted.values() if name is not None)
        found = await self._database.read(lambda tx: table.find_projects(tx, owner, locals_))
        there = dict.fromkeys(local for local in locals_ if local in found)
        return tuple(found[local] for local in there), tuple(name for name in wanted if wanted[name] not in found)

    async def list(self, owner: Owner, sort_by: str, order: str, after: str | None) -> Page:
        """A page of names. `after` is the `next` of the page before, of the same order."""
        column, descending = _COLUMNS[sort_by], order == "DESCENDING"
        place = None if after is None else Place(*json.loads(after))
        found = await self._database.read(
            lambda tx: table.list_projects(tx, owner, column, descending, place, PAGE + 1)
        )
        last = found[PAGE - 1] if len(found) > PAGE else None
        following = None if last is None else json.dumps([last.name, last.value])
        return Page(tuple(each.name for each in found[:PAGE]), following)

    async def invalidate_cache(self, owner: Owner, name: str) -> None:
        """The next build starts with no cache (reference 6.2). Refused: ResourceNotFoundException."""
        await self._change(owner, name, lambda was: replace(was, cache_scope=uuid.uuid4().hex))

    async def set_visibility(
        self, owner: Owner, caller: Caller, arn: str, visibility: Visibility, role: str | None,
        context: Context = _NONE,
    ) -> Project:  # fmt: skip
        """Show the builds to all, or to nobody else (reference 11.3). Refused, as `update`."""
        if role is not None:
            await self._pass(owner, caller, role, arn_of(owner, arn), context)
        alias, now = secrets.token_urlsafe(48), self._now()

        def shown(was: Project) -> Project:
            if visibility is Visibility.PRIVATE:
                return replace(was, project_visibility=visibility, last_modified=now)
            return replace(
                was,
                project_visibility=visibility,
                public_project_alias=was.public_project_alias or alias,
                resource_access_role=role or was.resource_access_role,
                last_modified=now,
            )

        return await self._change(owner, arn, shown)

    async def _pass(self, owner: Owner, caller: Caller, role: str, source: str, context: Context) -> None:
        check_role(role, owner.account)
        await self._identities.authorise(caller, "iam:PassRole", (role,), {**context, **_PASSED_TO})
        await self._require_role(owner, role, source)

    async def _change(self, owner: Owner, name: str, change: Callable[[Project], Project]) -> Project:
        local = local_name(owner, name)

        def save(tx: Tx) -> Project:
            was = table.lock_project(tx, owner, local) if local is not None else None
            if was is None:
                raise missing(owner, name)
            now = change(was.project)
            table.save_project(tx, owner, was, now)
            # What it says from now on holds for its builds that wait, too.
            lines_table.settle(tx, owner, now.name, priority_of(now), now.concurrent_build_limit)
            return now

        return await self._database.write(save)


def local_name(owner: Owner, text: str) -> str | None:
    """The name that a name or an ARN means among this owner's projects; None: it can be none's, or is another's."""
    prefix = owner.arn("project/")
    name = text.removeprefix(prefix)
    return name if is_name(name) else None


def arn_of(owner: Owner, text: str) -> str:
    """The ARN that a project's name or ARN means."""
    return text if text.startswith("arn:") else owner.arn(f"project/{text}")


def missing(owner: Owner, name: str) -> Refused:
    """The error of an operation on a project that is not there."""
    text = f"The provided project {arn_of(owner, name)[:2048]} does not exist"
    return Refused("ResourceNotFoundException", text)
