import fcntl
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from codeyard.cli.history import clean, runs
from codeyard.cli.main import main

SPEC = "version: 0.2\nphases: {build: {commands: ['echo %s > out']}}\nartifacts: {files: [out]}\n"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CODEYARD_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def run(tmp_path: Path, project: str, text: str) -> None:
    source = tmp_path / project
    source.mkdir()
    (source / "buildspec.yml").write_text(SPEC % text)
    with pytest.raises(SystemExit) as ended:
        main(["run", str(source), "--executor", "process", "--project", project])
    assert ended.value.code == 0


def listed() -> list[dict[str, object]]:
    result = CliRunner().invoke(runs, ["--json"])
    return [json.loads(line) for line in result.output.splitlines()]


def test_builds_are_listed_the_newest_first(state: Path, tmp_path: Path) -> None:
    run(tmp_path, "one", "a")
    run(tmp_path, "two", "b")

    assert [str(found["id"]).split(":")[0] for found in listed()] == ["two", "one"]
    assert {found["status"] for found in listed()} == {"SUCCEEDED"}
    assert "SUCCEEDED" in CliRunner().invoke(runs, []).output


def test_none_is_told(state: Path) -> None:
    assert CliRunner().invoke(runs, []).output == "No builds yet: codeyard run DIR\n"


def test_a_build_without_an_end_runs_or_was_interrupted(state: Path, tmp_path: Path) -> None:
    run(tmp_path, "one", "a")
    (home,) = (state / "runs").iterdir()
    (home / "result.json").unlink()
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        held = listed()[0]["status"]

    assert (held, listed()[0]["status"]) == ("RUNNING", "INTERRUPTED")


def test_old_builds_go_and_what_others_need_stays(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, "old", "only-of-the-old")
    run(tmp_path, "new", "of-the-new")
    (old,) = (Path(str(found["directory"])) for found in listed() if str(found["id"]).startswith("old:"))
    age(old / "result.json", days=40)
    for blob in (state / "artifacts").rglob("*"):
        age(blob, days=40)
    told = CliRunner().invoke(clean, ["--dry-run"]).output
    done = CliRunner().invoke(clean, []).output
    again = CliRunner().invoke(clean, []).output

    assert told == done.replace("Removed", "Would remove")
    assert told.startswith("Would remove 1 build (")
    assert "and 2 stored files (" in told  # the old build's file and its manifest
    assert not old.exists()
    assert [str(found["id"]).split(":")[0] for found in listed()] == ["new"]
    assert again.startswith("Removed 0 builds (0 B) and 0 stored files")


def test_what_runs_or_was_interrupted_stays(state: Path, tmp_path: Path) -> None:
    run(tmp_path, "one", "a")
    (home,) = (state / "runs").iterdir()
    (home / "result.json").unlink()
    CliRunner().invoke(clean, ["--older-than", "0"])

    assert home.exists()


def test_what_an_interrupted_build_has_stored_stays(state: Path, tmp_path: Path) -> None:
    run(tmp_path, "one", "a")
    (home,) = (state / "runs").iterdir()
    request = json.loads((home / "request.json").read_text())
    began = datetime.now(UTC) - timedelta(days=50)
    (home / "request.json").write_text(json.dumps({**request, "submitted": began.isoformat()}))
    (home / "result.json").unlink()
    for blob in (state / "artifacts").rglob("*"):
        age(blob, days=40)

    assert "0 stored files" in CliRunner().invoke(clean, []).output


def age(path: Path, days: int) -> None:
    import os
    import time

    then = time.time() - days * 86_400
    os.utime(path, (then, then))
