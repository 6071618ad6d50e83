"""The operations on action types and rule types."""

import re
from collections.abc import Callable, Iterable, Mapping

from codeyard.aws import Call, Page, Refused, Shape, operation
from codeyard.aws.paging import Pages
from codeyard.ident import Owner
from codeyard.pipelines import action_types, rule_types
from codeyard.pipelines import custom_types_table as table
from codeyard.pipelines.action_types import ActionTypeSpec
from codeyard.pipelines.custom_types_table import CUSTOM, Stored
from codeyard.pipelines.model import ActionType
from codeyard.pipelines.tags import checked
from codeyard.store import Database, Duplicate, Tx

Used = Callable[[Tx, Owner, ActionType], bool]  # whether a pipeline of the owner's has an action of this type
LIMIT = 50  # custom action types of an account in a region (quotas)
_PAGE = 100
_ARN = re.compile(
    r"arn:aws[a-z-]*:codepipeline:([a-z0-9-]{1,30}):([0-9]{12}):(?i:actiontype):"
    r"([A-Za-z]{1,10})/([A-Za-z]{1,10})/([0-9A-Za-z_-]{1,35})/([0-9A-Za-z_-]{1,9})"
)


def arn_of(owner: Owner, type: ActionType) -> str:
    """What IAM's policies and tags call a type."""
    named = f"{type.owner}/{type.category}/{type.provider}/{type.version}"
    return f"arn:aws:codepipeline:{owner.region}:{owner.account}:actiontype:{named}"


def parse_arn(arn: str) -> tuple[Owner, ActionType] | None:
    """Whose type it names; None: it is no ARN of an action type. AWS writes `actionType` in places."""
    match = _ARN.fullmatch(arn)
    if match is None:
        return None
    region, account, owner, category, provider, version = match.groups()
    return Owner(account, region), ActionType(category, owner, provider, version)


def not_available(type: ActionType, region: str) -> Refused:
    """What is said where there is no such type."""
    named = (
        f"Category: '{type.category}', Provider: '{type.provider}', Owner: '{type.owner}', Version: '{type.version}'"
    )
    return Refused("ActionTypeNotFoundException", f"ActionType ({named}) is not available in region '{region}'")


def _own(call: Call) -> ActionType:
    return ActionType(call.input["category"], CUSTOM, call.input["provider"], call.input["version"])


def _own_arn(call: Call) -> str:
    return arn_of(call.owner, _own(call))


class ActionTypeOperations:
    """Those of CustomActionType; ListActionTypes, GetActionType, UpdateActionType; ListRuleTypes."""

    def __init__(self, db: Database, pages: Pages, used: Used) -> None:
        self._db, self._pages, self._used = db, pages, used

    @operation("CreateCustomActionType", _own_arn)
    async def create(self, call: Call) -> Shape:
        """A type that was deleted is restored by the same definition; the same once more changes nothing."""
        spec, tags = action_types.created(call.input), checked(call.input.get("tags") or ())
        try:
            made = await self._db.write(lambda tx: _created(tx, call.owner, Stored(spec, tags)))
        except Duplicate:  # somebody made it at this very moment
            text = "The action type was changed by another request at the same time. Try again."
            raise Refused("ConcurrentModificationException", text) from None
        return {
            "actionType": action_types.to_wire(made.spec),
            "tags": [{"key": key, "value": value} for key, value in made.tags.items()],
        }

    @operation("DeleteCustomActionType", _own_arn)
    async def delete(self, call: Call) -> Shape:
        """Nothing, if there is no such type: AWS has no error for that."""
        await self._db.write(lambda tx: self._deleted(tx, call.owner, _own(call)))
        return {}

    @operation("ListActionTypes")
    async def list_types(self, call: Call) -> Shape:
        owner, region = call.input.get("actionOwnerFilter"), call.input.get("regionFilter") or call.region
        filter = [owner, region]
        after = self._pages.open(call, call.input.get("nextToken"), "InvalidNextTokenException", filter)
        there = await self._db.read(lambda tx: table.catalogue(tx, Owner(call.owner.account, region)))
        found = page((spec for spec in there if owner in (None, spec.id.owner)), after)
        return {
            "actionTypes": [action_types.to_wire(spec) for spec in found.items],
            "nextToken": self._pages.seal(call, found.next, filter),
        }

    @operation("GetActionType")
    async def get_type(self, call: Call) -> Shape:
        """Of types that a partner made for its customers alone, of which there are none here."""
        raise _no_partners_type(call, call.input)

    @operation("UpdateActionType")
    async def update_type(self, call: Call) -> Shape:
        """As GetActionType."""
        raise _no_partners_type(call, call.input["actionType"]["id"])

    @operation("ListRuleTypes")
    async def list_rule_types(self, call: Call) -> Shape:
        """AWS is the owner of all, and they are the same in all regions."""
        return {"ruleTypes": [rule_types.rule_to_wire(spec) for spec in rule_types.RULE_TYPES]}

    def _deleted(self, tx: Tx, owner: Owner, type: ActionType) -> None:
        stored = table.found(tx, owner, type)
        if stored is None or stored.deleted:
            return
        if self._used(tx, owner, type):
            text = f"The action type {type} cannot be deleted: a pipeline has an action of it."
            raise Refused("ValidationException", text)
        table.mark(tx, owner, type, deleted=True)


def page(specs: Iterable[ActionTypeSpec], after: str | None, size: int = _PAGE) -> Page:
    """Some of the types, in the order of their names, from the one after `after` on."""
    ordered = sorted(specs, key=lambda spec: str(spec.id))
    rest = [spec for spec in ordered if after is None or str(spec.id) > after]
    shown = rest[:size]
    return Page(tuple(shown), str(shown[-1].id) if len(rest) > size else None)


def _created(tx: Tx, owner: Owner, made: Stored) -> Stored:
    was = table.found(tx, owner, made.spec.id)
    if was is not None and was.spec != made.spec:
        text = (
            f"The action type {made.spec.id} already exists with a different definition."
            if not was.deleted
            else f"The version of the action type {made.spec.id} was used before, with a different definition."
        )
        raise Refused("ActionTypeAlreadyExistsException", text)
    if was is not None and not was.deleted:
        return was
    if table.count(tx, owner) >= LIMIT:
        text = f"The account has {LIMIT} custom action types in this region, and can have no more."
        raise Refused("LimitExceededException", text)
    if was is None:
        table.insert(tx, owner, made)
        return made
    table.mark(tx, owner, made.spec.id, deleted=False)
    table.put_tags(tx, owner, made.spec.id, made.tags)
    return Stored(made.spec, {**was.tags, **made.tags})


def _no_partners_type(call: Call, id: Mapping[str, str]) -> Refused:
    return not_available(ActionType(id["category"], id["owner"], id["provider"], id["version"]), call.region)
