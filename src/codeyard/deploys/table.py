"""The rows of deployments and of their targets, and one line for each group, which says what is in flight.

Every change compares the version that it read. Whoever locks several rows locks the group's line first, then the
deployment; its targets' rows are changed by who holds the deployment. Times are microseconds since 1970.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    literal,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite

from codeyard.aws import Page
from codeyard.deploys.model import Deployment, DeploymentTarget, Status, TargetStatus
from codeyard.deploys.stored import deployment_of, progress_json, request_json, request_of, target_json, target_of
from codeyard.deploys.targets_table import targets as enrolled
from codeyard.errors import Conflict, Invalid
from codeyard.ident import Owner
from codeyard.store import Tx, metadata
from codeyard.store.times import microseconds, time_of

PAGE = 100
_SOME = 500

deployments = Table(
    "deployments",
    metadata,
    Column("id", String(11), primary_key=True),
    Column("account", String(12), nullable=False),
    Column("region", String(64), nullable=False),
    Column("application", String(100), nullable=False),
    Column("group_id", String(100), nullable=False),
    Column("status", String(16), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("key", String(100)),  # what tells a second asking for it from a first
    Column("version", BigInteger, nullable=False),
    Column("request", Text, nullable=False),
    Column("progress", Text, nullable=False),
)
deployment_targets = Table(
    "deployment_targets",
    metadata,
    Column("deployment", String(11), primary_key=True),
    Column("target", String(36), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("name", String(100), nullable=False),
    Column("status", String(16), nullable=False),
    Column("updated", BigInteger),
    Column("event_began", BigInteger),
    Column("state", Text, nullable=False),
)
lines = Table(
    "deploy_lines",
    metadata,
    Column("group_id", String(100), primary_key=True),
    Column("in_flight", String(11)),
    Column("last_attempted", String(11)),
    Column("last_successful", String(11)),
)

_c, _t = deployments.c, deployment_targets.c
Index("ix_deployments_listed", _c.account, _c.region, _c.created, _c.id)
Index("ix_deployments_of_group", _c.group_id, _c.created, _c.id)
Index("ix_deployments_keyed", _c.account, _c.region, _c.key, unique=True)
Index("ix_deployment_targets_of_target", _t.target, _t.status)
_QUEUED, _IN_FLIGHT = _c.status == Status.QUEUED.value, _c.status == Status.IN_PROGRESS.value
# The status is the same in all its rows, but makes SQLite prefer it to the index of the whole group.
Index(
    "ix_deployments_queued",
    _c.group_id,
    _c.status,
    _c.created,
    _c.id,
    sqlite_where=_QUEUED,
    postgresql_where=_QUEUED,
)
Index("ix_deployments_in_flight", _c.id, sqlite_where=_IN_FLIGHT, postgresql_where=_IN_FLIGHT)


@dataclass(frozen=True, slots=True)
class Line:
    """What is known of a group: ids of deployments."""

    group_id: str
    in_flight: str | None = None
    last_attempted: str | None = None
    last_successful: str | None = None


@dataclass(frozen=True, slots=True)
class UnderWay:
    """One target of a deployment that works, as whoever looks after them needs it."""

    deployment: str
    target: str
    updated: datetime
    event_began: datetime | None
    heard: datetime | None  # None: it is enrolled no more


# ── a group's line ──


def hold_line(tx: Tx, group_id: str) -> Line:
    """The line, made if need be, which nobody else changes before the transaction ends."""
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    row = None
    while row is None:  # whoever held it may have deleted it
        tx.execute(insert(lines).values(group_id=group_id).on_conflict_do_nothing())
        row = tx.execute(select(lines).where(lines.c.group_id == group_id).with_for_update()).first()
    return Line(row.group_id, row.in_flight, row.last_attempted, row.last_successful)


def line(tx: Tx, group_id: str) -> Line:
    row = tx.execute(select(lines).where(lines.c.group_id == group_id)).first()
    return Line(group_id) if row is None else Line(group_id, row.in_flight, row.last_attempted, row.last_successful)


def put_line(tx: Tx, now: Line) -> None:
    tx.execute(
        lines.update()
        .where(lines.c.group_id == now.group_id)
        .values(in_flight=now.in_flight, last_attempted=now.last_attempted, last_successful=now.last_successful)
    )


def delete_group(tx: Tx, group_id: str) -> None:
    """The line of a group, and its deployments with their targets: also those that are created at this moment."""
    hold_line(tx, group_id)
    mine = select(_c.id).where(_c.group_id == group_id)
    tx.execute(deployment_targets.delete().where(_t.deployment.in_(mine)))
    tx.execute(deployments.delete().where(_c.group_id == group_id))
    tx.execute(lines.delete().where(lines.c.group_id == group_id))


# ── one deployment ──


def insert(tx: Tx, deployment: Deployment, key: str | None) -> None:
    """Duplicate, of the id or the key."""
    asked = deployment.request
    tx.execute(
        deployments.insert().values(
            id=deployment.id,
            account=asked.owner.account,
            region=asked.owner.region,
            application=asked.application,
            group_id=asked.group_id,
            status=deployment.status.value,
            created=microseconds(deployment.created),
            key=key,
            version=deployment.version,
            request=request_json(asked),
            progress=progress_json(deployment),
        )
    )
    _insert_targets(tx, deployment)


def load(tx: Tx, id: str) -> Deployment | None:
    row = tx.execute(select(deployments).where(_c.id == id)).first()
    return None if row is None else _deployment(row, _targets_of(tx, id))


def hold(tx: Tx, id: str) -> Deployment | None:
    """The deployment, which nobody else changes before the transaction ends."""
    row = tx.execute(select(deployments).where(_c.id == id).with_for_update()).first()
    return None if row is None else _deployment(row, _targets_of(tx, id))


def load_alone(tx: Tx, id: str) -> Deployment | None:
    """Without its targets."""
    row = tx.execute(select(deployments).where(_c.id == id)).first()
    return None if row is None else _deployment(row, ())


def keyed(tx: Tx, owner: Owner, key: str) -> Deployment | None:
    """The deployment that was asked for with this key."""
    query = select(_c.id).where(_c.account == owner.account, _c.region == owner.region, _c.key == key)
    id = tx.execute(query).scalar()
    return None if id is None else load(tx, id)


def save(tx: Tx, was: Deployment, now: Deployment) -> Deployment:
    """The deployment with its new version; of its targets those are written that have changed. Conflict."""
    values = {"status": now.status.value, "progress": progress_json(now), "version": was.version + 1}
    done = tx.execute(deployments.update().where(_c.id == was.id, _c.version == was.version).values(**values))
    if done.rowcount != 1:
        raise Conflict(f"deployment {was.id}", "somebody else changed it.", "Read it again.")
    if not was.targets:
        _insert_targets(tx, now)
    else:
        for before, after in zip(was.targets, now.targets, strict=True):
            if before != after:
                save_target(tx, was.id, after)
    return replace(now, version=was.version + 1)


# ── one target of a deployment ──


def hold_target(tx: Tx, deployment: str, target: str) -> tuple[Status, DeploymentTarget] | None:
    """The target and how its deployment stands, which nobody else changes before the transaction ends."""
    status = tx.execute(select(_c.status).where(_c.id == deployment).with_for_update()).scalar()
    row = tx.execute(
        select(deployment_targets).where(_t.deployment == deployment, _t.target == target)
    ).first()  # fmt: skip
    return None if row is None or status is None else (Status(status), _target(row))


def save_target(tx: Tx, deployment: str, now: DeploymentTarget) -> None:
    """For who holds the deployment."""
    tx.execute(
        deployment_targets.update()
        .where(_t.deployment == deployment, _t.target == now.id)
        .values(**_changing(now))
    )  # fmt: skip


def assigned(tx: Tx, target: str) -> tuple[Deployment, ...]:
    """The deployments that this target is to work on, without their targets, the first begun first."""
    query = (
        select(deployments)
        .join(deployment_targets, _t.deployment == _c.id)
        .where(_t.target == target, _t.status == TargetStatus.IN_PROGRESS.value, _in(Status.IN_PROGRESS))
        .order_by(_c.created, _c.id)
    )
    return tuple(_deployment(row, ()) for row in tx.execute(query))


# ── many ──


def under_way(tx: Tx) -> tuple[UnderWay, ...]:
    """All targets that work on a deployment in flight."""
    flying = select(_c.id).where(_in(Status.IN_PROGRESS))
    query = (
        select(_t.deployment, _t.target, _t.updated, _t.event_began, enrolled.c.heard, enrolled.c.removed)
        .join(enrolled, enrolled.c.id == _t.target, isouter=True)
        # No join: SQLite would go through the targets of all deployments that there ever were.
        .where(_t.deployment.in_(flying), _t.status == TargetStatus.IN_PROGRESS.value)
    )
    return tuple(
        UnderWay(
            row.deployment,
            row.target,
            time_of(row.updated or 0),
            None if row.event_began is None else time_of(row.event_began),
            None if row.heard is None or row.removed is not None else time_of(row.heard),
        )
        for row in tx.execute(query)
    )


def in_flight(tx: Tx) -> tuple[str, ...]:
    """The ids of all deployments that are InProgress."""
    return tuple(tx.scalars(select(_c.id).where(_in(Status.IN_PROGRESS))))


def groups_that_may_go_on(tx: Tx) -> tuple[str, ...]:
    """Groups with a deployment that waits, and none in flight."""
    query = (
        select(_c.group_id)
        .join(lines, lines.c.group_id == _c.group_id)
        .where(_in(Status.QUEUED), lines.c.in_flight.is_(None))
        .distinct()
        .limit(_SOME)
    )
    return tuple(tx.scalars(query))


def first_queued(tx: Tx, group_id: str) -> str | None:
    query = select(_c.id).where(_in(Status.QUEUED), _c.group_id == group_id).order_by(_c.created, _c.id).limit(1)
    return tx.execute(query).scalar()


def listed(
    tx: Tx,
    owner: Owner,
    *,
    group_id: str | None = None,
    statuses: Iterable[str] = (),
    start: datetime | None = None,
    end: datetime | None = None,
    after: str | None = None,
) -> Page:
    """A page of ids, the newest first. Invalid: `after` is nothing of ours."""
    query = select(_c.id, _c.created)
    if group_id is not None:
        query = query.where(_c.group_id == group_id)
    else:
        query = query.where(_c.account == owner.account, _c.region == owner.region)
    wanted = tuple(statuses)
    if wanted:
        query = query.where(_c.status.in_(wanted))
    if start is not None:
        query = query.where(_c.created >= microseconds(start))
    if end is not None:
        query = query.where(_c.created <= microseconds(end))
    if after is not None:
        mark, colon, id = after.partition(":")
        if not colon or not mark.isdigit() or len(mark) > 18:
            raise Invalid("nextToken", "it is none that was given.", "Begin again without it.")
        query = query.where(tuple_(_c.created, _c.id) < tuple_(literal(int(mark), BigInteger), literal(id, String)))
    rows = tx.execute(query.order_by(_c.created.desc(), _c.id.desc()).limit(PAGE + 1)).all()
    last = rows[PAGE - 1] if len(rows) > PAGE else None
    return Page(tuple(row.id for row in rows[:PAGE]), None if last is None else f"{last.created}:{last.id}")


# ── rows and values ──


def _in(status: Status) -> ColumnElement[bool]:
    # Written out in the statement: no index of some rows is used where the status is a parameter.
    return _c.status == literal(status.value, String, literal_execute=True)


def _targets_of(tx: Tx, id: str) -> tuple[DeploymentTarget, ...]:
    query = select(deployment_targets).where(_t.deployment == id).order_by(_t.position)
    return tuple(_target(row) for row in tx.execute(query))


def _insert_targets(tx: Tx, deployment: Deployment) -> None:
    rows = [
        {"deployment": deployment.id, "target": each.id, "position": position, "name": each.name, **_changing(each)}
        for position, each in enumerate(deployment.targets)
    ]
    if rows:
        tx.execute(deployment_targets.insert(), rows)


def _changing(target: DeploymentTarget) -> dict[str, Any]:
    began = target.event_began
    return {
        "status": target.status.value,
        "updated": None if target.updated is None else microseconds(target.updated),
        "event_began": None if began is None else microseconds(began),
        "state": target_json(target),
    }


def _target(row: Row[Any]) -> DeploymentTarget:
    return target_of(row.target, row.name, row.status, row.updated, row.state)


def _deployment(row: Row[Any], targets: tuple[DeploymentTarget, ...]) -> Deployment:
    owner = Owner(row.account, row.region)
    asked = request_of(row.request, owner=owner, application=row.application, group_id=row.group_id)
    return deployment_of(row.id, row.status, row.created, row.version, row.progress, asked, targets)
