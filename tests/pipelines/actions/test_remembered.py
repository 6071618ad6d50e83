"""What a commit's files were is known again, as long as all of them are here."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from codeyard.artifacts.disk import DiskStore
from codeyard.pipelines.actions.remembered import MOST, Remembered
from codeyard.sources.git_facts import CommitFacts
from tests.pipelines.works import put_tree

URL, COMMIT = "https://git.example.com/o/r", "a" * 40
FACTS = CommitFacts(COMMIT, "A", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), "message\n\nü")


def test_a_commit_is_remembered_by_its_repository(tmp_path: Path) -> None:
    tree = put_tree(tmp_path, {"a": b"1"})
    blobs = DiskStore(tmp_path / "blobs")
    Remembered(tmp_path / "commits").keep(URL, FACTS, tree)
    remembered = Remembered(tmp_path / "commits")

    assert remembered.facts(URL, COMMIT) == FACTS
    assert remembered.tree(URL, COMMIT, blobs) == tree
    assert remembered.facts("https://git.example.com/o/other", COMMIT) is None
    assert remembered.tree(URL, "b" * 40, blobs) is None


def test_a_tree_of_which_a_blob_is_gone_is_brought_again(tmp_path: Path) -> None:
    tree = put_tree(tmp_path, {"a": b"1", "b": b"2"})
    remembered = Remembered(tmp_path / "commits")
    remembered.keep(URL, FACTS, tree)
    kept = {str(tree)}
    DiskStore(tmp_path / "blobs").sweep(kept.__contains__, older_than=-7200.0)

    assert remembered.tree(URL, COMMIT, DiskStore(tmp_path / "blobs")) is None


def test_a_file_that_was_torn_is_as_none(tmp_path: Path) -> None:
    remembered = Remembered(tmp_path / "commits")
    remembered.keep(URL, FACTS, None)
    for file in (tmp_path / "commits").rglob("a*"):
        file.write_text('{"commit": ')

    assert remembered.facts(URL, COMMIT) is None


def test_no_repository_is_remembered_without_end(tmp_path: Path) -> None:
    remembered = Remembered(tmp_path / "commits")
    remembered.keep(URL, FACTS, None)
    (place,) = (tmp_path / "commits").iterdir()
    for number in range(MOST):
        (place / f"{number:040x}").touch()
    last = replace(FACTS, id="b" * 40)

    remembered.keep(URL, last, None)

    assert len(list(place.iterdir())) <= MOST // 2 + 2
    assert remembered.facts(URL, last.id) == last
