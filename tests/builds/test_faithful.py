"""Links and empty directories of what is handed on."""

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.artifacts import Kind, Selection
from codeyard.artifacts import tree as trees
from codeyard.artifacts.patterns import Found, Unmatched, select
from codeyard.builds.faithful import select_faithfully

PARTS = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
TARGETS = st.lists(st.sampled_from(["a", "b", "..", "."]), min_size=1, max_size=3).map("/".join)


def listing(files: dict[str, str], empty: tuple[str, ...] = ()) -> list[Found]:
    """`-> x` is a link to x."""
    found = [
        Found(path, Kind.LINK, 0, text[3:]) if text.startswith("-> ") else Found(path, Kind.FILE, len(text))
        for path, text in files.items()
    ]
    directories = {*empty, *trees.directories([*files, *empty])}
    return found + [Found(path, Kind.DIRECTORY) for path in directories]


def chosen(found: list[Found], *files: str, **more: object) -> dict[str, str]:
    picks = select_faithfully(found, Selection(files, **more), "/src").picks  # type: ignore[arg-type]
    shown = {Kind.LINK: "link", Kind.DIRECTORY: "empty", Kind.FILE: "file"}
    return {pick.path: shown[pick.found.kind] for pick in picks if pick.found.kind is not None}


TREE = listing(
    {
        "dist/app": "x", "dist/lib/l.so.1": "x", "dist/lib/l.so": "-> l.so.1", "dist/all": "-> lib", "dist/me": "-> .",
        "dist/shared": "-> ../common", "dist/gone": "-> nowhere", "common/c": "x",
    },
    ("dist/logs", "dist/.git/refs"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("files", "more", "expected"),
    [
        (
            ("**/*",),
            {"base_directory": "dist"},
            {
                ".git/refs": "empty", "all": "link", "app": "file", "lib/l.so": "link", "lib/l.so.1": "file",
                "logs": "empty", "me": "link", "shared/c": "file",
            },
        ),
        (("l.so",), {"base_directory": "dist/lib"}, {"l.so": "file"}),
        (("l.so*",), {"base_directory": "dist/lib"}, {"l.so": "link", "l.so.1": "file"}),
        (("shared",), {"base_directory": "dist"}, {"shared/c": "file"}),
        (("**/*",), {"base_directory": "dist", "exclude_paths": ("logs", "lib/*.1")},
         {".git/refs": "empty", "app": "file", "lib/l.so": "file", "all/l.so": "file", "shared/c": "file",
          "me": "link", "all/l.so.1": "file"}),
        (("**/*",), {"base_directory": "common"}, {"c": "file"}),
        (("l.so*",), {"discard_paths": True, "base_directory": "dist/lib"}, {"l.so": "file", "l.so.1": "file"}),
        (("*/l.so*",), {"base_directory": "d*st", "enable_symlinks": True}, {"lib/l.so": "link", "lib/l.so.1": "file"}),
    ],
)  # fmt: skip
def test_a_link_is_kept_where_what_it_leads_to_goes_along(
    files: tuple[str, ...], more: dict[str, object], expected: dict[str, str]
) -> None:
    assert chosen(TREE, *files, **more) == expected


def test_nothing_but_empty_directories_is_nothing() -> None:
    with pytest.raises(Unmatched):
        chosen(TREE, "logs", base_directory="dist")


def test_no_line_says_that_a_link_was_skipped_which_was_kept() -> None:
    lines = select_faithfully(TREE, Selection(("**/*",), "dist"), "/src").lines

    assert [line.partition(":")[0] for line in lines if line.startswith("Skipping")] == ["Skipping gone"]


@given(
    st.dictionaries(PATHS, st.just("x") | TARGETS.map("-> {}".format), min_size=1, max_size=8),
    st.sets(PATHS, max_size=2),
)
def test_no_link_leads_nowhere_and_no_file_is_lost(files: dict[str, str], empty: set[str]) -> None:
    files = {path: text for path, text in files.items() if path not in trees.directories(files)}
    hollow = tuple(path for path in empty if not any(f"{path}/".startswith(f"{file}/") for file in files))
    found = listing(files, hollow)
    selection = Selection(("**/*",))
    try:
        plain = select(found, selection, "/src").picks
    except Unmatched:
        return

    picks = {pick.path: pick for pick in select_faithfully(found, selection, "/src").picks}
    there = {".", *picks, *trees.directories(picks)}
    links = {path: pick.found.target for path, pick in picks.items() if pick.found.kind is Kind.LINK}

    assert all(posixpath.normpath(posixpath.join(posixpath.dirname(path), to)) in there for path, to in links.items())
    assert all(any(pick.path == path or pick.path.startswith(f"{path}/") for path in picks) for pick in plain)
    assert not set(trees.directories(picks)) & set(picks)
