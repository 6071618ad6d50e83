"""The rows of action executions and rule executions: who does each, its steps, its answers, and what clients see.

A run belongs to a runner, a process that says every few seconds that it lives. Each takeover has a higher generation,
and only the runner of the current one writes steps: one that was taken for dead cannot spoil what its successor does.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
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
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from codeyard.errors import Conflict
from codeyard.ident import Owner
from codeyard.pipelines.model import Moment
from codeyard.pipelines.state import RunStatus
from codeyard.pipelines.stored import StoredRun
from codeyard.store import Tx, metadata
from codeyard.store.times import microseconds, time_of

runs = Table(
    "pipeline_runs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account", String(12), nullable=False),
    Column("region", String(64), nullable=False),
    Column("pipeline", String(100), nullable=False),
    Column("execution", String(36), nullable=False),
    Column("stage", String(100), nullable=False),
    Column("name", String(100), nullable=False),
    Column("moment", String(16)),
    Column("status", String(16), nullable=False),
    Column("runner", String(120)),
    Column("generation", Integer, nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("deadline", BigInteger, nullable=False),
    Column("data", Text, nullable=False),
    Column("answers", Text, nullable=False),
)
steps = Table(
    "pipeline_steps",
    metadata,
    Column("run", String(36), nullable=False),
    Column("name", String(200), nullable=False),
    Column("answer", Text, nullable=False),
    PrimaryKeyConstraint("run", "name"),
)
runners = Table(
    "pipeline_runners",
    metadata,
    Column("id", String(120), primary_key=True),
    Column("lease", BigInteger, nullable=False),
)
_r, _s, _w = runs.c, steps.c, runners.c
Index("ix_pipeline_runs_listed", _r.account, _r.region, _r.pipeline, _r.started, _r.id)
Index("ix_pipeline_runs_execution", _r.execution, _r.started, _r.id)
_action = _r.moment.is_(None)
Index(
    "ix_pipeline_runs_action",
    _r.account,
    _r.region,
    _r.pipeline,
    _r.stage,
    _r.name,
    _r.started,
    _r.id,
    sqlite_where=_action,
    postgresql_where=_action,
)
_busy = _r.status == RunStatus.IN_PROGRESS.value
Index("ix_pipeline_runs_busy", _r.runner, sqlite_where=_busy, postgresql_where=_busy)


@dataclass(frozen=True, slots=True)
class Glance:
    """What may change of a run while somebody does it; of its answers the length tells that there are more."""

    generation: int
    deadline: datetime
    answers: int  # characters


# Made once: to put a statement together takes longer than to have it carried out, and these are of each action.
_INSERT = runs.insert()
_LOAD = select(runs).where(_r.id == bindparam("wanted"))
_HOLD = _LOAD.with_for_update()
_SAVE = runs.update().where(_r.id == bindparam("wanted"))
_OF_EXECUTION = select(runs).where(_r.execution == bindparam("wanted")).order_by(_r.started, _r.id)


def insert(tx: Tx, run: StoredRun) -> None:
    fixed = {
        "id": run.id,
        "account": run.owner.account,
        "region": run.owner.region,
        "pipeline": run.pipeline,
        "execution": run.execution,
        "stage": run.stage,
        "name": run.name,
        "moment": run.moment,
        "started": microseconds(run.started),
        "generation": run.generation,
    }
    tx.execute(_INSERT, fixed | _changing(run))


def load(tx: Tx, id: str) -> StoredRun | None:
    row = tx.execute(_LOAD, {"wanted": id}).first()
    return None if row is None else _stored(row)


def hold(tx: Tx, id: str) -> StoredRun | None:
    row = tx.execute(_HOLD, {"wanted": id}).first()
    return None if row is None else _stored(row)


def save(tx: Tx, run: StoredRun) -> None:
    """Of a row that is held."""
    tx.execute(_SAVE, {"wanted": run.id, **_changing(run)})


def of_execution(tx: Tx, execution: str) -> list[StoredRun]:
    """All attempts, as they began."""
    return [_stored(row) for row in tx.execute(_OF_EXECUTION, {"wanted": execution})]


def these(tx: Tx, ids: Iterable[str]) -> dict[str, StoredRun]:
    wanted = sorted(set(ids))
    return {row.id: _stored(row) for row in tx.execute(select(runs).where(_r.id.in_(wanted)))} if wanted else {}


def listed(
    tx: Tx,
    owner: Owner,
    pipeline: str,
    *,
    rules: bool,
    execution: str | None,
    before: tuple[int, str] | None,
    limit: int,
) -> list[StoredRun]:
    """The newest first: those before this time (microseconds) and id. An `execution` must be of this pipeline."""
    if execution is not None:  # and nothing else, so that no planner goes through all of the pipeline's runs
        query = select(runs).where(_r.execution == execution)
    else:
        query = select(runs).where(_r.account == owner.account, _r.region == owner.region, _r.pipeline == pipeline)
    query = query.where(_r.moment.is_not(None) if rules else _r.moment.is_(None))
    if before is not None:
        at, id = before
        query = query.where(_r.started <= at, or_(_r.started < at, _r.id < id))  # an index goes to where that begins
    return [_stored(row) for row in tx.execute(query.order_by(_r.started.desc(), _r.id.desc()).limit(limit))]


def of_action(tx: Tx, owner: Owner, pipeline: str, stage: str, action: str, limit: int) -> list[StoredRun]:
    """The newest executions of one action first, of all executions of the pipeline."""
    query = select(runs).where(
        _r.account == owner.account,
        _r.region == owner.region,
        _r.pipeline == pipeline,
        _r.stage == stage,
        _r.name == action,
        _action,
    )
    return [_stored(row) for row in tx.execute(query.order_by(_r.started.desc(), _r.id.desc()).limit(limit))]


def place_of(run: StoredRun) -> tuple[int, str]:
    """What `listed` takes as `before`."""
    return microseconds(run.started), run.id


def remove(tx: Tx, owner: Owner, pipeline: str) -> None:
    """All of a pipeline's."""
    mine = (_r.account == owner.account, _r.region == owner.region, _r.pipeline == pipeline)
    tx.execute(steps.delete().where(_s.run.in_(select(_r.id).where(*mine))))
    tx.execute(runs.delete().where(*mine))


