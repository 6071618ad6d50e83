"""Which files a buildspec's `artifacts` and `reports` blocks mean, and what the log says about it."""

import pickle
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.artifacts import Kind, Selection
from codeyard.artifacts.patterns import Found, Selected, Unmatched, compile_pattern, select
from codeyard.artifacts.tree import directories
from codeyard.errors import Invalid


def listing(*paths: str, **links: str) -> list[Found]:
    """Files at `paths`, a link at each name of `links`, with `__` for `/`; and the directories above them."""
    made = {name.replace("__", "/"): target for name, target in links.items()}
    found = [Found(path, Kind.FILE, 1) for path in paths]
    found += [Found(path, Kind.LINK, 0, target) for path, target in made.items()]
    return found + [Found(path, Kind.DIRECTORY) for path in directories([*paths, *made])]


def paths(selected: Selected) -> list[str]:
    return [pick.path for pick in selected.picks]


def sources(selected: Selected) -> dict[str, str]:
    return {pick.path: pick.found.path for pick in selected.picks}


TREE = listing("a.txt", "b.jar", ".env", "target/x.jar", "target/deep/y.jar", "target/.hidden/z", "dist/i.html")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.txt", ["a.txt"]),
        ("./a.txt", ["a.txt"]),
        ("target/x.jar", ["target/x.jar"]),
        ("*", [".env", "a.txt", "b.jar"]),
        ("*.jar", ["b.jar"]),
        ("target/*", ["target/x.jar"]),
        ("target/**/*", ["target/.hidden/z", "target/deep/y.jar", "target/x.jar"]),
        ("target/**", ["target/.hidden/z", "target/deep/y.jar", "target/x.jar"]),
        ("target", ["target/.hidden/z", "target/deep/y.jar", "target/x.jar"]),
        ("./target/", ["target/.hidden/z", "target/deep/y.jar", "target/x.jar"]),
        ("**/*.jar", ["b.jar", "target/deep/y.jar", "target/x.jar"]),
        ("**/x.jar", ["target/x.jar"]),
        ("t*/d??p/[xyz].jar", ["target/deep/y.jar"]),
        ("**/.*", [".env"]),
        ("**/.*/**/*", ["target/.hidden/z"]),
    ],
)
def test_a_pattern_means_these_files(pattern: str, expected: list[str]) -> None:
    assert paths(select(TREE, Selection((pattern,)))) == expected


def test_everything_means_everything_hidden_files_too() -> None:
    assert len(select(TREE, Selection(("**/*",))).picks) == 7


@pytest.mark.parametrize("pattern", ["../a.txt", "/a.txt", "nothing", "*/", "target/*.zip", "A.TXT", "a.tx", "", " "])
def test_no_artifact_match_fails(pattern: str) -> None:
    with pytest.raises(Unmatched) as raised:
        select(TREE, Selection((pattern,)))

    assert raised.value.what == "no matching artifact paths found"
    assert raised.value.lines[-1] == f"Skipping invalid file path {pattern}"


def test_the_log_of_a_selection_is_that_of_codebuild() -> None:
    assert select(listing("a", "b", "c/d", "c/e", "f"), Selection(("**/*",))).lines == (
        "Expanding base directory path: .",
        "Assembling file list",
        "Expanding .",
        "Expanding file paths for base directory .",
        "Assembling file list",
        "Expanding **/*",
        "Found 5 file(s)",
    )


def test_a_pattern_without_a_match_is_only_a_line_if_another_matches() -> None:
    selected = select(TREE, Selection(("nothing", "a.txt", "*.jar")))

    assert paths(selected) == ["a.txt", "b.jar"]
    assert selected.lines[5:] == (
        "Expanding nothing",
        "Skipping invalid file path nothing",
        "Expanding a.txt",
        "Expanding *.jar",
        "Found 2 file(s)",
    )


def test_a_base_directory_is_stripped() -> None:
    selected = select(TREE, Selection(("**/*",), base_directory="./target/"))

    assert paths(selected) == [".hidden/z", "deep/y.jar", "x.jar"]
    assert selected.lines[0] == "Expanding base directory path: ./target/"


