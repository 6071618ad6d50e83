"""Nothing raw stays of a build that ended, and its log does."""

from pathlib import Path

from codeyard.app.workspace import clear_workspace


def test_the_workspace_and_all_that_is_raw_go_and_the_log_stays(tmp_path: Path) -> None:
    for name in ("codebuild/output/src", "sandbox", "incoming/.src", "gathered"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("x")
    for name in ("spool", "masks", ".masks.new", "log.index", "log", "log.times"):
        (tmp_path / name).write_text("x")

    clear_workspace(tmp_path)
    clear_workspace(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {"log", "log.times"}
