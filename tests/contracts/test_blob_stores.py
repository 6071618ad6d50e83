"""What every BlobStore promises, asked of each: on disk, in the memory, and in a bucket of a real S3 server."""

import io
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import obstore
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore, ObjectStore

from codeyard.artifacts import BlobStore, Digest, Holder, Kind, read
from codeyard.artifacts.disk import DiskStore
from codeyard.artifacts.object_store import ObjectBlobStore, open_store
from codeyard.errors import Conflict, Fault, Invalid, NotFound
from tests.artifacts.servers import KEYS, client, s3_server

SOME = b"some content"
LARGE = os.urandom(1 << 20) * 9  # more than one request, more than one read
ABSENT = Digest("0" * 64)

Spoil = Callable[[Digest, bytes], None]


def name_of(content: bytes) -> Digest:
    return Digest(sha256(content).hexdigest())


@pytest.fixture(scope="module")
def s3_address() -> Iterator[str]:
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        address = stack.enter_context(s3_server())
        client(address).create_bucket(Bucket="blobs")
        yield address


def on_disk(root: Path) -> tuple[BlobStore, Spoil]:
    def spoil(digest: Digest, content: bytes) -> None:
        place = root / "blobs" / digest[:2] / digest[2:]
        place.chmod(0o600)
        place.write_bytes(content)

    return DiskStore(root), spoil


def in_bucket(bucket: ObjectStore) -> tuple[BlobStore, Spoil]:
    def spoil(digest: Digest, content: bytes) -> None:
        obstore.put(bucket, f"blobs/{digest[:2]}/{digest[2:]}", content)

    return ObjectBlobStore(bucket), spoil


