"""Idempotency tokens of StartBuild and RetryBuild: for five minutes the same call again is the first one."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Column, ColumnElement, Index, PrimaryKeyConstraint, String, Table, select

from codeyard.ident import Owner
from codeyard.store import Tx, metadata
from codeyard.store.times import microseconds

LIFE = timedelta(minutes=5)
_AT_ONCE = 100

tokens = Table(
    "build_tokens",
    metadata,
    Column("account", String(12)),
    Column("region", String(64)),
    Column("operation", String(16)),
    Column("token", String(64)),
    Column("digest", String(64), nullable=False),
    Column("run", String(36), nullable=False),
    Column("until", BigInteger, nullable=False),
    PrimaryKeyConstraint("account", "region", "operation", "token"),
)
_c = tokens.c
Index("ix_build_tokens_until", _c.until)


@dataclass(frozen=True, slots=True)
class Token:
    """One client's token, of one operation, with the SHA-256 of what else it asked for."""

    owner: Owner
    operation: str
    text: str
    digest: str


def used(tx: Tx, token: Token, now: datetime) -> tuple[str, str] | None:
    """The digest and the run of the call that had this token less than five minutes ago, if one had."""
    query = select(_c.digest, _c.run).where(*_is(token), _c.until > microseconds(now))
    row = tx.execute(query).first()
    return None if row is None else (row.digest, row.run)


def keep(tx: Tx, token: Token, run: str, now: datetime) -> None:
    """Duplicate: another call has this token at this very moment."""
    tx.execute(tokens.delete().where(*_is(token), _c.until <= microseconds(now)))
    values = {"digest": token.digest, "run": run, "until": microseconds(now + LIFE)}
    tx.execute(tokens.insert().values(**_key(token), **values))


def drop(tx: Tx, token: Token) -> None:
    """Forget it: what it started is gone."""
    tx.execute(tokens.delete().where(*_is(token)))


def any_old(tx: Tx, now: datetime) -> bool:
    """Whether there are some whose time is over."""
    return tx.execute(select(_c.token).where(_c.until <= microseconds(now)).limit(1)).first() is not None


def forget(tx: Tx, now: datetime) -> None:
    """Drop some of those whose time is over."""
    old = select(_c.token).where(_c.until <= microseconds(now)).limit(_AT_ONCE)
    tx.execute(tokens.delete().where(_c.until <= microseconds(now), _c.token.in_(old)))


def _key(token: Token) -> dict[str, str]:
    return {
        "account": token.owner.account,
        "region": token.owner.region,
        "operation": token.operation,
        "token": token.text,
    }


def _is(token: Token) -> list[ColumnElement[bool]]:
    return [tokens.c[name] == value for name, value in _key(token).items()]
