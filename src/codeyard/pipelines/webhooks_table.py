"""Webhooks in rows, of each owner apart. What is secret of one, its URL's token too, is sealed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    and_,
    delete,
    func,
    select,
    update,
)

from codeyard.ident import Owner
from codeyard.pipelines.webhooks import Authentication, Filter, from_json, to_json
from codeyard.store import Tx, metadata
from codeyard.store.times import microseconds, time_of

_ASCII = "C"  # PostgreSQL sorts text by the database's language, SQLite by its bytes; names are ASCII

webhooks = Table(
    "pipeline_webhooks",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("region", String(32), primary_key=True),
    Column("name", String(100), primary_key=True),
    Column("pipeline", String(100), nullable=False),
    Column("action", String(100), nullable=False),
    Column("authentication", String(32), nullable=False),
    Column("addresses", String(100)),  # a CIDR, for IP
    Column("filters", Text, nullable=False),  # webhooks.to_json
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256 of the URL's token, to find the webhook by
    Column("key_id", String(32), nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # JSON: the URL's token, and the SecretToken
    Column("tags", Text, nullable=False),  # JSON
    Column("last_triggered", BigInteger),  # microseconds since 1970
    Column("error_code", String(64)),
    Column("error_message", Text),
)


@dataclass(frozen=True, slots=True)
class StoredWebhook:
    """A row. `sealed` opens by the key of id `key_id` only, and only for this owner and name."""

    owner: Owner
    name: str
    pipeline: str
    action: str
    authentication: Authentication
    addresses: str | None
    filters: tuple[Filter, ...]
    digest: str
    key_id: str
    sealed: bytes = field(repr=False)
    tags: Mapping[str, str] = field(default_factory=dict)
    last_triggered: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None


def insert_webhook(tx: Tx, webhook: StoredWebhook) -> None:
    """Duplicate, where there is one of this name."""
    tx.execute(webhooks.insert().values(**_values(webhook)))


def save_webhook(tx: Tx, webhook: StoredWebhook) -> None:
    """In place of the one of this name, which `lock_webhook` found in the same transaction."""
    tx.execute(update(webhooks).where(_named(webhook.owner, webhook.name)).values(**_values(webhook)))


def find_webhook(tx: Tx, owner: Owner, name: str) -> StoredWebhook | None:
    """The webhook of this name."""
    row = tx.execute(select(webhooks).where(_named(owner, name))).one_or_none()
    return None if row is None else _webhook(row)


def lock_webhook(tx: Tx, owner: Owner, name: str) -> StoredWebhook | None:
    """The same, to be changed in this transaction: others who would change it wait for its end."""
    row = tx.execute(select(webhooks).where(_named(owner, name)).with_for_update()).one_or_none()
    return None if row is None else _webhook(row)


def find_by_digest(tx: Tx, digest: str) -> StoredWebhook | None:
    """The webhook whose URL's token has this SHA-256, in hexadecimal; of whatever owner."""
    row = tx.execute(select(webhooks).where(webhooks.c.digest == digest)).one_or_none()
    return None if row is None else _webhook(row)


def list_webhooks(tx: Tx, owner: Owner, after: str | None, most: int) -> tuple[StoredWebhook, ...]:
    """An owner's in order of name, from after this name on."""
    name = webhooks.c.name.collate(_ASCII) if tx.dialect.name == "postgresql" else webhooks.c.name
    query = select(webhooks).where(_of(owner)).order_by(name).limit(most)
    if after is not None:
        query = query.where(name > after)
    return tuple(map(_webhook, tx.execute(query)))


def count_webhooks(tx: Tx, owner: Owner) -> int:
    """How many there are."""
    return tx.execute(select(func.count()).select_from(webhooks).where(_of(owner))).scalar_one()


def remove_webhook(tx: Tx, owner: Owner, name: str) -> None:
    """One that is not there is no mistake."""
    tx.execute(delete(webhooks).where(_named(owner, name)))


def mark_triggered(tx: Tx, owner: Owner, digest: str, at: datetime) -> None:
    """Its last request started the pipeline. A webhook that is gone, or was made anew, stays as it is."""
    there = and_(_of(owner), webhooks.c.digest == digest)
    marks = {"last_triggered": microseconds(at), "error_code": None, "error_message": None}
    tx.execute(update(webhooks).where(there).values(**marks))


def mark_failed(tx: Tx, owner: Owner, digest: str, code: str, message: str) -> None:
    """Its last request should have started the pipeline, and could not."""
    there = and_(_of(owner), webhooks.c.digest == digest)
    tx.execute(update(webhooks).where(there).values(error_code=code, error_message=message))


def set_webhook_tags(tx: Tx, owner: Owner, name: str, tags: Mapping[str, str]) -> None:
    """In place of all that it has."""
    tx.execute(update(webhooks).where(_named(owner, name)).values(tags=json.dumps(dict(tags))))


def _of(owner: Owner) -> ColumnElement[bool]:
    return and_(webhooks.c.account == owner.account, webhooks.c.region == owner.region)


def _named(owner: Owner, name: str) -> ColumnElement[bool]:
    return and_(_of(owner), webhooks.c.name == name)


def _values(webhook: StoredWebhook) -> dict[str, object]:
    return {
        "account": webhook.owner.account,
        "region": webhook.owner.region,
        "name": webhook.name,
        "pipeline": webhook.pipeline,
        "action": webhook.action,
        "authentication": webhook.authentication.value,
        "addresses": webhook.addresses,
        "filters": to_json(webhook.filters),
        "digest": webhook.digest,
        "key_id": webhook.key_id,
        "sealed": webhook.sealed,
        "tags": json.dumps(dict(webhook.tags)),
        "last_triggered": None if webhook.last_triggered is None else microseconds(webhook.last_triggered),
        "error_code": webhook.error_code,
        "error_message": webhook.error_message,
    }


def _webhook(row: Row[Any]) -> StoredWebhook:
    at = row.last_triggered
    return StoredWebhook(
        Owner(row.account, row.region),
        row.name,
        row.pipeline,
        row.action,
        Authentication(row.authentication),
        row.addresses,
        from_json(row.filters),
        row.digest,
        row.key_id,
        bytes(row.sealed),
        json.loads(row.tags),
        None if at is None else time_of(at),
        row.error_code,
        row.error_message,
    )