def test_a_base_directory_pattern_merges_the_top_level_directories_it_matches() -> None:
    tree = listing("my-dir1/a", "my-dir1/x", "my-dir2/b", "my-dir2/x", "other/my-dir3/c", "my-file")

    selected = select(tree, Selection(("**/*",), base_directory="my-dir*"))

    assert sources(selected) == {"a": "my-dir1/a", "b": "my-dir2/b", "x": "my-dir2/x"}
    assert selected.lines.count("Found 2 file(s)") == 2
    assert "Expanding file paths for base directory my-dir2" in selected.lines


def test_of_a_file_and_a_directory_with_one_name_the_later_stays() -> None:
    tree = listing("d1/a", "d1/b/c", "d2/a/x", "d2/b")

    assert sources(select(tree, Selection(("**/*",), base_directory="d*"))) == {"a/x": "d2/a/x", "b": "d2/b"}


@pytest.mark.parametrize("base", ["nowhere", "a.txt", "..", "../target", "no*", "/target"])
def test_no_base_directory_fails(base: str) -> None:
    with pytest.raises(Unmatched) as raised:
        select(TREE, Selection(("**/*",), base_directory=base))

    assert raised.value.what == f"no matching base directory path found for {base}"
    assert raised.value.lines[-1] == f"Skipping invalid file path {base}"


def test_a_failed_selection_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(Unmatched("no matching artifact paths found", ("a", "b"))))

    assert (again.what, again.lines) == ("no matching artifact paths found", ("a", "b"))


def test_excluded_paths_are_left_out() -> None:
    selection = Selection(("**/*",), base_directory="target", exclude_paths=("**/.*/**/*", "deep"))

    assert paths(select(TREE, selection)) == ["x.jar"]


def test_discarding_paths_keeps_the_last_of_one_name() -> None:
    tree = listing("a/x", "b/x", "b/y")

    assert sources(select(tree, Selection(("**/*",), discard_paths=True))) == {"x": "b/x", "y": "b/y"}
    assert sources(select(tree, Selection(("b/x", "a/x"), discard_paths=True))) == {"x": "a/x"}


def test_links_are_followed_within_the_tree() -> None:
    tree = listing("lib/so.1", "lib/deep/f", lib__so="so.1", all="lib/", up__here="../lib/deep/../so")

    assert sources(select(tree, Selection(("**/*",)))) == {
        "lib/so.1": "lib/so.1",
        "lib/so": "lib/so.1",
        "lib/deep/f": "lib/deep/f",
        "all/so.1": "lib/so.1",
        "all/so": "lib/so.1",
        "all/deep/f": "lib/deep/f",
        "up/here": "lib/so.1",
    }


def test_an_absolute_link_to_the_build_s_own_directory_is_within() -> None:
    tree = listing("lib/f", here="/codebuild/src/lib", there="/codebuild/src2/lib", root="/codebuild/src")

    selected = select(tree, Selection(("here", "there", "root")), inside="/codebuild/src")

    assert sources(selected) == {"here/f": "lib/f"}


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("/etc/passwd", "leads out"),
        ("../../x", "leads out"),
        ("nowhere", "leads to nothing"),
        ("link", "round in circles"),
    ],
)
def test_a_link_that_leads_nowhere_good_is_skipped_and_told(target: str, why: str) -> None:
    selected = select(listing("f", link=target), Selection(("**/*",)))

    assert paths(selected) == ["f"]
    assert selected.lines[-2].startswith("Skipping link: it is a link to ")
    assert why in selected.lines[-2]
    assert selected.lines[-1] == "Found 1 file(s)"


@pytest.mark.parametrize("links", [{"a__up": ".."}, {"a__self": "."}, {"a__b__x": "../../c", "c__y": "../a"}])
def test_links_that_go_round_in_circles_end(links: dict[str, str]) -> None:
    selected = select(listing("a/f", "a/b/g", "c/h", **links), Selection(("**/*",)))

    assert {"a/f", "a/b/g", "c/h"} <= set(paths(selected))
    assert len(selected.picks) < 20


