from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from codeyard.logs.time_index import TimeIndex, TimeSearch, index_of
from codeyard.logs.times import END, ENTRY, Times


def entries(log: Path) -> list[tuple[int, int]]:
    return list(ENTRY.iter_unpack(index_of(log).read_bytes()))


def test_writes_that_follow_soon_share_a_time(tmp_path: Path) -> None:
    index = TimeIndex(tmp_path / "log", 0)
    for moment in (100, 105, 109, 110, 125):
        index.note(moment, 1, moment)
    index.close()

    assert entries(tmp_path / "log") == [(100, 100), (110, 110), (125, 125), (END, 125)]


def test_time_never_goes_back(tmp_path: Path) -> None:
    index = TimeIndex(tmp_path / "log", 0)
    index.note(0, 5, 1000)
    index.note(5, 5, 900)
    index.note(10, 5, 1020)

    assert entries(tmp_path / "log") == [(0, 1000), (10, 1020)]


def test_what_is_found_keeps_its_times_and_what_is_new_has_its_own(tmp_path: Path) -> None:
    index = TimeIndex(tmp_path / "log", 0)
    index.note(0, 10, 100)
    index.note(10, 10, 200)
    index.note(20, 10, 300)
    again = TimeIndex(tmp_path / "log", 20)
    again.note(5, 10, 900)
    again.note(15, 10, 950)

    assert entries(tmp_path / "log") == [(0, 100), (10, 200), (20, 950)]


def test_half_an_entry_is_cut_off(tmp_path: Path) -> None:
    index_of(tmp_path / "log").write_bytes(ENTRY.pack(0, 100) + b"half")
    TimeIndex(tmp_path / "log", 5).note(5, 1, 200)

    assert entries(tmp_path / "log") == [(0, 100), (5, 200)]


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    TimeIndex(tmp_path / "log", 0)

    assert index_of(tmp_path / "log").stat().st_mode & 0o777 == 0o600


@given(steps=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=40), value=st.integers(0, 400))
async def test_a_search_reads_little_and_finds_the_same(steps: list[tuple[int, int]], value: int) -> None:
    content, offset, moment = b"", 0, 0
    for further, later in steps:
        content += ENTRY.pack(offset, moment)
        offset, moment = offset + further, moment + later

    async def read(start: int, length: int) -> bytes:
        return content[start : start + length]

    search = TimeSearch(read, len(content))
    whole = Times.parse(content)

    assert [await search.below(column, value) for column in (0, 1)] == [whole.below(column, value) for column in (0, 1)]
    around = await search.around(value, value + 20)
    assert [around.at(at) for at in range(value, value + 20)] == [whole.at(at) for at in range(value, value + 20)]
