"""Artifacts into the store."""

from pathlib import Path

from codeyard.artifacts import Selection
from codeyard.artifacts.scan import listing
from codeyard.builds.faithful import select_faithfully
from codeyard.builds.gather import Group
from codeyard.builds.storing import store
from tests.artifacts.files import lay
from tests.builds.jobs import bench


def test_a_directory_that_is_empty_in_one_group_only_is_none(tmp_path: Path) -> None:
    made = bench(tmp_path / "home", {"phases": {}})
    first, second = lay(tmp_path / "first", {"a": "1"}), lay(tmp_path / "second", {"dir/b": "2"})
    (first / "dir").mkdir()
    whole = Selection(("**/*",))
    groups = [Group(root, "/", whole, listing(root)) for root in (first, second)]

    tree = store(made.job, "", groups, lambda group: select_faithfully(group.found, group.selection, group.inside))

    assert [entry.path for entry in tree.entries] == ["a", "dir/b"]
