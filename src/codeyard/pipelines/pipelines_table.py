"""The rows of pipelines and of their definitions' versions. A row is held while a turn of its pipeline is made."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Row,
    String,
    Table,
    Text,
    bindparam,
    func,
    select,
)

from codeyard.ident import Owner
from codeyard.pipelines.model import Declaration, parse
from codeyard.pipelines.state import gates_json, parse_gates
from codeyard.pipelines.stored import StoredPipeline, StoredVersion
from codeyard.store import Tx, metadata
from codeyard.store.times import microseconds, time_of

pipelines = Table(
    "pipelines",
    metadata,
    Column("account", String(12), nullable=False),
    Column("region", String(64), nullable=False),
    Column("name", String(100), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("line", Text, nullable=False),
    Column("tags", Text, nullable=False),
    PrimaryKeyConstraint("account", "region", "name"),
)
versions = Table(
    "pipeline_versions",
    metadata,
    Column("account", String(12), nullable=False),
    Column("region", String(64), nullable=False),
    Column("name", String(100), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("shape", Text, nullable=False),
    Column("secrets", LargeBinary),
    PrimaryKeyConstraint("account", "region", "name", "version"),
)
_p, _v = pipelines.c, versions.c
Index("ix_pipelines_region", _p.account, _p.region)


@dataclass(frozen=True, slots=True)
class Current:
    """Which version a pipeline has now. One of the same name that was made later is another."""

    owner: Owner
    pipeline: str
    created: datetime
    version: int


def _named(columns: Any) -> tuple[Any, ...]:
    return (
        columns.account == bindparam("of_account"),
        columns.region == bindparam("of_region"),
        columns.name == bindparam("of"),
    )


# Made once: to put a statement together takes longer than to have it carried out, and these are of each action.
_HOLD = select(pipelines).where(*_named(_p)).with_for_update()
_SAVE = pipelines.update().where(*_named(_p))
_VERSION = select(versions).where(*_named(_v), _v.version == bindparam("wanted"))
_PLANS = select(_v.version, _v.shape).where(*_named(_v), _v.version.in_(bindparam("wanted", expanding=True)))
_KEPT, _LONG = 64, 100_000  # parsed definitions; longer ones, in characters, are not kept


def insert(tx: Tx, stored: StoredPipeline, version: StoredVersion) -> None:
    """Both rows. Duplicate: the name is taken."""
    tx.execute(
        pipelines.insert().values(
            **_key(stored.owner, stored.name), created=microseconds(stored.created), **_changing(stored)
        )
    )
    add_version(tx, stored.owner, stored.name, version)


def add_version(tx: Tx, owner: Owner, name: str, version: StoredVersion) -> None:
    tx.execute(
        versions.insert().values(
            **_key(owner, name),
            version=version.version,
            created=microseconds(version.created),
            shape=json.dumps(version.shape, separators=(",", ":")),
            secrets=version.secrets,
        )
    )


def load(tx: Tx, owner: Owner, name: str) -> StoredPipeline | None:
    row = tx.execute(select(pipelines).where(*_is(_p, owner, name))).first()
    return None if row is None else _stored(row)


def hold(tx: Tx, owner: Owner, name: str) -> StoredPipeline | None:
    """The pipeline, with which nobody else makes a turn before the transaction ends."""
    row = tx.execute(_HOLD, _wanted(owner, name)).first()
    return None if row is None else _stored(row)


def save(tx: Tx, stored: StoredPipeline) -> None:
    """Of a row that is held."""
    tx.execute(_SAVE, {**_wanted(stored.owner, stored.name), **_changing(stored)})


def remove(tx: Tx, owner: Owner, name: str) -> bool:
    """With all its versions. Whether it was there."""
    tx.execute(versions.delete().where(*_is(_v, owner, name)))
    return tx.execute(pipelines.delete().where(*_is(_p, owner, name))).rowcount > 0


def version_of(tx: Tx, owner: Owner, name: str, version: int) -> StoredVersion | None:
    row = tx.execute(_VERSION, {**_wanted(owner, name), "wanted": version}).first()
    return None if row is None else _version(row)


def plans_of(tx: Tx, owner: Owner, name: str, wanted: Iterable[int]) -> dict[int, Declaration]:
    """What these versions declare. Each turn asks, so the last ones are not parsed again."""
    rows = tx.execute(_PLANS, {**_wanted(owner, name), "wanted": sorted(set(wanted))})
    return {row.version: (_plan if len(row.shape) <= _LONG else _plan.__wrapped__)(row.shape) for row in rows}


@lru_cache(_KEPT)
def _plan(shape: str) -> Declaration:
    return parse(json.loads(shape))


def listed(tx: Tx, owner: Owner, after: str, limit: int) -> list[StoredPipeline]:
    """By name, those that follow `after`."""
    query = select(pipelines).where(_p.account == owner.account, _p.region == owner.region, _p.name > after)
    return [_stored(row) for row in tx.execute(query.order_by(_p.name).limit(limit))]


def count(tx: Tx, owner: Owner) -> int:
    query = select(func.count()).where(_p.account == owner.account, _p.region == owner.region)
    return int(tx.execute(query).scalar_one())


def current(tx: Tx) -> list[Current]:
    """All pipelines of all owners: for what looks at each of them now and then."""
    query = select(_p.account, _p.region, _p.name, _p.created, _p.version)
    return [
        Current(Owner(row.account, row.region), row.name, time_of(row.created), row.version)
        for row in tx.execute(query)
    ]


def _wanted(owner: Owner, name: str) -> dict[str, Any]:
    return {"of_account": owner.account, "of_region": owner.region, "of": name}


def _key(owner: Owner, name: str) -> dict[str, str]:
    return {"account": owner.account, "region": owner.region, "name": name}


def _is(columns: Any, owner: Owner, name: str) -> tuple[Any, ...]:
    return columns.account == owner.account, columns.region == owner.region, columns.name == name


def _changing(stored: StoredPipeline) -> dict[str, Any]:
    return {
        "version": stored.version,
        "updated": microseconds(stored.updated),
        "line": json.dumps(gates_json(stored.line), separators=(",", ":")),
        "tags": json.dumps(dict(stored.tags)),
    }


def _stored(row: Row[Any]) -> StoredPipeline:
    return StoredPipeline(
        Owner(row.account, row.region),
        row.name,
        time_of(row.created),
        time_of(row.updated),
        parse_gates(json.loads(row.line)),
        json.loads(row.tags),
    )


def _version(row: Row[Any]) -> StoredVersion:
    return StoredVersion(row.version, time_of(row.created), json.loads(row.shape), row.secrets)
