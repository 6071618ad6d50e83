"""IAM's operations on roles. See "Actions" in the IAM API reference."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from codeyard.access import table
from codeyard.access.answers import (
    RoleRows,
    check_document,
    encoded,
    exceeded,
    most,
    role_resource,
    size,
)  # fmt: skip
from codeyard.access.identities import new_role_id
from codeyard.access.model import Role, RoleArn
from codeyard.aws import Call, Refused, Shape, operation
from codeyard.aws.policy import Kind
from codeyard.store import Duplicate, Tx

_TRUST_SIZE = 2048  # characters: the quota "Role trust policy length"
_TAGS = 50


def _new_resource(call: Call) -> str:
    return str(RoleArn(call.caller.account, call.input.get("Path", "/"), call.input["RoleName"]))


def _tag_keys(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Refused: InvalidInput."""
    found = {tag["Key"]: tag["Value"] for tag in tags}
    if len({key.casefold() for key in found}) < len(list(tags)):
        text = "Duplicate tag keys found. Please note that Tag keys are case insensitive."
        raise Refused("InvalidInput", text)
    if any(key.lower().startswith("aws:") for key in found):
        raise Refused("InvalidInput", "Tag keys that begin with aws: are AWS's own. Choose another.")
    return found


def _check_trust(document: str) -> None:
    check_document(document, Kind.TRUST)
    if size(document) > _TRUST_SIZE:
        raise exceeded(f"Cannot exceed quota for ACLSizePerRole: {_TRUST_SIZE}")


class RoleOperations:
    """Roles themselves, and their tags."""

    def __init__(self, rows: RoleRows, now: Callable[[], datetime]) -> None:
        self._rows = rows
        self._now = now

    @operation("CreateRole", _new_resource)
    async def create_role(self, call: Call) -> Shape:
        given = call.input
        if given.get("PermissionsBoundary") is not None:
            # To take it and not to keep to it would let the role do more than was meant.
            raise Refused("InvalidInput", "Permissions boundaries are not supported here: create the role without one.")
        _check_trust(given["AssumeRolePolicyDocument"])
        role = Role(
            id=new_role_id(),
            arn=RoleArn(call.caller.account, given.get("Path") or "/", given["RoleName"]),
            created=self._now().replace(microsecond=0),
            trust=given["AssumeRolePolicyDocument"],
            description=given.get("Description"),
            max_session=given.get("MaxSessionDuration") or 3600,
            tags=_tag_keys(given.get("Tags") or ()),
        )
        try:
            await self._rows.db.write(lambda tx: table.add_role(tx, role))
        except Duplicate:
            raise Refused("EntityAlreadyExists", f"Role with name {role.name} already exists.", 409) from None
        self._rows.changed(role)
        return {"Role": {**_role(role), **_tags(role)}}

    @operation("GetRole", role_resource)
    async def get_role(self, call: Call) -> Shape:
        role = await self._rows.read(call, lambda _tx, role: role)
        return {"Role": {**_role(role), **_tags(role), "RoleLastUsed": {}}}

    @operation("ListRoles")
    async def list_roles(self, call: Call) -> Shape:
        prefix, count = call.input.get("PathPrefix") or "/", most(call)
        after = self._rows.pages.open(call, call.input.get("Marker"), "ValidationError", prefix) or ""
        found = await self._rows.db.read(lambda tx: table.roles_of(tx, call.caller.account, prefix, after, count + 1))
        shown = [_role(role) for role in found[:count]]
        next = found[count - 1].name.lower() if len(found) > count else None
        marker = self._rows.pages.seal(call, next, prefix)
        return {"Roles": shown, "IsTruncated": marker is not None, "Marker": marker}

    @operation("UpdateRole", role_resource)
    async def update_role(self, call: Call) -> Shape:
        def updated(role: Role) -> Role:
            description, longest = call.input.get("Description"), call.input.get("MaxSessionDuration")
            return replace(
                role,
                description=role.description if description is None else description,
                max_session=longest or role.max_session,
            )

        await self._save(call, updated)
        return {}

    @operation("UpdateRoleDescription", role_resource)
    async def update_role_description(self, call: Call) -> Shape:
        role = await self._save(call, lambda role: replace(role, description=call.input["Description"]))
        return {"Role": _role(role)}

    @operation("UpdateAssumeRolePolicy", role_resource)
    async def update_assume_role_policy(self, call: Call) -> None:
        _check_trust(call.input["PolicyDocument"])
        await self._save(call, lambda role: replace(role, trust=call.input["PolicyDocument"]))

    @operation("DeleteRole", role_resource)
    async def delete_role(self, call: Call) -> None:
        def remove(tx: Tx, role: Role) -> None:
            if table.attached_to(tx, role):
                raise _conflict("Cannot delete entity, must detach all policies first.")
            if table.inline_of(tx, role):
                raise _conflict("Cannot delete entity, must delete policies first.")
            table.remove_role(tx, role)

        await self._rows.change(call, remove)

    @operation("TagRole", role_resource)
    async def tag_role(self, call: Call) -> None:
        new = _tag_keys(call.input["Tags"])

        def tagged(role: Role) -> Role:
            replaced = {key.casefold() for key in new}
            kept = {key: value for key, value in role.tags.items() if key.casefold() not in replaced}
            if len(kept) + len(new) > _TAGS:
                raise exceeded("The number of tags has reached the maximum limit.")
            return replace(role, tags={**kept, **new})

        await self._save(call, tagged)

    @operation("UntagRole", role_resource)
    async def untag_role(self, call: Call) -> None:
        gone = {key.casefold() for key in call.input["TagKeys"]}
        await self._save(
            call,
            lambda role: replace(role, tags={k: v for k, v in role.tags.items() if k.casefold() not in gone}),
        )

    @operation("ListRoleTags", role_resource)
    async def list_role_tags(self, call: Call) -> Shape:
        role = await self._rows.read(call, lambda _tx, role: role)
        return self._rows.part(call, "Tags", _tags(role).get("Tags", []))

    @operation("ListInstanceProfilesForRole", role_resource)
    async def list_instance_profiles_for_role(self, call: Call) -> Shape:
        """None: there are no instances here. Terraform asks before it deletes a role."""
        await self._rows.read(call, lambda _tx, role: role)
        return {"InstanceProfiles": [], "IsTruncated": False}

    async def _save(self, call: Call, change: Callable[[Role], Role]) -> Role:
        def save(tx: Tx, role: Role) -> Role:
            changed = change(role)
            table.save_role(tx, changed)
            return changed

        return await self._rows.change(call, save)


def _conflict(text: str) -> Refused:
    return Refused("DeleteConflict", text, 409)


def _role(role: Role) -> dict[str, object]:
    return {
        "Path": role.arn.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": str(role.arn),
        "CreateDate": role.created,
        "AssumeRolePolicyDocument": encoded(role.trust),
        "Description": role.description,
        "MaxSessionDuration": role.max_session,
    }


def _tags(role: Role) -> dict[str, list[dict[str, str]]]:
    """ListRoles leaves them out, as AWS does."""
    tags = [{"Key": key, "Value": value} for key, value in sorted(role.tags.items())]
    return {"Tags": tags} if tags else {}
