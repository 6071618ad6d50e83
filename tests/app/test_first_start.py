"""What a server makes when it starts for the first time, and finds again."""

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.access.identities import StoredIdentities
from codeyard.app.first_start import RootKey, alone, prepare_database, root_file, root_key, write_private
from codeyard.config import Config
from codeyard.errors import Conflict, Denied, Fault
from codeyard.secrets.sealing import Key
from codeyard.store.engine import SqlDatabase
from tests.databases import DIALECTS, postgresql_schema

KEY = Key(b"k" * 32)


def now() -> datetime:
    return datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(params=DIALECTS)
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Config]:
    """Settings for a directory and a database that are not there yet."""
    if request.param == "sqlite":
        (tmp_path / "data").mkdir(mode=0o700)
        yield Config(data=tmp_path / "data")
        return
    for url in postgresql_schema():
        yield Config(data=tmp_path / "data", database=url)


@contextmanager
def database(config: Config) -> Iterator[SqlDatabase]:
    found = SqlDatabase(config.database_url)
    try:
        yield found
    finally:
        found.close()


async def prepared(config: Config) -> Key:
    with database(config) as found:
        return await prepare_database(config, found)


async def rooted(config: Config) -> RootKey:
    with database(config) as found:
        key = await prepare_database(config, found)
        return await root_key(config, StoredIdentities(found, key, now))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_the_first_start_makes_a_key_that_later_ones_find(config: Config) -> None:
    first = await prepared(config)

    assert await prepared(config) == first
    assert mode(config.vault_key_file) == 0o600
    assert mode(config.vault_key_file.parent) == 0o700


async def test_all_that_start_at_once_have_one_key(config: Config) -> None:
    keys = await asyncio.gather(*(prepared(config) for _ in range(4)))

    assert len(set(keys)) == 1
    assert await prepared(config) == keys[0]


async def test_another_machine_needs_the_first_ones_key(config: Config, tmp_path: Path) -> None:
    first = await prepared(config)
    other = replace(config, data=tmp_path / "other", database=config.database_url)

    with pytest.raises(Fault, match=r"vault\.key"):
        await prepared(other)
    assert not other.vault_key_file.exists()

    write_private(other.vault_key_file, config.vault_key_file.read_text())
    assert await prepared(other) == first


async def test_a_key_that_is_lost_is_not_made_anew(config: Config) -> None:
    await prepared(config)
    config.vault_key_file.unlink()

    with pytest.raises(Fault, match="it is not there"):
        await prepared(config)
    assert not config.vault_key_file.exists()


async def test_the_wrong_key_is_refused(config: Config, tmp_path: Path) -> None:
    await prepared(config)
    other = Config(data=tmp_path / "other")
    other.data.mkdir()
    await prepared(other)
    write_private(config.vault_key_file, other.vault_key_file.read_text())

    with pytest.raises(Fault, match="not the one that sealed"):
        await prepared(config)


async def test_a_key_that_others_can_read_is_refused(config: Config) -> None:
    await prepared(config)
    config.vault_key_file.chmod(0o644)

    with pytest.raises(Denied, match="others can read it"):
        await prepared(config)


async def test_a_key_that_was_put_there_before_the_first_start_is_used(config: Config) -> None:
    config.vault_key_file.parent.mkdir(parents=True, mode=0o700)
    write_private(config.vault_key_file, "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=\n")

    assert await prepared(config) == KEY


async def test_the_root_key_is_kept_for_its_owner_alone(config: Config) -> None:
    root = await rooted(config)

    told = json.loads(root_file(config.data).read_text())
    assert told == {"account": config.account, "id": root.id, "secret": root.secret}
    assert mode(root_file(config.data)) == 0o600
    assert root.secret not in repr(root)


async def test_the_next_start_finds_it_and_writes_nothing(config: Config) -> None:
    first = await rooted(config)
    was = root_file(config.data).stat()
    second = await rooted(config)

    assert second == first
    assert (root_file(config.data).stat().st_ino, root_file(config.data).stat().st_mtime_ns) == (
        was.st_ino, was.st_mtime_ns,
    )  # fmt: skip


@pytest.mark.parametrize("content", ["", "{", '{"account": "1", "id": "2", "secret": "3"}'])
async def test_a_file_that_says_something_else_is_written_again(config: Config, content: str) -> None:
    root = await rooted(config)
    root_file(config.data).write_text(content)

    assert await rooted(config) == root
    assert json.loads(root_file(config.data).read_text())["secret"] == root.secret


@given(st.text(), st.text())
def test_a_private_file_is_whole_and_nobody_elses(before: str, after: str) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "file"
        path.write_bytes(before.encode(errors="replace"))
        path.chmod(0o644)
        write_private(path, after.replace("\r", ""))

        assert path.read_text() == after.replace("\r", "")
        assert mode(path) == 0o600
        assert os.listdir(directory) == ["file"]


def test_what_a_killed_writer_left_goes_and_what_another_writes_stays(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / f".file.{ended.pid}").touch()
    (tmp_path / f".file.{os.getppid()}").touch()
    write_private(tmp_path / "file", "new")

    assert sorted(os.listdir(tmp_path)) == [f".file.{os.getppid()}", "file"]


def test_nobody_makes_a_private_file_go_elsewhere(tmp_path: Path) -> None:
    (tmp_path / f".file.{os.getpid()}").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic links"):
        write_private(tmp_path / "file", "secret")
    assert not (tmp_path / "elsewhere").exists()


def test_one_of_a_kind_is_alone_in_its_directory(tmp_path: Path) -> None:
    with alone(tmp_path, "server"), pytest.raises(Conflict, match="runs already"), alone(tmp_path, "server"):
        raise AssertionError("there are two")


def test_others_may_be_there_and_the_next_too(tmp_path: Path) -> None:
    with alone(tmp_path / "new", "server"), alone(tmp_path / "new", "worker-a"), alone(tmp_path / "other", "server"):
        pass
    with alone(tmp_path / "new", "server"):
        pass

    assert mode(tmp_path / "new") == 0o700


def test_a_process_that_is_killed_lets_the_next_one_in(tmp_path: Path) -> None:
    script = "import sys,time;from codeyard.app.first_start import alone;from pathlib import Path\n"
    script += "with alone(Path(sys.argv[1]), 'server'):\n print('in', flush=True)\n time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        with pytest.raises(Conflict), alone(tmp_path, "server"):
            pass
        other.kill()
        other.wait()

        with alone(tmp_path, "server"):
            pass
