"""The operations on definitions: create, read, replace, delete and list pipelines, and tag what can be tagged."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from codeyard.aws import Call, Identities, Refused, Shape, operation
from codeyard.aws.paging import Pages
from codeyard.ident import Owner
from codeyard.pipelines import pipelines_table
from codeyard.pipelines import tags as tags_rules
from codeyard.pipelines.action_types import Catalogue
from codeyard.pipelines.control import PipelineControl
from codeyard.pipelines.masking import separated
from codeyard.pipelines.model import parse
from codeyard.pipelines.rules import check
from codeyard.pipelines.stored import StoredPipeline, StoredVersion
from codeyard.pipelines.wire import sealed_json, summary
from codeyard.secrets.sealing import Key
from codeyard.store import Database, Tx

_PASSED_TO = {"iam:PassedToService": "codepipeline.amazonaws.com"}
_STALE = "InvalidNextTokenException"
MANY = 1000  # pipelines in a region (Quotas)


def pipeline_arn(owner: Owner, name: str) -> str:
    return f"arn:aws:codepipeline:{owner.region}:{owner.account}:{name}"


def named(call: Call) -> str:
    """The pipeline that a call is about."""
    given = call.input
    name = given.get("pipelineName") or given.get("name") or (given.get("pipeline") or {}).get("name", "")
    return pipeline_arn(call.owner, str(name))


def _resource_named(call: Call) -> str:
    """The ARN as policies have it: clients may write its kind in capitals, and name the same resource."""
    arn, prefix = str(call.input["resourceArn"]), pipeline_arn(call.owner, "")
    kind, colon, name = arn.removeprefix(prefix).partition(":")
    return f"{prefix}{kind.lower()}:{name}" if colon and arn.startswith(prefix) else arn


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals the secrets of definitions by the vault's key, each definition's for itself."""

    key: Key

    def sealed(self, owner: Owner, pipeline: str, secrets: Mapping[str, str]) -> bytes | None:
        return self.key.seal(sealed_json(secrets), _place(owner, pipeline)) if secrets else None

    def unsealed(self, owner: Owner, pipeline: str, sealed: bytes) -> Mapping[str, str]:
        found: dict[str, str] = json.loads(self.key.open(sealed, _place(owner, pipeline)))
        return found


def _place(owner: Owner, pipeline: str) -> bytes:
    return f"pipeline\0{owner.account}\0{owner.region}\0{pipeline}".encode()


class Tagged(Protocol):
    """A kind of resource that bears tags: custom action types, webhooks. `name` is what follows its prefix."""

    def tags(self, tx: Tx, owner: Owner, name: str) -> Mapping[str, str] | None:
        """None: there is no such resource."""
        ...

    def held_tags(self, tx: Tx, owner: Owner, name: str) -> Mapping[str, str] | None:
        """The same, which nobody else changes before the transaction ends: it is one that writes."""
        ...

    def put_tags(self, tx: Tx, owner: Owner, name: str, tags: Mapping[str, str]) -> None:
        """In place of those that were held."""
        ...


class _PipelineTags:
    """Those of the pipelines themselves."""

    def tags(self, tx: Tx, owner: Owner, name: str) -> Mapping[str, str] | None:
        stored = pipelines_table.load(tx, owner, name)
        return None if stored is None else stored.tags

    def held_tags(self, tx: Tx, owner: Owner, name: str) -> Mapping[str, str] | None:
        stored = pipelines_table.hold(tx, owner, name)
        return None if stored is None else stored.tags

    def put_tags(self, tx: Tx, owner: Owner, name: str, tags: Mapping[str, str]) -> None:
        stored = pipelines_table.hold(tx, owner, name)
        if stored is not None:
            pipelines_table.save(tx, replace(stored, tags=dict(tags)))


