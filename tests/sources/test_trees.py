"""Trees of the blob store as sources; what every source keeps is in contracts/test_sources.py."""

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from codeyard.artifacts import Digest, Tree
from codeyard.artifacts.disk import DiskStore
from codeyard.artifacts.transfer import everything, save_manifest, store_tree
from codeyard.sources import SourceError, SourceKind, SourceSpec
from codeyard.sources.trees import TreeSource
from tests.artifacts.files import contents, lay
from tests.sources.servers import quiet

FILES = {"run.sh": "#!/bin/sh", "d/b": "B", "link": "-> d/b", "out": "-> /etc/passwd", ".git/HEAD": "ref"}


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    return DiskStore(tmp_path / "store")


@pytest.fixture
def tree(tmp_path: Path, store: DiskStore) -> Tree:
    root = lay(tmp_path / "made", FILES)
    (root / "run.sh").chmod(0o755)
    (root / "empty").mkdir()
    made = store_tree(root, everything(root), store)
    save_manifest(made, store)
    return made


def spec_of(tree: Tree, identifier: str | None = None) -> SourceSpec:
    return SourceSpec(SourceKind.TREE, tree.digest, identifier=identifier)


def blob(store: DiskStore, digest: Digest) -> Path:
    (found,) = store.root.rglob(digest[2:])
    return found


async def test_links_modes_and_empty_directories_are_as_they_were(tmp_path: Path, store: DiskStore, tree: Tree) -> None:
    fetched = await TreeSource(store).fetch(spec_of(tree), tmp_path / "to", quiet)

    assert contents(tmp_path / "to") == {**FILES, "empty": "/"}
    assert os.access(tmp_path / "to/run.sh", os.X_OK)
    assert (fetched.files, fetched.resolved_version, fetched.subpath) == (3, None, "")


async def test_what_the_build_writes_is_in_no_blob(tmp_path: Path, store: DiskStore, tree: Tree) -> None:
    source = TreeSource(store)
    await source.fetch(spec_of(tree), tmp_path / "to", quiet)
    (tmp_path / "to/d/b").write_text("changed")

    await source.fetch(spec_of(tree), tmp_path / "other", quiet)

    assert (tmp_path / "other/d/b").read_text() == "B"


@pytest.mark.parametrize("what", ["manifest", "file"])
@pytest.mark.parametrize("damage", ["gone", "altered"])
async def test_a_blob_that_is_gone_or_altered_is_said(
    tmp_path: Path, store: DiskStore, tree: Tree, what: str, damage: str
) -> None:
    digest = tree.digest if what == "manifest" else next(e.digest for e in tree.entries if e.path == "d/b")
    assert digest is not None
    path = blob(store, digest)
    path.chmod(0o600)
    path.unlink() if damage == "gone" else path.write_bytes(b"x" * path.stat().st_size)

    with pytest.raises(SourceError, match="Unable to bring the artifact lib: ") as raised:
        await TreeSource(DiskStore(store.root)).fetch(spec_of(tree, "lib"), tmp_path / "to", quiet)

    assert digest in raised.value.what
    assert contents(tmp_path / "to") == {}


async def test_when_it_is_cancelled_nothing_goes_on(tmp_path: Path, store: DiskStore, tree: Tree) -> None:
    here, on = threading.Event(), threading.Event()

    class Slow(DiskStore):
        def place(self, *given: Any, **named: Any) -> None:
            here.set()
            on.wait(8)
            super().place(*given, **named)

    fetching = asyncio.create_task(TreeSource(Slow(store.root)).fetch(spec_of(tree), tmp_path / "to", quiet))
    await asyncio.to_thread(here.wait, 8)
    fetching.cancel()
    asyncio.get_running_loop().call_later(0.05, on.set)
    with pytest.raises(asyncio.CancelledError):
        await fetching

    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]
