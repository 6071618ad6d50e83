"""Where the object of an artifact would lie, by AWS's layout of keys, that was handed on as a tree and has none yet."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Column, PrimaryKeyConstraint, String, Table, Text, select

from codeyard.ident import Owner
from codeyard.pipelines.actions import Artifact
from codeyard.pipelines.run_data import parse_artifact
from codeyard.store import Tx, metadata

objects = Table(
    "pipeline_objects",
    metadata,
    Column("account", String(12), nullable=False),
    Column("bucket", String(63), nullable=False),
    Column("key", String(200), nullable=False),
    Column("artifact", Text, nullable=False),
    PrimaryKeyConstraint("account", "bucket", "key"),
)
_c = objects.c


def keep(tx: Tx, owner: Owner, artifacts: Iterable[Mapping[str, Any]]) -> None:
    """Of these artifacts, in JSON, those that are handed on by digest."""
    for each in artifacts:
        if each.get("there") or not (each.get("tree") or each.get("raw")):
            continue
        place = {"account": owner.account, "bucket": each["bucket"], "key": each["key"]}
        query = select(_c.key).where(*(_c[name] == value for name, value in place.items()))
        if tx.execute(query).first() is None:
            tx.execute(objects.insert().values(**place, artifact=json.dumps(dict(each))))


def find(tx: Tx, account: str, bucket: str, key: str) -> Artifact | None:
    query = select(_c.artifact).where(_c.account == account, _c.bucket == bucket, _c.key == key)
    row = tx.execute(query).first()
    return None if row is None else parse_artifact(json.loads(row.artifact))
