"""Nothing of what a build may leave keeps it from being removed, and nothing beside it is touched."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeyard.artifacts.removal import remove_tree


def nest(directory: Path, depth: int) -> None:
    """`depth` directories inside one another, which no path can name."""
    handle = os.open(directory, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 200, dir_fd=handle)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)


def test_a_tree_deeper_than_any_path_and_stack_is_removed(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    nest(tmp_path / "tree", 3000)

    assert remove_tree(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept" / "inner").mkdir(parents=True)
    (tmp_path / "kept" / "file").write_text("kept")
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "tree" / "sub" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "tree" / "sub" / "same").hardlink_to(tmp_path / "kept" / "file")

    assert remove_tree(tmp_path / "tree")
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["file", "inner"]
    assert (tmp_path / "kept" / "file").read_text() == "kept"


def test_a_link_in_its_place_goes_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "kept" / "inner").mkdir(parents=True)
    (tmp_path / "tree").symlink_to(tmp_path / "kept")

    assert remove_tree(tmp_path / "tree")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_nothing_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert remove_tree(tmp_path / "tree")


def test_pipes_and_odd_names_are_removed(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    os.mkfifo(tmp_path / "tree" / "pipe")
    Path(os.fsdecode(os.fsencode(tmp_path / "tree") + b"/\xff\n~0")).mkdir()

    assert remove_tree(tmp_path / "tree")


def test_who_is_not_root_removes_what_he_was_locked_out_of() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    with tempfile.TemporaryDirectory() as home:
        os.chown(home, 1234, 1234)
        top = Path(home, "tree")
        child = os.fork()
        if child == 0:
            try:
                os.setresuid(1234, 1234, 1234)
                (top / "a/b/c").mkdir(parents=True)
                for name in ("a/b/c", "a/b", "a", "."):
                    (top / name).chmod(0)
                os._exit(0 if remove_tree(top) else 1)
            finally:
                os._exit(2)

        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert not top.exists()


names = st.sampled_from(["a", "b", "~0", "..a", "x y"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(st.lists(st.lists(names, min_size=1, max_size=5), max_size=12))
def test_whatever_is_in_it_is_removed_and_what_is_beside_it_stays(tmp_path: Path, paths: list[list[str]]) -> None:
    (tmp_path / "beside").mkdir(exist_ok=True)
    for path in paths:
        tmp_path.joinpath("tree", *path).mkdir(parents=True, exist_ok=True)

    assert remove_tree(tmp_path / "tree")
    assert [path.name for path in tmp_path.iterdir()] == ["beside"]
