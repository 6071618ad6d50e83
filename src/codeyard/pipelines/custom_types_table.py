"""Action types of an account's own, in rows. A deleted one stays, so that its version is never another type's."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Boolean, Column, ColumnElement, Row, String, Table, Text, and_, func, literal, select

from codeyard.ident import Owner
from codeyard.pipelines import action_types, builtin_types
from codeyard.pipelines.action_types import ActionTypeSpec, Catalogue
from codeyard.pipelines.model import ActionType
from codeyard.store import Tx, metadata

CUSTOM = "Custom"

table = Table(
    "custom_action_types",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("region", String(32), primary_key=True),
    Column("category", String(16), primary_key=True),
    Column("provider", String(35), primary_key=True),
    Column("version", String(9), primary_key=True),
    Column("deleted", Boolean, nullable=False),
    Column("body", Text, nullable=False),  # action_types.to_wire
    Column("tags", Text, nullable=False),  # a JSON object, in the order in which they were put
)
_c = table.c


@dataclass(frozen=True, slots=True)
class Stored:
    """A type as it was made."""

    spec: ActionTypeSpec
    tags: Mapping[str, str]
    deleted: bool = False


def insert(tx: Tx, owner: Owner, stored: Stored) -> None:
    """Duplicate, where there is or was one of this id."""
    type = stored.spec.id
    key = {"category": type.category, "provider": type.provider, "version": type.version}
    body = json.dumps(action_types.to_wire(stored.spec))
    values = {"deleted": stored.deleted, "body": body, "tags": json.dumps(dict(stored.tags))}
    tx.execute(table.insert().values(account=owner.account, region=owner.region, **key, **values))


def found(tx: Tx, owner: Owner, type: ActionType) -> Stored | None:
    """The type of this id, even if it is deleted; who changes it next waits for this transaction."""
    row = tx.execute(select(table).where(_is(owner, type)).with_for_update()).first()
    return None if row is None else _stored(row)


def mark(tx: Tx, owner: Owner, type: ActionType, *, deleted: bool) -> None:
    """Delete or restore it. Nothing, if there is none."""
    tx.execute(table.update().where(_is(owner, type)).values(deleted=deleted))


def count(tx: Tx, owner: Owner) -> int:
    """How many there are that are not deleted."""
    query = select(func.count()).select_from(table).where(_of(owner), _c.deleted.is_(False))
    return tx.execute(query).scalar_one()


def live(tx: Tx, owner: Owner) -> tuple[ActionTypeSpec, ...]:
    """All that are not deleted."""
    query = select(table).where(_of(owner), _c.deleted.is_(False)).order_by(_c.category, _c.provider, _c.version)
    return tuple(_stored(row).spec for row in tx.execute(query))


def catalogue(tx: Tx, owner: Owner) -> Catalogue:
    """All types that an owner's pipelines may use."""
    return builtin_types.catalogue(live(tx, owner))


# ── tags ──


def tags_of(tx: Tx, owner: Owner, type: ActionType) -> dict[str, str] | None:
    """Those of a type of the owner's own; None: there is none."""
    query = select(_c.tags).where(_is(owner, type), _c.deleted.is_(False))
    text = tx.execute(query).scalar()
    return None if text is None else dict(json.loads(text))


def put_tags(tx: Tx, owner: Owner, type: ActionType, added: Mapping[str, str]) -> bool:
    """Add or replace them; that they may be, all together, is for the caller to see to. False: there is no type."""
    stored = found(tx, owner, type)
    if stored is None or stored.deleted:
        return False
    _save(tx, owner, type, {**stored.tags, **added})
    return True


def remove_tags(tx: Tx, owner: Owner, type: ActionType, keys: Collection[str]) -> bool:
    """Those that are not there are no mistake. False: there is no type."""
    stored = found(tx, owner, type)
    if stored is None or stored.deleted:
        return False
    _save(tx, owner, type, {key: value for key, value in stored.tags.items() if key not in keys})
    return True


def _save(tx: Tx, owner: Owner, type: ActionType, tags: Mapping[str, str]) -> None:
    tx.execute(table.update().where(_is(owner, type)).values(tags=json.dumps(dict(tags))))


def _stored(row: Row[Any]) -> Stored:
    return Stored(action_types.from_wire(json.loads(row.body)), json.loads(row.tags), row.deleted)


def _of(owner: Owner) -> ColumnElement[bool]:
    return and_(_c.account == owner.account, _c.region == owner.region)


def _is(owner: Owner, type: ActionType) -> ColumnElement[bool]:
    """Of owners other than Custom none is ever found."""
    named = and_(_c.category == type.category, _c.provider == type.provider, _c.version == type.version)
    return and_(_of(owner), named, literal(type.owner == CUSTOM))
