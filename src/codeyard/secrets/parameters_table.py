"""The tables of parameters: `parameters` has one row for each, `parameter_versions` one for each version kept."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    LargeBinary,
    Select,
    String,
    Table,
    Text,
    and_,
    select,
)
from sqlalchemy.engine import RowMapping

from codeyard.errors import Conflict
from codeyard.ident import Owner
from codeyard.secrets.parameter_names import Reference
from codeyard.secrets.parameters import Attached, Parameter, Tier, Type
from codeyard.secrets.sealed import Sealed
from codeyard.store import Tx, metadata
from codeyard.store.times import microseconds, time_of

# Names are compared byte by byte, as AWS does and as ranges of them need, whatever the database's language is.
_NAME = String().with_variant(String(collation="C"), "postgresql")

_parameters = Table(
    "parameters",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("region", String(64), primary_key=True),
    Column("name", _NAME, primary_key=True),
    Column("version", Integer, nullable=False),  # the newest
    Column("tags", Text, nullable=False),  # JSON: key → value
    Column("labels", Text, nullable=False),  # JSON: label → version
)
_versions = Table(
    "parameter_versions",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("region", String(64), primary_key=True),
    Column("name", _NAME, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("type", String(16), nullable=False),
    Column("tier", String(24), nullable=False),
    Column("data_type", String(128), nullable=False),
    Column("description", Text),
    Column("allowed_pattern", Text),
    Column("key_id", Text),
    Column("modified", BigInteger, nullable=False),  # microseconds since 1970
    Column("modified_by", Text, nullable=False),
    Column("key", String(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
_p, _v = _parameters.c, _versions.c
_NEWEST = and_(_p.account == _v.account, _p.region == _v.region, _p.name == _v.name, _p.version == _v.version)


@dataclass(frozen=True, slots=True)
class Stored:
    """A version as it lies in the database."""

    parameter: Parameter
    sealed: Sealed


def find(tx: Tx, owner: Owner, wanted: Reference) -> Stored | None:
    """The version that is meant; None if there is no such parameter, or not that version of it."""
    for name in wanted.names:
        if not (wanted.version or wanted.label or wanted.selector):
            query = select(_versions).join(_parameters, _NEWEST).where(*_of(_p, owner, name))
        else:
            version = wanted.version if wanted.label is None else attached(tx, owner, name).labels.get(wanted.label)
            # A version that no column can hold was never there.
            query = select(_versions).where(*_of(_v, owner, name), _v.version == min(version or 0, 2**31 - 1))
        if row := tx.execute(query).mappings().one_or_none():
            return _stored(row)
    return None


def exists(tx: Tx, owner: Owner, names: Sequence[str]) -> str | None:
    """The first of the names that a parameter has."""
    found = {row.name for row in tx.execute(select(_p.name).where(*_in(owner), _p.name.in_(names)))}
    return next((name for name in names if name in found), None)


def attached(tx: Tx, owner: Owner, name: str) -> Attached:
    """Its tags and labels; none, if there is no such parameter."""
    row = tx.execute(select(_p.tags, _p.labels).where(*_of(_p, owner, name))).one_or_none()
    return Attached(json.loads(row.tags), json.loads(row.labels)) if row else Attached({}, {})


def lock(tx: Tx, owner: Owner, name: str) -> tuple[int, Attached] | None:
    """Its newest version, and what it bears, which nobody else changes before this transaction ends."""
    query = select(_p.version, _p.tags, _p.labels).where(*_of(_p, owner, name)).with_for_update()
    row = tx.execute(query).one_or_none()
    return (row.version, Attached(json.loads(row.tags), json.loads(row.labels))) if row else None


def add(tx: Tx, made: Parameter, sealed: Sealed, tags: Mapping[str, str]) -> None:
    """A new parameter, of one version. Duplicate."""
    tx.execute(_parameters.insert().values(**_key(made), tags=json.dumps(tags), labels="{}"))
    tx.execute(_versions.insert().values(**_row(made), key=sealed.key, sealed=sealed.sealed))


def advance(tx: Tx, made: Parameter, sealed: Sealed, oldest: int) -> None:
    """A version more; those before `oldest` go. Conflict if somebody else made one since the last was read."""
    newer = _parameters.update().where(*_of(_p, made.owner, made.name), _p.version == made.version - 1)
    if tx.execute(newer.values(version=made.version)).rowcount != 1:
        raise Conflict(f"parameter {made.name}", "somebody else changed it just now.", "Try again.")
    tx.execute(_versions.insert().values(**_row(made), key=sealed.key, sealed=sealed.sealed))
    tx.execute(_versions.delete().where(*_of(_v, made.owner, made.name), _v.version < oldest))


def attach(tx: Tx, owner: Owner, name: str, borne: Attached) -> None:
    """Its tags and labels from now on."""
    values = {"tags": json.dumps(dict(borne.tags)), "labels": json.dumps(dict(borne.labels))}
    tx.execute(_parameters.update().where(*_of(_p, owner, name)).values(values))


def remove(tx: Tx, owner: Owner, name: str) -> bool:
    """Whether it was there. All its versions go with it."""
    found = tx.execute(_parameters.delete().where(*_of(_p, owner, name))).rowcount == 1
    tx.execute(_versions.delete().where(*_of(_v, owner, name)))
    return found


def has_version(tx: Tx, owner: Owner, name: str, version: int) -> bool:
    return tx.execute(select(_v.version).where(*_of(_v, owner, name), _v.version == version)).first() is not None


def history(tx: Tx, owner: Owner, name: str, after: int, limit: int) -> list[Stored]:
    """Its versions beyond `after`, the oldest first."""
    query = select(_versions).where(*_of(_v, owner, name), _v.version > after).order_by(_v.version).limit(limit)
    return [_stored(row) for row in tx.execute(query).mappings()]


def below(tx: Tx, owner: Owner, path: str, after: str, limit: int, *, recursive: bool) -> list[tuple[Stored, Attached]]:
    """The newest versions of those under the path, which ends in a slash; by name, beyond `after`."""
    query = _listed(owner, after, limit)
    if path != "/":  # under / are all, also those whose name has no slash
        query = query.where(_p.name > path, _p.name < path[:-1] + chr(ord("/") + 1))
    if not recursive:
        deeper = path.replace("\\", r"\\").replace("_", r"\_").replace("%", r"\%") + "%/%"
        query = query.where(_p.name.not_like(deeper, escape="\\"))
    return [(_stored(row), _attached(row)) for row in tx.execute(query).mappings()]


def every(tx: Tx, owner: Owner, after: str, limit: int) -> list[tuple[Stored, Attached]]:
    """The newest versions of all parameters, by name, beyond `after`."""
    return [(_stored(row), _attached(row)) for row in tx.execute(_listed(owner, after, limit)).mappings()]


def all_sealed(tx: Tx) -> Iterator[Stored]:
    """Every version of every owner, for a change of the key."""
    return (_stored(row) for row in tx.execute(select(_versions)).mappings().fetchall())


def reseal(tx: Tx, parameter: Parameter, sealed: Sealed) -> None:
    changed = _versions.update().where(*_of(_v, parameter.owner, parameter.name), _v.version == parameter.version)
    tx.execute(changed.values(key=sealed.key, sealed=sealed.sealed))


def _listed(owner: Owner, after: str, limit: int) -> Select[tuple[object, ...]]:
    query = select(_versions, _p.tags, _p.labels).join(_parameters, _NEWEST)
    return query.where(*_in(owner), _p.name > after).order_by(_p.name).limit(limit)


def _in(owner: Owner) -> tuple[ColumnElement[bool], ...]:
    return _p.account == owner.account, _p.region == owner.region


def _of(columns: Any, owner: Owner, name: str) -> tuple[ColumnElement[bool], ...]:
    return columns.account == owner.account, columns.region == owner.region, columns.name == name


def _key(parameter: Parameter) -> dict[str, object]:
    owner = parameter.owner
    return {
        "account": owner.account, "region": owner.region, "name": parameter.name, "version": parameter.version,
    }  # fmt: skip


def _row(parameter: Parameter) -> dict[str, object]:
    return _key(parameter) | {
        "type": parameter.type, "tier": parameter.tier, "data_type": parameter.data_type,
        "description": parameter.description, "allowed_pattern": parameter.allowed_pattern,
        "key_id": parameter.key_id, "modified": microseconds(parameter.modified), "modified_by": parameter.modified_by,
    }  # fmt: skip


def _stored(row: RowMapping) -> Stored:
    parameter = Parameter(
        Owner(row["account"], row["region"]), row["name"], row["version"], Type(row["type"]), Tier(row["tier"]),
        row["data_type"], row["description"], row["allowed_pattern"], row["key_id"], time_of(row["modified"]),
        row["modified_by"],
    )  # fmt: skip
    return Stored(parameter, Sealed(row["key"], row["sealed"]))


def _attached(row: RowMapping) -> Attached:
    return Attached(json.loads(row["tags"]), json.loads(row["labels"]))
