"""Lists, reads, starts and the queue with a million builds stored, against the same with a thousand, in turn.

    python -m bench.million [--rows N] [--calls N]

On SQLite, and on PostgreSQL where CODEYARD_TEST_POSTGRESQL names a database from which others can be made. The rows are
copies of a build that was really made, in a hundred projects.
"""

import argparse
import asyncio
import os
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import make_url

from bench.report import heading, left_out, line, middle, ms
from bench.serving import TRIVIAL, Client, Server, serving
from codeyard.builds import claiming, workers_table
from codeyard.builds.queue import Size
from codeyard.builds.workers_table import WorkerRow
from codeyard.store import Tx
from codeyard.store.engine import SqlDatabase

_FEW = 1000
_PROJECTS = 100
_BAR = 2.0
_COLUMNS = (
    "account, region, standing, status, phase, worker, stopping, cpus, memory, priority, limited, queue_until, version,"
    " request, progress"
)


def main() -> None:
    """Run everything and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--calls", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="codeyard-bench-") as place:
        heading(f"{options.rows:,} builds stored, against {_FEW:,}: SQLite")
        _compare(Path(place) / "sqlite", options.rows, options.calls, None)
        heading(f"{options.rows:,} builds stored, against {_FEW:,}: PostgreSQL")
        server = os.environ.get("CODEYARD_TEST_POSTGRESQL")
        if server:
            _compare(Path(place) / "postgresql", options.rows, options.calls, server)
        else:
            left_out("PostgreSQL", "CODEYARD_TEST_POSTGRESQL names no database")


def _compare(place: Path, rows: int, calls: int, postgresql: str | None) -> None:
    with ExitStack() as stack:
        few, many = (
            stack.enter_context(_filled(place / str(each), each, postgresql)) for each in (_FEW, rows)
        )  # fmt: skip
        with few[0]() as one, many[0]() as other:
            _calls(one, other, calls)
        _claims(few[1], many[1], calls)


Serve = Callable[[], AbstractContextManager[Server]]


@contextmanager
def _filled(place: Path, rows: int, postgresql: str | None) -> Iterator[tuple[Serve, str]]:
    """A stopped server with so many builds that ended: how it is started again without workers, and its database."""
    with database(place, postgresql) as url:
        with serving(place, "--executor", "process", "--unsafe-process", "--database", url) as server:
            client = server.client()
            server.role()
            for number in range(_PROJECTS):
                server.project(client, f"project-{number}", TRIVIAL)
            id = client.call("codebuild", "StartBuild", projectName="project-0")["build"]["id"]
            while not client.call("codebuild", "BatchGetBuilds", ids=[id])["builds"][0]["buildComplete"]:
                time.sleep(0.05)
        began = time.perf_counter()
        _fill(url, rows)
        if rows > _FEW:
            print(f"  (filled in {time.perf_counter() - began:.0f} s)")
        yield lambda: serving(place, "--database", url, command="serve"), url


@contextmanager
def database(place: Path, postgresql: str | None) -> Iterator[str]:
    place.mkdir(parents=True)
    if postgresql is None:
        yield f"sqlite:///{place}/codeyard.sqlite"
        return
    import psycopg

    name = f"codeyard_bench_{uuid.uuid4().hex[:8]}"
    address = make_url(postgresql).set(drivername="postgresql")
    with psycopg.connect(address.render_as_string(hide_password=False), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield address.set(database=name).render_as_string(hide_password=False)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _fill(url: str, rows: int) -> None:
    """Copies of the one build that is there: other runs, numbers and projects, a second after each other."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(make_url(url).database or "", isolation_level=None)) as db:
            db.execute("PRAGMA synchronous = OFF")
            db.execute(
                f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) "
                f"INSERT INTO builds (run, project, number, submitted, {_COLUMNS}) SELECT "
                "substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-4' || substr(h, 14, 3) || '-8' || substr(h, 18, 3)"
                " || '-' || substr(h, 21, 12), 'project-' || (i % 100), 1 + i, submitted + i * 1000, " + _COLUMNS
                + " FROM (SELECT i, lower(hex(randomblob(16))) AS h FROM n), (SELECT * FROM builds LIMIT 1)"
            )  # fmt: skip
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            db.execute("UPDATE build_numbers SET last = ?", [rows + 2])
        return
    database = SqlDatabase(url)
    try:
        with database.engine.begin() as tx:
            tx.execute(text(
                f"INSERT INTO builds (run, project, number, submitted, {_COLUMNS}) SELECT "
                f"gen_random_uuid()::text, 'project-' || (i % 100), 1 + i, submitted + i * 1000, {_COLUMNS} "
                f"FROM generate_series(1, {rows}) AS n(i), (SELECT * FROM builds LIMIT 1) AS one"
            ))  # fmt: skip
            tx.execute(text(f"UPDATE build_numbers SET last = {rows + 2}"))
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE builds"))
    finally:
        database.close()