class PipelineOperations:
    """See the module."""

    def __init__(
        self,
        db: Database,
        control: PipelineControl,
        identities: Identities,
        assumable: Callable[[Owner, str, str], Awaitable[bool]],
        catalogue: Callable[[Tx, Owner], Catalogue],
        sealer: Sealer,
        pages: Pages,
        now: Callable[[], datetime],
        tagged: Mapping[str, Tagged],
    ) -> None:
        """`assumable`: whether CodePipeline may take on this role for this pipeline's ARN. `tagged`: by the word that
        an ARN's resource begins with, such as `webhook`."""
        self._db, self._control, self._identities, self._assumable = db, control, identities, assumable
        self._catalogue, self._sealer, self._pages, self._now = catalogue, sealer, pages, now
        self._tagged: Mapping[str, Tagged] = {"": _PipelineTags(), **tagged}

    @operation("CreatePipeline", named)
    async def create_pipeline(self, call: Call) -> Shape:
        owner, given = call.owner, call.input["pipeline"]
        tags = tags_rules.checked(call.input.get("tags") or ())

        def work(tx: Tx) -> tuple[Catalogue, int, bool]:
            there = pipelines_table.load(tx, owner, given["name"]) is not None
            return self._catalogue(tx, owner), pipelines_table.count(tx, owner), there

        catalogue, many, there = await self._db.read(work)
        shape = check(given, owner, catalogue, None)
        if there:
            text = f"A pipeline with the name '{given['name']}' already exists in account '{owner.account}'"
            raise Refused("PipelineNameInUseException", text)
        if many >= MANY:
            raise Refused("LimitExceededException", f"The account has {many} pipelines in {owner.region}")
        await self._check_role(call, shape)
        version = self._version(owner, {**shape, "version": 1}, catalogue, {})
        stored, _ = await self._control.definitions.create(owner, version, tags, call.caller.arn)
        return {"pipeline": version.shape, "tags": _wire_tags(stored.tags)}

    @operation("UpdatePipeline", named)
    async def update_pipeline(self, call: Call) -> Shape:
        owner, given = call.owner, call.input["pipeline"]
        name = given["name"]
        _, was = await self._control.definitions.get(owner, name)
        catalogue = await self._db.read(lambda tx: self._catalogue(tx, owner))
        await self._check_role(call, check(given, owner, catalogue, was.shape))

        def make(tx: Tx, stored: StoredPipeline, before: StoredVersion) -> StoredVersion:
            known = self._catalogue(tx, owner)
            shape = check(given, owner, known, before.shape)
            kept = {} if before.secrets is None else self._sealer.unsealed(owner, name, before.secrets)
            return self._version(owner, {**shape, "version": stored.version + 1}, known, kept)

        _, version = await self._control.definitions.update(owner, name, make)
        return {"pipeline": version.shape}

    @operation("DeletePipeline", named)
    async def delete_pipeline(self, call: Call) -> None:
        await self._control.definitions.delete(call.owner, call.input["name"])

    @operation("GetPipeline", named)
    async def get_pipeline(self, call: Call) -> Shape:
        stored, version = await self._control.definitions.get(call.owner, call.input["name"], call.input.get("version"))
        metadata = {"pipelineArn": stored.arn, "created": stored.created, "updated": stored.updated}
        return {"pipeline": version.shape, "metadata": metadata}

    @operation("ListPipelines")
    async def list_pipelines(self, call: Call) -> Shape:
        after = self._pages.open(call, call.input.get("nextToken"), _STALE) or ""
        limit = call.input.get("maxResults") or 1000

        def work(tx: Tx) -> list[tuple[StoredPipeline, StoredVersion]]:
            found = pipelines_table.listed(tx, call.owner, after, limit + 1)
            return [(each, _current(tx, each)) for each in found]

        found = await self._db.read(work)
        more = found[limit - 1][0].name if len(found) > limit else None
        return {
            "pipelines": [summary(each, parse(version.shape)) for each, version in found[:limit]],
            "nextToken": self._pages.seal(call, more),
        }

    # ── tags ──

    @operation("ListTagsForResource", _resource_named)
    async def list_tags(self, call: Call) -> Shape:
        kind, name = self._resource(call)
        tags = await self._db.read(lambda tx: kind.tags(tx, call.owner, name))
        return {"tags": _wire_tags(_there(tags, call.owner, name))}

    @operation("TagResource", _resource_named)
    async def tag_resource(self, call: Call) -> Shape:
        kind, name = self._resource(call)
        added = tags_rules.checked(call.input["tags"])

        def work(tx: Tx) -> None:
            tags = {**_there(kind.held_tags(tx, call.owner, name), call.owner, name), **added}
            if len(tags) > tags_rules.MOST:
                text = f"Tag limit exceeded for resource [{call.input['resourceArn']}]."
                raise Refused("TooManyTagsException", text)
            kind.put_tags(tx, call.owner, name, tags)

        await self._db.write(work)
        return {}

    @operation("UntagResource", _resource_named)
    async def untag_resource(self, call: Call) -> Shape:
        kind, name = self._resource(call)
        gone = set(call.input["tagKeys"])

        def work(tx: Tx) -> None:
            tags = _there(kind.held_tags(tx, call.owner, name), call.owner, name)
            kind.put_tags(tx, call.owner, name, {key: value for key, value in tags.items() if key not in gone})

        await self._db.write(work)
        return {}

    def _resource(self, call: Call) -> tuple[Tagged, str]:
        """The kind of an ARN's resource, and its name. Refused: InvalidArnException."""
        arn, prefix = str(call.input["resourceArn"]), pipeline_arn(call.owner, "")
        if not arn.startswith(prefix) or arn == prefix:
            raise Refused("InvalidArnException", f"The resource ARN is not valid: {arn[:400]}")
        resource = arn.removeprefix(prefix)
        kind, colon, name = resource.partition(":")
        if not colon:
            return self._tagged[""], resource
        if not kind or kind.lower() not in self._tagged:
            raise Refused("InvalidArnException", f"The resource ARN is not valid: {arn[:400]}")
        return self._tagged[kind.lower()], name

    # ── what these share ──

    async def _check_role(self, call: Call, shape: Shape) -> None:
        role = shape["roleArn"]
        await self._identities.authorise(call.caller, "iam:PassRole", (role,), {**call.context, **_PASSED_TO})
        if not await self._assumable(call.owner, role, pipeline_arn(call.owner, shape["name"])):
            text = f"CodePipeline is not authorized to perform AssumeRole on role {role}"
            raise Refused("InvalidStructureException", text)

    def _version(
        self, owner: Owner, shape: dict[str, Any], catalogue: Catalogue, kept: Mapping[str, str]
    ) -> StoredVersion:
        bare, secrets = separated(shape, catalogue, kept)
        sealed = self._sealer.sealed(owner, shape["name"], secrets)
        return StoredVersion(shape["version"], self._now(), bare, sealed)


def _current(tx: Tx, stored: StoredPipeline) -> StoredVersion:
    found = pipelines_table.version_of(tx, stored.owner, stored.name, stored.version)
    assert found is not None
    return found


def _there(tags: Mapping[str, str] | None, owner: Owner, name: str) -> Mapping[str, str]:
    if tags is None:
        text = f"The account with id '{owner.account}' does not include a pipeline with the name '{name}'"
        raise Refused("ResourceNotFoundException", text)
    return tags


def _wire_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]
