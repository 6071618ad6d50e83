"""Log groups and streams in rows; what they hold lies in files, never in rows. Of each account and region apart.

Times are milliseconds since 1970, as the API has them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from codeyard.ident import Owner
from codeyard.logs import Framing, Place
from codeyard.store import Tx, metadata

# PostgreSQL would sort by the database's language; AWS and SQLite sort by the characters' codes.
_NAME = String(512).with_variant(String(512, collation="C"), "postgresql")
_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only what it calls INTEGER
_LAST = "\U0010ffff"
DAY = 86_400_000

log_groups = Table(
    "log_groups",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("account", String(12), nullable=False),
    Column("region", String(32), nullable=False),
    Column("name", _NAME, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("retention", Integer),  # days; NULL: for ever
    Column("class", String(32), nullable=False),
    Column("tags", Text, nullable=False),  # JSON
    Column("stored", BigInteger, nullable=False),  # bytes
    UniqueConstraint("account", "region", "name"),
)
log_streams = Table(
    "log_streams",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("group_id", ForeignKey("log_groups.id", ondelete="CASCADE"), nullable=False),
    Column("name", _NAME, nullable=False),
    Column("framing", String(16), nullable=False),
    Column("place", String(36), nullable=False),  # the run, or the file that clients put into
    Column("created", BigInteger, nullable=False),
    Column("first_event", BigInteger),  # of a stream that ended, exact; else not known
    Column("last_event", BigInteger),  # the same; of one that clients put into, about
    Column("stored", BigInteger, nullable=False),
    Column("ended", Boolean, nullable=False),
    UniqueConstraint("group_id", "name"),
    Index("ix_log_streams_latest", "group_id", "last_event"),
    Index("ix_log_streams_place", "place"),
    Index("ix_log_streams_running", "group_id", "ended", "first_event"),
)
# Files of streams that are no more. They go when nobody writes to them.
log_removals = Table(
    "log_removals",
    metadata,
    Column("place", String(36), primary_key=True),
    Column("framing", String(16), nullable=False),
    Column("since", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Group:
    """A log group."""

    id: int
    name: str
    created: int
    retention: int | None
    log_class: str
    tags: Mapping[str, str]
    stored: int


@dataclass(frozen=True, slots=True)
class Stream:
    """A log stream. `first` and `last` are exact if it `ended`."""

    id: int
    group_id: int
    name: str
    place: Place
    created: int
    first: int | None
    last: int | None
    stored: int
    ended: bool


def create_group(
    tx: Tx, owner: Owner, name: str, now: int, tags: Mapping[str, str], log_class: str = "STANDARD"
) -> None:
    """Duplicate if there is one."""
    row = {"account": owner.account, "region": owner.region, "name": name, "created": now, "class": log_class}
    tx.execute(insert(log_groups).values(**row, tags=json.dumps(dict(tags)), stored=0))


def group(tx: Tx, owner: Owner, name: str) -> Group | None:
    found = tx.execute(select(log_groups).where(_of(owner), log_groups.c.name == name)).first()
    return None if found is None else _group(found)


def groups(
    tx: Tx,
    owner: Owner,
    limit: int,
    *,
    after: str = "",
    prefix: str = "",
    part: str = "",
    log_class: str | None = None,
    names: Sequence[str] | None = None,
) -> list[Group]:
    """By name, those after `after` that begin with the prefix and have the part in their name."""
    asked = select(log_groups).where(_of(owner), log_groups.c.name > after, *_begins(log_groups.c.name, prefix))
    if part:
        # By position: LIKE of SQLite takes no heed of the case.
        position = func.strpos if tx.dialect.name == "postgresql" else func.instr
        asked = asked.where(position(log_groups.c.name, part) > 0)
    if log_class is not None:
        asked = asked.where(log_groups.c["class"] == log_class)
    if names is not None:
        asked = asked.where(log_groups.c.name.in_(names))
    return [_group(row) for row in tx.execute(asked.order_by(log_groups.c.name).limit(limit))]


def delete_group(tx: Tx, group: Group, now: int) -> None:
    """The group and its streams are gone; their files follow by a sweep."""
    _let_go(tx, log_streams.c.group_id == group.id, now)
    tx.execute(delete(log_groups).where(log_groups.c.id == group.id))


def set_retention(tx: Tx, group: Group, days: int | None) -> None:
    tx.execute(update(log_groups).where(log_groups.c.id == group.id).values(retention=days))


def set_tags(tx: Tx, group: Group, tags: Mapping[str, str]) -> None:
    tx.execute(update(log_groups).where(log_groups.c.id == group.id).values(tags=json.dumps(dict(tags))))


def create_stream(tx: Tx, group: Group, name: str, place: Place, now: int) -> None:
    """Duplicate if there is one."""
    row = {"group_id": group.id, "name": name, "framing": place.framing, "place": place.name, "created": now}
    tx.execute(insert(log_streams).values(**row, stored=0, ended=False))


def stream(tx: Tx, group: Group, name: str) -> Stream | None:
    asked = select(log_streams).where(log_streams.c.group_id == group.id, log_streams.c.name == name)
    found = tx.execute(asked).first()
    return None if found is None else _stream(found)


def delete_stream(tx: Tx, stream: Stream, now: int) -> None:
    """The stream is gone; its file follows by a sweep."""
    _let_go(tx, log_streams.c.id == stream.id, now)
    _add_stored(tx, stream.group_id, -stream.stored)


def streams_by_name(
    tx: Tx, group: Group, limit: int, *, after: str | None = None, prefix: str = "", descending: bool = False
) -> list[Stream]:
    name = log_streams.c.name
    asked = select(log_streams).where(log_streams.c.group_id == group.id, *_begins(name, prefix))
    if after is not None:
        asked = asked.where(name < after if descending else name > after)
    ordered = asked.order_by(name.desc() if descending else name)
    return [_stream(row) for row in tx.execute(ordered.limit(limit))]


def streams_by_time(
    tx: Tx, group: Group, limit: int, *, after: tuple[int, int] | None = None, descending: bool = False
) -> list[Stream]:
    """By the last event (or, if that is not known, the creation) and the id, after this pair of both."""
    moment = latest_of()
    asked = select(log_streams).where(log_streams.c.group_id == group.id)
    if after is not None:
        key, last = tuple_(moment, log_streams.c.id), tuple_(*(cast(part, BigInteger) for part in after))
        asked = asked.where(key < last if descending else key > last)
    order = (moment.desc(), log_streams.c.id.desc()) if descending else (moment, log_streams.c.id)
    return [_stream(row) for row in tx.execute(asked.order_by(*order).limit(limit))]


def latest_of() -> ColumnElement[int]:
    """What streams are sorted by when they are sorted by time."""
    return func.coalesce(log_streams.c.last_event, log_streams.c.created)


def streams_active(
    tx: Tx, group: Group, moment: int, limit: int, names: Sequence[str] | None, prefix: str
) -> list[Stream]:
    """Those that may have events at `moment`, and all that did not end."""
    columns = log_streams.c
    at_moment = or_(columns.ended.is_(False), and_(columns.first_event <= moment, columns.last_event >= moment))
    return _candidates(tx, group, at_moment, limit, names, prefix)


def streams_beginning(
    tx: Tx, group: Group, after: int, until: int | None, limit: int, names: Sequence[str] | None, prefix: str
) -> list[Stream]:
    """Those that ended and whose first event is after `after` and not after `until`, the earliest first."""
    begins = and_(log_streams.c.ended.is_(True), log_streams.c.first_event > after)
    if until is not None:
        begins = and_(begins, log_streams.c.first_event <= until)
    return _candidates(tx, group, begins, limit, names, prefix)


def build_stream(tx: Tx, group: Group, name: str, run: str, now: int) -> None:
    """The stream shows the log of this run from now on, be it new or there."""
    found = stream(tx, group, name)
    place = Place(Framing.LINES, run)
    if found is None:
        create_stream(tx, group, name, place, now)
    elif found.place != place:
        values = {"framing": place.framing, "place": run, "ended": False, "first_event": None, "last_event": None}
        tx.execute(update(log_streams).where(log_streams.c.id == found.id).values(**values))


def streams_of_run(tx: Tx, run: str) -> list[Stream]:
    asked = select(log_streams).where(log_streams.c.place == run, log_streams.c.framing == Framing.LINES)
    return [_stream(row) for row in tx.execute(asked)]


def learn(tx: Tx, stream: Stream, *, first: int | None, last: int | None, stored: int, ended: bool) -> None:
    """What is known of its events now. An older reading than the row's changes nothing but makes no harm."""
    moments = {"first_event": first, "last_event": last}
    done = tx.execute(
        update(log_streams)
        .where(log_streams.c.id == stream.id, log_streams.c.stored == stream.stored)
        .values(**moments, stored=stored, ended=ended)
    )
    if done.rowcount:
        _add_stored(tx, stream.group_id, stored - stream.stored)