def _calls(few: Server, many: Server, calls: int) -> None:
    both = [few.client(), many.client()]
    ids = [client.call("codebuild", "ListBuilds")["ids"] for client in both]
    tokens = [client.call("codebuild", "ListBuilds")["nextToken"] for client in both]
    pages: list[Mapping[str, Any]] = [{"nextToken": token} for token in tokens]
    asked: dict[str, tuple[str, list[Mapping[str, Any]]]] = {
        "ListBuilds": ("ListBuilds", [{}, {}]),
        "ListBuilds, ascending": ("ListBuilds", [{"sortOrder": "ASCENDING"}] * 2),
        "ListBuilds, next page": ("ListBuilds", pages),
        "ListBuildsForProject": ("ListBuildsForProject", [{"projectName": "project-7"}] * 2),
        "BatchGetBuilds, 10 of the last": ("BatchGetBuilds", [{"ids": each[:10]} for each in ids]),
        "ListProjects": ("ListProjects", [{}, {}]),
        "StartBuild": ("StartBuild", [{"projectName": "project-7"}] * 2),
    }
    for what, (operation, given) in asked.items():
        _told(what, *_in_turn(both, operation, given, calls))


def _in_turn(clients: list[Client], operation: str, given: list[Mapping[str, Any]], calls: int) -> tuple[float, float]:
    prepared = [client.prepare("codebuild", operation, each) for client, each in zip(clients, given, strict=True)]
    taken: list[list[float]] = [[], []]
    for _ in range(calls):
        for client, request, times in zip(clients, prepared, taken, strict=True):
            began = time.perf_counter()
            client.send(request)
            times.append(time.perf_counter() - began)
    return middle(taken[0]), middle(taken[1])


def _told(what: str, few: float, many: float) -> None:
    line(what, ms(many), f"{many / few:.2f} × {ms(few)}", "≤ 2 ×, aim 1.2", many <= _BAR * few)


class _Undone(Exception):
    """Nothing of it stays."""


def _claims(few: str, many: str, calls: int) -> None:
    """A worker takes one of the builds that were started above, and gives it back."""
    taken: list[list[float]] = [[], []]
    with ExitStack() as stack:
        databases = []
        for url in (few, many):
            database = SqlDatabase(url)
            stack.callback(database.close)
            databases.append(database)

        async def run() -> None:
            for database in databases:
                await database.write(_known)
            for _ in range(calls):
                for database, times in zip(databases, taken, strict=True):
                    began = time.perf_counter()
                    with suppress(_Undone):
                        await database.write(_claim)
                    times.append(time.perf_counter() - began)

        asyncio.run(run())
    _told("a worker claims a build", middle(taken[0]), middle(taken[1]))


_WORKER = WorkerRow("bench", "here", "", Size(2, 8 << 30), 1, datetime.now(UTC))


def _known(tx: Tx) -> None:
    workers_table.put(tx, replace(_WORKER, lease=datetime.now(UTC) + timedelta(hours=1)))


def _claim(tx: Tx) -> None:
    if len(claiming.claim(tx, "bench", {}, None, datetime.now(UTC))) != 1:
        raise SystemExit("no build was claimed")
    raise _Undone


if __name__ == "__main__":
    main()