# ── runners ──


def say_alive(tx: Tx, runner: str, lease: datetime) -> None:
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    values = {"lease": microseconds(lease)}
    tx.execute(insert(runners).values(id=runner, **values).on_conflict_do_update(index_elements=[_w.id], set_=values))


def claim(tx: Tx, runner: str, now: datetime, limit: int) -> None:
    """Take over the runs that nobody has, or somebody whose time is over."""
    alive = select(_w.id).where(_w.lease > microseconds(now))
    free = or_(_r.runner.is_(None), _r.runner.not_in(alive))
    found = tx.execute(select(_r.id, _r.generation).where(_busy, free).limit(limit).with_for_update(skip_locked=True))
    for row in found.all():
        query = runs.update().where(_r.id == row.id, _r.generation == row.generation)
        tx.execute(query.values(runner=runner, generation=row.generation + 1))


def any_free(tx: Tx, now: datetime) -> bool:
    """Whether there is a run for `claim`."""
    alive = select(_w.id).where(_w.lease > microseconds(now))
    query = select(_r.id).where(_busy, or_(_r.runner.is_(None), _r.runner.not_in(alive))).limit(1)
    return tx.execute(query).first() is not None


def held_by(tx: Tx, runner: str) -> dict[str, Glance]:
    """Those that it does, by id."""
    size = func.length(_r.answers)
    query = select(_r.id, _r.generation, _r.deadline, size.label("answers")).where(_busy, _r.runner == runner)
    return {row.id: Glance(row.generation, time_of(row.deadline), row.answers) for row in tx.execute(query)}


# ── answers, steps ──


def glance_of(run: StoredRun) -> Glance:
    """What `held_by` has of it."""
    return Glance(run.generation, run.deadline, len(_answers(run)))


def add_answer(tx: Tx, id: str, answer: Mapping[str, Any]) -> bool:
    """Something from outside that the run waits for. False: it has ended."""
    run = hold(tx, id)
    if run is None or run.status is not RunStatus.IN_PROGRESS:
        return False
    save(tx, replace(run, answers=(*run.answers, answer)))
    return True


def steps_of(tx: Tx, run: str) -> dict[str, Any]:
    return {row.name: json.loads(row.answer) for row in tx.execute(select(steps).where(_s.run == run))}


def add_step(tx: Tx, run: str, generation: int, name: str, answer: Mapping[str, Any]) -> None:
    """Conflict: another runner has it now, or it has ended."""
    row = tx.execute(select(_r.generation, _r.status).where(_r.id == run).with_for_update()).first()
    if row is None or row.generation != generation or row.status != RunStatus.IN_PROGRESS:
        raise Conflict(f"action execution {run}", "it is not ours any more.", "Leave it to whoever has it.")
    tx.execute(steps.insert().values(run=run, name=name, answer=json.dumps(answer, separators=(",", ":"))))


def _changing(run: StoredRun) -> dict[str, Any]:
    return {
        "status": run.status.value,
        "runner": run.runner,
        "updated": microseconds(run.updated),
        "deadline": microseconds(run.deadline),
        "data": json.dumps(run.data, separators=(",", ":")),
        "answers": _answers(run),
    }


def _answers(run: StoredRun) -> str:
    return json.dumps(run.answers, separators=(",", ":"))


def _stored(row: Row[Any]) -> StoredRun:
    return StoredRun(
        row.id,
        Owner(row.account, row.region),
        row.pipeline,
        row.execution,
        row.stage,
        row.name,
        None if row.moment is None else Moment(row.moment),
        time_of(row.started),
        time_of(row.updated),
        time_of(row.deadline),
        RunStatus(row.status),
        row.runner,
        row.generation,
        json.loads(row.data),
        tuple(json.loads(row.answers)),
    )
