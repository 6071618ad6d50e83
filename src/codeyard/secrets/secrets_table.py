"""The tables of secrets: `secrets` has one row for each, `secret_versions` one for each version that is kept."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Index, LargeBinary, String, Table, Text, and_, or_, select
from sqlalchemy.engine import RowMapping

from codeyard.ident import Owner
from codeyard.secrets.managed_secrets import Form, ManagedSecret
from codeyard.secrets.sealed import Sealed
from codeyard.secrets.secret_names import SecretId
from codeyard.store import Tx, metadata
from codeyard.store.times import microseconds, time_of

# Names are compared byte by byte, whatever the database's language is.
_NAME = String().with_variant(String(collation="C"), "postgresql")

_secrets = Table(
    "secrets",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("region", String(64), primary_key=True),
    Column("name", _NAME, primary_key=True),
    Column("suffix", String(6), nullable=False),
    Column("description", Text),
    Column("kms_key", Text),
    Column("created", BigInteger, nullable=False),  # microseconds since 1970, as all times here
    Column("changed", BigInteger, nullable=False),
    Column("accessed", BigInteger, nullable=False),  # the day; 0: never
    Column("deletion", BigInteger),
    Column("stages", Text, nullable=False),  # JSON: label → version's id
    Column("tags", Text, nullable=False),  # JSON: key → value
    Index(None, "account", "region", "created", "name"),
    Index(None, "deletion"),
)
_versions = Table(
    "secret_versions",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("region", String(64), primary_key=True),
    Column("name", _NAME, primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("form", String(8), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("key", String(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
_s, _v = _secrets.c, _versions.c
_SORTED = {
    "name": _s.name, "created-date": _s.created, "last-changed-date": _s.changed, "last-accessed-date": _s.accessed,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Version:
    """A value as it lies in the database."""

    id: str
    form: Form
    created: datetime
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class Order:
    """How a list is sorted, and where it goes on: beyond the sorted column's value and the name, as JSON."""

    by: str = "created-date"
    descending: bool = True

    def place(self, secret: ManagedSecret) -> str:
        return json.dumps([_row(secret)[_SORTED[self.by].name], secret.name])


def find(tx: Tx, owner: Owner, wanted: SecretId) -> ManagedSecret | None:
    row = None if wanted.foreign else tx.execute(select(_secrets).where(*_named(owner, wanted))).mappings().first()
    return _secret(row) if row else None


def lock(tx: Tx, owner: Owner, wanted: SecretId) -> ManagedSecret | None:
    """The secret, which nobody else changes before this transaction ends."""
    if wanted.foreign:
        return None
    row = tx.execute(select(_secrets).where(*_named(owner, wanted)).with_for_update()).mappings().first()
    return _secret(row) if row else None


def add(tx: Tx, secret: ManagedSecret) -> None:
    """A new secret, without a version. Duplicate."""
    tx.execute(_secrets.insert().values(**_row(secret)))


def save(tx: Tx, secret: ManagedSecret) -> None:
    """What a secret that was locked is from now on."""
    tx.execute(_secrets.update().where(*_of(_s, secret.owner, secret.name)).values(**_row(secret)))


def touch(tx: Tx, secret: ManagedSecret, day: datetime) -> None:
    """It was read on that day."""
    own = (*_of(_s, secret.owner, secret.name), _s.suffix == secret.suffix, _s.accessed < microseconds(day))
    tx.execute(_secrets.update().where(*own).values(accessed=microseconds(day)))


def remove(tx: Tx, owner: Owner, name: str) -> None:
    """All of it, with all its versions."""
    tx.execute(_versions.delete().where(*_of(_v, owner, name)))
    tx.execute(_secrets.delete().where(*_of(_s, owner, name)))


def remove_gone(tx: Tx, now: datetime) -> None:
    """All secrets, of whomever, whose recovery window is over."""
    over = select(_s.account, _s.region, _s.name).where(_s.deletion <= microseconds(now)).with_for_update()
    for row in tx.execute(over).fetchall():
        remove(tx, Owner(row.account, row.region), row.name)


