"""Copies."""

import asyncio
import errno
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeyard.sources import SourceError
from codeyard.sources.copying import Copier, clear, in_thread, measure, trouble


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200_000), st.integers(0o400, 0o777), st.integers(0, 4_000_000_000_000_000_000))
def test_a_copy_is_the_same_and_its_own(tmp_path: Path, content: bytes, mode: int, changed: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for path in (source, target):
        path.unlink(missing_ok=True)
    source.write_bytes(content)
    source.chmod(mode)
    os.utime(source, ns=(changed, changed))

    assert Copier().file(str(source), str(target))
    assert target.read_bytes() == content
    assert (stat.S_IMODE(target.stat().st_mode), target.stat().st_mtime_ns) == (mode, source.stat().st_mtime_ns)
    assert not target.samefile(source)


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENOSYS, errno.EINVAL])
def test_a_file_system_that_cannot_help_is_read_and_written(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "source").write_bytes(content)

    def refuse(*_: int) -> int:
        raise OSError(number, "no")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    Copier().file(str(tmp_path / "source"), str(tmp_path / "target"))

    assert (tmp_path / "target").read_bytes() == content


def test_a_target_is_never_written_through(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("new")
    (tmp_path / "outside").write_text("old")
    (tmp_path / "target").symlink_to("outside")

    with pytest.raises(SourceError, match="file exists"):
        Copier().file(str(tmp_path / "source"), str(tmp_path / "target"))

    assert (tmp_path / "outside").read_text() == "old"


def test_a_tree_keeps_its_shape_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b/2", "a/x/1", "a/0", "c"):
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_text(name)
    (tmp_path / "source/link").symlink_to("/etc")
    os.mkfifo(tmp_path / "source/pipe")
    (tmp_path / "source/b").chmod(0o500)
    seen: list[str] = []
    copier = Copier()

    def note(path: str, _entry: os.DirEntry[str]) -> bool:
        seen.append(path)
        return False

    copier.tree(str(tmp_path / "source"), str(tmp_path / "target"), note)

    assert seen == ["a", "b", "c", "link", "pipe", "a/0", "a/x", "a/x/1", "b/2"]
    assert (copier.files, copier.left_out, copier.vanished) == (5, 1, 0)
    assert stat.S_IMODE((tmp_path / "target/b").stat().st_mode) == 0o700
    assert (tmp_path / "target/link").is_symlink()


def test_what_goes_away_meanwhile_is_counted(tmp_path: Path) -> None:
    for name in ("a/1", "b/2"):
        (tmp_path / "source" / name).parent.mkdir(parents=True)
        (tmp_path / "source" / name).write_text(name)
    copier = Copier()

    def lose(path: str, _entry: os.DirEntry[str]) -> bool:
        if path == "a/1":
            clear(tmp_path / "source")
        return False

    copier.tree(str(tmp_path / "source"), str(tmp_path / "target"), lose)

    assert (copier.files, copier.vanished) == (0, 2)


def test_clearing_follows_no_symlink(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").touch()
    (tmp_path / "place/dir").mkdir(parents=True)
    (tmp_path / "place/link").symlink_to(tmp_path / "outside")
    (tmp_path / "place/dir/link").symlink_to(tmp_path / "outside")

    clear(tmp_path / "place")

    assert os.listdir(tmp_path / "place") == []
    assert (tmp_path / "outside/kept").exists()


def test_files_are_measured_without_git(tmp_path: Path) -> None:
    (tmp_path / "sub/.git").mkdir(parents=True)
    (tmp_path / "sub/.git/large").write_bytes(b"x" * 1000)
    (tmp_path / "sub/file").write_bytes(b"x" * 10)
    (tmp_path / "link").symlink_to("sub/file")

    assert measure(tmp_path) == (2, 10)


@pytest.mark.parametrize(
    ("number", "fix"), [(errno.EACCES, "Make it readable"), (errno.ENOSPC, "Make room"), (errno.EIO, "Mend it")]
)
def test_trouble_says_how_to_fix_it(number: int, fix: str) -> None:
    error = trouble("/a\nb\udcff", OSError(number, os.strerror(number)))

    assert error.what == r"Unable to copy /a\nb\xff"
    assert error.fix.startswith(fix)


async def test_cancelling_waits_until_the_work_has_noticed() -> None:
    started, ended = threading.Event(), threading.Event()

    def work(stopped: object) -> None:
        started.set()
        while not stopped():  # type: ignore[operator]
            pass
        ended.set()

    task = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(started.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ended.is_set()
