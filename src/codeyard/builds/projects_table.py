"""Projects, their build counters and their resource policies, in rows. Of each owner apart."""

from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    String,
    Table,
    Text,
    and_,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from codeyard.builds.project import Project, from_json, to_json
from codeyard.errors import Conflict
from codeyard.ident import Owner
from codeyard.store import Tx, metadata
from codeyard.store.times import microseconds

_ASCII = "C"  # PostgreSQL sorts text by the database's language, SQLite by its bytes; names are ASCII

projects = Table(
    "projects",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("region", String(32), primary_key=True),
    Column("name", String(150), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),  # microseconds since 1970
    Column("last_modified", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # project.to_json
)
# Apart from the projects: a deleted project's builds stay, so one that is made again goes on counting.
build_numbers = Table(
    "build_numbers",
    metadata,
    Column("account", String(12), primary_key=True),
    Column("region", String(32), primary_key=True),
    Column("project", String(150), primary_key=True),
    Column("last", BigInteger, nullable=False),
)
resource_policies = Table(
    "resource_policies",
    metadata,
    Column("arn", String(2048), primary_key=True),
    Column("body", Text, nullable=False),  # JSON's text of the policy's text: ASCII, whatever the caller wrote
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A project as it was read, and the version of its row."""

    project: Project
    version: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of names ended: the sorted column's value (None: the name is it), and the name."""

    name: str
    value: int | None = None


def insert_project(tx: Tx, owner: Owner, project: Project) -> None:
    """Duplicate, where there is one of this name."""
    tx.execute(projects.insert().values(account=owner.account, region=owner.region, version=1, **_row(project)))


def find_project(tx: Tx, owner: Owner, name: str) -> Project | None:
    """The project of this name."""
    body = tx.execute(select(projects.c.body).where(_named(owner, name))).scalar()
    return None if body is None else from_json(body)


def lock_project(tx: Tx, owner: Owner, name: str) -> Stored | None:
    """The same, to be changed in this transaction: others who would change it wait for its end."""
    query = select(projects.c.body, projects.c.version).where(_named(owner, name)).with_for_update()
    row = tx.execute(query).one_or_none()
    return None if row is None else Stored(from_json(row.body), row.version)


def find_projects(tx: Tx, owner: Owner, names: tuple[str, ...]) -> dict[str, Project]:
    """Those that are there, by name."""
    query = select(projects.c.body).where(_of(owner), projects.c.name.in_(names))
    found = (from_json(body) for body in tx.execute(query).scalars())
    return {project.name: project for project in found}


def save_project(tx: Tx, owner: Owner, was: Stored, now: Project) -> None:
    """Conflict if the row moved since `was` was read."""
    there = and_(_named(owner, was.project.name), projects.c.version == was.version)
    done = tx.execute(update(projects).where(there).values(version=was.version + 1, **_row(now)))
    if done.rowcount != 1:
        raise Conflict(f"project {now.name}", "someone else changed it.", "Do it again.")


def remove_project(tx: Tx, owner: Owner, name: str) -> None:
    """Its builds and their counter stay."""
    tx.execute(delete(projects).where(_named(owner, name)))


def count_projects(tx: Tx, owner: Owner) -> int:
    """How many there are."""
    return tx.execute(select(func.count()).select_from(projects).where(_of(owner))).scalar_one()


def list_projects(
    tx: Tx, owner: Owner, sort: str | None, descending: bool, after: Place | None, most: int
) -> tuple[Place, ...]:
    """Names in order of the column `sort` (created, last_modified; None: of themselves), from after `after` on."""
    name = projects.c.name.collate(_ASCII) if tx.dialect.name == "postgresql" else projects.c.name
    column = None if sort is None else projects.c[sort]
    query = select(projects.c.name, projects.c.name if column is None else column).where(_of(owner))
    if after is not None:
        past = name < after.name if descending else name > after.name
        query = query.where(past if column is None else _beyond(column, after.value, past, descending))
    keys = (name,) if column is None else (column, name)
    rows = tx.execute(query.order_by(*(key.desc() if descending else key.asc() for key in keys)).limit(most))
    return tuple(Place(row[0], None if column is None else row[1]) for row in rows)


def next_build_number(tx: Tx, owner: Owner, name: str) -> int:
    """1 for a project's first build, then one more each time; never the same again (buildNumber, reference 2.1)."""
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    first = insert(build_numbers).values(account=owner.account, region=owner.region, project=name, last=1)
    following = first.on_conflict_do_update(
        index_elements=("account", "region", "project"), set_={"last": build_numbers.c.last + 1}
    )
    number: int = tx.execute(following.returning(build_numbers.c.last)).scalar_one()
    return number


def put_policy(tx: Tx, arn: str, body: str) -> None:
    """Keep it, in place of one that is there."""
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    statement = insert(resource_policies).values(arn=arn, body=body)
    tx.execute(statement.on_conflict_do_update(index_elements=("arn",), set_={"body": body}))


def find_policy(tx: Tx, arn: str) -> str | None:
    """What `put_policy` kept."""
    return tx.execute(select(resource_policies.c.body).where(resource_policies.c.arn == arn)).scalar()


def remove_policy(tx: Tx, arn: str) -> None:
    """Forget it."""
    tx.execute(delete(resource_policies).where(resource_policies.c.arn == arn))


def _of(owner: Owner) -> ColumnElement[bool]:
    return and_(projects.c.account == owner.account, projects.c.region == owner.region)


def _named(owner: Owner, name: str) -> ColumnElement[bool]:
    return and_(_of(owner), projects.c.name == name)


def _beyond(column: Column[int], value: int | None, past: ColumnElement[bool], descending: bool) -> ColumnElement[bool]:
    further = column < value if descending else column > value
    return further | and_(column == value, past)


def _row(project: Project) -> dict[str, object]:
    return {
        "name": project.name,
        "created": microseconds(project.created),
        "last_modified": microseconds(project.last_modified),
        "body": to_json(project),
    }
