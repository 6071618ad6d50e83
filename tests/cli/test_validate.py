"""What `codeyard validate` prints, and how it exits."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from codeyard.builds.schema import schema as make_schema
from codeyard.cli.validate import as_text, schema, validate
from codeyard.errors import Mistake

GOLDEN = Path(__file__).parents[1] / "golden" / "validate"
CASES = sorted(path.parent for path in GOLDEN.glob("*/buildspec.yml"))
GOOD = "version: 0.2\nphases: {}\n"
WARNED = "version: 0.2\nphases: {}\nunknown: 1\n"
BAD = "version: 3\nphases: {}\n"


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_mistakes_are_shown_with_their_line_and_fix(
    case: Path, golden: Callable[[Path, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(case)

    result = CliRunner().invoke(validate, ["buildspec.yml"])

    golden(case / "output.txt", f"{result.output}exit {result.exit_code}\n")


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [(GOOD, [], 0), (WARNED, [], 0), (WARNED, ["--strict"], 2), (BAD, [], 2), (BAD, ["--json"], 2), ("", [], 2)],
)
def test_the_exit_status_is(text: str, options: list[str], code: int) -> None:
    assert CliRunner().invoke(validate, ["-", *options], input=text).exit_code == code


def test_json_has_one_object_to_a_line() -> None:
    result = CliRunner().invoke(validate, ["-", "--json"], input="version: 3\nphases: {}\nunknown: 1\n")

    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert first == {
        "file": "-",
        "line": 1,
        "column": 10,
        "level": "error",
        "what": "Invalid buildspec version: 3. Expecting: 0.1,0.2",
        "fix": "Write `version: 0.2`.",
        "key": "version",
        "text": "version: 3",
    }
    assert (second["line"], second["level"]) == (3, "warning")
    assert result.stderr == ""


def test_with_no_file_it_is_buildspec_yml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "buildspec.yml").write_text(BAD)
    monkeypatch.chdir(tmp_path)

    assert CliRunner().invoke(validate).output.startswith("buildspec.yml:1:10: error: Invalid buildspec version")


def test_several_files_are_all_checked(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(GOOD)
    (tmp_path / "b.yml").write_text(BAD)
    files = [str(tmp_path / name) for name in ("missing.yml", "a.yml", "b.yml")]

    result = CliRunner().invoke(validate, files)

    assert result.exit_code == 2
    assert f"{files[0]}: error: cannot read it: No such file or directory" in result.output
    assert f"{files[2]}:1:10: error" in result.output
    assert "2 errors, 0 warnings." in result.output


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    result = CliRunner().invoke(validate, [str(tmp_path)])
    assert (result.exit_code, "cannot read it: Is a directory" in result.output) == (2, True)


def test_bytes_that_are_no_text_are_pointed_at(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_bytes(b"version: 0.2\nname: \xff\n")
    assert ":2:7: error: byte 0xff is not UTF-8" in CliRunner().invoke(validate, [str(tmp_path / "x.yml")]).output


def test_a_file_without_an_end_is_not_read_to_it() -> None:
    result = CliRunner().invoke(validate, ["/dev/zero"])
    assert (result.exit_code, "characters" in result.output) == (2, True)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_secret_in_the_file_is_not_printed(options: list[str]) -> None:
    text = "version: 0.2\nphases: {}\nenv:\n  variables:\n    MY_TOKEN: verysecret1\n"
    assert "verysecret1" not in CliRunner().invoke(validate, ["-", *options], input=text).output


def test_a_long_line_is_cut_around_the_place() -> None:
    mistake = Mistake(1, 1001, "wrong", "Mend it.", "a" * 1000 + "b" + "c" * 1000)

    _, shown, caret, _ = as_text("f", mistake).split("\n")

    assert len(shown) < 200
    assert shown[click.unstyle(caret).index("^")] == "b"


@given(st.text(max_size=300), st.integers(1, 400))
def test_no_text_moves_the_cursor(text: str, column: int) -> None:
    shown = click.unstyle(as_text(text, Mistake(1, column, text, text, text)))
    assert all(line.isprintable() for line in shown.split("\n"))


def test_the_schema_is_printed() -> None:
    assert json.loads(CliRunner().invoke(schema).output) == make_schema()


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, codeyard.cli.validate, codeyard.builds.traps; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert not {"rich", "asyncio", "aiodocker", "cryptography", "boto3", "obstore", "wcmatch"} & set(loaded)