@pytest.fixture(params=["disk", "memory", "s3"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[BlobStore, Spoil]:
    """A store, and a way to spoil what it keeps."""
    match request.param:
        case "disk":
            return on_disk(tmp_path / "store")
        case "memory":
            return in_bucket(MemoryStore())
        case _:
            address = request.getfixturevalue("s3_address")
            return in_bucket(open_store(f"s3://blobs/{uuid4()}", endpoint=address))


@pytest.fixture
def store(kept: tuple[BlobStore, Spoil]) -> BlobStore:
    return kept[0]


@pytest.fixture
def spoil(kept: tuple[BlobStore, Spoil]) -> Spoil:
    return kept[1]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "place").mkdir()
    descriptor = os.open(tmp_path / "place", os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("content", [b"", SOME, LARGE], ids=["empty", "small", "large"])
def test_what_is_put_can_be_read(store: BlobStore, content: bytes) -> None:
    blob = store.put(io.BytesIO(content))

    assert (blob.digest, blob.size) == (name_of(content), len(content))
    assert store.has(blob.digest)
    assert read(store, blob.digest, len(content)) == content


def test_a_file_is_put_from_where_it_stands(store: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"head" + LARGE)

    with (tmp_path / "file").open("rb") as file:
        file.seek(4)
        blob = store.put(file)

    assert blob.digest == name_of(LARGE)
    assert read(store, blob.digest, len(LARGE)) == LARGE


def test_putting_twice_is_as_putting_once(store: BlobStore) -> None:
    assert store.put(io.BytesIO(SOME)) == store.put(io.BytesIO(SOME))
    assert store.sweep(lambda _: False, older_than=-60, dry_run=True).blobs == 1


@pytest.mark.parametrize("content", [SOME, LARGE], ids=["small", "large"])
def test_what_is_not_what_was_expected_is_not_kept(store: BlobStore, content: bytes) -> None:
    with pytest.raises(Invalid):
        store.put(io.BytesIO(content), ABSENT)

    assert not store.has(name_of(content))
    assert not store.has(ABSENT)


def test_an_absent_blob_is_not_found(store: BlobStore, place: int) -> None:
    assert not store.has(ABSENT)
    with pytest.raises(NotFound):
        read(store, ABSENT, 1)
    with pytest.raises(NotFound):
        store.place(ABSENT, "file", directory=place)
    with pytest.raises(NotFound):
        store.place(ABSENT, "file", directory=place, holder=Holder.READER)
    assert os.listdir(place) == []


def test_a_blob_over_the_limit_is_not_read(store: BlobStore) -> None:
    digest = store.put(io.BytesIO(SOME)).digest

    with pytest.raises(Invalid):
        read(store, digest, len(SOME) - 1)


@pytest.mark.parametrize("content", [b"", SOME, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("holder", list(Holder))
@pytest.mark.parametrize(("kind", "bits"), [(Kind.FILE, 0), (Kind.EXECUTABLE, 0o111)])
def test_a_placed_file_has_the_bytes_and_the_mode(
    store: BlobStore, place: int, tmp_path: Path, content: bytes, holder: Holder, kind: Kind, bits: int
) -> None:
    digest = store.put(io.BytesIO(content)).digest

    store.place(digest, "file", directory=place, kind=kind, holder=holder)

    assert (tmp_path / "place/file").read_bytes() == content
    write = {Holder.WRITER: 0o200, Holder.READER: 0}[holder]
    assert (tmp_path / "place/file").stat().st_mode & 0o777 == 0o444 | bits | write


def test_a_writers_file_is_his_own(store: BlobStore, place: int, tmp_path: Path) -> None:
    digest = store.put(io.BytesIO(SOME)).digest
    store.place(digest, "file", directory=place)

    (tmp_path / "place/file").write_bytes(b"scribbled over")

    assert read(store, digest, 100) == SOME


@pytest.mark.parametrize("taken", ["file", "link", "directory"])
def test_a_taken_name_is_left_alone(store: BlobStore, place: int, tmp_path: Path, taken: str) -> None:
    target = tmp_path / "place/name"
    makers: dict[str, Callable[[], object]] = {
        "file": lambda: target.write_text("mine"),
        "link": lambda: target.symlink_to(tmp_path / "elsewhere"),
        "directory": target.mkdir,
    }
    makers[taken]()
    digest = store.put(io.BytesIO(SOME)).digest

    with pytest.raises(Conflict):
        store.place(digest, "name", directory=place)
    with pytest.raises(Conflict):
        store.place(digest, "name", directory=place, holder=Holder.READER)

    assert not (tmp_path / "elsewhere").exists()
    assert target.is_dir() or target.is_symlink() or target.read_text() == "mine"


@pytest.mark.parametrize("content", [SOME, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("bad", [b"", b"soME content", b"longer than it was before, by a lot"])
def test_spoilt_bytes_never_get_out(
    store: BlobStore, spoil: Spoil, place: int, content: bytes, bad: bytes, tmp_path: Path
) -> None:
    digest = store.put(io.BytesIO(content)).digest
    spoil(digest, bad)

    with pytest.raises(Fault):
        read(store, digest, len(LARGE) + 100)

    store.put(io.BytesIO(content))
    spoil(digest, bad)
    with pytest.raises(Fault):
        store.place(digest, "file", directory=place)
    assert not (tmp_path / "place/file").exists()

    store.put(io.BytesIO(content))
    spoil(digest, bad)
    with pytest.raises(Fault):
        store.place(digest, "file", directory=place, holder=Holder.READER)
    assert not (tmp_path / "place/file").exists()


@pytest.mark.parametrize("content", [SOME, LARGE], ids=["small", "large"])
def test_a_spoilt_blob_that_was_found_out_can_be_put_again(store: BlobStore, spoil: Spoil, content: bytes) -> None:
    digest = store.put(io.BytesIO(content)).digest
    spoil(digest, b"x" * len(content))
    with pytest.raises(Fault):
        read(store, digest, len(content))

    store.put(io.BytesIO(content))

    assert read(store, digest, len(content)) == content


def test_a_torn_blob_is_mended_by_the_next_put(store: BlobStore, spoil: Spoil) -> None:
    digest = store.put(io.BytesIO(SOME)).digest
    spoil(digest, SOME[:3])

    store.put(io.BytesIO(SOME))

    assert read(store, digest, 100) == SOME


def test_many_may_put_and_read_at_once(store: BlobStore) -> None:
    contents = [bytes([number]) * 5000 for number in range(8)]
    start = threading.Barrier(8)

    def put_all(turn: int) -> list[bytes]:
        start.wait()
        digests = [store.put(io.BytesIO(content)).digest for content in contents[turn:] + contents[:turn]]
        return sorted(read(store, digest, 5000) for digest in digests)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(put_all, range(8)))

    assert results == [contents] * 8


def test_a_sweep_removes_what_nobody_keeps(store: BlobStore) -> None:
    keep, drop = store.put(io.BytesIO(b"keep")).digest, store.put(io.BytesIO(b"drop!")).digest

    would = store.sweep({keep}.__contains__, older_than=-60, dry_run=True)
    assert store.has(drop)
    did = store.sweep({keep}.__contains__, older_than=-60)

    assert would == did
    assert (did.blobs, did.size) == (1, 5)
    assert (store.has(keep), store.has(drop)) == (True, False)


def test_a_sweep_spares_the_young(store: BlobStore) -> None:
    digest = store.put(io.BytesIO(SOME)).digest

    assert store.sweep(lambda _: False, older_than=3600).blobs == 0
    assert store.has(digest)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.lists(st.binary(max_size=300), max_size=8))
def test_any_contents_come_back_by_their_names(store: BlobStore, contents: list[bytes]) -> None:
    digests = [store.put(io.BytesIO(content)).digest for content in contents]

    assert digests == [name_of(content) for content in contents]
    assert [read(store, digest, 300) for digest in digests] == contents
