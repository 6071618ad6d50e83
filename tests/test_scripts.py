"""The scripts that a newcomer runs, and the example that they show."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = [*sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file()), ROOT / ".ci" / "run"]
PYTHONS = ("python3", "python3.11", "python3.12", "python3.13", "python3.14")


def first_line(path: Path) -> str:
    return path.read_text().partition("\n")[0]


SHELL_SCRIPTS = [path for path in SCRIPTS if path.suffix in {"", ".sh"} and "python" not in first_line(path)]


@pytest.mark.parametrize("script", SHELL_SCRIPTS, ids=lambda path: path.name)
def test_each_script_can_be_read_by_its_shell(script: Path) -> None:
    shell = "bash" if "bash" in first_line(script) else "sh"

    assert subprocess.run([shell, "-n", script], capture_output=True).stderr == b""


@pytest.mark.parametrize("name", ["scripts/demo", "scripts/check", "scripts/test", "scripts/picture", ".ci/run"])
def test_each_script_can_be_started(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The scripts in a place with no environment yet, and a `bin` of programs that go before the machine's."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "bin").mkdir()
    return tmp_path


def put_pythons(bare: Path, text: str) -> None:
    (bare / "bin" / "python").write_text(f"#!/bin/sh\n{text}\n")
    (bare / "bin" / "python").chmod(0o755)
    for name in PYTHONS:
        (bare / "bin" / name).symlink_to("python")


def demo(bare: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{bare / 'bin'}:/usr/bin:/bin"
    command = [bare / "scripts" / "demo"]
    return subprocess.run(command, capture_output=True, text=True, env={"PATH": path, **environment}, timeout=60)


def test_a_python_that_is_too_old_is_said_with_the_way_out(bare: Path) -> None:
    put_pythons(bare, '[ "$1" != --version ] || { echo Python 3.9.2; exit 0; }; exit 1')

    ended = demo(bare)

    assert ended.returncode == 3
    assert "Python 3.11 or newer is needed; here, Python 3.9.2." in ended.stderr
    assert "apt-get install python3 python3-venv" in ended.stderr


def test_a_python_without_venv_is_said_with_the_way_out(bare: Path) -> None:
    put_pythons(bare, 'case $2 in *ensurepip*) exit 1 ;; esac; [ "$1" = -c ]')

    ended = demo(bare)

    assert ended.returncode == 3
    assert "apt-get install python3-venv" in ended.stderr
    assert not (bare / ".venv").exists()


def test_an_index_that_cannot_be_reached_is_said(bare: Path) -> None:
    venv = 'mkdir -p .venv/bin && cp "$0" .venv/bin/python'
    put_pythons(bare, f'case "$1 $2" in "-m venv") {venv} ;; "-m pip") exit 1 ;; esac')

    ended = demo(bare)

    assert ended.returncode == 3
    assert "It needs to reach PyPI" in ended.stderr


def test_in_a_pipe_nothing_is_coloured(bare: Path) -> None:
    put_pythons(bare, "exit 1")

    assert "\x1b" not in demo(bare).stderr


def test_what_was_made_is_told_from_the_newest_build(tmp_path: Path) -> None:
    home = tmp_path / "runs" / "one"
    home.mkdir(parents=True)
    artifact = {"event": "artifact_made", "location": str(tmp_path / "out"), "files": 3, "digest": "sha256:abc"}
    tests = {"event": "report_made", "line_coverage": None, "counts": {"SUCCEEDED": 4}, "total": 5}
    end = {"event": "build_ended", "exported": {"RELEASE": "1"}, "log": str(home / "log")}
    (home / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in (artifact, tests, end)))

    told = run(tmp_path, str(ROOT / "scripts" / "made.py"), str(tmp_path))

    assert [line.split() for line in told.splitlines()] == [
        ["artifact", "out", "3", "files"],
        ["sha256:abc"],
        ["tests", "4", "of", "5", "passed"],
        ["exported", "RELEASE=1"],
        ["log", "runs/one/log"],
    ]


@pytest.fixture
def example(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", ".venv", "wheels", "dist", "reports", ".pytest_cache")
    return shutil.copytree(ROOT / "examples" / "shortlinks", tmp_path / "shortlinks", ignore=ignored)


def run(example: Path, *arguments: str) -> str:
    command = [sys.executable, *arguments]
    ended = subprocess.run(command, cwd=example, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_tests_of_the_example_pass(example: Path) -> None:
    assert " passed" in run(example, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio")


def test_the_example_is_packed_the_same_each_time(example: Path) -> None:
    run(example, "tools/pack.py", "dist/one.pyz")
    run(example, "tools/pack.py", "dist/two.pyz")

    assert (example / "dist" / "one.pyz").read_bytes() == (example / "dist" / "two.pyz").read_bytes()


def test_what_the_example_packs_serves(example: Path) -> None:
    run(example, "tools/pack.py", "dist/shortlinks.pyz")

    assert "serves: https://example.com/" in run(example, "tools/smoke.py", "dist/shortlinks.pyz")
