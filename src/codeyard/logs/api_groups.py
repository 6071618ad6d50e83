"""CloudWatch Logs' operations on log groups: their life, retention and tags."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from codeyard.aws import Call, Refused, Shape, operation
from codeyard.aws.paging import Pages
from codeyard.logs import table
from codeyard.logs.groups import milliseconds
from codeyard.logs.naming import (
    WRONG,
    checked_group,
    group_arn,
    group_name,
    missing_group,
    named_by,
    on_any_group,
    on_group,
    on_tagged,
    wrong,
)
from codeyard.logs.table import Group
from codeyard.store import Database, Duplicate, Tx

T = TypeVar("T")
_RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
_MOST_TAGS = 50
_PARTS = ("logGroupNamePrefix", "logGroupNamePattern")


class GroupOperations:
    """The operations on groups."""

    def __init__(self, db: Database, pages: Pages, now: Callable[[], datetime]) -> None:
        self._db, self._pages, self._now = db, pages, now

    @operation("CreateLogGroup", on_group)
    async def create_log_group(self, call: Call) -> None:
        name, tags = checked_group(call.input["logGroupName"]), call.input.get("tags") or {}
        if name.startswith("aws/"):
            raise wrong("Log groups starting with AWS/ are reserved for AWS.")
        if call.input.get("kmsKeyId"):
            raise wrong("A log group cannot be encrypted with a key of its own here: leave kmsKeyId out.")
        if call.input.get("deletionProtectionEnabled"):
            raise wrong("Log groups have no deletion protection here: leave deletionProtectionEnabled out.")
        _check_tags(tags)
        now, log_class = milliseconds(self._now()), call.input.get("logGroupClass") or "STANDARD"
        try:
            await self._db.write(lambda tx: table.create_group(tx, call.owner, name, now, tags, log_class))
        except Duplicate:
            raise Refused("ResourceAlreadyExistsException", "The specified log group already exists") from None

    @operation("DeleteLogGroup", on_group)
    async def delete_log_group(self, call: Call) -> None:
        now = milliseconds(self._now())
        await self._change(call, group_name(call), lambda tx, group: table.delete_group(tx, group, now))

    @operation("DescribeLogGroups", on_any_group)
    async def describe_log_groups(self, call: Call) -> Shape:
        given = call.input
        prefix, part = (checked_group(given[key]) if given.get(key) else "" for key in _PARTS)
        if prefix and part:
            raise wrong("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
        named = given.get("logGroupIdentifiers")
        names = None if named is None else [named_by(call.owner, identifier) for identifier in named]
        limit = given.get("limit") or 50
        after = self._pages.open(call, given.get("nextToken"), WRONG) or ""
        found = await self._db.read(
            lambda tx: table.groups(
                tx, call.owner, limit + 1, after=after, prefix=prefix, part=part,
                log_class=given.get("logGroupClass"), names=names,
            )
        )  # fmt: skip
        following = found[limit - 1].name if len(found) > limit else None
        return {
            "logGroups": [_shown(call, group) for group in found[:limit]],
            "nextToken": self._pages.seal(call, following),
        }

    @operation("PutRetentionPolicy", on_group)
    async def put_retention_policy(self, call: Call) -> None:
        days = call.input["retentionInDays"]
        if days not in _RETENTIONS:
            raise wrong(
                f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: "
                f"Member must satisfy enum value set: [{', '.join(map(str, _RETENTIONS))}]"
            )
        await self._change(call, group_name(call), lambda tx, group: table.set_retention(tx, group, days))

    @operation("DeleteRetentionPolicy", on_group)
    async def delete_retention_policy(self, call: Call) -> None:
        await self._change(call, group_name(call), lambda tx, group: table.set_retention(tx, group, None))

    @operation("TagLogGroup", on_tagged)
    async def tag_log_group(self, call: Call) -> None:
        await self._tag(call, group_name(call))

    @operation("TagResource", on_tagged)
    async def tag_resource(self, call: Call) -> None:
        await self._tag(call, _tagged(call))

    @operation("UntagLogGroup", on_tagged)
    async def untag_log_group(self, call: Call) -> None:
        await self._untag(call, group_name(call), call.input["tags"])

    @operation("UntagResource", on_tagged)
    async def untag_resource(self, call: Call) -> None:
        await self._untag(call, _tagged(call), call.input["tagKeys"])

    @operation("ListTagsLogGroup", on_tagged)
    async def list_tags_log_group(self, call: Call) -> Shape:
        return {"tags": await self._tags(call, group_name(call))}

    @operation("ListTagsForResource", on_tagged)
    async def list_tags_for_resource(self, call: Call) -> Shape:
        return {"tags": await self._tags(call, _tagged(call))}

    async def _tag(self, call: Call, name: str) -> None:
        added = call.input["tags"]

        def work(tx: Tx, group: Group) -> None:
            tags = {**group.tags, **added}
            if len(tags) > _MOST_TAGS:
                raise Refused("TooManyTagsException", f"A resource can have no more than {_MOST_TAGS} tags.")
            table.set_tags(tx, group, tags)

        _check_tags(added)
        await self._change(call, name, work)

    async def _untag(self, call: Call, name: str, keys: list[str]) -> None:
        def work(tx: Tx, group: Group) -> None:
            table.set_tags(tx, group, {key: value for key, value in group.tags.items() if key not in keys})

        await self._change(call, name, work)

    async def _tags(self, call: Call, name: str) -> Mapping[str, str]:
        group = await self._db.read(lambda tx: table.group(tx, call.owner, name))
        if group is None:
            raise missing_group()
        return group.tags

    async def _change(self, call: Call, name: str, change: Callable[[Tx, Group], T]) -> T:
        def work(tx: Tx) -> T:
            group = table.group(tx, call.owner, name)
            if group is None:
                raise missing_group()
            return change(tx, group)

        return await self._db.write(work)


def _tagged(call: Call) -> str:
    arn = call.input["resourceArn"]
    if not arn.startswith("arn:"):
        raise wrong(f"The resource ARN '{arn[:200]}' is not one of a log group.")
    return named_by(call.owner, arn)


def _check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > _MOST_TAGS:
        raise Refused("TooManyTagsException", f"A resource can have no more than {_MOST_TAGS} tags.")
    if any(key.lower().startswith("aws:") for key in tags):
        raise wrong("aws: prefixed tag key names are not allowed for external use.")


def _shown(call: Call, group: Group) -> Shape:
    arn = group_arn(call.owner, group.name)
    return {
        "logGroupName": group.name,
        "creationTime": group.created,
        "retentionInDays": group.retention,
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "storedBytes": max(0, group.stored),
        "logGroupClass": group.log_class,
        "logGroupArn": arn,
        "deletionProtectionEnabled": False,
    }
