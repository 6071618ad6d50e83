"""Reading a directory whose owner means harm."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeyard.artifacts import Kind
from codeyard.artifacts.patterns import Found
from codeyard.artifacts.scan import Limits, Workspace, followed, listing, read_file, unchanging
from codeyard.errors import CodeyardError, Conflict, Invalid, NotFound
from tests.artifacts.files import lay

SECRET = "not for you"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace beside a file that it must not lead to."""
    lay(tmp_path, {"secret/file": SECRET})
    return lay(tmp_path / "work", {"a": "A", "d/b": "B", "d/e/c": "C"})


def by_path(found: tuple[Found, ...]) -> dict[str, Kind | None]:
    return {item.path: item.kind for item in found}


def test_everything_is_listed_by_its_kind(root: Path) -> None:
    (root / "run").write_text("#!")
    (root / "run").chmod(0o755)
    (root / "link").symlink_to("../secret")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))

        found = listing(root)

    assert by_path(found) == {
        "a": Kind.FILE,
        "d": Kind.DIRECTORY,
        "d/b": Kind.FILE,
        "d/e": Kind.DIRECTORY,
        "d/e/c": Kind.FILE,
        "run": Kind.EXECUTABLE,
        "link": Kind.LINK,
        "pipe": None,
        "socket": None,
    }


def test_a_name_that_is_not_utf_8_is_listed_and_read(root: Path) -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe")).write_text("odd")

    assert "\udcff\udcfe" in by_path(listing(root))
    assert read_file(root, "\udcff\udcfe", 10) == b"odd"


def test_a_workspace_that_was_replaced_by_a_link_is_not_entered(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("secret")

    with pytest.raises(NotFound):
        listing(tmp_path / "link")
    with pytest.raises(NotFound):
        read_file(tmp_path / "link", "file", 100)


def test_a_file_is_read(root: Path) -> None:
    assert read_file(root, "d/e/c", 1) == b"C"


@pytest.mark.parametrize(
    "target",
    ["../secret/file", "/etc/passwd", "a"],
)
def test_a_link_to_a_file_is_not_read(root: Path, target: str) -> None:
    (root / "link").symlink_to(target)

    with pytest.raises(Invalid, match="link"):
        read_file(root, "link", 10_000)


@pytest.mark.parametrize("path", ["./d//e/c", "d/e/../e/c", "up/d/e/c", "d/e/twice"])
def test_links_that_stay_inside_are_followed_where_that_is_asked_for(root: Path, path: str) -> None:
    (root / "up").symlink_to("d/..")
    (root / "d/e/twice").symlink_to("../../up/./d/e/c")

    assert followed(root, path) == "d/e/c"


@pytest.mark.parametrize(
    ("path", "error"),
    [*((path, Invalid) for path in ("out", "etc", "round", "../{root}/a", "a/b")), ("no/b", NotFound)],
)
def test_links_that_lead_out_are_never_followed(root: Path, path: str, error: type[CodeyardError]) -> None:
    (root / "out").symlink_to("d/../../secret/file")
    (root / "etc").symlink_to("/etc/passwd")
    (root / "round").symlink_to("round")

    with pytest.raises(error):
        followed(root, path.format(root=root.name))


@pytest.mark.parametrize("target", ["../secret", "/etc", "d"])
def test_no_directory_is_entered_through_a_link(root: Path, target: str) -> None:
    (root / "link").symlink_to(target)

    with pytest.raises(Invalid, match="link"):
        read_file(root, "link/file", 10_000)


@pytest.mark.parametrize("path", ["../secret/file", "d/../../secret/file", "", ".", "..", "d/", "d//b", "./a", "a\0"])
def test_a_path_that_is_not_plain_is_refused(root: Path, path: str) -> None:
    with pytest.raises(Invalid):
        read_file(root, path, 100)


def test_an_absolute_path_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(Invalid):
        read_file(root, str(tmp_path / "secret/file"), 100)


@pytest.mark.timeout(10)
def test_a_pipe_is_refused_and_never_waited_for(root: Path) -> None:
    os.mkfifo(root / "pipe")

    with pytest.raises(Invalid, match="regular"):
        read_file(root, "pipe", 10)


def test_a_socket_is_refused(root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
        with pytest.raises(Invalid, match="socket"):
            read_file(root, "socket", 10)


def test_a_device_is_refused() -> None:
    with pytest.raises(Invalid, match="regular"):
        read_file(Path("/dev"), "zero", 10)


def test_a_directory_is_no_file(root: Path) -> None:
    with pytest.raises(Invalid):
        read_file(root, "d", 10)


def test_what_is_not_there_is_not_found(root: Path) -> None:
    with pytest.raises(NotFound):
        read_file(root, "d/nothing", 10)
    with pytest.raises(NotFound):
        read_file(root, "nothing/b", 10)


def test_a_file_over_the_limit_is_refused_without_reading_it_all(root: Path) -> None:
    with (root / "huge").open("wb") as file:
        file.truncate(1 << 40)

    with pytest.raises(Invalid, match="more than"):
        read_file(root, "huge", 1000)


def test_too_many_files_are_refused(root: Path) -> None:
    with pytest.raises(Invalid, match="over 4"):
        listing(root, Limits(entries=4))


def test_too_many_levels_are_refused(tmp_path: Path) -> None:
    deep = os.open(tmp_path, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=deep)
        below = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)

    with pytest.raises(Invalid, match="deep"):
        listing(tmp_path)


def test_a_file_that_changes_while_it_is_read_is_noticed(root: Path) -> None:
    descriptor = os.open(root / "a", os.O_RDONLY)
    with pytest.raises(Conflict, match="changed"), unchanging(descriptor, "a"):
        (root / "a").write_text("something else")
    os.close(descriptor)


def test_descriptors_are_not_leaked(root: Path) -> None:
    (root / "link").symlink_to("d")
    before = len(os.listdir("/proc/self/fd"))

    with Workspace(root) as workspace:
        for path in ("d/e/c", "d/b", "a", "d/e/c"):
            os.close(workspace.open(path))
        for path in ("link/b", "nothing/x", "d", "d/../a"):
            with pytest.raises((Invalid, NotFound)):
                workspace.open(path)
    listing(root)

    assert len(os.listdir("/proc/self/fd")) == before


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["..", ".", "", "d", "e", "up", "out", "file", "secret", "a"]), max_size=6))
def test_no_path_whatever_leads_out(root: Path, parts: list[str]) -> None:
    if not (root / "up").is_symlink():
        (root / "up").symlink_to("..")
        (root / "out").symlink_to("../secret")

    assert read_or_none(root, "/".join(parts)) in (None, b"A")


def read_or_none(root: Path, path: str) -> bytes | None:
    try:
        return read_file(root, path, 1000)
    except CodeyardError:
        return None