def expire(tx: Tx, now: int, limit: int) -> int:
    """Let go of streams whose last event (of an empty one: the creation) is older than their group keeps."""
    old = and_(
        log_groups.c.retention.is_not(None),
        latest_of() < cast(now, BigInteger) - cast(log_groups.c.retention, BigInteger) * cast(DAY, BigInteger),
        or_(log_streams.c.ended.is_(True), log_streams.c.framing == Framing.RECORDS),
    )
    asked = select(log_streams).join(log_groups, log_groups.c.id == log_streams.c.group_id).where(old).limit(limit)
    found = [_stream(row) for row in tx.execute(asked)]
    for each in found:
        delete_stream(tx, each, now)
    return len(found)


def removals(tx: Tx, after: str, limit: int) -> list[Place]:
    """Files whose streams are no more."""
    asked = select(log_removals).where(log_removals.c.place > after).order_by(log_removals.c.place).limit(limit)
    return [Place(Framing(row.framing), row.place) for row in tx.execute(asked)]


def removed(tx: Tx, places: Sequence[Place]) -> None:
    tx.execute(delete(log_removals).where(log_removals.c.place.in_([place.name for place in places])))


def _candidates(
    tx: Tx, group: Group, which: ColumnElement[bool], limit: int, names: Sequence[str] | None, prefix: str
) -> list[Stream]:
    asked = select(log_streams).where(log_streams.c.group_id == group.id, which, *_begins(log_streams.c.name, prefix))
    if names is not None:
        asked = asked.where(log_streams.c.name.in_(names))
    ordered = asked.order_by(log_streams.c.first_event, log_streams.c.id)
    return [_stream(row) for row in tx.execute(ordered.limit(limit))]


