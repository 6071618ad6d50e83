"""Trees into the store and out of it."""

import io
import os
import time
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeyard.artifacts import Digest, Entry, Holder, Kind, Tree
from codeyard.artifacts import tree as trees
from codeyard.artifacts.disk import DiskStore
from codeyard.artifacts.patterns import Found, Pick
from codeyard.artifacts.scan import Limits
from codeyard.artifacts.stamps import Stamps
from codeyard.artifacts.transfer import (
    advance,
    everything,
    lay_over,
    load_manifest,
    move_over,
    place_tree,
    save_manifest,
    store_tree,
    verify_tree,
)
from codeyard.errors import CodeyardError, Conflict, Fault, Invalid, NotFound
from tests.artifacts.files import contents, lay

FILES = {"a": "A", "d/b": "B", "d/e/c": "C" * 3_000_000, "link": "-> d/b", "out": "-> /etc/passwd"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    lay(tmp_path / "work", FILES)
    (tmp_path / "work/d/empty").mkdir()
    (tmp_path / "work/a").chmod(0o755)
    return tmp_path / "work"


def stored(root: Path, store: DiskStore, memory: Stamps | None = None) -> Tree:
    return store_tree(root, everything(root), store, memory=memory)


@pytest.mark.parametrize("holder", list(Holder))
def test_what_is_stored_can_be_placed(root: Path, store: DiskStore, tmp_path: Path, holder: Holder) -> None:
    tree = stored(root, store)

    place_tree(tree, store, tmp_path / "deep/place", holder=holder)

    assert contents(tmp_path / "deep/place") == {**FILES, "d/empty": "/"}
    assert os.access(tmp_path / "deep/place/a", os.X_OK)
    assert verify_tree(tree, tmp_path / "deep/place") == ()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["place"]


def test_a_spent_tree_is_taken_over_and_is_the_same_tree(root: Path, store: DiskStore, tmp_path: Path) -> None:
    copied = stored(root, DiskStore(tmp_path / "other"))

    tree = store_tree(root, everything(root), store, adopt=store.adopt)

    assert tree == copied
    assert store_tree(root, everything(root), store, adopt=store.adopt) == copied  # a second artifact of one build
    place_tree(tree, store, tmp_path / "place")
    assert verify_tree(tree, tmp_path / "place") == ()


def test_a_manifest_is_kept_under_the_tree_s_own_digest(root: Path, store: DiskStore) -> None:
    tree = stored(root, store)

    assert save_manifest(tree, store) == tree.digest
    assert load_manifest(tree.digest, store) == tree


def test_a_pick_is_kept_under_its_new_path(root: Path, store: DiskStore) -> None:
    tree = store_tree(root, [Pick("new/name", Found("d/b", Kind.FILE, 1))], store)

    assert [entry.path for entry in tree.entries] == ["new/name"]


def test_more_bytes_than_allowed_are_refused_unread(root: Path, store: DiskStore) -> None:
    with pytest.raises(Invalid, match="bytes"):
        store_tree(root, everything(root), store, limits=Limits(size=1000))


def test_a_file_that_became_a_link_is_refused(root: Path, store: DiskStore) -> None:
    picks = everything(root)
    (root / "d/b").unlink()
    (root / "d/b").symlink_to("/etc/passwd")

    with pytest.raises(Invalid, match="link"):
        store_tree(root, picks, store)


def test_a_directory_that_became_a_link_is_refused(root: Path, store: DiskStore, tmp_path: Path) -> None:
    picks = everything(root)
    (root / "d").rename(tmp_path / "elsewhere")
    (root / "d").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(Invalid, match="link"):
        store_tree(root, picks, store)


def test_a_file_that_vanished_is_not_found(root: Path, store: DiskStore) -> None:
    picks = everything(root)
    (root / "d/b").unlink()

    with pytest.raises(NotFound):
        store_tree(root, picks, store)


def test_a_file_that_keeps_changing_is_a_conflict(store: DiskStore, tmp_path: Path) -> None:
    root = lay(tmp_path / "work", {"log": "x"})
    restless = _Restless(store, root / "log")

    with pytest.raises(Conflict, match="changed"):
        store_tree(root, everything(root), restless)
    assert restless.puts == 3


class _Restless(DiskStore):
    """A store during whose `put` somebody else appends to the file."""

    def __init__(self, store: DiskStore, file: Path) -> None:
        super().__init__(store.root)
        self._file, self.puts = file, 0

    def put(self, source, expected=None):  # type: ignore[no-untyped-def]
        self.puts += 1
        with self._file.open("a") as file:
            file.write("more")
        return super().put(source, expected)


def test_with_a_memory_unchanged_files_are_not_read(store: DiskStore, tmp_path: Path) -> None:
    root = lay(tmp_path / "work", {"a": "A", "d/b": "B"})
    memory = Stamps(tmp_path / "memory")
    memory_of(root, memory)
    tree = stored(root, store)
    (root / "d/b").write_text("changed")
    changed = stored(root, store)

    assert store_tree(root, everything(root), _Deaf(store, {"A"}), memory=memory) == changed
    assert tree != changed


def memory_of(root: Path, memory: Stamps) -> None:
    """As if the files had been stored long ago."""
    for pick in everything(root):
        digest = Digest(sha256((root / pick.path).read_bytes()).hexdigest())
        memory.note_ours(pick.found.stamp, digest)


class _Deaf(DiskStore):
    """A store that refuses to be given some contents."""

    def __init__(self, store: DiskStore, refused: set[str]) -> None:
        super().__init__(store.root)
        self._refused = refused

    def put(self, source, expected=None):  # type: ignore[no-untyped-def]
        assert source.read().decode() not in self._refused
        source.seek(0)
        return super().put(source, expected)


def test_a_blob_that_was_swept_is_stored_again_in_spite_of_the_memory(store: DiskStore, tmp_path: Path) -> None:
    root = lay(tmp_path / "work", {"a": "A"})
    memory = Stamps()
    memory_of(root, memory)

    tree = stored(root, store, memory)

    assert store.has(tree.entries[0].digest or Digest(""))


def test_what_was_put_during_this_tick_is_read_again(store: DiskStore, tmp_path: Path) -> None:
    root = lay(tmp_path / "work", {"a": "A"})
    memory = Stamps()
    stored(root, store, memory)
    (root / "a").write_text("B")

    assert stored(root, store, memory) == stored(root, store)


@pytest.mark.parametrize("there", ["file", "full", "link"])
def test_nothing_is_placed_where_something_is(root: Path, store: DiskStore, tmp_path: Path, there: str) -> None:
    lay(tmp_path / "there", {"file": "mine", "full/file": "mine", "link": "-> full"})

    with pytest.raises(Conflict):
        place_tree(stored(root, store), store, tmp_path / "there" / there)

    assert contents(tmp_path / "there") == {"file": "mine", "full/file": "mine", "link": "-> full"}


def test_a_tree_that_cannot_be_placed_whole_is_not_there_at_all(root: Path, store: DiskStore, tmp_path: Path) -> None:
    tree = stored(root, store)
    digest = tree.entries[1].digest
    assert digest is not None
    (store.root / "blobs" / digest[:2] / digest[2:]).unlink()

    with pytest.raises(NotFound):
        place_tree(tree, store, tmp_path / "there/place")

    assert list((tmp_path / "there").iterdir()) == []


def test_a_full_disk_leaves_nothing_half_placed(store: DiskStore, tmp_path: Path, tiny_disk: Path) -> None:
    root = lay(tmp_path / "work", {f"f{number}": os.urandom(900_000) for number in range(8)})
    tree = stored(root, store)

    with pytest.raises(Fault, match="no space"):
        place_tree(tree, store, tiny_disk / "place")

    assert list(tiny_disk.iterdir()) == []


def test_laying_over_replaces_and_adds(root: Path, store: DiskStore, tmp_path: Path) -> None:
    target = lay(tmp_path / "target", {"a": "mine", "d/other": "mine", "link": "mine", "d/b": "-> /etc/passwd"})

    lay_over(stored(root, store), store, target)

    assert contents(target) == {**FILES, "d/empty": "/", "d/other": "mine"}


@pytest.mark.parametrize("way", [lay_over, None], ids=["lay_over", "move_over"])
@pytest.mark.parametrize("trap", [{"d": "-> ../outside"}, {"d": "a file"}, {"a/x": "a directory"}])
def test_laying_over_never_goes_through_a_link(
    root: Path, store: DiskStore, tmp_path: Path, trap: dict[str, str], way: object
) -> None:
    (tmp_path / "outside").mkdir()
    target = lay(tmp_path / "target", trap)
    tree = stored(root, store)
    place_tree(tree, store, tmp_path / "placed")

    with pytest.raises(Conflict):
        lay_over(tree, store, target) if way else move_over(tree, tmp_path / "placed", target)

    assert list((tmp_path / "outside").iterdir()) == []


def test_moving_over_replaces_and_adds(root: Path, store: DiskStore, tmp_path: Path) -> None:
    target = lay(tmp_path / "target", {"a": "mine", "d/other": "mine", "d/b": "-> /etc/passwd"})
    tree = stored(root, store)
    place_tree(tree, store, tmp_path / "placed")

    move_over(tree, tmp_path / "placed", target)

    assert contents(target) == {**FILES, "d/empty": "/", "d/other": "mine"}


def test_advancing_touches_only_what_differs(store: DiskStore, tmp_path: Path) -> None:
    one = stored(lay(tmp_path / "1", {"same": "S", "changed": "1", "gone/deep/f": "1", "kind": "1", "x/y": "1"}), store)
    two = stored(lay(tmp_path / "2", {"same": "S", "changed": "2", "new/deep/f": "2", "kind/f": "2", "x": "2"}), store)
    place_tree(one, store, tmp_path / "place", holder=Holder.READER)
    before = (tmp_path / "place/same").stat().st_ino, (tmp_path / "place/same").stat().st_nlink

    advance(one, two, store, tmp_path / "place")

    assert verify_tree(two, tmp_path / "place") == ()
    assert ((tmp_path / "place/same").stat().st_ino, (tmp_path / "place/same").stat().st_nlink) == before


def test_verifying_names_everything_that_is_wrong(root: Path, store: DiskStore, tmp_path: Path) -> None:
    tree = stored(root, store)
    place_tree(tree, store, tmp_path / "place")
    place = tmp_path / "place"
    (place / "a").chmod(0o644)
    (place / "d/b").write_text("X")
    (place / "d/extra").write_text("")
    (place / "link").unlink()
    (place / "out").unlink()
    (place / "out").symlink_to("/etc/shadow")

    assert verify_tree(tree, place) == (
        "a is of another kind or size",
        "d/b has other content",
        "d/extra does not belong to it",
        "link is missing",
        "out is of another kind or size",
    )


def test_verifying_with_a_memory_reads_only_what_changed(root: Path, store: DiskStore, tmp_path: Path) -> None:
    tree = stored(root, store)
    place_tree(tree, store, tmp_path / "place")
    memory = Stamps()
    for path, digest in ((entry.path, entry.digest) for entry in tree.entries if entry.digest):
        found = {pick.path: pick.found.stamp for pick in everything(tmp_path / "place")}
        memory.note_ours(found[path], digest)
    time.sleep(0.02)
    (tmp_path / "place/d/b").write_text("X")

    assert verify_tree(tree, tmp_path / "place", memory=memory) == ("d/b has other content",)


contents_of_files = st.dictionaries(
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join), st.binary(max_size=20), max_size=6
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents_of_files, contents_of_files)
def test_any_tree_can_become_any_other(
    store: DiskStore, tmp_path_factory: pytest.TempPathFactory, one: dict[str, bytes], other: dict[str, bytes]
) -> None:
    place = tmp_path_factory.mktemp("any")
    was, now = (put_all(files, store) for files in (one, other))
    place_tree(was, store, place / "there", holder=Holder.READER)

    advance(was, now, store, place / "there")

    assert verify_tree(now, place / "there") == ()


def put_all(files: dict[str, bytes], store: DiskStore) -> Tree:
    """The tree of those files that do not lie beneath each other."""
    folders = set(trees.directories(files))
    kept = {path: store.put(io.BytesIO(content)) for path, content in files.items() if path not in folders}
    return trees.make(Entry(path, Kind.FILE, blob.size, blob.digest) for path, blob in kept.items())


def test_every_error_is_one_of_ours(store: DiskStore, tmp_path: Path) -> None:
    with pytest.raises(CodeyardError):
        store_tree(tmp_path / "nowhere", [Pick("a", Found("a", Kind.FILE))], store)
