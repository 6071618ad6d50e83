from collections.abc import Callable
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from codeyard.secrets import listing
from codeyard.store import Tx

NO_TX = cast(Tx, None)


def reader(rows: list[int], asked: list[int]) -> Callable[[Tx, str, int], list[int]]:
    def read(_tx: Tx, after: str, limit: int) -> list[int]:
        asked.append(limit)
        return [row for row in rows if row > int(after or -1)][:limit]

    return read


@given(st.sets(st.integers(0, 60)), st.integers(1, 7), st.integers(1, 5))
def test_pages_hold_each_row_that_fits_once_and_in_order(numbers: set[int], limit: int, divisor: int) -> None:
    rows, found, after = sorted(numbers), [], ""
    while True:
        page, beyond = listing.scan(reader(rows, []), NO_TX, after, limit, str, lambda row: row % divisor == 0)
        assert len(page) <= limit
        found += page
        if beyond is None:
            break
        assert len(page) == limit
        after = beyond

    assert found == [row for row in rows if row % divisor == 0]


def test_a_page_that_nothing_fits_on_ends_after_a_while_and_has_a_next() -> None:
    asked: list[int] = []

    page, beyond = listing.scan(reader(list(range(10_000)), asked), NO_TX, "", 10, str, lambda _: False)

    assert (page, sum(asked) <= 2 * listing.SCANNED) == ([], True)
    assert beyond is not None
