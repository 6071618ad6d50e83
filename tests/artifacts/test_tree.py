"""Manifests and their digests."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.artifacts import Digest, Entry, Kind, Tree
from codeyard.artifacts.tree import difference, directories, make, parse, render, under
from codeyard.errors import Invalid

A, B = Digest("a" * 64), Digest("b" * 64)

names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=6).filter(
    lambda name: name not in (".", "..")
)
digests = st.binary(min_size=32, max_size=32).map(lambda raw: Digest(raw.hex()))


@st.composite
def entry_lists(draw: st.DrawFn) -> list[Entry]:
    """Entries that can lie side by side: directories are numbered, so no file has the name of one."""
    folders = st.sampled_from(["", "1/", "1/2/", "3/4/5/"])
    paths = draw(st.lists(st.tuples(folders, names), max_size=12, unique=True))
    return [draw(entries(folder + "f" + name)) for folder, name in paths]


def entries(path: str) -> st.SearchStrategy[Entry]:
    kinds = st.sampled_from([Kind.FILE, Kind.EXECUTABLE])
    files = st.tuples(kinds, st.integers(0, 2**40), digests).map(lambda drawn: Entry(path, *drawn))
    links = names.map(lambda target: Entry(path, Kind.LINK, target=target))
    return st.one_of(files, links, st.just(Entry(path, Kind.DIRECTORY)))


def file(path: str, digest: Digest = A) -> Entry:
    return Entry(path, Kind.FILE, 1, digest)


@given(entry_lists(), st.randoms())
def test_the_same_files_in_any_order_have_the_same_digest(listed: list[Entry], random: Random) -> None:
    shuffled = random.sample(listed, len(listed))

    assert make(shuffled) == make(listed)


@given(entry_lists())
def test_what_is_rendered_is_parsed_back(listed: list[Entry]) -> None:
    tree = make(listed)

    assert parse(render(tree)) == tree


@given(entry_lists(), entry_lists())
def test_different_trees_have_different_digests(one: list[Entry], other: list[Entry]) -> None:
    assert (make(one).digest == make(other).digest) is (sorted(one) == sorted(other))


@given(entry_lists(), entry_lists())
def test_a_difference_turns_one_tree_into_the_other(one: list[Entry], other: list[Entry]) -> None:
    change = difference(make(one), make(other))

    before = {entry for entry, _ in change.changed} | set(change.removed)
    after = {entry for _, entry in change.changed} | set(change.added)
    assert (set(one) - before) | after == set(other)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_manifest_are_refused(content: bytes) -> None:
    with pytest.raises(Invalid):
        parse(b"codeyard tree 1\nx" + content)


@given(entry_lists().filter(len), st.data())
def test_a_manifest_with_a_changed_byte_never_passes_for_the_same_tree(
    listed: list[Entry], data: st.DataObject
) -> None:
    content = bytearray(render(make(listed)))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))

    assert parsed_or_none(bytes(content)) != make(listed)


def parsed_or_none(content: bytes) -> Tree | None:
    try:
        return parse(content)
    except Invalid:
        return None


def test_a_manifest_is_this_text() -> None:
    tree = make([Entry("run", Kind.EXECUTABLE, 7, A), Entry("a/link", Kind.LINK, target="../run")])

    assert render(tree) == b"codeyard tree 1\nl 0 - a/link\0../run\0x 7 " + b"a" * 64 + b" run\0\0"
    assert tree.digest == "6cf63261cd352cab83f7cb1c90b8f155aa06a9f852ef4db16ae5da0fb1125d32"


def test_a_name_that_is_not_utf_8_keeps_its_bytes() -> None:
    tree = make([file("caf\udce9")])

    assert b" caf\xe9\0" in render(tree)
    assert parse(render(tree)) == tree


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", ".", "..", "./a", "a/../b", "../a", "a/.", "a\0b"])
def test_an_odd_path_is_refused(path: str) -> None:
    with pytest.raises(Invalid):
        make([file(path)])


@pytest.mark.parametrize("path", ["\ud800", "\udcc3\udca9"], ids=["lone surrogate", "é in pieces"])
def test_a_path_that_no_file_system_gives_is_refused(path: str) -> None:
    with pytest.raises(Invalid):
        make([file(path)])


def test_two_entries_for_one_path_are_refused() -> None:
    with pytest.raises(Invalid, match="twice"):
        make([file("a"), file("b"), file("a", B)])


def test_a_file_beneath_a_link_is_refused() -> None:
    with pytest.raises(Invalid, match="lie under it"):
        make([Entry("a", Kind.LINK, target="/etc"), file("a-b"), file("a/passwd")])


@pytest.mark.parametrize(
    "entry",
    [
        Entry("a", Kind.FILE, 1),
        Entry("a", Kind.LINK, digest=A, target="b"),
        Entry("a", Kind.LINK),
        Entry("a", Kind.FILE, 1, A, "b"),
        Entry("a", Kind.DIRECTORY, 1),
        Entry("a", Kind.FILE, -1, A),
    ],
)
def test_an_entry_that_contradicts_itself_is_refused(entry: Entry) -> None:
    with pytest.raises(Invalid):
        make([entry])


def test_a_part_of_a_tree_is_a_tree() -> None:
    tree = make([file("a/b/c"), file("a/b2"), file("ab/c", B)])

    assert under(tree, "a") == make([file("b/c"), file("b2")])
    assert under(tree, "") == tree


def test_directories_come_parents_first() -> None:
    assert directories(["a/b/c", "a/d", "e"]) == ["a", "a/b"]


@pytest.mark.parametrize("text", ["", "a" * 63, "A" * 64, "a" * 64 + "\n", "g" * 64])
def test_a_digest_is_64_hex_digits(text: str) -> None:
    with pytest.raises(Invalid):
        Digest.parse(text)
    assert Digest.parse("0123456789abcdef" * 4) == "0123456789abcdef" * 4
