"""Tags of applications and deployment groups, which clients such as Terraform read back."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from codeyard.aws import Call, Refused, Shape, operation
from codeyard.deploys import groups_table
from codeyard.deploys.groups_table import applications
from codeyard.deploys.model import Group
from codeyard.ident import Owner
from codeyard.store import Database, Tx

_MOST = 50
Tags = tuple[Mapping[str, Any], ...]


def _named(call: Call) -> str:
    return str(call.input.get("ResourceArn", ""))


class TagOperations:
    """ListTagsForResource, TagResource, UntagResource."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @operation("ListTagsForResource", _named)
    async def list(self, call: Call) -> Shape:
        kind, name = _resource(call)
        return {"Tags": list(await self._db.read(lambda tx: _read(tx, call.owner, kind, name)))}

    @operation("TagResource", _named)
    async def tag(self, call: Call) -> Shape:
        added = {str(tag.get("Key") or ""): str(tag.get("Value") or "") for tag in call.input["Tags"]}
        if "" in added:
            raise Refused("InvalidTagsToAddException", "A tag needs a Key")
        return await self._change(call, lambda was: {**was, **added})

    @operation("UntagResource", _named)
    async def untag(self, call: Call) -> Shape:
        gone = set(call.input["TagKeys"])
        return await self._change(call, lambda was: {key: value for key, value in was.items() if key not in gone})

    async def _change(self, call: Call, rule: Callable[[dict[str, str]], Mapping[str, str]]) -> Shape:
        kind, name = _resource(call)

        def work(tx: Tx) -> None:
            was = {str(tag["Key"]): str(tag.get("Value") or "") for tag in _read(tx, call.owner, kind, name)}
            now = rule(was)
            if len(now) > _MOST:
                raise Refused("TagLimitExceededException", f"A resource has {_MOST} tags at the most")
            _write(tx, call.owner, kind, name, [{"Key": key, "Value": value} for key, value in now.items()])

        await self._db.write(work)
        return {}


def _resource(call: Call) -> tuple[str, str]:
    """`application` or `deploymentgroup`, and the name. Refused: InvalidArnException, ArnNotSupportedException."""
    arn, prefix = _named(call), f"arn:aws:codedeploy:{call.owner.region}:{call.owner.account}:"
    kind, colon, name = arn.removeprefix(prefix).partition(":")
    if not arn.startswith(prefix) or not colon or not name:
        raise Refused("InvalidArnException", f"The ARN is not valid: {arn[:400]}")
    if kind not in ("application", "deploymentgroup"):
        raise Refused("ArnNotSupportedException", f"The resource bears no tags: {arn[:400]}")
    return kind, name


def _read(tx: Tx, owner: Owner, kind: str, name: str) -> Tags:
    if kind == "application":
        found = groups_table.find_application(tx, owner, name)
        if found is None:
            raise Refused("ApplicationDoesNotExistException", f"No application found for name: {name}")
        return tuple(found.tags)
    return tuple(_group(tx, owner, name).settings.get("tags") or ())


def _group(tx: Tx, owner: Owner, name: str) -> Group:
    application, _, group = name.partition("/")
    found = groups_table.find_group(tx, owner, application, group)
    if found is None:
        text = f"No Deployment Group found for name: {group}"
        raise Refused("DeploymentGroupDoesNotExistException", text)
    return found


def _write(tx: Tx, owner: Owner, kind: str, name: str, tags: Iterable[Mapping[str, str]]) -> None:
    told = list(tags)
    if kind == "application":
        mine = (applications.c.account == owner.account, applications.c.region == owner.region)
        query = applications.update().where(*mine, applications.c.name == name)
        tx.execute(query.values(tags=json.dumps(told)))
        return
    was = _group(tx, owner, name)
    groups_table.save_group(tx, was, replace(was, settings={**was.settings, "tags": told}))