def _let_go(tx: Tx, which: ColumnElement[bool], now: int) -> None:
    known = select(log_removals.c.place)
    columns = ["place", "framing", "since"]
    gone = select(log_streams.c.place, log_streams.c.framing, cast(now, BigInteger)).where(which)
    tx.execute(insert(log_removals).from_select(columns, gone.where(log_streams.c.place.not_in(known)).distinct()))
    tx.execute(delete(log_streams).where(which))


def _add_stored(tx: Tx, group_id: int, more: int) -> None:
    if more:
        stored = log_groups.c.stored + more
        tx.execute(update(log_groups).where(log_groups.c.id == group_id).values(stored=stored))


def _of(owner: Owner) -> ColumnElement[bool]:
    return and_(log_groups.c.account == owner.account, log_groups.c.region == owner.region)


def _begins(column: Column[str], prefix: str) -> tuple[ColumnElement[bool], ...]:
    return (column >= prefix, column < prefix + _LAST) if prefix else ()


def _group(row: Row[tuple[object, ...]]) -> Group:
    found = row._mapping
    return Group(
        found["id"], found["name"], found["created"], found["retention"], found["class"],
        json.loads(found["tags"]), found["stored"],
    )  # fmt: skip


def _stream(row: Row[tuple[object, ...]]) -> Stream:
    found = row._mapping
    return Stream(
        found["id"], found["group_id"], found["name"], Place(Framing(found["framing"]), found["place"]),
        found["created"], found["first_event"], found["last_event"], found["stored"], bool(found["ended"]),
    )  # fmt: skip
