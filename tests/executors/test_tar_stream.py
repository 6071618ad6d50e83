import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeyard.errors import Fault
from codeyard.executors.tar_stream import Bounds, pack, pack_directories, unpack


def tar_of(*entries: tuple[str, bytes, str | bytes]) -> io.BytesIO:
    """Entries of a name, a tarfile type, and a link's target or a file's content."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, kind, value in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = kind, 0o6755
            entry.linkname = value if isinstance(value, str) else ""
            entry.size = len(value) if isinstance(value, bytes) else 0
            tar.addfile(entry, io.BytesIO(value) if isinstance(value, bytes) else None)
    content.seek(0)
    return content


DIR, FILE, LINK, HARD = tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


def names(top: Path) -> set[str]:
    return {str(path.relative_to(top)) for path in top.rglob("*")}


def test_a_tree_comes_under_another_name(tmp_path: Path) -> None:
    found = unpack(tar_of(("top", DIR, ""), ("top/a", DIR, ""), ("top/a/b", FILE, b"x")), tmp_path / "into")

    assert found
    assert (tmp_path / "into/a/b").read_bytes() == b"x"


def test_a_file_comes_under_another_name(tmp_path: Path) -> None:
    assert unpack(tar_of(("top", FILE, b"x")), tmp_path / "deep/into")
    assert (tmp_path / "deep/into").read_bytes() == b"x"


def test_nothing_is_nothing(tmp_path: Path) -> None:
    assert not unpack(io.BytesIO(b"\0" * 10240), tmp_path / "into")
    assert not unpack(tar_of(("pipe", tarfile.FIFOTYPE, "")), tmp_path / "into")
    assert names(tmp_path) == set()


def test_set_user_id_is_left_behind(tmp_path: Path) -> None:
    unpack(tar_of(("top", FILE, b"x")), tmp_path / "into")

    assert (tmp_path / "into").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("name", ["../out", "top/../../out", "/etc/out", "other/out", "top/missing/out"])
def test_nothing_lands_outside(name: str, tmp_path: Path) -> None:
    unpack(tar_of(("top", DIR, ""), (name, FILE, b"x"), ("top/in", FILE, b"x")), tmp_path / "into")

    assert names(tmp_path) == {"into", "into/in"}


def test_a_directory_called_dot_dot_leads_nowhere(tmp_path: Path) -> None:
    unpack(tar_of(("top", DIR, ""), ("top/..", DIR, ""), ("top/../out", FILE, b"x")), tmp_path / "into")

    assert names(tmp_path) == {"into"}


def test_a_link_is_kept_and_never_followed(tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    link = str(tmp_path / "host")
    hostile = tar_of(
        ("top", DIR, ""),
        ("top/a", LINK, link),
        ("top/a/file", FILE, b"x"),
        ("top/b", DIR, ""),
        ("top/b/c", DIR, ""),
        ("top/b", LINK, link),
        ("top/b/file", FILE, b"x"),
        ("top/b/c/file", FILE, b"x"),
        ("top/d", LINK, f"{link}/new"),
        ("top/d", FILE, b"mine"),
    )
    unpack(hostile, tmp_path / "into")

    assert names(tmp_path / "host") == set()
    assert (tmp_path / "into/a").readlink() == tmp_path / "host"
    assert (tmp_path / "into/d").read_bytes() == b"mine"
    assert not (tmp_path / "into/d").is_symlink()


def test_a_hard_link_reaches_only_what_came(tmp_path: Path) -> None:
    (tmp_path / "host").write_text("secret")
    hostile = tar_of(
        ("top", DIR, ""),
        ("top/a", FILE, b"x"),
        ("top/link", LINK, str(tmp_path / "host")),
        ("top/good", HARD, "top/a"),
        ("top/self", HARD, "top/self"),
        ("top/out", HARD, "../host"),
        ("top/absolute", HARD, str(tmp_path / "host")),
        ("top/through", HARD, "top/link"),
    )
    unpack(hostile, tmp_path / "into")

    assert names(tmp_path / "into") == {"a", "link", "good"}
    assert (tmp_path / "into/good").read_bytes() == b"x"


def test_devices_and_pipes_are_left_out(tmp_path: Path) -> None:
    unpack(
        tar_of(
            ("top", DIR, ""),
            ("top/pipe", tarfile.FIFOTYPE, ""),
            ("top/disk", tarfile.BLKTYPE, ""),
            ("top/tty", tarfile.CHRTYPE, ""),
        ),
        tmp_path / "into",
    )

    assert names(tmp_path / "into") == set()


@pytest.mark.parametrize("bounds", [Bounds(entries=2), Bounds(size=3)])
def test_too_much_is_a_fault(bounds: Bounds, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="holds more than"):
        unpack(tar_of(("top", DIR, ""), ("top/a", FILE, b"xx"), ("top/b", FILE, b"xx")), tmp_path / "into", bounds)


def test_a_tree_too_deep_is_cut(tmp_path: Path) -> None:
    unpack(tar_of(("a", DIR, ""), ("a/b", DIR, ""), ("a/b/c", DIR, "")), tmp_path / "into", Bounds(depth=2))

    assert names(tmp_path / "into") == {"b"}


def test_a_broken_stream_is_a_fault(tmp_path: Path) -> None:
    whole = tar_of(("top", FILE, b"x" * 5000)).getvalue()
    with pytest.raises(Fault, match="broken"):
        unpack(io.BytesIO(whole[:2000]), tmp_path / "into")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(["top", "a", "b", "..", ".", ""]), max_size=4).map("/".join),
            st.sampled_from([DIR, FILE, LINK, HARD]),
            st.sampled_from(["/", "..", "../..", "top/a", "b", "../guard"]),
        ),
        max_size=12,
    )
)
def test_whatever_comes_nothing_outside_changes(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bytes, str]]
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "guard").mkdir()
    unpack(tar_of(("top", DIR, ""), *entries), outside / "into/here")

    assert set(os.listdir(outside)) == {"guard", "into"}
    assert os.listdir(outside / "into") == ["here"]
    assert os.listdir(outside / "guard") == []


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60).filter(
            lambda name: name not in {".", ".."}
        ),
        st.binary(max_size=2000),
        max_size=5,
    )
)
def test_what_is_packed_is_unpacked(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    top = tmp_path_factory.mktemp("top")
    (top / "from/sub").mkdir(parents=True)
    [(top / "from/sub" / name).write_bytes(content) for name, content in files.items()]
    unpack(io.BytesIO(b"".join(pack(top / "from", "deep/name", top=True))), top / "into")

    assert {path.name: path.read_bytes() for path in (top / "into/sub").iterdir()} == files


def test_pipes_are_not_packed_and_owners_are_root(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    os.mkfifo(tmp_path / "from/pipe")
    (tmp_path / "from/link").symlink_to("/etc/passwd")
    (tmp_path / "from/file").write_text("x")
    (tmp_path / "from/file").chmod(0o4711)
    with tarfile.open(fileobj=io.BytesIO(b"".join(pack(tmp_path / "from", "", top=False)))) as tar:
        found = {entry.name: (entry.uid, entry.gid, entry.mode, entry.linkname) for entry in tar}

    assert found["file"] == (0, 0, 0o711, "")
    assert found["link"][3] == "/etc/passwd"
    assert set(found) == {"file", "link"}


def test_directories_alone() -> None:
    with tarfile.open(fileobj=io.BytesIO(b"".join(pack_directories(["a", "a/b"], 0o777)))) as tar:
        found = [(entry.name, entry.isdir(), entry.mode) for entry in tar]

    assert found == [("a", True, 0o777), ("a/b", True, 0o777)]
