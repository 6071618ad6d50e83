"""The links, in one SQLite file. The only place with SQL."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from shortlinks.rules import Refused, checked_slug, checked_url, slugs_for

_SCHEMA = """
CREATE TABLE IF NOT EXISTS links (
    slug    TEXT PRIMARY KEY,
    url     TEXT NOT NULL,
    created TEXT NOT NULL,
    hits    INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class Link:
    """A short name for a URL. `hits` counts how often it was followed."""

    slug: str
    url: str
    created: str  # ISO 8601, UTC
    hits: int = 0


class Store:
    """Links on disk. Every method is one transaction, and any thread or process may call it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._transaction() as tx:
            tx.execute(_SCHEMA)

    def add(self, url: str, slug: str | None = None) -> tuple[Link, bool]:
        """The link, and whether it is new. Asking again gives the same one.

        Refused if the slug leads elsewhere already.
        """
        url = checked_url(url)
        wanted = slugs_for(url) if slug is None else iter([checked_slug(slug)])
        created = datetime.now(UTC).isoformat(timespec="seconds")
        with self._transaction() as tx:
            for candidate in wanted:
                done = tx.execute("INSERT OR IGNORE INTO links VALUES (?, ?, ?, 0)", (candidate, url, created))
                link = self._find(tx, candidate)
                if link is not None and link.url == url:
                    return link, done.rowcount == 1
        raise Refused(f"{slug!r} leads elsewhere already")

    def follow(self, slug: str) -> str | None:
        """Where the slug leads, counted as a hit; None if nowhere."""
        with self._transaction() as tx:
            found = tx.execute("UPDATE links SET hits = hits + 1 WHERE slug = ? RETURNING url", (slug,)).fetchone()
        return None if found is None else str(found[0])

    def remove(self, slug: str) -> bool:
        """Whether there was such a link."""
        with self._transaction() as tx:
            return tx.execute("DELETE FROM links WHERE slug = ?", (slug,)).rowcount == 1

    def newest(self, limit: int = 50) -> list[Link]:
        with self._transaction() as tx:
            rows = tx.execute(
                "SELECT slug, url, created, hits FROM links ORDER BY created DESC, slug LIMIT ?", (limit,)
            )
            return [Link(*row) for row in rows]

    @staticmethod
    def _find(tx: sqlite3.Connection, slug: str) -> Link | None:
        row = tx.execute("SELECT slug, url, created, hits FROM links WHERE slug = ?", (slug,)).fetchone()
        return None if row is None else Link(*row)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=10, isolation_level=None)
        try:
            # Take the write lock at once: a reader that became a writer half way could only fail.
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        finally:
            connection.close()  # without a COMMIT, SQLite rolls back
