"""The rows of executions: what the state machine knows of each, and what it was started with."""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Row,
    String,
    Table,
    Text,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from codeyard.ident import Owner
from codeyard.pipelines.state import execution_json, parse_execution
from codeyard.pipelines.stored import StoredExecution
from codeyard.store import Tx, metadata
from codeyard.store.times import microseconds, time_of

executions = Table(
    "pipeline_executions",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account", String(12), nullable=False),
    Column("region", String(64), nullable=False),
    Column("pipeline", String(100), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("live", Boolean, nullable=False),
    Column("status", String(16), nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("progress", Text, nullable=False),
    Column("facts", Text, nullable=False),
)
successes = Table(
    "pipeline_successes",
    metadata,
    Column("execution", String(36), nullable=False),
    Column("stage", String(100), nullable=False),
    PrimaryKeyConstraint("execution", "stage"),
)
tokens = Table(
    "pipeline_tokens",
    metadata,
    Column("account", String(12), nullable=False),
    Column("region", String(64), nullable=False),
    Column("pipeline", String(100), nullable=False),
    Column("token", String(128), nullable=False),
    Column("execution", String(36), nullable=False),
    Column("digest", String(64), nullable=False),
    PrimaryKeyConstraint("account", "region", "pipeline", "token"),
)
_e, _s, _t = executions.c, successes.c, tokens.c
Index("ix_pipeline_executions_numbered", _e.account, _e.region, _e.pipeline, _e.number)
Index(
    "ix_pipeline_executions_live",
    _e.account,
    _e.region,
    _e.pipeline,
    sqlite_where=_e.live.is_(True),
    postgresql_where=_e.live.is_(True),
)


# Made once: to put a statement together takes longer than to have it carried out, and these are of each action.
_INSERT = executions.insert()
_SAVE = executions.update().where(_e.id == bindparam("wanted"))
_MINE = (_e.account == bindparam("of_account"), _e.region == bindparam("of_region"), _e.pipeline == bindparam("of"))
_LOAD = select(executions).where(*_MINE, _e.id == bindparam("wanted"))
# Asked apart: for both at once SQLite goes through all that the pipeline ever had.
_LIVE = select(executions).where(*_MINE, _e.live.is_(True))
_NAMED = select(executions).where(_e.id.in_(bindparam("named", expanding=True)))
_SUCCEEDED = {
    "postgresql": postgresql.insert(successes).on_conflict_do_nothing(),
    "sqlite": sqlite.insert(successes).on_conflict_do_nothing(),
}


def put(tx: Tx, stored: StoredExecution, *, new: bool) -> None:
    execution = stored.execution
    values = {
        "live": execution.live,
        "status": execution.status.value,
        "updated": microseconds(stored.updated),
        "progress": json.dumps(execution_json(execution), separators=(",", ":")),
        "facts": json.dumps(stored.facts, separators=(",", ":")),
    }
    if not new:
        tx.execute(_SAVE, {"wanted": execution.id, **values})
        return
    fixed = {
        "id": execution.id,
        "account": stored.owner.account,
        "region": stored.owner.region,
        "pipeline": stored.pipeline,
        "number": execution.number,
        "version": execution.version,
        "started": microseconds(stored.started),
    }
    tx.execute(_INSERT, fixed | values)


def load(tx: Tx, owner: Owner, pipeline: str, id: str) -> StoredExecution | None:
    row = tx.execute(_LOAD, {**_key(owner, pipeline), "wanted": id}).first()
    return None if row is None else _stored(row)


def trigger_detail(tx: Tx, owner: Owner, pipeline: str, id: str) -> str | None:
    """What began it; None: there is no such execution."""
    stored = load(tx, owner, pipeline, id)
    return None if stored is None else str((stored.facts.get("trigger") or {}).get("triggerDetail", ""))


def at_work(tx: Tx, owner: Owner, pipeline: str, named: Iterable[str]) -> dict[str, StoredExecution]:
    """The live ones, and those of these ids."""
    found = {row.id: _stored(row) for row in tx.execute(_LIVE, _key(owner, pipeline))}
    others = these(tx, set(named) - set(found))
    return found | {id: each for id, each in others.items() if (each.owner, each.pipeline) == (owner, pipeline)}


def these(tx: Tx, ids: Iterable[str]) -> dict[str, StoredExecution]:
    """Those that are there, by id."""
    wanted = sorted(set(ids))
    return {row.id: _stored(row) for row in tx.execute(_NAMED, {"named": wanted})} if wanted else {}


def listed(
    tx: Tx, owner: Owner, pipeline: str, *, before: int | None, limit: int, succeeded_in: str | None = None
) -> list[StoredExecution]:
    """The newest first, those below the number `before`."""
    query = select(executions).where(*_of(owner, pipeline))
    if succeeded_in is not None:
        query = query.join(successes, (_s.execution == _e.id) & (_s.stage == succeeded_in))
    if before is not None:
        query = query.where(_e.number < before)
    return [_stored(row) for row in tx.execute(query.order_by(_e.number.desc()).limit(limit))]


def succeeded(tx: Tx, execution: str, stage: str) -> None:
    """Write down that it succeeded in this stage."""
    insert = _SUCCEEDED["postgresql" if tx.dialect.name == "postgresql" else "sqlite"]
    tx.execute(insert, {"execution": execution, "stage": stage})


def has_succeeded(tx: Tx, execution: str, stage: str) -> bool:
    return tx.execute(select(_s.stage).where(_s.execution == execution, _s.stage == stage)).first() is not None


def remove(tx: Tx, owner: Owner, pipeline: str) -> None:
    """All of a pipeline's."""
    ids = select(_e.id).where(*_of(owner, pipeline))
    tx.execute(successes.delete().where(_s.execution.in_(ids)))
    tx.execute(tokens.delete().where(_t.account == owner.account, _t.region == owner.region, _t.pipeline == pipeline))
    tx.execute(executions.delete().where(*_of(owner, pipeline)))


def used(tx: Tx, owner: Owner, pipeline: str, token: str) -> tuple[str, str] | None:
    """The execution that this clientRequestToken started, and the digest of what else that call asked for."""
    query = select(_t.execution, _t.digest).where(
        _t.account == owner.account, _t.region == owner.region, _t.pipeline == pipeline, _t.token == token
    )
    row = tx.execute(query).first()
    return None if row is None else (row.execution, row.digest)


def use(tx: Tx, owner: Owner, pipeline: str, token: str, execution: str, digest: str) -> None:
    """Duplicate: another call has it at this very moment."""
    tx.execute(
        tokens.insert().values(
            account=owner.account,
            region=owner.region,
            pipeline=pipeline,
            token=token,
            execution=execution,
            digest=digest,
        )
    )


def counts(tx: Tx) -> dict[str, int]:
    """How many executions are live, by status."""
    query = select(_e.status, func.count()).where(_e.live.is_(True)).group_by(_e.status)
    return {row[0]: row[1] for row in tx.execute(query)}


def _key(owner: Owner, pipeline: str) -> dict[str, str]:
    return {"of_account": owner.account, "of_region": owner.region, "of": pipeline}


def _of(owner: Owner, pipeline: str) -> tuple[Any, ...]:
    return _e.account == owner.account, _e.region == owner.region, _e.pipeline == pipeline


def _stored(row: Row[Any]) -> StoredExecution:
    return StoredExecution(
        Owner(row.account, row.region),
        row.pipeline,
        parse_execution(row.id, row.number, row.version, json.loads(row.progress)),
        time_of(row.started),
        time_of(row.updated),
        json.loads(row.facts),
    )
