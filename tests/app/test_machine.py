"""What a machine is called, and what its builds may use of it."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.app.machine import Capacity, capacity, worker_name
from codeyard.config import Config

GIB = 1 << 30


def config(data: Path = Path("/nowhere"), **given: object) -> Config:
    return Config(data=data, **given)  # type: ignore[arg-type]


def test_the_settings_say_what_builds_may_use() -> None:
    assert capacity(config(cpus=1.5, memory=3.0, builds=2)) == Capacity(1.5, 3 * GIB, 2)


def test_without_them_it_is_the_machine() -> None:
    found = capacity(config())

    assert found.cpus == len(os.sched_getaffinity(0))
    assert 0 < found.memory <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert found.builds is None


@given(st.integers(1, 64), st.floats(0.1, 512), st.floats(0.1, 4096))
def test_workers_together_have_no_more_than_the_machine(workers: int, cpus: float, memory: float) -> None:
    settings = config(cpus=cpus, memory=memory)
    whole, share = capacity(settings), capacity(settings, workers)

    assert share.cpus * workers <= whole.cpus * (1 + 1e-9)
    assert share.memory * workers <= whole.memory
    assert share.memory * workers > whole.memory - workers


def test_a_name_that_is_set_is_the_name_and_is_not_kept(tmp_path: Path) -> None:
    assert worker_name(config(tmp_path, worker="blue")) == "blue"
    assert list(tmp_path.iterdir()) == []


def test_a_name_stays_the_same_at_each_start(tmp_path: Path) -> None:
    first = worker_name(config(tmp_path / "new"))

    assert worker_name(config(tmp_path / "new")) == first
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["worker"]
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_two_directories_have_two_names(tmp_path: Path) -> None:
    assert worker_name(config(tmp_path / "a")) != worker_name(config(tmp_path / "b"))


def test_a_name_that_was_made_can_be_set(tmp_path: Path) -> None:
    made = worker_name(config(tmp_path))

    assert replace(config(tmp_path), worker=made).worker == made


@pytest.mark.parametrize("round", range(5))
def test_processes_that_start_at_once_have_one_name(tmp_path: Path, round: int) -> None:
    settings = config(tmp_path / "data")
    with ThreadPoolExecutor(8) as threads:
        names = set(threads.map(lambda _number: worker_name(settings), range(16)))

    assert len(names) == 1
    assert os.listdir(tmp_path / "data") == ["worker"]


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True))
def test_whatever_name_was_kept_is_the_name(name: str) -> None:
    with TemporaryDirectory() as data:
        (Path(data) / "worker").write_text(f"{name}\n")

        assert worker_name(config(Path(data))) == name
