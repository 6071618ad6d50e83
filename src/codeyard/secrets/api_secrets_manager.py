"""Secrets Manager's operations on secrets: all but those on their values."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from codeyard.aws import Call, Refused, Shape, operation
from codeyard.aws.paging import Pages
from codeyard.secrets import managed_secrets as managed
from codeyard.secrets import secret_changes as changes
from codeyard.secrets import secret_filters as filters
from codeyard.secrets import secret_names as names
from codeyard.secrets import secret_stages, secrets_table, tags
from codeyard.secrets.listing import scan
from codeyard.secrets.managed_secrets import ManagedSecret
from codeyard.secrets.passwords import random_password
from codeyard.secrets.secrets_table import Order
from codeyard.store import Database, Tx


class SecretOperations:
    """Describe, list, delete, restore, tag."""

    def __init__(self, db: Database, now: Callable[[], datetime], pages: Pages) -> None:
        self._db, self._now, self._pages = db, now, pages

    @operation("DescribeSecret", names.one)
    async def describe_secret(self, call: Call) -> Shape:
        wanted, now = _wanted(call), self._now()
        secret = await self._db.read(lambda tx: changes.found(tx, call.owner, wanted, now))
        return managed.about(secret) | {"VersionIdsToStages": secret_stages.by_version(secret.stages) or None}

    @operation("GetResourcePolicy", names.one)
    async def get_resource_policy(self, call: Call) -> Shape:
        """There is none: those who ask, such as Terraform, are told so; putting one is declined."""
        wanted, now = _wanted(call), self._now()
        secret = await self._db.read(lambda tx: changes.found(tx, call.owner, wanted, now))
        return {"ARN": secret.arn, "Name": secret.name}

    @operation("ListSecrets")
    async def list_secrets(self, call: Call) -> Shape:
        asked, now = call.input, self._now()
        order = Order(asked.get("SortBy") or "created-date", asked.get("SortOrder") != "asc")
        kept = {"sort": [order.by, order.descending], "filters": asked.get("Filters")}
        after = self._pages.open(call, asked.get("NextToken") or None, "InvalidNextTokenException", kept) or ""
        marked, limit = bool(asked.get("IncludePlannedDeletion")), asked.get("MaxResults") or 100

        def shown(secret: ManagedSecret) -> bool:
            listed = secret.deletion is None or (marked and not secret.gone(now))
            return listed and filters.fits(secret, asked.get("Filters") or ())

        def read(tx: Tx, beyond: str, most: int) -> list[ManagedSecret]:
            return secrets_table.listed(tx, call.owner, order, beyond, most)

        found, beyond = await self._db.read(lambda tx: scan(read, tx, after, limit, order.place, shown))
        listed = [
            managed.about(secret) | {"SecretVersionsToStages": secret_stages.by_version(secret.stages) or None}
            for secret in found
        ]
        return {"SecretList": listed, "NextToken": self._pages.seal(call, beyond, kept)}

    @operation("DeleteSecret", names.one)
    async def delete_secret(self, call: Call) -> Shape:
        wanted, now = _wanted(call), self._now()
        until = managed.deletion(call.input, now)
        force = bool(call.input.get("ForceDeleteWithoutRecovery"))

        def delete(tx: Tx) -> ManagedSecret | None:
            secrets_table.remove_gone(tx, now)
            secret = secrets_table.lock(tx, call.owner, wanted)
            if secret is not None and force:
                secrets_table.remove(tx, call.owner, secret.name)
            elif secret is not None:
                if secret.deletion is not None:
                    raise managed.marked_for_deletion()
                secrets_table.save(tx, replace(secret, deletion=until))
            return secret

        secret = await self._db.write(delete)
        if secret is None and not force:
            raise managed.missing()
        if secret is None:  # AWS answers so too: what is not there has been deleted
            text = names.arn(call.owner, wanted.name, wanted.suffix or names.mint_suffix())
            return {"ARN": text, "Name": wanted.name, "DeletionDate": until}
        return {"ARN": secret.arn, "Name": secret.name, "DeletionDate": until}

    @operation("RestoreSecret", names.one)
    async def restore_secret(self, call: Call) -> Shape:
        wanted, now = _wanted(call), self._now()

        def restore(tx: Tx) -> ManagedSecret:
            secret = changes.locked(tx, call.owner, wanted, now)
            secrets_table.save(tx, replace(secret, deletion=None))
            return secret

        secret = await self._db.write(restore)
        return {"ARN": secret.arn, "Name": secret.name}

    @operation("TagResource", names.one)
    async def tag_resource(self, call: Call) -> None:
        code, added = "InvalidParameterException", call.input["Tags"]
        await self._retag(call, lambda held: tags.tagged(held, added, code, code))

    @operation("UntagResource", names.one)
    async def untag_resource(self, call: Call) -> None:
        await self._retag(call, lambda held: tags.untagged(held, call.input["TagKeys"]))

    @operation("GetRandomPassword")
    async def get_random_password(self, call: Call) -> Shape:
        return {"RandomPassword": random_password(call.input)}

    async def _retag(self, call: Call, change: Callable[[tags.Tags], tags.Tags]) -> None:
        wanted, now = _wanted(call), self._now()

        def retag(tx: Tx) -> None:
            secret = changes.changeable(tx, call.owner, wanted, now)
            secrets_table.save(tx, replace(secret, tags=change(secret.tags)))

        await self._db.write(retag)


class SecretArns:
    """The ARNs that a policy must allow, with the random ends that only the database knows."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def exact(self, call: Call, resources: tuple[str, ...]) -> tuple[str, ...]:
        """The ARN of the secret that a call names, if there is one; `resources` otherwise.

        A policy that speaks of a whole ARN would not fit `name-??????`: neither its Allow nor, worse, its Deny.
        """
        text = call.input.get("SecretId") if call.caller.role else None  # the root may do everything anyway
        try:
            wanted = names.parse(text, call.owner) if text else None
        except Refused:  # it names nothing; the handler says so, to whom may know
            wanted = None
        if wanted is None or wanted.foreign:
            return resources
        secret = await self._db.read(lambda tx: secrets_table.find(tx, call.owner, wanted))
        return resources if secret is None else (secret.arn,)


def _wanted(call: Call) -> names.SecretId:
    return names.parse(call.input["SecretId"], call.owner)
