"""Applications and deployment groups: made, changed, removed, found; and what a deployment to a group is to do."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from codeyard.artifacts import Digest
from codeyard.aws import Caller, Identities, Page, Refused, Shape
from codeyard.deploys import Kind, group_rules, groups_table, table, targets_table
from codeyard.deploys.model import Application, DeploymentRequest, Group, RollbackEvent
from codeyard.deploys.waves import PREDEFINED
from codeyard.errors import Conflict
from codeyard.ident import Owner
from codeyard.store import Database, Duplicate, Tx

T = TypeVar("T")
MOST_APPLICATIONS = MOST_GROUPS = 1000  # CodeDeploy's quotas
_PASSED_TO = {"iam:PassedToService": "codedeploy.amazonaws.com"}
_TRIES = 5
# Of an owner, a role's ARN, and the ARN of what it is to be taken on for.
RequireRole = Callable[[Owner, str, str], Awaitable[None]]


class Groups:
    """The applications and groups of all owners. `require_role` refuses a role that CodeDeploy may not take on."""

    def __init__(
        self, db: Database, identities: Identities, require_role: RequireRole, now: Callable[[], datetime]
    ) -> None:
        self._db, self._identities, self._require_role, self._now = db, identities, require_role, now

    # ── applications ──

    async def create_application(self, owner: Owner, given: Shape) -> Application:
        """Refused: ApplicationAlreadyExists-, InvalidComputePlatform-, ApplicationLimitExceededException, …"""
        name = group_rules.check_application_name(given.get("applicationName"))
        platform = given.get("computePlatform") or "Server"
        if platform != "Server":
            text = f"Applications here are of the compute platform Server, not {platform}"
            raise Refused("InvalidComputePlatformException", text)
        tags = tuple(given.get("tags") or ())
        if not all(tag.get("Key") for tag in tags):
            raise Refused("InvalidTagsToAddException", "A tag needs a Key")
        new = Application(str(uuid.uuid4()), name, platform, tags, self._now())

        def work(tx: Tx) -> None:
            if groups_table.count_applications(tx, owner) >= MOST_APPLICATIONS:
                text = f"Cannot have more than {MOST_APPLICATIONS} applications"
                raise Refused("ApplicationLimitExceededException", text)
            groups_table.insert_application(tx, owner, new)

        try:
            await self._db.write(work)
        except Duplicate:
            raise Refused("ApplicationAlreadyExistsException", f"Application already exists: {name}") from None
        return new

    async def application(self, owner: Owner, name: str) -> Application:
        """Refused: ApplicationDoesNotExistException, …"""
        wanted = group_rules.check_application_name(name)
        return await self._db.read(lambda tx: _application(tx, owner, wanted))

    async def applications(self, owner: Owner, after: str | None) -> Page:
        return await self._db.read(lambda tx: groups_table.list_applications(tx, owner, after))

    async def delete_application(self, owner: Owner, name: str) -> None:
        """With its groups and their deployments. One that is not there is no error."""
        wanted = group_rules.check_application_name(name)

        def work(tx: Tx) -> None:
            for id in groups_table.delete_application(tx, owner, wanted):
                _forget(tx, id)

        await self._db.write(work)

    # ── groups ──

    async def create(self, owner: Owner, caller: Caller, given: Shape, context: Mapping[str, str]) -> Group:
        """Refused, by the errors of CreateDeploymentGroup."""
        application = group_rules.check_application_name(given.get("applicationName"))
        name = group_rules.check_group_name(given.get("deploymentGroupName"))
        settings = group_rules.created(given)
        if given.get("tags"):
            settings["tags"] = [dict(tag) for tag in given["tags"]]
        await self._pass(owner, caller, settings["serviceRoleArn"], application, context)
        new = Group(str(uuid.uuid4()), application, name, settings)

        def work(tx: Tx) -> None:
            _application(tx, owner, application)
            if groups_table.count_groups(tx, owner, application) >= MOST_GROUPS:
                text = f"Cannot have more than {MOST_GROUPS} deployment groups in an application"
                raise Refused("DeploymentGroupLimitExceededException", text)
            groups_table.insert_group(tx, owner, new)

        try:
            await self._db.write(work)
        except Duplicate:
            raise _exists(application, name) from None
        return new

    async def update(self, owner: Owner, caller: Caller, given: Shape, context: Mapping[str, str]) -> Group:
        """Refused, by the errors of UpdateDeploymentGroup."""
        application = group_rules.check_application_name(given.get("applicationName"))
        name = group_rules.check_group_name(given.get("currentDeploymentGroupName"))
        renamed = group_rules.check_group_name(given.get("newDeploymentGroupName") or name)
        if given.get("serviceRoleArn"):
            await self._pass(owner, caller, given["serviceRoleArn"], application, context)

        def work(tx: Tx) -> Group:
            was = _group(tx, owner, application, name)
            now = replace(was, name=renamed, settings=group_rules.updated(was.settings, given))
            groups_table.save_group(tx, was, now)
            return now

        try:
            return await self._again(work)
        except Duplicate:
            raise _exists(application, renamed) from None

    async def get(self, owner: Owner, application: str, name: str) -> Group:
        """Refused: ApplicationDoesNotExist-, DeploymentGroupDoesNotExistException, …"""
        wanted = group_rules.check_application_name(application)
        group = group_rules.check_group_name(name)
        return await self._db.read(lambda tx: _group(tx, owner, wanted, group))

    async def list(self, owner: Owner, application: str, after: str | None) -> Page:
        wanted = group_rules.check_application_name(application)

        def work(tx: Tx) -> Page:
            _application(tx, owner, wanted)
            return groups_table.list_groups(tx, owner, wanted, after)

        return await self._db.read(work)

    async def delete(self, owner: Owner, application: str, name: str) -> None:
        """With its deployments. One that is not there is no error."""
        wanted = group_rules.check_application_name(application)
        group = group_rules.check_group_name(name)

        def work(tx: Tx) -> None:
            found = groups_table.find_group(tx, owner, wanted, group)
            if found is not None:
                groups_table.delete_group(tx, found.id)
                _forget(tx, found.id)

        await self._db.write(work)

    async def request(
        self,
        owner: Owner,
        application: str,
        name: str,
        tree: Digest,
        *,
        revision: Mapping[str, Any] | None = None,
        options: Mapping[str, str] | None = None,
        description: str = "",
        queue: bool = False,
    ) -> DeploymentRequest:
        """What a deployment of this tree to the group is to do, as the group is set. Refused, as `get`."""
        found = await self.get(owner, application, name)
        config = found.settings["deploymentConfigName"]
        return DeploymentRequest(
            owner=owner,
            application=found.application,
            group=found.name,
            group_id=found.id,
            kind=Kind.IN_PLACE,
            tree=tree,
            targets=group_rules.selection_of(found.settings),
            minimum=PREDEFINED[config],
            config=config,
            options={**_bundle(revision or {}), **(options or {})},
            roll_back_on=group_rules.rollback_events(found.settings) - {RollbackEvent.ALARM},
            description=description[:256],
            queue=queue,
            revision=revision,
        )

    async def _pass(
        self, owner: Owner, caller: Caller, role: str, application: str, context: Mapping[str, str]
    ) -> None:
        await self._identities.authorise(caller, "iam:PassRole", (role,), {**context, **_PASSED_TO})
        arn = f"arn:aws:codedeploy:{owner.region}:{owner.account}:application:{application}"
        try:
            await self._require_role(owner, role, arn)
        except Refused as error:
            raise Refused("InvalidRoleException", error.message) from None

    async def _again(self, work: Callable[[Tx], T]) -> T:
        """Once more where somebody came in between."""
        for _ in range(_TRIES):
            try:
                return await self._db.write(work)
            except Duplicate:
                raise
            except Conflict:
                continue
        return await self._db.write(work)


def _bundle(revision: Mapping[str, Any]) -> dict[str, str]:
    """What scripts are told of where the revision came from (User Guide, "Environment variable availability for
    hooks": `BUNDLE_BUCKET` and so on)."""
    where = revision.get("s3Location") or {}
    names = {"bucket": "bundle_bucket", "key": "bundle_key", "version": "bundle_version", "eTag": "bundle_etag"}
    return {option: where[name] for name, option in names.items() if where.get(name)}


def _application(tx: Tx, owner: Owner, name: str) -> Application:
    found = groups_table.find_application(tx, owner, name)
    if found is None:
        raise Refused("ApplicationDoesNotExistException", f"No application found for name: {name}")
    return found


def _group(tx: Tx, owner: Owner, application: str, name: str) -> Group:
    _application(tx, owner, application)
    found = groups_table.find_group(tx, owner, application, name)
    if found is None:
        text = f"No Deployment Group found for name: {name}"
        raise Refused("DeploymentGroupDoesNotExistException", text)
    return found


def _exists(application: str, name: str) -> Refused:
    text = f"Deployment group name already exists: application {application}, deployment group {name}"
    return Refused("DeploymentGroupAlreadyExistsException", text)


def _forget(tx: Tx, id: str) -> None:
    table.delete_group(tx, id)
    targets_table.forget_health(tx, id)
