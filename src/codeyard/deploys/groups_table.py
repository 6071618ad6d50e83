"""The rows of applications and deployment groups. What a group is set to is kept as its client gave it."""

import json
from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Index, Row, String, Table, Text, and_, func, select

from codeyard.aws import Page
from codeyard.deploys.model import Application, Group
from codeyard.errors import Conflict
from codeyard.ident import Owner
from codeyard.store import Tx, metadata
from codeyard.store.times import microseconds, time_of

PAGE = 100

applications = Table(
    "deploy_applications",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("region", String(64), primary_key=True),
    Column("name", String(100), primary_key=True),
    Column("id", String(36), nullable=False),
    Column("platform", String(16), nullable=False),
    Column("tags", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
)
groups = Table(
    "deploy_groups",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account", String(12), nullable=False),
    Column("region", String(64), nullable=False),
    Column("application", String(100), nullable=False),
    Column("name", String(100), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("settings", Text, nullable=False),
)
_g = groups.c
Index("ix_deploy_groups_named", _g.account, _g.region, _g.application, _g.name, unique=True)


# ── applications ──


def insert_application(tx: Tx, owner: Owner, new: Application) -> None:
    """Duplicate."""
    tx.execute(
        applications.insert().values(
            account=owner.account, region=owner.region, name=new.name, id=new.id, platform=new.platform,
            tags=json.dumps([dict(tag) for tag in new.tags]), created=microseconds(new.created),
        )
    )  # fmt: skip


def find_application(tx: Tx, owner: Owner, name: str) -> Application | None:
    row = tx.execute(select(applications).where(_of(applications, owner), applications.c.name == name)).first()
    if row is None:
        return None
    return Application(row.id, row.name, row.platform, tuple(json.loads(row.tags)), time_of(row.created))


def count_applications(tx: Tx, owner: Owner) -> int:
    query = select(func.count()).select_from(applications).where(_of(applications, owner))
    return int(tx.execute(query).scalar_one())


def list_applications(tx: Tx, owner: Owner, after: str | None) -> Page:
    """A page of names."""
    query = select(applications.c.name).where(_of(applications, owner), applications.c.name > (after or ""))
    return _page(list(tx.scalars(query.order_by(applications.c.name).limit(PAGE + 1))))


def delete_application(tx: Tx, owner: Owner, name: str) -> tuple[str, ...]:
    """The application and its groups, whose ids are given, if they are there."""
    tx.execute(applications.delete().where(_of(applications, owner), applications.c.name == name))
    mine = and_(_of(groups, owner), _g.application == name)
    ids = tuple(tx.scalars(select(_g.id).where(mine)))
    tx.execute(groups.delete().where(mine))
    return ids


# ── groups ──


def insert_group(tx: Tx, owner: Owner, new: Group) -> None:
    """Duplicate."""
    tx.execute(
        groups.insert().values(
            id=new.id, account=owner.account, region=owner.region, application=new.application, name=new.name,
            version=new.version, settings=json.dumps(dict(new.settings)),
        )
    )  # fmt: skip


def find_group(tx: Tx, owner: Owner, application: str, name: str) -> Group | None:
    row = tx.execute(
        select(groups).where(_of(groups, owner), _g.application == application, _g.name == name)
    ).first()  # fmt: skip
    return None if row is None else _group(row)


def save_group(tx: Tx, was: Group, now: Group) -> None:
    """Conflict, if somebody changed it since `was` was read; Duplicate, of the name."""
    values = {"name": now.name, "settings": json.dumps(dict(now.settings)), "version": was.version + 1}
    done = tx.execute(groups.update().where(_g.id == was.id, _g.version == was.version).values(**values))
    if done.rowcount != 1:
        raise Conflict(f"deployment group {was.name}", "somebody else changed it.", "Do it again.")


def delete_group(tx: Tx, id: str) -> None:
    tx.execute(groups.delete().where(_g.id == id))


def count_groups(tx: Tx, owner: Owner, application: str) -> int:
    query = select(func.count()).select_from(groups).where(_of(groups, owner), _g.application == application)
    return int(tx.execute(query).scalar_one())


def list_groups(tx: Tx, owner: Owner, application: str, after: str | None) -> Page:
    """A page of names."""
    query = select(_g.name).where(_of(groups, owner), _g.application == application, _g.name > (after or ""))
    return _page(list(tx.scalars(query.order_by(_g.name).limit(PAGE + 1))))


def _page(names: list[str]) -> Page:
    return Page(tuple(names[:PAGE]), names[PAGE - 1] if len(names) > PAGE else None)


def _of(table: Table, owner: Owner) -> ColumnElement[bool]:
    return and_(table.c.account == owner.account, table.c.region == owner.region)


def _group(row: Row[Any]) -> Group:
    return Group(row.id, row.application, row.name, json.loads(row.settings), row.version)
