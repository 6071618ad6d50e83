"""Zips: the same bytes for the same tree, and no harm from anybody else's."""

import io
import os
import stat
import struct
import subprocess
import zipfile
from contextlib import suppress
from hashlib import md5, sha256
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from codeyard.artifacts import Entry, Kind, Tree
from codeyard.artifacts import tree as trees
from codeyard.artifacts.disk import DiskStore
from codeyard.artifacts.transfer import everything, place_tree, store_tree, verify_tree
from codeyard.artifacts.zips import Bounds, Sums, extract_zip, write_zip
from codeyard.errors import CodeyardError, Conflict, Invalid
from tests.artifacts.files import contents, lay

FILES: dict[str, str | bytes] = {
    "a.txt": "A" * 5000,
    "bin/run": "#!/bin/sh\n",
    "bin/link": "-> run",
    "deep/er/é.bin": os.urandom(3000),
    "e": "",
}


@pytest.fixture
def tree(tmp_path: Path, store: DiskStore) -> Tree:
    root = lay(tmp_path / "work", FILES)
    (root / "bin/run").chmod(0o755)
    (root / "empty").mkdir()
    return store_tree(root, everything(root), store)


def zipped(tree: Tree, store: DiskStore, path: Path) -> Sums:
    with path.open("w+b") as file:
        return write_zip(tree, store, cast(BinaryIO, file))


def test_a_zip_has_the_same_bytes_whenever_and_from_wherever_it_is_made(
    tree: Tree, store: DiskStore, tmp_path: Path
) -> None:
    place_tree(tree, store, tmp_path / "again")
    os.utime(tmp_path / "again/a.txt", (1, 1))
    again = store_tree(tmp_path / "again", reversed(everything(tmp_path / "again")), store)

    assert zipped(tree, store, tmp_path / "1.zip") == zipped(again, store, tmp_path / "2.zip")
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()


def test_the_sums_are_those_of_the_file(tree: Tree, store: DiskStore, tmp_path: Path) -> None:
    sums = zipped(tree, store, tmp_path / "a.zip")

    content = (tmp_path / "a.zip").read_bytes()
    assert sums == Sums(len(content), md5(content).hexdigest(), sha256(content).hexdigest())


def test_what_a_zip_holds(tree: Tree, store: DiskStore, tmp_path: Path) -> None:
    zipped(tree, store, tmp_path / "a.zip")

    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        held = [(item.filename, oct(item.external_attr >> 16), item.date_time[:3]) for item in archive.infolist()]
        assert archive.testzip() is None
    day = (1980, 1, 1)
    assert held == [
        ("a.txt", "0o100644", day),
        ("bin/link", "0o120777", day),
        ("bin/run", "0o100755", day),
        ("deep/er/é.bin", "0o100644", day),
        ("e", "0o100644", day),
        ("empty/", "0o40755", day),
    ]


def test_a_zip_that_was_made_can_be_taken_apart(tree: Tree, store: DiskStore, tmp_path: Path) -> None:
    zipped(tree, store, tmp_path / "a.zip")

    extract_zip(tmp_path / "a.zip", tmp_path / "deep/out")

    assert verify_tree(tree, tmp_path / "deep/out") == ()


def test_the_usual_tool_takes_it_apart_too(tree: Tree, store: DiskStore, tmp_path: Path) -> None:
    zipped(tree, store, tmp_path / "a.zip")

    subprocess.run(["unzip", "-q", str(tmp_path / "a.zip"), "-d", str(tmp_path / "out")], check=True)

    assert verify_tree(tree, tmp_path / "out") == ()


def test_a_zip_made_by_the_usual_tool_is_taken_apart(tmp_path: Path) -> None:
    root = lay(tmp_path / "work", FILES)
    subprocess.run(["zip", "-q", "-r", "-y", "../a.zip", "."], cwd=root, check=True)

    extract_zip(tmp_path / "a.zip", tmp_path / "out")

    assert contents(tmp_path / "out") == contents(root)


def test_a_name_that_is_not_utf_8_cannot_be_zipped(store: DiskStore, tmp_path: Path) -> None:
    blob = store.put(io.BytesIO(b"x"))

    with pytest.raises(Invalid, match="UTF-8"):
        zipped(trees.make([Entry("caf\udce9", Kind.FILE, 1, blob.digest)]), store, tmp_path / "a.zip")


