from pathlib import Path

import pytest

from codeyard.errors import Fault
from codeyard.executors import uid_ranges
from codeyard.executors.uid_ranges import COUNT, FIRST, SIZE, give_back, take


@pytest.fixture
def ranges(tmp_path: Path) -> Path:
    return tmp_path / "ranges"


def sandbox(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


def test_no_two_have_the_same(tmp_path: Path, ranges: Path) -> None:
    taken = [take(sandbox(tmp_path, str(number)), ranges) for number in range(200)]

    assert len(set(taken)) == 200
    assert all(FIRST <= base < FIRST + COUNT * SIZE and (base - FIRST) % SIZE == 0 for base in taken)


def test_all_of_them_are_ordinary_uids_beyond_those_that_others_give_out() -> None:
    assert FIRST > 0x6FFFFFFF
    assert FIRST + COUNT * SIZE <= 2**31


def test_one_that_has_a_range_keeps_it(tmp_path: Path, ranges: Path) -> None:
    one = sandbox(tmp_path, "one")

    assert take(one, ranges) == take(one, ranges)


def test_what_is_given_back_is_free(tmp_path: Path, ranges: Path) -> None:
    one = sandbox(tmp_path, "one")
    base = take(one, ranges)
    give_back(one, ranges)
    give_back(one, ranges)

    assert list(ranges.iterdir()) == []
    assert take(one, ranges) == base


def test_the_range_of_a_sandbox_that_is_gone_is_free(
    tmp_path: Path, ranges: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uid_ranges, "COUNT", 1)
    one, two = sandbox(tmp_path, "one"), sandbox(tmp_path, "two")
    take(one, ranges)
    with pytest.raises(Fault, match="in use"):
        take(two, ranges)
    (one / "range").unlink()

    assert take(two, ranges) == FIRST
