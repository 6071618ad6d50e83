"""Buckets in a directory: what is put comes back, whole, whatever happens meanwhile."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.errors import CodeyardError, Denied, Fault
from codeyard.objects import About, Encryption, Stored
from codeyard.objects.directory import Condition, ObjectDirectory
from codeyard.objects.sealed import CHUNK
from codeyard.objects.uploads import Uploads
from codeyard.secrets.sealing import KeyFile
from tests.objects.serving import ACCOUNT, OTHER, directory
from tests.objects.test_listing import KEYS

SEALED = About(encryption=Encryption())


@pytest.fixture
def store(tmp_path: Path) -> ObjectDirectory:
    found = directory(tmp_path / "data")
    found.create(ACCOUNT, "bucket", "us-east-1")
    return found


def put(store: ObjectDirectory, key: str, content: bytes, about: About | None = None, **more: Condition) -> Stored:
    with store.draft(ACCOUNT, "bucket", about or About()) as draft:
        draft.write(content)
        return store.put(ACCOUNT, "bucket", key, draft, **more)  # type: ignore[arg-type]


def got(store: ObjectDirectory, key: str, start: int = 0, length: int | None = None) -> bytes:
    with store.open(ACCOUNT, "bucket", key) as found:
        return b"".join(found.read(start, length))


def listed(store: ObjectDirectory) -> list[str]:
    return [one.key for one in store.list(ACCOUNT, "bucket")[0]]


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and path.name != "bucket.json"]


def refused(code: str) -> "pytest.RaisesExc[Refused]":
    return pytest.raises(Refused, check=lambda error: error.code == code)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(st.dictionaries(KEYS, st.binary(max_size=20), max_size=8))
def test_any_keys_come_back_and_leave_nothing_when_removed(store: ObjectDirectory, objects: dict[str, bytes]) -> None:
    for key, content in objects.items():
        put(store, key, content)
    found = {key: got(store, key) for key in listed(store)}
    for key in objects:
        store.delete(ACCOUNT, "bucket", key)

    assert found == objects
    assert list(found) == sorted(objects, key=str.encode)
    assert listed(store) == []
    assert os.listdir(store._place(ACCOUNT, "bucket") / "objects") == []


@pytest.mark.parametrize("key", ["/" * 1024, "x" * 1024, "é" * 512, "../../../etc/passwd", "a/" * 512])
def test_the_longest_and_oddest_keys_have_a_place(store: ObjectDirectory, key: str) -> None:
    put(store, key, b"1")
    put(store, key, b"22")
    found = got(store, key)
    store.delete(ACCOUNT, "bucket", key)
    store.remove(ACCOUNT, "bucket")

    assert found == b"22"


def test_what_is_known_of_an_object_stays(store: ObjectDirectory) -> None:
    about = About({"content-type": "text/html"}, {"a": "b"}, Encryption("AES256"))
    stored = put(store, "k", b"hello", about)

    assert store.head(ACCOUNT, "bucket", "k") == stored
    assert (stored.size, stored.etag, stored.about) == (5, "5d41402abc4b2a76b9719d911017c592", about)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(
    st.integers(0, 3 * CHUNK + 5) | st.sampled_from([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK]),
    st.integers(0, 3 * CHUNK),
    st.integers(0, 2 * CHUNK),
)
def test_any_part_of_a_sealed_object_is_what_was_put(
    store: ObjectDirectory, size: int, start: int, length: int
) -> None:
    content = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    put(store, "k", content, SEALED)
    start, length = min(start, size), min(length, size - min(start, size))

    assert got(store, "k", start, length) == content[start : start + length]
    assert got(store, "k") == content


def test_a_sealed_object_is_not_on_the_disk_in_the_clear(store: ObjectDirectory, tmp_path: Path) -> None:
    put(store, "k", b"a secret " * 100, SEALED)
    (file,) = [path for path in files(tmp_path) if path.name == "=k"]

    assert b"a secret" not in file.read_bytes()
    with pytest.raises(Fault):
        got(ObjectDirectory(tmp_path / "data/objects", None), "k")
    with pytest.raises(Denied):
        got(ObjectDirectory(tmp_path / "data/objects", KeyFile(tmp_path / "another")), "k")


@pytest.mark.parametrize("harm", ["flip", "swap", "move", "shorten"])
def test_a_sealed_object_that_was_changed_is_not_given_out(store: ObjectDirectory, tmp_path: Path, harm: str) -> None:
    put(store, "k", os.urandom(3 * CHUNK), SEALED)
    put(store, "other", b"x", SEALED)
    file, other = (tmp_path / f"data/objects/{ACCOUNT}/bucket/objects" / name for name in ("=k", "=other"))
    content = bytearray(file.read_bytes())
    match harm:
        case "flip":
            content[CHUNK + 50] ^= 1
        case "swap":
            sealed = CHUNK + 16
            content[:sealed], content[sealed : 2 * sealed] = content[sealed : 2 * sealed], content[:sealed]
        case "move":
            content = bytearray(other.read_bytes())
        case "shorten":
            content = content.replace(b'"size": 196608', b'"size": 131072')
    file.write_bytes(content)

    with pytest.raises(Fault):
        got(store, "k")


def test_accounts_share_no_buckets(store: ObjectDirectory) -> None:
    put(store, "k", b"mine")
    store.create(OTHER, "bucket", "us-east-1")

    with refused("NoSuchKey"):
        store.open(OTHER, "bucket", "k")
    assert [bucket.name for bucket in store.buckets(OTHER)] == ["bucket"]


def test_a_bucket_is_made_once_and_removed_when_empty(store: ObjectDirectory) -> None:
    put(store, "a/b", b"")
    with refused("BucketAlreadyOwnedByYou"):
        store.create(ACCOUNT, "bucket", "us-east-1")
    with refused("BucketNotEmpty"):
        store.remove(ACCOUNT, "bucket")
    store.delete(ACCOUNT, "bucket", "a/b")
    store.remove(ACCOUNT, "bucket")

    assert store.buckets(ACCOUNT) == ()
    with refused("NoSuchBucket"):
        put(store, "k", b"")


def test_an_object_can_be_put_only_if_it_is_absent_or_as_expected(store: ObjectDirectory) -> None:
    stored = put(store, "k", b"1", condition=Condition(absent=True))

    with refused("PreconditionFailed"):
        put(store, "k", b"2", condition=Condition(absent=True))
    with refused("PreconditionFailed"):
        put(store, "k", b"2", condition=Condition(etag="0" * 32))
    with refused("NoSuchKey"):
        put(store, "none", b"2", condition=Condition(etag="0" * 32))
    assert got(store, "k") == b"1"
    put(store, "k", b"2", condition=Condition(etag=stored.etag))
    assert got(store, "k") == b"2"


def test_of_many_that_want_to_be_first_one_is(store: ObjectDirectory) -> None:
    def attempt(number: int) -> bool:
        try:
            put(store, "k", b"%d" % number, condition=Condition(absent=True))
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(attempt, range(32)))

    assert sum(won) == 1
    assert got(store, "k") == b"%d" % won.index(True)


def test_a_reader_keeps_the_object_that_it_opened(store: ObjectDirectory) -> None:
    put(store, "k", b"old" * 1000)
    with store.open(ACCOUNT, "bucket", "k") as found:
        put(store, "k", b"new")
        store.delete(ACCOUNT, "bucket", "k")

        assert b"".join(found.read()) == b"old" * 1000


def test_what_is_not_finished_is_not_there(store: ObjectDirectory, tmp_path: Path) -> None:
    with store.draft(ACCOUNT, "bucket", About()) as draft:
        draft.write(b"half")

    assert listed(store) == []
    assert [path for path in files(tmp_path) if path.name != "vault.key"] == []


def test_putting_and_removing_at_once_loses_nothing(store: ObjectDirectory) -> None:
    """A removal takes the directories that are empty, which a put beside it needs."""
    stop = time.monotonic() + 1.5
    failed: list[BaseException] = []

    def churn(name: str) -> None:
        for number in itertools.count():
            if time.monotonic() > stop:
                return
            try:
                put(store, f"a/b/c/{name}", b"%d" % number)
                assert got(store, f"a/b/c/{name}") == b"%d" % number
                store.delete(ACCOUNT, "bucket", f"a/b/c/{name}")
            except (CodeyardError, OSError, AssertionError) as error:
                failed.append(error)
                return

    threads = [threading.Thread(target=churn, args=(f"t{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert listed(store) == []


def test_a_bucket_that_is_removed_while_others_put_takes_no_object_along(store: ObjectDirectory) -> None:
    """Whoever was told that the object is stored finds it, or the bucket was removed after it was."""
    for _ in range(20):
        done: list[str] = []

        def attempt(done: list[str] = done) -> None:
            try:
                put(store, "k", b"1")
                done.append("put")
            except CodeyardError as error:
                done.append(str(error))

        thread = threading.Thread(target=attempt)
        thread.start()
        try:
            store.remove(ACCOUNT, "bucket")
            removed = True
        except Refused:
            removed = False
        thread.join()

        assert done == (["The specified bucket does not exist"] if removed else ["put"])
        if removed:
            store.create(ACCOUNT, "bucket", "us-east-1")
        else:
            store.delete(ACCOUNT, "bucket", "k")


_WRITER = """
import os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.objects.serving import ACCOUNT, directory
from codeyard.objects import About, Encryption
store = directory(Path({data!r}))
print("go", flush=True)
number = 0
while True:
    number += 1
    with store.draft(ACCOUNT, "bucket", About(encryption=Encryption() if number % 2 else None)) as draft:
        for _ in range(40):
            draft.write(b"%08d" % number * 512)
        store.put(ACCOUNT, "bucket", f"dir{{number % 3}}/k", draft)