def crafted(path: Path, *members: tuple[str, bytes, int]) -> Path:
    """A zip with these names, contents and unix modes, as they stand."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, mode in members:
            info = zipfile.ZipInfo("x")
            info.filename, info.create_system, info.external_attr = name, 3, mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return path


FILE, LINK = stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777
NAMES = [
    "../evil",
    "a/../../evil",
    "/evil",
    "//evil",
    "C:/evil",
    "c:evil",
    "..\\evil",
    "a\\evil",
    "a//b",
    "a/./b",
    "..",
    "a/..",
    "../",
    "/",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    refused(tmp_path, crafted(tmp_path / "a.zip", ("good", b"good", FILE), (name, b"evil", FILE)), why="its name ")


@pytest.mark.parametrize("target", ["../evil", "/etc/passwd", "a/../../evil", "", "..", "x/../..", "\0"])
def test_a_link_that_leads_out_is_refused(tmp_path: Path, target: str) -> None:
    refused(tmp_path, crafted(tmp_path / "a.zip", ("link", target.encode(), LINK)))


def test_a_link_with_an_endless_target_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, crafted(tmp_path / "a.zip", ("link", b"a" * 5000, LINK)))


def test_a_file_beneath_a_link_is_refused(tmp_path: Path) -> None:
    inside = ("d", b".", LINK)
    refused(tmp_path, crafted(tmp_path / "a.zip", inside, ("d/evil", b"evil", FILE)))
    refused(tmp_path, crafted(tmp_path / "b.zip", ("d/evil", b"evil", FILE), inside))


def test_links_that_together_lead_out_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, crafted(tmp_path / "a.zip", ("d/up", b"..", LINK), ("out", b"d/up/..", LINK)))


def test_a_link_within_is_kept(tmp_path: Path) -> None:
    extract_zip(
        crafted(tmp_path / "a.zip", ("d/f", b"F", FILE), ("d/up", b"../d/f", LINK), ("root", b".", LINK)),
        tmp_path / "out",
    )

    assert contents(tmp_path / "out") == {"d/f": "F", "d/up": "-> ../d/f", "root": "-> ."}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("one", "other"), [("a", "a"), ("a", "a/"), ("a", "a/b"), ("a/", "a"), ("a", "./a")])
def test_two_entries_for_one_place_are_refused(tmp_path: Path, one: str, other: str) -> None:
    refused(tmp_path, crafted(tmp_path / "a.zip", (one, b"", FILE), (other, b"", FILE)))


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_devices_and_pipes_are_refused(tmp_path: Path, kind: int) -> None:
    refused(tmp_path, crafted(tmp_path / "a.zip", ("odd", b"", kind | 0o644)))


def test_a_name_with_a_nul_is_refused(tmp_path: Path) -> None:
    content = crafted(tmp_path / "a.zip", ("goodXevil", b"x", FILE)).read_bytes()
    (tmp_path / "a.zip").write_bytes(content.replace(b"goodXevil", b"good\0evil"))

    refused(tmp_path, tmp_path / "a.zip")


def test_an_encrypted_entry_is_refused(tmp_path: Path) -> None:
    content = bytearray(crafted(tmp_path / "a.zip", ("f", b"x", FILE)).read_bytes())
    at = content.index(b"PK\1\2")
    content[at + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)

    refused(tmp_path, tmp_path / "a.zip")


def test_an_unusual_packing_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("f", b"x" * 100)

    refused(tmp_path, tmp_path / "a.zip")


def test_a_bomb_is_refused_by_what_it_says(tmp_path: Path) -> None:
    bomb = crafted(tmp_path / "a.zip", ("f", bytes(4 << 20), FILE))

    refused(tmp_path, bomb, Bounds(size=1 << 20))


def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    bomb = crafted(tmp_path / "a.zip", ("f", bytes(80 << 20), FILE))

    refused(tmp_path, bomb, Bounds(ratio=10))


def test_a_bomb_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    content = bytearray(crafted(tmp_path / "a.zip", ("f", bytes(4 << 20), FILE)).read_bytes())
    for signature, offset in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        struct.pack_into("<L", content, content.index(signature) + offset, 10)
    (tmp_path / "a.zip").write_bytes(content)

    refused(tmp_path, tmp_path / "a.zip")


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    many = crafted(tmp_path / "a.zip", *((f"f{number}", b"", FILE) for number in range(20)))

    refused(tmp_path, many, Bounds(entries=19))


def test_an_endless_table_of_contents_is_refused_unread(tmp_path: Path) -> None:
    content = bytearray(crafted(tmp_path / "a.zip", ("f", b"", FILE)).read_bytes())
    struct.pack_into("<L", content, content.index(b"PK\5\6") + 12, 0x7FFFFFFF)
    (tmp_path / "a.zip").write_bytes(content)

    refused(tmp_path, tmp_path / "a.zip")


def test_entries_that_overlap_are_refused(tmp_path: Path) -> None:
    content = bytearray(crafted(tmp_path / "a.zip", ("f1", b"x" * 500, FILE), ("f2", b"x" * 500, FILE)).read_bytes())
    second = content.index(b"PK\1\2", content.index(b"PK\1\2") + 4)
    struct.pack_into("<L", content, second + 42, 0)  # both now begin at the start
    (tmp_path / "a.zip").write_bytes(content)

    refused(tmp_path, tmp_path / "a.zip", why="its entries overlap")


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    content = bytearray(crafted(tmp_path / "a.zip", ("f", b"x", FILE)).read_bytes())
    for signature, offset in ((b"PK\1\2", 16), (b"PK\3\4", 14)):
        content[content.index(signature) + offset] ^= 1
    (tmp_path / "a.zip").write_bytes(content)

    refused(tmp_path, tmp_path / "a.zip")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all", b"PK\5\6", b"\0" * 70_000])
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)

    refused(tmp_path, tmp_path / "a.zip")


def test_what_is_there_already_stays(tmp_path: Path) -> None:
    lay(tmp_path / "out", {"mine": "mine"})

    with pytest.raises(Conflict):
        extract_zip(crafted(tmp_path / "a.zip", ("f", b"x", FILE)), tmp_path / "out")

    assert contents(tmp_path / "out") == {"mine": "mine"}


def refused(place: Path, archive: Path, bounds: Bounds | None = None, why: str | None = None) -> None:
    """Whoever is refused, for this reason if one is given, leaves nothing behind, here or above."""
    box = place / "box"
    box.mkdir(exist_ok=True)
    before = contents(place)

    with pytest.raises(Invalid, match=why):
        extract_zip(archive, box / "out", bounds or Bounds())

    assert contents(place) == before


member_names = st.lists(st.sampled_from(["a", "b", "..", ".", "", "/", "l", "C:", "é"]), min_size=1, max_size=4)
member_kinds = st.sampled_from([FILE, LINK, stat.S_IFDIR | 0o755, 0])
members = st.lists(st.tuples(member_names.map("/".join), st.sampled_from([b"..", b"a", b"../..", b"/"]), member_kinds))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([("a", b"a", LINK)])  # a circle: it leads nowhere
@given(members)
def test_whatever_a_zip_holds_nothing_outside_is_touched(
    tmp_path_factory: pytest.TempPathFactory, held: list[tuple[str, bytes, int]]
) -> None:
    place = tmp_path_factory.mktemp("any")
    archive = crafted(place / "a.zip", *held)
    (place / "box").mkdir()

    unpacked_or_not(archive, place / "box/out")

    assert {path.name for path in place.iterdir()} == {"a.zip", "box"}
    assert {path.name for path in (place / "box").iterdir()} <= {"out"}
    inside = (place / "box/out").resolve()
    assert all(Path(os.path.realpath(path)).is_relative_to(inside) for path in (place / "box/out").rglob("*"))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_zip_with_any_byte_changed_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    place = tmp_path_factory.mktemp("any")
    content = bytearray(crafted(place / "a.zip", ("d/f", b"F" * 50, FILE), ("l", b"d", LINK)).read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (place / "a.zip").write_bytes(content)

    unpacked_or_not(place / "a.zip", place / "box/out")

    assert {path.name for path in place.iterdir()} <= {"a.zip", "box"}


def unpacked_or_not(archive: Path, target: Path) -> None:
    """Any other error than one of ours is a failure."""
    with suppress(CodeyardError):
        extract_zip(archive, target)
