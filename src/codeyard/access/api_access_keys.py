"""IAM's operations on access keys: those of the account's root, for there are no users here."""

from codeyard.access import table
from codeyard.access.answers import RoleRows, exceeded, no_entity
from codeyard.access.identities import StoredIdentities
from codeyard.aws import Call, Refused, Shape, operation
from codeyard.store import Tx

_ROOT = "root"  # what keys of the root have for a user's name
_MOST = 2  # for each user: the quota "Access keys per user"


class AccessKeyOperations:
    def __init__(self, rows: RoleRows, identities: StoredIdentities) -> None:
        self._rows = rows
        self._identities = identities

    @operation("CreateAccessKey")
    async def create_access_key(self, call: Call) -> Shape:
        account = _account(call)

        def check(tx: Tx) -> None:
            if len(table.keys_of(tx, account)) >= _MOST:
                raise exceeded(f"Cannot exceed quota for AccessKeysPerUser: {_MOST}")

        key, secret = await self._identities.make_key(account, check=check)
        return {
            "AccessKey": {
                "UserName": _ROOT,
                "AccessKeyId": key.id,
                "Status": "Active",
                "SecretAccessKey": secret,
                "CreateDate": key.created,
            }
        }

    @operation("ListAccessKeys")
    async def list_access_keys(self, call: Call) -> Shape:
        account = _account(call)
        keys = await self._rows.db.read(lambda tx: table.keys_of(tx, account))
        shown = [
            {
                "UserName": _ROOT,
                "AccessKeyId": key.id,
                "Status": "Active" if key.active else "Inactive",
                "CreateDate": key.created,
            }
            for key in keys
        ]
        return self._rows.part(call, "AccessKeyMetadata", shown)

    @operation("UpdateAccessKey")
    async def update_access_key(self, call: Call) -> None:
        account, id, status = _account(call), call.input["AccessKeyId"], call.input["Status"]
        if status not in ("Active", "Inactive"):
            raise Refused("InvalidInput", f"A key can be made Active or Inactive, not {status}.")
        if not await self._rows.db.write(lambda tx: table.set_active(tx, account, id, status == "Active")):
            raise _no_key(id)
        self._identities.key_changed(id)

    @operation("DeleteAccessKey")
    async def delete_access_key(self, call: Call) -> None:
        account, id = _account(call), call.input["AccessKeyId"]
        if not await self._rows.db.write(lambda tx: table.remove_key(tx, account, id)):
            raise _no_key(id)
        self._identities.key_changed(id)


def _account(call: Call) -> str:
    """Whose keys. Refused: a user is named, or a role would have keys of the root."""
    name = call.input.get("UserName")
    if name not in (None, _ROOT):
        raise no_entity(f"The user with name {name} cannot be found.")
    if call.caller.role is not None:
        raise Refused("ValidationError", "Must specify userName when calling with non-User credentials")
    return call.caller.account


def _no_key(id: str) -> Refused:
    return no_entity(f"The Access Key with id {id} cannot be found.")
