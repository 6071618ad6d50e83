"""Manifests on a machine that is deployed to: kept, found again, and never taken for what they are not."""

from pathlib import Path

import pytest

from codeyard.artifacts import Digest, Tree
from codeyard.artifacts.disk import DiskStore
from codeyard.artifacts.transfer import everything, save_manifest, store_tree
from codeyard.deploys.manifests import Manifests
from codeyard.errors import Fault, NotFound


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    return DiskStore(tmp_path / "store")


def _tree(tmp_path: Path, store: DiskStore, content: str) -> Tree:
    (tmp_path / "site").mkdir(exist_ok=True)
    (tmp_path / "site/page").write_text(content)
    tree = store_tree(tmp_path / "site", everything(tmp_path / "site"), store)
    save_manifest(tree, store)
    return tree


def _blob(store: DiskStore, digest: Digest) -> Path:
    return store.root / "blobs" / digest[:2] / digest[2:]


def test_a_manifest_is_kept_when_the_store_has_it_no_more(tmp_path: Path, store: DiskStore) -> None:
    tree = _tree(tmp_path, store, "1")
    first = Manifests(tmp_path / "manifests", store)
    first.get(tree.digest)
    _blob(store, tree.digest).unlink()

    assert first.get(tree.digest) == tree
    assert Manifests(tmp_path / "manifests", store).get(tree.digest) == tree


def test_one_that_was_damaged_here_is_asked_for_again(tmp_path: Path, store: DiskStore) -> None:
    tree = _tree(tmp_path, store, "1")
    Manifests(tmp_path / "manifests", store).get(tree.digest)
    (tmp_path / "manifests" / tree.digest).write_text("codeyard tree 1\n")

    assert Manifests(tmp_path / "manifests", store).get(tree.digest) == tree


def test_one_that_was_altered_in_the_store_is_refused(tmp_path: Path, store: DiskStore) -> None:
    tree = _tree(tmp_path, store, "1")
    blob = _blob(store, tree.digest)
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes().replace(b" page\0", b" cage\0"))

    with pytest.raises(Fault):
        Manifests(tmp_path / "manifests", store).get(tree.digest)


def test_what_was_here_is_found_by_how_its_digest_begins(tmp_path: Path, store: DiskStore) -> None:
    tree = _tree(tmp_path, store, "1")
    manifests = Manifests(tmp_path / "manifests", store)
    before = manifests.find(tree.digest[:16])
    manifests.get(tree.digest)

    assert (before, manifests.find(tree.digest[:16]), manifests.find("0" * 16)) == (None, tree, None)


def test_the_oldest_of_many_are_forgotten(tmp_path: Path, store: DiskStore) -> None:
    manifests = Manifests(tmp_path / "manifests", store)
    made = [manifests.get(_tree(tmp_path, store, f"{number}").digest) for number in range(66)]
    for tree in made:
        _blob(store, tree.digest).unlink()
    later = Manifests(tmp_path / "manifests", store)

    kept = [tree for tree in made if later.find(tree.digest)]

    assert kept == made[2:]
    with pytest.raises(NotFound):
        later.get(made[0].digest)
