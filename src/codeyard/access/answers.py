"""What the handlers of IAM share: its errors, its pages, and a change to one role."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from codeyard.access import table
from codeyard.access.identities import StoredIdentities
from codeyard.access.model import Role
from codeyard.aws import Call, Refused, Shape, policy
from codeyard.aws.paging import Pages
from codeyard.aws.policy import Kind, Malformed
from codeyard.store import Database, Tx

T = TypeVar("T")
_PAGE = 100  # IAM's default


def no_entity(text: str) -> Refused:
    return Refused("NoSuchEntity", text, 404)


def no_role(name: str) -> Refused:
    return no_entity(f"The role with name {name} cannot be found.")


def exceeded(text: str) -> Refused:
    return Refused("LimitExceeded", text, 409)


def check_document(text: str, kind: Kind) -> None:
    """Refused: MalformedPolicyDocument."""
    try:
        policy.parse(text, kind)
    except Malformed as malformed:
        raise Refused("MalformedPolicyDocument", malformed.message) from None


def size(document: str) -> int:
    """As IAM counts it: "IAM doesn't count white space"."""
    return len("".join(document.split()))


def encoded(document: str) -> str:
    """As IAM gives documents: "URL-encoded compliant with RFC 3986"."""
    return quote(document, safe="")


def role_resource(call: Call) -> str:
    """The role an operation speaks of, as far as its input says: see `RoleArns` for the path."""
    return f"arn:aws:iam::{call.caller.account}:role/{call.input['RoleName']}"


class RoleArns:
    """The ARNs that a policy must allow, with the paths of roles, which only the database knows."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def exact(self, call: Call, resources: tuple[str, ...]) -> tuple[str, ...]:
        """The ARN of the role that a call names, if there is one; `resources` otherwise.

        A Deny of `role/admin/*` would not fit `role/NAME`, nor would an Allow of it.
        """
        name = call.input.get("RoleName") if call.caller.role else None  # the root may do everything anyway
        if name is None or call.operation == "CreateRole":  # which says the path itself
            return resources
        role = await self._db.read(lambda tx: table.role_named(tx, call.caller.account, name))
        return resources if role is None else (str(role.arn),)


class RoleRows:
    """One role, read or changed, by its name in a call."""

    def __init__(self, db: Database, identities: StoredIdentities, pages: Pages) -> None:
        self.db = db
        self.pages = pages
        self._identities = identities

    async def read(self, call: Call, work: Callable[[Tx, Role], T]) -> T:
        """What `work` makes of the role. Refused: NoSuchEntity."""
        account, name = call.caller.account, call.input["RoleName"]

        def reading(tx: Tx) -> T:
            role = table.role_named(tx, account, name)
            if role is None:
                raise no_role(name)
            return work(tx, role)

        return await self.db.read(reading)

    async def change(self, call: Call, work: Callable[[Tx, Role], T]) -> T:
        """The same; nobody else changes the role meanwhile, and this process sees the change at once."""
        account, name = call.caller.account, call.input["RoleName"]

        def changing(tx: Tx) -> tuple[Role, T]:
            role = table.held_role(tx, account, name)
            if role is None:
                raise no_role(name)
            return role, work(tx, role)

        role, answer = await self.db.write(changing)
        self.changed(role)
        return answer

    def changed(self, role: Role) -> None:
        self._identities.role_changed(str(role.arn))

    def part(self, call: Call, name: str, items: Sequence[Any]) -> Shape:
        """A page of a list that is at hand, as the member of this name."""
        begin = int(self.pages.open(call, call.input.get("Marker"), "ValidationError") or "0")
        end = begin + most(call)
        marker = self.pages.seal(call, str(end) if end < len(items) else None)
        return {name: list(items[begin:end]), "IsTruncated": marker is not None, "Marker": marker}


def most(call: Call) -> int:
    given: int | None = call.input.get("MaxItems")
    return _PAGE if given is None else given
