"""Several blobs in one stream, and how it is read when something is wrong with it."""

import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeyard.artifacts import Digest
from codeyard.artifacts.disk import DiskStore
from codeyard.deploys.packing import packed, unpacked
from codeyard.errors import Fault

GONE = Digest("0" * 64)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> DiskStore:
    return DiskStore(tmp_path_factory.mktemp("store"))


def read(stream: bytes) -> list[tuple[Digest, bytes | None]]:
    file = io.BytesIO(stream)
    return [(digest, None if size is None else file.read(size)) for digest, size in unpacked(file)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(contents=st.lists(st.binary(max_size=2000), max_size=6), cut=st.integers(0, 12_000))
def test_what_is_packed_is_unpacked_and_a_stream_that_ends_early_gives_nothing_false(
    store: DiskStore, contents: list[bytes], cut: int
) -> None:
    blobs = [store.put(io.BytesIO(content)) for content in contents]
    stream = b"".join(packed(store, [*((blob.digest, blob.size) for blob in blobs), (GONE, 3)]))

    assert read(stream) == [
        *((blob.digest, content) for blob, content in zip(blobs, contents, strict=True)),
        (GONE, None),
    ]
    try:
        found = read(stream[:cut])
    except Fault:
        return
    whole = [
        digest for digest, content in found if content is not None and hashlib.sha256(content).hexdigest() == digest
    ]
    assert whole == [blob.digest for blob in blobs][: len(whole)]


@pytest.mark.parametrize("altered", [b"xxxx", b"x", b"xxxxxxxx", b""])
def test_of_an_altered_blob_as_many_bytes_come_as_were_said(tmp_path: Path, altered: bytes) -> None:
    """So what follows is read, and this one is found out by its digest."""
    store = DiskStore(tmp_path)
    one, two = store.put(io.BytesIO(b"true")), store.put(io.BytesIO(b"next"))
    file = tmp_path / "blobs" / one.digest[:2] / one.digest[2:]
    file.chmod(0o644)
    file.write_bytes(altered)

    found = read(b"".join(packed(store, [(one.digest, 4), (two.digest, 4)])))

    assert found[0][1] != b"true"
    assert found[0][1] is not None
    assert len(found[0][1]) == 4
    assert found[1] == (two.digest, b"next")
