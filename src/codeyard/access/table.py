"""Access keys, roles and their policies, in rows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)

from codeyard.access.model import Role, RoleArn
from codeyard.store import Tx, metadata

_ASCII = "C"  # PostgreSQL sorts text by the database's language, SQLite by its bytes

access_keys = Table(
    "access_keys",
    metadata,
    Column("id", String(32), primary_key=True),  # AKIA…
    Column("account", String(12), nullable=False, index=True),
    Column("purpose", String(64), unique=True),  # ACCOUNT:start for the one made on first start: there is only one
    Column("sealed", LargeBinary, nullable=False),  # the secret, by the vault's key, for this id
    Column("active", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),  # seconds since 1970
)
roles = Table(
    "roles",
    metadata,
    Column("id", String(32), primary_key=True),  # AROA…
    Column("account", String(12), nullable=False),
    Column("name", String(64), nullable=False),
    Column("folded", String(64), nullable=False),  # names that differ in their case alone are the same to IAM
    Column("path", String(512), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("trust", Text, nullable=False),
    Column("description", Text),
    Column("max_session", Integer, nullable=False),
    Column("tags", Text, nullable=False),  # JSON
    Column("version", Integer, nullable=False),
    Index("ix_roles_account_folded", "account", "folded", unique=True),
)
inline_policies = Table(
    "role_inline_policies",
    metadata,
    Column("role", String(32), ForeignKey("roles.id"), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("document", Text, nullable=False),
)
attached_policies = Table(
    "role_attached_policies",
    metadata,
    Column("role", String(32), ForeignKey("roles.id"), primary_key=True),
    Column("arn", String(2048), primary_key=True),
)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """An access key of an account's root."""

    id: str
    account: str
    sealed: bytes = field(repr=False)
    active: bool
    created: datetime


def add_key(tx: Tx, key: StoredKey, purpose: str | None = None) -> None:
    """Duplicate: there is one of this purpose."""
    tx.execute(
        insert(access_keys).values(
            id=key.id,
            account=key.account,
            purpose=purpose,
            sealed=key.sealed,
            active=key.active,
            created=int(key.created.timestamp()),
        )
    )


def key_of(tx: Tx, id: str) -> StoredKey | None:
    row = tx.execute(select(access_keys).where(access_keys.c.id == id)).one_or_none()
    return _key(row) if row is not None else None


def key_for(tx: Tx, purpose: str) -> StoredKey | None:
    row = tx.execute(select(access_keys).where(access_keys.c.purpose == purpose)).one_or_none()
    return _key(row) if row is not None else None


def keys_of(tx: Tx, account: str) -> list[StoredKey]:
    order = (
        access_keys.c.created,
        access_keys.c.id.collate(_ASCII) if tx.dialect.name != "sqlite" else access_keys.c.id,
    )
    return [
        _key(row) for row in tx.execute(select(access_keys).where(access_keys.c.account == account).order_by(*order))
    ]


def set_active(tx: Tx, account: str, id: str, active: bool) -> bool:
    mine = (access_keys.c.id == id) & (access_keys.c.account == account)
    return tx.execute(update(access_keys).where(mine).values(active=active)).rowcount == 1


def remove_key(tx: Tx, account: str, id: str) -> bool:
    mine = (access_keys.c.id == id) & (access_keys.c.account == account)
    return tx.execute(delete(access_keys).where(mine)).rowcount == 1


def add_role(tx: Tx, role: Role) -> None:
    """Duplicate: there is one of this name."""
    tx.execute(
        insert(roles).values(
            id=role.id, account=role.arn.account, name=role.name, folded=role.name.lower(), path=role.arn.path,
            version=1, created=int(role.created.timestamp()), trust=role.trust, description=role.description,
            max_session=role.max_session, tags=json.dumps(dict(role.tags)),
        )
    )  # fmt: skip


def role_named(tx: Tx, account: str, name: str) -> Role | None:
    where = (roles.c.account == account) & (roles.c.name == name)
    row = tx.execute(select(roles).where(where)).one_or_none()
    return _role(row) if row is not None else None


def held_role(tx: Tx, account: str, name: str) -> Role | None:
    """The same, for a transaction that writes: nobody else changes it or its policies until it ends."""
    where = (roles.c.account == account) & (roles.c.name == name)
    if tx.execute(update(roles).where(where).values(version=roles.c.version + 1)).rowcount != 1:
        return None
    return role_named(tx, account, name)


def roles_of(tx: Tx, account: str, prefix: str, after: str, most: int) -> list[Role]:
    """By folded name, from the one after that one on."""
    folded = roles.c.folded.collate(_ASCII) if tx.dialect.name != "sqlite" else roles.c.folded
    under = func.substr(roles.c.path, 1, len(prefix)) == prefix
    query = select(roles).where(roles.c.account == account, under, folded > after).order_by(folded).limit(most)
    return [_role(row) for row in tx.execute(query)]


def save_role(tx: Tx, role: Role) -> None:
    """What may change of a role that is held."""
    tx.execute(
        update(roles).where(roles.c.id == role.id).values(
            trust=role.trust, description=role.description, max_session=role.max_session,
            tags=json.dumps(dict(role.tags)),
        )
    )  # fmt: skip


def remove_role(tx: Tx, role: Role) -> None:
    tx.execute(delete(roles).where(roles.c.id == role.id))


def put_inline(tx: Tx, role: Role, name: str, document: str) -> None:
    """Of a role that is held."""
    remove_inline(tx, role, name)
    tx.execute(insert(inline_policies).values(role=role.id, name=name, document=document))


def remove_inline(tx: Tx, role: Role, name: str) -> bool:
    mine = (inline_policies.c.role == role.id) & (inline_policies.c.name == name)
    return tx.execute(delete(inline_policies).where(mine)).rowcount == 1


def inline_of(tx: Tx, role: Role) -> Mapping[str, str]:
    """Documents by name, in the order of names."""
    rows = tx.execute(select(inline_policies).where(inline_policies.c.role == role.id))
    return {row.name: row.document for row in sorted(rows, key=lambda row: str(row.name))}


def attach(tx: Tx, role: Role, arn: str) -> None:
    """Of a role that is held. Once more changes nothing."""
    if arn not in attached_to(tx, role):
        tx.execute(insert(attached_policies).values(role=role.id, arn=arn))


def detach(tx: Tx, role: Role, arn: str) -> bool:
    mine = (attached_policies.c.role == role.id) & (attached_policies.c.arn == arn)
    return tx.execute(delete(attached_policies).where(mine)).rowcount == 1


def attached_to(tx: Tx, role: Role) -> list[str]:
    return sorted(tx.execute(select(attached_policies.c.arn).where(attached_policies.c.role == role.id)).scalars())


def _key(row: Row[tuple[object, ...]]) -> StoredKey:
    return StoredKey(row.id, row.account, row.sealed, row.active, datetime.fromtimestamp(row.created, UTC))


def _role(row: Row[tuple[object, ...]]) -> Role:
    arn = RoleArn(row.account, row.path, row.name)
    created = datetime.fromtimestamp(row.created, UTC)
    return Role(row.id, arn, created, row.trust, row.description, row.max_session, json.loads(row.tags))
