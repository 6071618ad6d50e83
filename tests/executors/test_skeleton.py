from pathlib import Path

from codeyard.executors.skeleton import lay_out, trees

SECRETIVE = ("/root", "/home", "/var/lib", "/var", "/run", "/srv", "/mnt", "/boot", "/proc", "/sys", "/dev", "/")


def test_no_directory_that_could_hold_secrets_is_seen() -> None:
    assert not set(trees()) & set(SECRETIVE)


def test_there_is_a_place_for_everything_and_nothing_in_it(tmp_path: Path) -> None:
    lay_out(tmp_path / "root", ("/usr", "/var/lib/dpkg"), None)

    assert [path for path in (tmp_path / "root").rglob("*") if path.is_file() and not path.is_symlink()] == []
    assert (tmp_path / "root/var/lib/dpkg").is_dir()
    assert (tmp_path / "root/tmp").stat().st_mode & 0o7777 == 0o1777
    assert (tmp_path / "root/root").stat().st_mode & 0o7777 == 0o700
