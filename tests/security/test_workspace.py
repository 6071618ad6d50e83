"""A build arranges its workspace so that whoever reads it, or writes beside it, goes where the build cannot."""

from pathlib import Path

import pytest

from codeyard.artifacts.scan import Below, Workspace, listing, read_file
from codeyard.errors import CodeyardError
from tests.acceptance.harness import Yard

UP = "../" * 20
# Where the host has the build's writable tree, as the build calls it.
OUTPUT = 'export OUTPUT=$(cd "$CODEBUILD_SRC_DIR/../.." && pwd)'


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory of the host's, with a file at several places below."""
    place = tmp_path / "outside"
    for name in ("inner", "src"):
        (place / name).mkdir(parents=True)
        (place / name / "file").write_text("of the host")
    return place


def test_a_base_directory_behind_a_link_shows_nothing_of_the_host(yard: Yard, outside: Path) -> None:
    result = yard.build(
        {
            "phases": {"build": {"commands": [OUTPUT, f"ln -s {outside} $OUTPUT/link"]}},
            "artifacts": {"files": ["**/*"], "base-directory": "$OUTPUT/link/inner"},
        }
    )

    assert (result.status, result.artifact()) == ("FAILED", {})


def test_sources_replaced_by_a_link_show_nothing_of_the_host(yard: Yard, outside: Path) -> None:
    result = yard.build(
        {
            "phases": {
                "build": {
                    "commands": [
                        OUTPUT,
                        f'cd $OUTPUT && mv src* old && ln -s {outside} "$(basename "$(dirname "$CODEBUILD_SRC_DIR")")"',
                    ]
                }
            },
            "artifacts": {"files": ["**/*"]},
            "cache": {"paths": ["**/*"]},
            "reports": {"all": {"files": ["**/*"]}},
        },
        cache=str(yard.root / "cache"),
    )

    assert (result.status, result.artifact()) == ("FAILED", {})
    assert list((yard.root / "cache").rglob("*.json")) == []


def test_a_base_directory_does_not_climb_out(yard: Yard, outside: Path) -> None:
    yard.machine.require_isolation()
    result = yard.build(
        {
            "phases": {"build": {"commands": ["true"]}},
            "artifacts": {"files": ["**/*"], "base-directory": f"/codebuild/output/{UP}{outside}"},
        }
    )

    assert (result.status, result.artifact()) == ("FAILED", {})


def test_a_pattern_that_climbs_writes_nothing_outside(yard: Yard, outside: Path) -> None:
    yard.machine.require_isolation()
    result = yard.build(
        {
            "phases": {"build": {"commands": [f"mkdir -p {outside}/inner && echo evil >{outside}/inner/new"]}},
            "artifacts": {"files": [f"/tmp/{UP}{outside}/inner/*"]},
            "cache": {"paths": [f"/tmp/{UP}{outside}/inner/*"]},
        },
        cache=str(yard.root / "cache"),
    )

    assert sorted(path.name for path in (outside / "inner").iterdir()) == ["file"]
    assert result.artifact() == {f"{outside}/inner/new".lstrip("/"): "evil\n"}


def test_no_report_and_no_cache_fails_a_build_by_how_deep_its_tree_is(yard: Yard) -> None:
    deep = "i=0; while [ $i -lt 300 ]; do mkdir d && cd d || exit 1; i=$((i+1)); done; cd /"
    result = yard.build(
        {
            "phases": {"build": {"commands": [deep]}},
            "cache": {"paths": ["**/*"]},
            "reports": {"all": {"files": ["**/*"]}},
        },
        cache=str(yard.root / "cache"),
    )

    assert result.status == "SUCCEEDED", result.contexts


@pytest.mark.parametrize("path", ["link", "link/inner", "..", "a/../..", "a//b", "/etc"])
def test_what_lies_below_is_reached_by_plain_names_only(tmp_path: Path, outside: Path, path: str) -> None:
    (tmp_path / "top" / "a" / "b").mkdir(parents=True)
    (tmp_path / "top" / "link").symlink_to(outside)
    root = Below(tmp_path / "top", path)

    with pytest.raises(CodeyardError):
        listing(root)
    with pytest.raises(CodeyardError):
        read_file(root, "file", 100)
    with pytest.raises(CodeyardError), Workspace(root):
        pass


def test_what_lies_below_is_read(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("here")

    assert [found.path for found in listing(Below(tmp_path, "a/b"))] == ["file"]
    assert read_file(Below(tmp_path, "a/b"), "file", 100) == b"here"
    assert {found.path for found in listing(Below(tmp_path, ""))} == {"a", "a/b", "a/b/file"}


def test_reports_from_outside_the_sources_do_not_take_each_others_place(yard: Yard) -> None:
    yard.machine.require_isolation()
    write = "mkdir -p /opt/{0} && echo '<testsuite><testcase name=\"{0}\"/></testsuite>' >/opt/{0}/report.xml"
    result = yard.build(
        {
            "phases": {"build": {"commands": [write.format("one"), write.format("two")]}},
            "reports": {name: {"files": [f"/opt/{name}/*.xml"]} for name in ("one", "two")},
        }
    )

    assert [(made["name"], made["total"]) for made in result.of_kind("report_made")] == [
        ("acceptance-one", 1),
        ("acceptance-two", 1),
    ], result.log
