"""The memory that spares reading unchanged files."""

import os
import time
from pathlib import Path

import pytest

from codeyard.artifacts import Digest
from codeyard.artifacts.patterns import Stamp
from codeyard.artifacts.scan import stamp
from codeyard.artifacts.stamps import Stamps

OLD = Stamp(1, 2**63 + 5, 3, -7, 11)
A, B = Digest("a" * 64), Digest("b" * 64)


def test_what_was_noted_is_known_to_the_next_process(tmp_path: Path) -> None:
    stamps = Stamps(tmp_path / "deep/memory")
    stamps.note(OLD, A)
    stamps.save()

    assert stamps.get(OLD) == A
    assert Stamps(tmp_path / "deep/memory").get(OLD) == A


@pytest.mark.parametrize("field", Stamp._fields)
def test_a_file_of_which_anything_differs_is_not_known(field: str) -> None:
    stamps = Stamps()
    stamps.note(OLD, A)

    assert stamps.get(OLD._replace(**{field: 99})) is None


def test_a_file_that_could_change_within_the_same_tick_is_not_trusted() -> None:
    stamps = Stamps()
    young = OLD._replace(changed=time.time_ns())
    stamps.note(young, A)

    assert stamps.get(young) is None


def test_a_file_from_the_future_is_not_trusted() -> None:
    stamps = Stamps()
    young = OLD._replace(modified=time.time_ns() + 10**15)
    stamps.note(young, A)

    assert stamps.get(young) is None


def test_our_own_files_are_trusted_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("ours")
    stamps = Stamps()
    status = stamp((tmp_path / "file").stat())
    stamps.note_ours(status, A)

    assert stamps.get(status) == A


def test_a_file_with_its_old_times_put_back_is_not_known(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("good")
    before = file.stat()
    stamps = Stamps()
    stamps.note_ours(stamp(before), A)

    time.sleep(0.02)  # longer than the kernel's tick
    file.write_text("evil")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert stamps.get(stamp(file.stat())) is None


def test_saving_forgets_what_nobody_asked_for(tmp_path: Path) -> None:
    other = OLD._replace(inode=1)
    first = Stamps(tmp_path / "memory")
    first.note(OLD, A)
    first.note(other, B)
    first.save()

    second = Stamps(tmp_path / "memory")
    second.get(OLD)
    second.save()

    third = Stamps(tmp_path / "memory")
    assert (third.get(OLD), third.get(other)) == (A, None)


def test_saving_all_forgets_only_what_files_had_before(tmp_path: Path) -> None:
    other = OLD._replace(inode=1)
    first = Stamps(tmp_path / "memory")
    first.note(OLD, A)
    first.note(other, B)
    first.save()

    second = Stamps(tmp_path / "memory")
    second.renew(OLD, OLD._replace(changed=OLD.changed + 1), A)
    second.save_all()

    third = Stamps(tmp_path / "memory")
    assert (third.get(OLD), third.get(other)) == (None, B)
    assert third.get(OLD._replace(changed=OLD.changed + 1)) == A


@pytest.mark.parametrize("content", [b"", b"garbage", b"codeyard stamps 1\nanother boot id, long enough to be one\n"])
def test_a_foreign_or_torn_memory_is_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "memory").write_bytes(content)

    assert Stamps(tmp_path / "memory").get(OLD) is None


def test_a_memory_cut_off_in_the_middle_is_empty(tmp_path: Path) -> None:
    stamps = Stamps(tmp_path / "memory")
    stamps.note(OLD, A)
    stamps.save()
    whole = (tmp_path / "memory").read_bytes()
    (tmp_path / "memory").write_bytes(whole[:-1])

    assert Stamps(tmp_path / "memory").get(OLD) is None


def test_a_memory_that_cannot_be_saved_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    stamps = Stamps(tmp_path / "file/memory")
    stamps.note(OLD, A)
    stamps.save()

    assert stamps.get(OLD) == A
