import threading
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from codeyard.logs import Framing, Place
from codeyard.logs.files import LocalLogs
from codeyard.logs.put_streams import PutStreams
from codeyard.logs.reading import open_log
from codeyard.logs.records import Record, packed, records
from tests.logs.written import messages

NAME = "6d3f5a3e-6d0b-4d0e-9a44-0123456789ab"
ONE, TWO = Record(1, 5, b"one"), Record(2, 5, b"two\n\xff")


async def kept(data: Path) -> list[str]:
    return messages(await (await open_log(LocalLogs(data), Place(Framing.RECORDS, NAME))).forward(0))


async def test_what_is_put_is_read(tmp_path: Path) -> None:
    LocalLogs(tmp_path).streams.put(NAME, [ONE, TWO])

    assert await kept(tmp_path) == ["one", "two\n\ufffd"]


async def test_half_a_batch_is_cut_off_before_the_next(tmp_path: Path) -> None:
    streams = LocalLogs(tmp_path).streams
    streams.put(NAME, [ONE])
    with streams.path(NAME).open("ab") as file:
        file.write(packed(TWO)[:-1])
    before = await kept(tmp_path)
    streams.put(NAME, [TWO])

    assert before == ["one"]
    assert await kept(tmp_path) == ["one", "two\n\ufffd"]


async def test_an_index_that_is_behind_or_ahead_is_in_nobody_s_way(tmp_path: Path) -> None:
    streams = LocalLogs(tmp_path).streams
    streams.put(NAME, [ONE])
    streams.put(NAME, [TWO])
    index = streams.path(NAME).with_name(f"{NAME}.times")
    index.write_bytes(index.read_bytes()[:20])
    streams.put(NAME, [ONE])
    index.write_bytes(index.read_bytes() + (1 << 40).to_bytes(8, "big") + bytes(8))
    streams.put(NAME, [TWO])

    assert await kept(tmp_path) == ["one", "two\n\ufffd"] * 2


async def test_many_put_at_once(tmp_path: Path) -> None:
    roots = [PutStreams(tmp_path / "streams") for _ in range(4)]
    threads = [
        threading.Thread(target=lambda root=root: [root.put(NAME, [ONE, TWO]) for _ in range(20)]) for root in roots
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert await kept(tmp_path) == ["one", "two\n\ufffd"] * 80


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    streams = PutStreams(tmp_path / "streams")
    streams.put(NAME, [ONE])

    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "streams").iterdir()] == [0o600, 0o600]


RECORDS = st.lists(st.builds(Record, st.integers(0, 2**63), st.integers(0, 2**63), st.binary(max_size=9)), max_size=5)


@settings(deadline=None)
@given(written=RECORDS, lost=st.integers(0, 200), bent=st.integers(0, 200))
def test_only_whole_records_are_read(written: list[Record], lost: int, bent: int) -> None:
    """However much is missing at the end, or one byte is another: what is read was written, from the first on."""
    whole = b"".join(map(packed, written))
    shorter = bytearray(whole[: max(0, len(whole) - lost)])
    shorter[bent : bent + 1] = bytes([shorter[bent] ^ 1]) if bent < len(shorter) else b""
    found = [record for _, record in records(bytes(shorter))]

    assert found == written[: len(found)]
    assert [record for _, record in records(whole)] == written