def test_links_that_multiply_without_end_are_refused() -> None:
    links = {f"d{level}__{side}": f"../d{level + 1}" for level in range(30) for side in "ab"}

    with pytest.raises(Invalid, match="files"):
        select(listing("d30/f", **links), Selection(("d0",)))


def test_kept_links_stay_links_and_point_where_they_did() -> None:
    tree = listing("lib/so.1", "lib/deep/f", lib__so="so.1", all="lib/", abs="/src/lib/so.1", out="/etc")

    selected = select(tree, Selection(("**/*",), enable_symlinks=True), inside="/src")

    kept = {pick.path: pick.found.target for pick in selected.picks if pick.found.kind is Kind.LINK}
    assert kept == {"lib/so": "so.1", "all": "lib", "abs": "lib/so.1"}
    assert any(line.startswith("Skipping out: ") for line in selected.lines)


def test_a_kept_link_that_would_leave_the_artifact_is_skipped() -> None:
    tree = listing("lib/f", "dist/g", dist__up="../lib/f", dist__in="g")

    selected = select(tree, Selection(("**/*",), base_directory="dist", enable_symlinks=True))

    assert paths(selected) == ["g", "in"]


def test_a_base_directory_may_be_a_link() -> None:
    tree = listing("build/out/f", dist="build/out")

    assert paths(select(tree, Selection(("**/*",), base_directory="dist"))) == ["f"]
    assert paths(select(tree, Selection(("**/*",), base_directory="dist", enable_symlinks=True))) == ["f"]


def test_what_is_no_file_is_skipped_and_told() -> None:
    tree = [*listing("f"), Found("pipe", None, 0, "it is a pipe")]

    assert select(tree, Selection(("*",))).lines[-2:] == ("Skipping pipe: it is a pipe", "Found 1 file(s)")


PARTS = st.sampled_from(["a", "b", "ab", "*", "**", "a*", "*b", "?", "[ab]", ".a", ".*"])
NAMES = st.sampled_from(["a", "b", "ab", "ba", ".a", "abab", "c"])


@given(st.lists(PARTS, min_size=1, max_size=5), st.lists(NAMES, min_size=1, max_size=6))
def test_matching_agrees_with_a_known_library(parts: list[str], names: list[str]) -> None:
    from wcmatch import glob

    pattern, path = "/".join(parts), "/".join(names)
    known = glob.globmatch(path, pattern, flags=glob.GLOBSTAR | glob.DOTGLOB)
    beneath = "*" not in pattern and "?" not in pattern and "[" not in pattern and path.startswith(pattern + "/")

    # A name that ends in `**` means what is beneath; the library also lets it mean the directory itself.
    assert compile_pattern(pattern)(path) is (known or beneath)


def test_a_pattern_made_to_be_slow_is_not() -> None:
    path = "/".join(["a"] * 200)
    start = time.perf_counter()

    assert not compile_pattern("**/a/" * 50 + "b")(path)
    assert not compile_pattern("*a" * 50 + "b")("a" * 250)
    assert time.perf_counter() - start < 30


def test_an_absurdly_long_pattern_is_refused() -> None:
    with pytest.raises(Invalid):
        compile_pattern("a" * 5000)


@given(st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), max_size=10), st.lists(PARTS, max_size=4))
def test_nothing_is_selected_that_is_not_listed(names: list[str], parts: list[str]) -> None:
    folders = set(directories(names))
    tree = listing(*{name for name in names if name not in folders})

    selected = selected_or_none(tree, Selection(("/".join(parts),)))

    assert {pick.found.path for pick in selected} <= set(names)
    assert all(pick.path == pick.found.path for pick in selected)


def selected_or_none(tree: list[Found], selection: Selection) -> list:  # type: ignore[type-arg]
    try:
        return list(select(tree, selection).picks)
    except Unmatched:
        return []
