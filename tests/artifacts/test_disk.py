"""What only a store in a directory promises: what a kill leaves behind, and files shared with readers."""

import io
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from codeyard.artifacts import Digest, Holder, Kind, read
from codeyard.artifacts.disk import DiskStore
from codeyard.errors import Conflict, Fault, Invalid

PUTTER = """
import io, os, sys
from pathlib import Path
from codeyard.artifacts.disk import DiskStore

store = DiskStore(Path(sys.argv[1]))
print("ready", flush=True)
number = 0
while True:
    number += 1
    store.put(io.BytesIO(os.urandom(number % 7 * 900_000 + 1)))
"""


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.05, 0.1, 0.2])
def test_a_putter_that_is_killed_leaves_only_whole_blobs(tmp_path: Path, delay: float) -> None:
    putter = subprocess.Popen(
        [sys.executable, "-c", PUTTER, str(tmp_path / "store")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert putter.stdout is not None
    putter.stdout.readline()
    time.sleep(delay)
    putter.send_signal(signal.SIGKILL)
    putter.communicate()

    store = DiskStore(tmp_path / "store")
    digests = [Digest.parse(file.parent.name + file.name) for file in (tmp_path / "store/blobs").glob("*/*")]
    sizes = [len(read(store, digest, 10_000_000)) for digest in digests]
    assert all(sizes)
    assert store.put(io.BytesIO(b"goes on")).size == 7


def test_what_killed_putters_left_is_swept_when_it_is_old(store: DiskStore) -> None:
    old, young = store.root / "new/1-1-1-1", store.root / "new/2-2-2-2"
    old.write_text("half a bl")
    young.write_text("half a bl")
    os.utime(old, (0, 0))

    store.sweep(lambda _: True, older_than=0, dry_run=True)
    assert old.exists()
    store.sweep(lambda _: True, older_than=0)

    assert (old.exists(), young.exists()) == (False, True)


def test_a_blob_that_is_put_again_is_young_again(store: DiskStore) -> None:
    digest = store.put(io.BytesIO(b"old")).digest
    place = store.root / "blobs" / digest[:2] / digest[2:]
    os.utime(place, (0, 0))

    store.put(io.BytesIO(b"old"))

    assert store.sweep(lambda _: False, older_than=3600).blobs == 0


def test_a_blob_that_is_put_during_the_sweep_is_kept(store: DiskStore) -> None:
    digest = store.put(io.BytesIO(b"old")).digest
    os.utime(store.root / "blobs" / digest[:2] / digest[2:], (0, 0))

    def put_again_when_asked(_: Digest) -> bool:
        store.put(io.BytesIO(b"old"))
        return False

    assert store.sweep(put_again_when_asked, older_than=3600).blobs == 0
    assert read(store, digest, 10) == b"old"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def placed(store: DiskStore, digest: Digest, place: Path, name: str, holder: Holder) -> os.stat_result:
    descriptor = os.open(place, os.O_RDONLY)
    try:
        store.place(digest, name, directory=descriptor, holder=holder)
    finally:
        os.close(descriptor)
    return (place / name).stat()


def test_a_reader_shares_the_store_s_file_and_a_writer_does_not(store: DiskStore, place: Path) -> None:
    digest = store.put(io.BytesIO(b"shared")).digest
    blob = (store.root / "blobs" / digest[:2] / digest[2:]).stat()

    assert placed(store, digest, place, "reader", Holder.READER).st_ino == blob.st_ino
    assert placed(store, digest, place, "writer", Holder.WRITER).st_ino != blob.st_ino


def test_a_shared_file_that_was_scribbled_on_is_found_out(store: DiskStore, place: Path) -> None:
    digest = store.put(io.BytesIO(b"good")).digest
    placed(store, digest, place, "first", Holder.READER)
    before = (place / "first").stat()
    time.sleep(0.02)  # longer than the kernel's tick
    (place / "first").chmod(0o644)
    (place / "first").write_bytes(b"evil")
    os.utime(place / "first", ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(Fault):
        placed(store, digest, place, "second", Holder.READER)

    assert not (place / "second").exists()
    assert (store.root / "damaged" / digest).exists()
    assert not store.has(digest)


def test_soundness_is_remembered_by_the_next_process(tmp_path: Path, place: Path) -> None:
    with DiskStore(tmp_path / "store") as first:
        digest = first.put(io.BytesIO(b"x" * 100)).digest
    blob = tmp_path / "store/blobs" / digest[:2] / digest[2:]
    read_before = blob.stat().st_atime_ns

    with DiskStore(tmp_path / "store") as second:
        placed(second, digest, place, "file", Holder.READER)

    assert blob.stat().st_atime_ns == read_before
    assert (place / "file").read_bytes() == b"x" * 100


def test_settling_returns(store: DiskStore) -> None:
    store.put(io.BytesIO(b"to the disk"))
    store.settle()


def test_a_blob_is_never_written_to(store: DiskStore) -> None:
    digest = store.put(io.BytesIO(b"fixed")).digest

    assert (store.root / "blobs" / digest[:2] / digest[2:]).stat().st_mode & 0o777 == 0o444


class Fickle(io.BytesIO):
    """A large file that is another each time it is read from its start."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self.getbuffer()[-1] ^= 1
        return super().seek(offset, whence)


def test_a_file_that_changes_between_two_reads_is_not_stored(store: DiskStore) -> None:
    with pytest.raises(Conflict):
        store.put(Fickle(bytes(3 << 20)))

    assert list((store.root / "blobs").glob("*/*")) == []
    assert list((store.root / "new").iterdir()) == []


def test_a_full_disk_is_a_fault_and_leaves_nothing(tiny_disk: Path) -> None:
    store = DiskStore(tiny_disk / "store")
    with pytest.raises(Fault, match="no space"):
        store.put(io.BytesIO(os.urandom(8 << 20)))
    with pytest.raises(Fault, match="no space"):
        fill(store)

    assert list((store.root / "new").iterdir()) == []


def fill(store: DiskStore) -> None:
    for _ in range(100):
        store.put(io.BytesIO(os.urandom(200_000)))


def test_a_store_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(Invalid, match="artifact store"):
        DiskStore(tmp_path / "file/store")


def test_an_executable_reader_gets_a_copy(store: DiskStore, place: Path) -> None:
    digest = store.put(io.BytesIO(b"#!")).digest
    descriptor = os.open(place, os.O_RDONLY)
    store.place(digest, "run", directory=descriptor, kind=Kind.EXECUTABLE, holder=Holder.READER)
    os.close(descriptor)

    assert (place / "run").stat().st_nlink == 1
    assert (store.root / "blobs" / digest[:2] / digest[2:]).stat().st_mode & 0o111 == 0


# ── taking files over ──


def adopted(store: DiskStore, file: Path) -> Digest:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return store.adopt(descriptor).digest
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("size", [0, 10, 3 << 20])
def test_a_spent_file_is_taken_over_as_it_is(store: DiskStore, tmp_path: Path, size: int) -> None:
    (tmp_path / "spent").write_bytes(b"s" * size)
    os.utime(tmp_path / "spent", (0, 0))

    digest = adopted(store, tmp_path / "spent")

    blob = (store.root / "blobs" / digest[:2] / digest[2:]).stat()
    assert (blob.st_ino, blob.st_mode & 0o777) == ((tmp_path / "spent").stat().st_ino, 0o444)
    assert read(store, digest, size) == b"s" * size
    assert store.sweep(lambda _: False, older_than=3600).blobs == 0  # it counts as put now
    assert list((store.root / "new").iterdir()) == []


def test_a_spent_file_that_is_known_is_not_taken(store: DiskStore, tmp_path: Path) -> None:
    store.put(io.BytesIO(b"known"))
    (tmp_path / "spent").write_bytes(b"known")

    adopted(store, tmp_path / "spent")

    assert (tmp_path / "spent").stat().st_nlink == 1


def test_a_spent_file_with_another_name_is_copied(store: DiskStore, tmp_path: Path) -> None:
    (tmp_path / "spent").write_bytes(b"spent")
    (tmp_path / "other").hardlink_to(tmp_path / "spent")

    digest = adopted(store, tmp_path / "spent")
    (tmp_path / "other").write_bytes(b"changed")

    assert read(store, digest, 10) == b"spent"


def test_a_spent_file_on_another_disk_is_copied(store: DiskStore, tiny_disk: Path) -> None:
    (tiny_disk / "spent").write_bytes(b"spent")

    assert read(store, adopted(store, tiny_disk / "spent"), 10) == b"spent"


def test_a_spent_file_of_another_user_becomes_ours(store: DiskStore, tmp_path: Path) -> None:
    (tmp_path / "spent").write_bytes(b"spent")
    (tmp_path / "spent").chmod(0o666)
    with suppress(PermissionError):  # only root can give a file away; for others it is theirs already
        os.chown(tmp_path / "spent", 65534, 65534)

    digest = adopted(store, tmp_path / "spent")

    blob = (store.root / "blobs" / digest[:2] / digest[2:]).stat()
    assert (blob.st_uid, blob.st_mode & 0o777) == (os.geteuid(), 0o444)
