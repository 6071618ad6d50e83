"""Source credentials in rows: one for each type of server, of each owner apart; what is secret of them is sealed."""

from dataclasses import dataclass, field

from sqlalchemy import Column, ColumnElement, LargeBinary, String, Table, Text, and_, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from codeyard.ident import Owner
from codeyard.store import Tx, metadata

source_credentials = Table(
    "source_credentials",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("region", String(32), primary_key=True),
    Column("server_type", String(32), primary_key=True),
    Column("auth_type", String(32), nullable=False),
    Column("resource", Text),  # the ARN of a secret, where that is what was imported
    Column("key_id", String(32), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """One credential. `sealed` opens by the key of id `key_id` only, and only for its owner and server."""

    server_type: str
    auth_type: str
    resource: str | None
    key_id: str
    sealed: bytes = field(repr=False)


def insert_credential(tx: Tx, owner: Owner, credential: StoredCredential) -> None:
    """Duplicate, where there is one for this type of server."""
    tx.execute(source_credentials.insert().values(**_row(owner, credential)))


def put_credential(tx: Tx, owner: Owner, credential: StoredCredential) -> None:
    """Keep it, in place of one that is there."""
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    row = _row(owner, credential)
    keys = [column.name for column in source_credentials.primary_key.columns]
    changed = {name: value for name, value in row.items() if name not in keys}
    tx.execute(insert(source_credentials).values(**row).on_conflict_do_update(index_elements=keys, set_=changed))


def list_credentials(tx: Tx, owner: Owner) -> tuple[StoredCredential, ...]:
    """All of an owner's, by server."""
    query = select(source_credentials).where(_of(owner)).order_by(source_credentials.c.server_type)
    return tuple(
        StoredCredential(row.server_type, row.auth_type, row.resource, row.key_id, bytes(row.sealed))
        for row in tx.execute(query)
    )


def remove_credential(tx: Tx, owner: Owner, server_type: str) -> bool:
    """Whether there was one."""
    there = and_(_of(owner), source_credentials.c.server_type == server_type)
    return tx.execute(delete(source_credentials).where(there)).rowcount == 1


def _of(owner: Owner) -> ColumnElement[bool]:
    return and_(source_credentials.c.account == owner.account, source_credentials.c.region == owner.region)


def _row(owner: Owner, credential: StoredCredential) -> dict[str, object]:
    return {
        "account": owner.account,
        "region": owner.region,
        "server_type": credential.server_type,
        "auth_type": credential.auth_type,
        "resource": credential.resource,
        "key_id": credential.key_id,
        "sealed": credential.sealed,
    }
