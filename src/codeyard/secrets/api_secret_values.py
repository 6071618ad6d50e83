"""Secrets Manager's operations on the values of secrets, and on the labels of their versions."""

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from codeyard.aws import Call, Identities, Refused, Shape, operation
from codeyard.aws.paging import Pages
from codeyard.errors import CodeyardError, Fault
from codeyard.secrets import managed_secrets as managed
from codeyard.secrets import secret_changes as changes
from codeyard.secrets import secret_filters as filters
from codeyard.secrets import secret_names as names
from codeyard.secrets import secret_stages, secrets_table, tags
from codeyard.secrets.listing import scan
from codeyard.secrets.managed_secrets import ManagedSecret
from codeyard.secrets.sealed import storable
from codeyard.secrets.sealing import Key
from codeyard.secrets.secrets_table import Order, Version
from codeyard.store import Database, Duplicate, Tx

_ELSEWHERE = "Codeyard keeps a secret in one region of one account."
_DECLINED = {
    "AddReplicaRegions": _ELSEWHERE,
    "CrossAccountPrimaryARN": _ELSEWHERE,
    "Type": "Codeyard has no secrets that other services manage.",
}


class SecretValueOperations:
    """Create, get, put, update; versions and their labels."""

    def __init__(
        self, db: Database, key: Key, now: Callable[[], datetime], pages: Pages, identities: Identities | None
    ) -> None:
        """`identities` says which of many secrets a role may read; without it, only the account's root reads many."""
        self._db, self._key, self._now, self._pages, self._identities = db, key, now, pages, identities

    @operation("CreateSecret", names.created)
    async def create_secret(self, call: Call) -> Shape:
        given, now = call.input, self._now()
        managed.declined_members(given, _DECLINED)
        managed.check_texts(given)
        code = "InvalidParameterException"
        made = ManagedSecret(
            call.owner, names.new_name(given["Name"]), names.mint_suffix(), given.get("Description"),
            given.get("KmsKeyId"), now, now, None, None, {}, tags.tagged({}, given.get("Tags") or (), code, code),
        )  # fmt: skip
        value, token = managed.given_value(given), _token(call)

        def create(tx: Tx) -> tuple[ManagedSecret, bool]:
            secrets_table.remove_gone(tx, now)
            return changes.create(tx, self._key, made, value, token)

        try:
            secret, versioned = await self._db.write(create)
        except Duplicate:  # somebody else made it just now: it may have been this very call
            secret, versioned = await self._db.write(create)
        return {"ARN": secret.arn, "Name": secret.name, "VersionId": token if versioned else None}

    @operation("GetSecretValue", names.one)
    async def get_secret_value(self, call: Call) -> Shape:
        wanted, now, id, stage = _wanted(call), self._now(), call.input.get("VersionId"), call.input.get("VersionStage")

        def read(tx: Tx) -> tuple[ManagedSecret, Version]:
            secret = changes.usable(tx, call.owner, wanted, now)
            return secret, changes.version(tx, secret, id, stage)

        secret, held = await self._db.read(read)
        answer = changes.read(self._key, secret, held)
        await self._touch(secret)
        return answer

    @operation("PutSecretValue", names.one)
    async def put_secret_value(self, call: Call) -> Shape:
        wanted, now, token = _wanted(call), self._now(), _token(call)
        value, stages = managed.given_value(call.input), list(call.input.get("VersionStages") or ())
        if value is None:
            message = "You must provide either SecretString or SecretBinary."
            raise Refused("InvalidRequestException", message)

        def put(tx: Tx) -> ManagedSecret:
            secret = changes.changeable(tx, call.owner, wanted, now)
            return changes.put(tx, self._key, secret, value, token, stages, now)

        secret = await self._db.write(put)
        borne = secret_stages.of(secret.stages, token) or None
        return {"ARN": secret.arn, "Name": secret.name, "VersionId": token, "VersionStages": borne}

    @operation("UpdateSecret", names.one)
    async def update_secret(self, call: Call) -> Shape:
        given, wanted, now, token = call.input, _wanted(call), self._now(), _token(call)
        managed.declined_members(given, _DECLINED)
        managed.check_texts(given)
        value = managed.given_value(given)

        def update(tx: Tx) -> ManagedSecret:
            secret = changes.changeable(tx, call.owner, wanted, now)
            changed = replace(
                secret, changed=now, description=given.get("Description", secret.description),
                kms_key=given.get("KmsKeyId", secret.kms_key),
            )  # fmt: skip
            secrets_table.save(tx, changed)
            return changed if value is None else changes.put(tx, self._key, changed, value, token, [], now)

        secret = await self._db.write(update)
        return {"ARN": secret.arn, "Name": secret.name, "VersionId": None if value is None else token}

    @operation("UpdateSecretVersionStage", names.one)
    async def update_secret_version_stage(self, call: Call) -> Shape:
        given, wanted, now = call.input, _wanted(call), self._now()
        to, source = given.get("MoveToVersionId"), given.get("RemoveFromVersionId")

        def move(tx: Tx) -> ManagedSecret:
            secret = changes.changeable(tx, call.owner, wanted, now)
            for id in filter(None, (to, source)):
                changes.version(tx, secret, id, None)
            stages = secret_stages.move(secret.stages, given["VersionStage"], to, source)
            secrets_table.save(tx, replace(secret, stages=stages, changed=now))
            return secret

        secret = await self._db.write(move)
        return {"ARN": secret.arn, "Name": secret.name}

    @operation("ListSecretVersionIds", names.one)
    async def list_secret_version_ids(self, call: Call) -> Shape:
        given, wanted, now = call.input, _wanted(call), self._now()
        code = "InvalidNextTokenException"
        after = self._pages.open(call, given.get("NextToken") or None, code, given["SecretId"])
        limit = given.get("MaxResults") or 100

        def read(tx: Tx) -> tuple[ManagedSecret, list[tuple[str, datetime]]]:
            secret = changes.found(tx, call.owner, wanted, now)
            return secret, secrets_table.version_ids(tx, secret)

        secret, ids = await self._db.read(read)
        held = secret_stages.by_version(secret.stages)
        listed = [
            {"VersionId": id, "VersionStages": held.get(id), "CreatedDate": created, "KmsKeyIds": [_key_of(secret)]}
            for id, created in ids
            if id in held or given.get("IncludeDeprecated")
        ]
        begin = int(after or 0)
        beyond = str(begin + limit) if len(listed) > begin + limit else None
        return {
            "Versions": listed[begin : begin + limit], "ARN": secret.arn, "Name": secret.name,
            "NextToken": self._pages.seal(call, beyond, given["SecretId"]),
        }  # fmt: skip

    @operation("BatchGetSecretValue")
    async def batch_get_secret_value(self, call: Call) -> Shape:
        given = call.input
        if bool(given.get("SecretIdList")) == bool(given.get("Filters")):
            message = "Either 'SecretIdList' or 'Filters' must be provided, but not both."
            raise Refused("InvalidParameterException", message)
        if given.get("MaxResults") and not given.get("Filters"):
            message = "'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided."
            raise Refused("InvalidParameterException", message)
        asked, token = await self._filtered(call) if given.get("Filters") else (given["SecretIdList"], None)
        values, errors = [], []
        for text in dict.fromkeys(asked):
            try:
                values.append(await self._one_of_many(call, text))
            except CodeyardError as error:
                errors.append(changes.error_of(text, error))
        return {"SecretValues": values, "Errors": errors, "NextToken": token}

    async def _filtered(self, call: Call) -> tuple[list[str], str | None]:
        """The ARNs of a page of those that the filters find, and the token of the next."""
        wanted, order = call.input["Filters"], Order()
        after = self._pages.open(call, call.input.get("NextToken") or None, "InvalidNextTokenException", wanted) or ""
        limit = call.input.get("MaxResults") or 20

        def read(tx: Tx, beyond: str, most: int) -> list[ManagedSecret]:
            return secrets_table.listed(tx, call.owner, order, beyond, most)

        def shown(secret: ManagedSecret) -> bool:
            return secret.deletion is None and filters.fits(secret, wanted)

        found, beyond = await self._db.read(lambda tx: scan(read, tx, after, limit, order.place, shown))
        return [secret.arn for secret in found], self._pages.seal(call, beyond, wanted)

    async def _one_of_many(self, call: Call, text: str) -> dict[str, object]:
        """One value, if the caller may read it by itself. Refused, DoesNotOpen."""
        wanted, now = names.parse(text, call.owner), self._now()
        secret = await self._db.read(lambda tx: secrets_table.find(tx, call.owner, wanted))
        await self._permit(call, secret.arn if secret else names.asked_arn(call.owner, text))

        def read(tx: Tx) -> tuple[ManagedSecret, Version]:
            exact = names.SecretId(wanted.name, secret.suffix if secret else wanted.suffix, wanted.foreign)
            found = changes.usable(tx, call.owner, exact, now)
            return found, changes.version(tx, found, None, None)

        return changes.read(self._key, *await self._db.read(read))

    async def _permit(self, call: Call, arn: str) -> None:
        if self._identities is not None:
            await self._identities.authorise(call.caller, "secretsmanager:GetSecretValue", (arn,), call.context)
        elif call.caller.role is not None:
            message = f"User: {call.caller.arn} is not authorized to perform: secretsmanager:GetSecretValue on "
            raise Refused("AccessDeniedException", f"{message}resource: {arn}")

    async def _touch(self, secret: ManagedSecret) -> None:
        """AWS tells the day of the last read; so one read a day also writes, but is not lost if that cannot be."""
        day = self._now().replace(hour=0, minute=0, second=0, microsecond=0)
        if secret.accessed is None or secret.accessed < day:
            with suppress(Fault):
                await self._db.write(lambda tx: secrets_table.touch(tx, secret, day))


def _wanted(call: Call) -> names.SecretId:
    return names.parse(call.input["SecretId"], call.owner)


def _token(call: Call) -> str:
    """The id of the version that the call makes: the client's token, so that a repeated call makes none. Refused."""
    text = call.input.get("ClientRequestToken") or str(uuid.uuid4())
    if not (storable(text) and text.isprintable() and 32 <= len(text) <= 64):
        raise Refused("InvalidParameterException", "The id of a version has 32 to 64 printable characters.")
    return text


def _key_of(secret: ManagedSecret) -> str:
    return secret.kms_key or "DefaultEncryptionKey"
