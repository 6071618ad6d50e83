"""IAM's operations on what a role may do: its inline policies, and those of AWS that are attached to it."""

import re
from datetime import UTC, datetime

from codeyard.access import managed_policies, table
from codeyard.access.answers import RoleRows, check_document, encoded, exceeded, no_entity, role_resource, size
from codeyard.access.model import Role
from codeyard.aws import Call, Refused, Shape, operation
from codeyard.aws.policy import Kind
from codeyard.store import Tx

_INLINE_SIZE = 10_240  # characters, of all inline policies of a role together
_ATTACHED = 10  # the quota "Managed policies per role"
_MANAGED_SINCE = datetime(2015, 2, 6, 18, 40, tzinfo=UTC)  # what AWS says of most of its own


class RolePolicyOperations:
    """Inline and attached policies."""

    def __init__(self, rows: RoleRows) -> None:
        self._rows = rows

    @operation("PutRolePolicy", role_resource)
    async def put_role_policy(self, call: Call) -> None:
        name, document = call.input["PolicyName"], call.input["PolicyDocument"]
        check_document(document, Kind.IDENTITY)

        def put(tx: Tx, role: Role) -> None:
            table.put_inline(tx, role, name, document)
            if sum(map(size, table.inline_of(tx, role).values())) > _INLINE_SIZE:
                raise exceeded(f"Maximum policy size of {_INLINE_SIZE} bytes exceeded for role {role.name}")

        await self._rows.change(call, put)

    @operation("GetRolePolicy", role_resource)
    async def get_role_policy(self, call: Call) -> Shape:
        name = call.input["PolicyName"]
        document = (await self._rows.read(call, table.inline_of)).get(name)
        if document is None:
            raise _no_inline(name)
        return {"RoleName": call.input["RoleName"], "PolicyName": name, "PolicyDocument": encoded(document)}

    @operation("ListRolePolicies", role_resource)
    async def list_role_policies(self, call: Call) -> Shape:
        return self._rows.part(call, "PolicyNames", list(await self._rows.read(call, table.inline_of)))

    @operation("DeleteRolePolicy", role_resource)
    async def delete_role_policy(self, call: Call) -> None:
        def remove(tx: Tx, role: Role) -> None:
            if not table.remove_inline(tx, role, call.input["PolicyName"]):
                raise _no_inline(call.input["PolicyName"])

        await self._rows.change(call, remove)

    @operation("AttachRolePolicy", role_resource)
    async def attach_role_policy(self, call: Call) -> None:
        arn = _checked(call.input["PolicyArn"])

        def attach(tx: Tx, role: Role) -> None:
            table.attach(tx, role, arn)
            if len(table.attached_to(tx, role)) > _ATTACHED:
                raise exceeded(f"Cannot exceed quota for PoliciesPerRole: {_ATTACHED}")

        await self._rows.change(call, attach)

    @operation("DetachRolePolicy", role_resource)
    async def detach_role_policy(self, call: Call) -> None:
        def detach(tx: Tx, role: Role) -> None:
            if not table.detach(tx, role, call.input["PolicyArn"]):
                raise no_entity(f"Policy {call.input['PolicyArn']} was not found.")

        await self._rows.change(call, detach)

    @operation("ListAttachedRolePolicies", role_resource)
    async def list_attached_role_policies(self, call: Call) -> Shape:
        arns = await self._rows.read(call, table.attached_to)
        if call.input.get("PathPrefix") not in (None, "/"):
            arns = []  # those that we know have no path
        attached = [{"PolicyName": managed_policies.name_of(arn), "PolicyArn": arn} for arn in arns]
        return self._rows.part(call, "AttachedPolicies", attached)

    @operation("GetPolicy", lambda call: str(call.input["PolicyArn"]))
    async def get_policy(self, call: Call) -> Shape:
        arn = _checked(call.input["PolicyArn"])
        told = {
            "PolicyName": managed_policies.name_of(arn),
            "Arn": arn,
            "Path": arn.removesuffix(managed_policies.name_of(arn)).partition(":policy")[2],
            "DefaultVersionId": "v1",
            "IsAttachable": True,
            "CreateDate": _MANAGED_SINCE,
            "UpdateDate": _MANAGED_SINCE,
        }
        return {"Policy": told}

    @operation("GetPolicyVersion", lambda call: str(call.input["PolicyArn"]))
    async def get_policy_version(self, call: Call) -> Shape:
        arn, version = _checked(call.input["PolicyArn"]), call.input["VersionId"]
        if version != "v1":
            raise no_entity(f"Policy {arn} version {version} does not exist or is not attachable.")
        document = managed_policies.DOCUMENTS[arn.removeprefix(managed_policies.PREFIX)]
        told = {
            "Document": encoded(document),
            "VersionId": version,
            "IsDefaultVersion": True,
            "CreateDate": _MANAGED_SINCE,
        }
        return {"PolicyVersion": told}


def _checked(arn: str) -> str:
    """The ARN of a policy that there is. Refused: InvalidInput, NoSuchEntity."""
    if re.fullmatch(r"arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/\S+", arn) is None:
        raise Refused("InvalidInput", f"ARN {arn} is not valid.")
    if managed_policies.parsed(arn) is None:
        known = ", ".join(sorted(managed_policies.DOCUMENTS))
        text = (
            f"Policy {arn} does not exist or is not attachable. There are here, of {managed_policies.PREFIX}: {known}."
        )
        raise no_entity(text)
    return arn


def _no_inline(name: str) -> Refused:
    return no_entity(f"The role policy with name {name} cannot be found.")
