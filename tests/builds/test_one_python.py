"""A buildspec says `python`, and the machine has python3 only, as Debian and Ubuntu have."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from codeyard.builds.programs import write_python
from codeyard.builds.runtimes import ONLY_PYTHON3

SCRIPT = '#!/bin/sh\nprintf "%s|" "$@"\n'
Path_of = Callable[..., str]


@pytest.fixture
def path_of(tmp_path: Path) -> Path_of:
    """Makes a PATH on which there are these programs and no others."""

    def make(*names: str) -> str:
        for name in names:
            program = tmp_path / name
            program.write_text(SCRIPT)
            program.chmod(0o755)
        return str(tmp_path)

    return make


def _sh(script: str, path: str) -> str:
    ended = subprocess.run(["/bin/sh", "-c", script], env={"PATH": path}, capture_output=True, text=True, check=True)
    return ended.stdout


@pytest.mark.parametrize(
    ("there", "answer"), [(["python3"], "yes"), (["python3", "python"], ""), (["python"], ""), ([], "")]
)
def test_only_where_there_is_python3_alone_the_other_name_is_wanting(
    path_of: Path_of, there: list[str], answer: str
) -> None:
    assert _sh(f'echo "{ONLY_PYTHON3}"', path_of(*there)).strip() == answer


def test_python_is_python3_with_the_arguments_as_they_are(path_of: Path_of, tmp_path: Path) -> None:
    path = path_of("python3")
    write_python(tmp_path)

    assert _sh("python -m pytest 'a b' ''", path) == "-m|pytest|a b||"
