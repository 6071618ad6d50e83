"""The rows of enrolled targets, and of what each is known to have of a group's revisions. Of secrets, only hashes."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, Row, String, Table, Text, select
from sqlalchemy.dialects import postgresql, sqlite

from codeyard.aws import Page
from codeyard.deploys.model import Target
from codeyard.deploys.waves import Revision
from codeyard.ident import Owner
from codeyard.store import Tx, metadata
from codeyard.store.times import microseconds, time_of

PAGE = 100

targets = Table(
    "deploy_targets",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account", String(12), nullable=False),
    Column("region", String(64), nullable=False),
    Column("name", String(100), nullable=False),
    Column("tags", Text, nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("registered", BigInteger, nullable=False),
    Column("heard", BigInteger, nullable=False),
    Column("removed", BigInteger),
)
# One of a name; whoever enrols by the name of one that was removed takes its place.
Index("ix_deploy_targets_named", targets.c.account, targets.c.region, targets.c.name, unique=True)

health = Table(
    "deploy_health",
    metadata,
    Column("group_id", String(100), primary_key=True),
    Column("target", String(36), primary_key=True),
    Column("healthy", Boolean, nullable=False),
    Column("tree", String(64)),  # that the last deployment put there; NULL: nobody knows what is there
)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A target, and the SHA-256 of what its agent has to show."""

    target: Target
    secret_hash: str = field(repr=False)


def put(tx: Tx, enrolled: Enrolled) -> None:
    """A new row, in place of a removed one of this name. Duplicate, where one of this name is enrolled."""
    target = enrolled.target
    tx.execute(
        targets.delete().where(
            targets.c.account == target.owner.account, targets.c.region == target.owner.region,
            targets.c.name == target.name, targets.c.removed.is_not(None),
        )
    )  # fmt: skip
    tx.execute(
        targets.insert().values(
            id=target.id,
            account=target.owner.account,
            region=target.owner.region,
            name=target.name,
            tags=json.dumps(dict(target.tags)),
            secret_hash=enrolled.secret_hash,
            registered=microseconds(target.registered),
            heard=microseconds(target.heard),
        )
    )


def find(tx: Tx, id: str) -> Enrolled | None:
    """Whether or not it was removed."""
    row = tx.execute(select(targets).where(targets.c.id == id)).first()
    return None if row is None else Enrolled(_target(row), row.secret_hash)


def named(tx: Tx, owner: Owner, name: str) -> Enrolled | None:
    """Whether or not it was removed."""
    row = tx.execute(
        select(targets).where(
            targets.c.account == owner.account, targets.c.region == owner.region, targets.c.name == name
        )
    ).first()
    return None if row is None else Enrolled(_target(row), row.secret_hash)


def enrolled(tx: Tx, owner: Owner) -> tuple[Target, ...]:
    """All that are enrolled and not removed, by name."""
    query = (
        select(targets)
        .where(targets.c.account == owner.account, targets.c.region == owner.region, targets.c.removed.is_(None))
        .order_by(targets.c.name)
    )
    return tuple(_target(row) for row in tx.execute(query))


def of_ids(tx: Tx, ids: Iterable[str]) -> dict[str, Target]:
    """Those that are enrolled and not removed, by id."""
    query = select(targets).where(targets.c.id.in_(tuple(ids)), targets.c.removed.is_(None))
    return {row.id: _target(row) for row in tx.execute(query)}


def listed(tx: Tx, owner: Owner, after: str | None) -> Page:
    """A page of targets by name, the removed ones too."""
    query = select(targets).where(targets.c.account == owner.account, targets.c.region == owner.region)
    if after is not None:
        query = query.where(targets.c.name > after)
    rows = tx.execute(query.order_by(targets.c.name).limit(PAGE + 1)).all()
    return Page(tuple(_target(row) for row in rows[:PAGE]), rows[PAGE - 1].name if len(rows) > PAGE else None)


def heard(tx: Tx, id: str, now: datetime) -> None:
    tx.execute(targets.update().where(targets.c.id == id).values(heard=microseconds(now)))


def remove(tx: Tx, owner: Owner, name: str, now: datetime) -> bool:
    """Whether there was one. What its agent shows is worth nothing any more."""
    changed = tx.execute(
        targets.update()
        .where(
            targets.c.account == owner.account, targets.c.region == owner.region, targets.c.name == name,
            targets.c.removed.is_(None),
        )
        .values(removed=microseconds(now), secret_hash="")
    )  # fmt: skip
    return changed.rowcount == 1


def health_of(tx: Tx, group_id: str, current: str | None) -> dict[str, tuple[bool, Revision]]:
    """By target: whether the group's last deployment to it succeeded, and what it has; `current` is the tree of the
    group's last successful deployment."""
    found = {}
    for row in tx.execute(select(health).where(health.c.group_id == group_id)):
        known = Revision.OLD if row.tree != current else Revision.CURRENT
        found[row.target] = (row.healthy, Revision.UNKNOWN if row.tree is None else known)
    return found


def put_health(tx: Tx, group_id: str, target: str, healthy: bool, tree: str | None) -> None:
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    values = {"healthy": healthy, "tree": tree}
    tx.execute(
        insert(health)
        .values(group_id=group_id, target=target, **values)
        .on_conflict_do_update(index_elements=["group_id", "target"], set_=values)
    )


def forget_health(tx: Tx, group_id: str) -> None:
    tx.execute(health.delete().where(health.c.group_id == group_id))


def _target(row: Row[Any]) -> Target:
    return Target(
        row.id,
        Owner(row.account, row.region),
        row.name,
        json.loads(row.tags),
        time_of(row.registered),
        time_of(row.heard),
        None if row.removed is None else time_of(row.removed),
    )