def version(tx: Tx, secret: ManagedSecret, id: str) -> Version | None:
    query = select(_versions).where(*_of(_v, secret.owner, secret.name), _v.id == id)
    row = tx.execute(query).mappings().first()
    return _version(row) if row else None


def add_version(tx: Tx, secret: ManagedSecret, added: Version) -> None:
    """A version more. Duplicate."""
    tx.execute(
        _versions.insert().values(
            account=secret.owner.account,
            region=secret.owner.region,
            name=secret.name,
            id=added.id,
            form=added.form,
            created=microseconds(added.created),
            key=added.sealed.key,
            sealed=added.sealed.sealed,
        )
    )


def version_ids(tx: Tx, secret: ManagedSecret) -> list[tuple[str, datetime]]:
    """All its versions and when they were made, the newest first."""
    query = select(_v.id, _v.created).where(*_of(_v, secret.owner, secret.name)).order_by(_v.created.desc(), _v.id)
    return [(row.id, time_of(row.created)) for row in tx.execute(query)]


def remove_versions(tx: Tx, secret: ManagedSecret, ids: list[str]) -> None:
    tx.execute(_versions.delete().where(*_of(_v, secret.owner, secret.name), _v.id.in_(ids)))


def listed(tx: Tx, owner: Owner, order: Order, after: str, limit: int) -> list[ManagedSecret]:
    """The owner's secrets, also those to be deleted, beyond a place of this order; "" is its beginning."""
    column = _SORTED[order.by]
    query = select(_secrets).where(_s.account == owner.account, _s.region == owner.region)
    if after:
        value, name = json.loads(after)
        further = (column < value, _s.name < name) if order.descending else (column > value, _s.name > name)
        query = query.where(or_(further[0], and_(column == value, further[1])))
    columns = (column.desc(), _s.name.desc()) if order.descending else (column, _s.name)
    return [_secret(row) for row in tx.execute(query.order_by(*columns).limit(limit)).mappings()]


def all_sealed(tx: Tx) -> Iterator[tuple[ManagedSecret, Version]]:
    """Every version of every owner, for a change of the key."""
    for row in tx.execute(select(_secrets)).mappings().fetchall():
        secret = _secret(row)
        query = select(_versions).where(*_of(_v, secret.owner, secret.name))
        yield from ((secret, _version(found)) for found in tx.execute(query).mappings().fetchall())


def reseal(tx: Tx, secret: ManagedSecret, id: str, sealed: Sealed) -> None:
    changed = _versions.update().where(*_of(_v, secret.owner, secret.name), _v.id == id)
    tx.execute(changed.values(key=sealed.key, sealed=sealed.sealed))


def _named(owner: Owner, wanted: SecretId) -> tuple[ColumnElement[bool], ...]:
    own = _of(_s, owner, wanted.name)
    return own if wanted.suffix is None else (*own, _s.suffix == wanted.suffix)


def _of(columns: Any, owner: Owner, name: str) -> tuple[ColumnElement[bool], ...]:
    return columns.account == owner.account, columns.region == owner.region, columns.name == name


def _row(secret: ManagedSecret) -> dict[str, Any]:
    return {
        "account": secret.owner.account, "region": secret.owner.region, "name": secret.name, "suffix": secret.suffix,
        "description": secret.description, "kms_key": secret.kms_key, "created": microseconds(secret.created),
        "changed": microseconds(secret.changed), "accessed": microseconds(secret.accessed) if secret.accessed else 0,
        "deletion": microseconds(secret.deletion) if secret.deletion else None,
        "stages": json.dumps(dict(secret.stages)), "tags": json.dumps(dict(secret.tags)),
    }  # fmt: skip


def _secret(row: RowMapping) -> ManagedSecret:
    return ManagedSecret(
        Owner(row["account"], row["region"]), row["name"], row["suffix"], row["description"], row["kms_key"],
        time_of(row["created"]), time_of(row["changed"]),
        time_of(row["accessed"]) if row["accessed"] else None,
        None if row["deletion"] is None else time_of(row["deletion"]),
        json.loads(row["stages"]), json.loads(row["tags"]),
    )  # fmt: skip


def _version(row: RowMapping) -> Version:
    return Version(row["id"], Form(row["form"]), time_of(row["created"]), Sealed(row["key"], row["sealed"]))