"""


@pytest.mark.slow
def test_killing_a_writer_leaves_every_object_whole_and_nothing_else(store: ObjectDirectory, tmp_path: Path) -> None:
    text = _WRITER.format(root=str(Path(__file__).parents[2]), data=str(tmp_path / "data"))
    for round_ in range(12):
        writer = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.01 + 0.013 * round_)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        whole = [got(store, key) for key in listed(store)]

        assert {len(content) for content in whole} <= {40 * 512 * 8}
        assert all(content == content[:8] * (len(content) // 8) for content in whole)
    store.tidy(older_than=-60)

    drafts = tmp_path / f"data/objects/{ACCOUNT}/bucket/drafts"
    assert os.listdir(drafts) == []
    assert len(listed(store)) <= 3


def test_what_the_dead_left_is_removed_once_it_is_old(store: ObjectDirectory, tmp_path: Path) -> None:
    account = tmp_path / f"data/objects/{ACCOUNT}"
    left = [account / ".0123", account / "bucket/uploads/0123", account / "bucket/drafts"]
    for place in left:
        place.mkdir(parents=True)
        (place / "part").write_text("x")
    upload = Uploads(store).create(ACCOUNT, "bucket", "k", About())
    put(store, "k", b"1")
    store.tidy()
    kept = [(place / "part").exists() for place in left]
    store.tidy(older_than=-60)

    assert kept == [True] * 3
    assert [(place / "part").exists() for place in left] == [False] * 3
    assert Uploads(store).get(ACCOUNT, "bucket", "k", upload.id) == upload
    assert got(store, "k") == b"1"


def test_a_file_system_without_nameless_files_serves_as_well(store: ObjectDirectory, tmp_path: Path) -> None:
    drafts = tmp_path / f"data/objects/{ACCOUNT}/bucket/drafts"
    with store.draft(ACCOUNT, "bucket", About()) as draft:
        draft.write(b"content")
        draft._file.close()
        draft._file = FileIO(os.open(draft._step, os.O_WRONLY | os.O_CREAT, 0o600), "wb")
        draft._named = True
        draft._file.write(b"content")
        store.put(ACCOUNT, "bucket", "deep/k", draft)

    assert got(store, "deep/k") == b"content"
    assert os.listdir(drafts) == []


def test_a_full_disk_leaves_the_old_object(tiny_disk: Path) -> None:
    store = directory(tiny_disk / "data")
    store.create(ACCOUNT, "bucket", "us-east-1")
    put(store, "k", b"old")

    with pytest.raises(Fault, match="no space"):
        put(store, "k", bytes(8 << 20))
    assert got(store, "k") == b"old"
