"""Trees made of what is here already, and what was altered found out."""

import os
import threading
import time
from pathlib import Path

import pytest

from codeyard.artifacts import Tree
from codeyard.artifacts.disk import DiskStore
from codeyard.artifacts.scan import stamp
from codeyard.artifacts.stamps import Stamps
from codeyard.artifacts.transfer import everything, save_manifest, store_tree
from codeyard.deploys import placing
from codeyard.deploys.placing import Moved, Placed, Share
from codeyard.errors import CodeyardError, Conflict
from tests.artifacts.files import contents, lay


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    return DiskStore(tmp_path / "store")


def _tree(tmp_path: Path, store: DiskStore, files: dict[str, str]) -> Tree:
    place = lay(tmp_path / "source" / str(time.monotonic_ns()), files)
    tree = store_tree(place, everything(place), store)
    save_manifest(tree, store)
    return tree


@pytest.mark.parametrize(
    ("share", "names"), [(Share.NOTHING, 1), (Share.WITH_DONORS, 2), (Share.WITH_STORE, 3)], ids=str
)
def test_files_have_as_many_names_as_may_share_them(tmp_path: Path, store: DiskStore, share: Share, names: int) -> None:
    tree = _tree(tmp_path, store, {"a/b": "x" * 10, "l": "-> a"})
    memory = Stamps()
    first, second = Placed(tmp_path / "1", tree), Placed(tmp_path / "2", tree)
    moved = [placing.place(tree, store, first.directory, [], memory, share=share)]
    moved += [placing.place(tree, store, second.directory, [first], memory, share=share)]

    assert moved == [Moved(0, 1, 10), Moved(1, 0, 0)]
    assert contents(second.directory) == {"a/b": "x" * 10, "l": "-> a"}
    assert (second.directory / "a/b").stat().st_nlink == names
    assert placing.verify(second, memory) == placing.Verdict((), ())


@pytest.mark.parametrize("share", [Share.NOTHING, Share.WITH_DONORS], ids=str)
@pytest.mark.parametrize("known", [True, False])
def test_an_altered_donor_is_no_donor(tmp_path: Path, store: DiskStore, share: Share, known: bool) -> None:
    tree = _tree(tmp_path, store, {"a": "sound"})
    memory = Stamps()
    donor = Placed(tmp_path / "1", tree)
    placing.place(tree, store, donor.directory, [], memory, share=share)
    file = donor.directory / "a"
    times = file.stat()
    file.chmod(0o644)
    file.write_text("SOUND")
    file.chmod(0o444)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    moved = placing.place(tree, store, tmp_path / "2", [donor], memory if known else Stamps(), share=share)
    assert moved == Moved(0, 1, 5)
    assert contents(tmp_path / "2") == {"a": "sound"}
    assert placing.verify(donor, memory).altered == ("a has other content",)


def test_a_donor_that_is_gone_or_a_link_is_no_donor(tmp_path: Path, store: DiskStore) -> None:
    tree = _tree(tmp_path, store, {"d/a": "a", "b": "b"})
    donor = Placed(tmp_path / "1", tree)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a").write_text("a")
    donor.directory.mkdir()
    (donor.directory / "d").symlink_to(tmp_path / "elsewhere")
    donors = [Placed(tmp_path / "never", tree), donor]

    moved = placing.place(tree, store, tmp_path / "2", donors, Stamps(), share=Share.WITH_DONORS)

    assert moved == Moved(0, 2, 2)
    assert (tmp_path / "elsewhere" / "a").stat().st_nlink == 1


def test_a_placement_over_something_is_refused(tmp_path: Path, store: DiskStore) -> None:
    tree = _tree(tmp_path, store, {"a": "1"})
    lay(tmp_path / "there", {"mine": "x"})

    with pytest.raises(Conflict):
        placing.place(tree, store, tmp_path / "there", [], Stamps(), share=Share.NOTHING)
    assert contents(tmp_path / "there") == {"mine": "x"}


def test_files_shared_with_a_removed_tree_need_not_be_read_again(tmp_path: Path, store: DiskStore) -> None:
    tree = _tree(tmp_path, store, {"a": "x", "b": "y"})
    memory = Stamps()
    first, second = Placed(tmp_path / "1", tree), Placed(tmp_path / "2", tree)
    placing.place(tree, store, first.directory, [], memory, share=Share.WITH_DONORS)
    time.sleep(0.01)
    placing.place(tree, store, second.directory, [first], memory, share=Share.WITH_DONORS)
    placing.remove(first.directory, second, memory)
    file = second.directory / "a"

    assert not first.directory.exists()
    assert memory.get(stamp(file.stat())) == tree.entries[0].digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "source", "store"]


def test_what_killed_placements_left_is_removed(tmp_path: Path) -> None:
    lay(tmp_path / "releases", {".abc.1234.part/x/y": "1", ".abc.99.gone/z": "1", "abc/keep": "1", ".other/keep": "2"})
    placing.tidy(tmp_path / "releases")
    placing.tidy(tmp_path / "nowhere")

    assert contents(tmp_path / "releases") == {"abc/keep": "1", ".other/keep": "2"}


def test_many_files_are_placed_by_many_threads_while_others_remove_the_donor(tmp_path: Path, store: DiskStore) -> None:
    tree = _tree(tmp_path, store, {f"d{number % 9}/f{number}": f"{number % 50}" for number in range(600)})
    memory = Stamps()
    donor = Placed(tmp_path / "donor", tree)
    placing.place(tree, store, donor.directory, [], memory, share=Share.WITH_DONORS)
    wrong: list[object] = []

    def again(name: str) -> None:
        try:
            placing.place(tree, store, tmp_path / name, [donor], memory, share=Share.WITH_DONORS)
            wrong.extend(placing.verify(Placed(tmp_path / name, tree), Stamps()).altered)
        except CodeyardError as error:
            wrong.append(error)

    threads = [threading.Thread(target=again, args=(f"copy{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    placing.remove(donor.directory, None, memory)
    for thread in threads:
        thread.join()

    assert wrong == []
