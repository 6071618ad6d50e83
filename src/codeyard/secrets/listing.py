"""Lists in parts: reading on until a page is full, with a bound on what is read for one."""

from collections.abc import Callable
from typing import TypeVar

from codeyard.store import Tx

T = TypeVar("T")
SCANNED = 1000  # rows read for one page at the most: a page that few of them fit on is short, and has a next


def scan(
    read: Callable[[Tx, str, int], list[T]], tx: Tx, after: str, limit: int, key: Callable[[T], str],
    fits: Callable[[T], bool],
) -> tuple[list[T], str | None]:  # fmt: skip
    """Up to `limit` of what `read` gives beyond `after` and fits, and where the next page begins, if any."""
    found: list[T] = []
    for _ in range(SCANNED // (limit + 1) + 1):
        rows = read(tx, after, limit + 1)
        for row in rows:
            if not fits(row):
                continue
            if len(found) == limit:
                return found, key(found[-1])
            found.append(row)
        if len(rows) <= limit:
            return found, None
        after = key(rows[-1])
    return found, after
