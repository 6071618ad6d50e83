"""Scripts that behave, hang, daemonise, flood and hide."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from codeyard.deploys import MAX_TAIL, ErrorCode
from codeyard.deploys.hooks import MAX_LOG, Ran, Script, ScriptLog, run_script

Run = Callable[..., Ran]


@pytest.fixture
def log(tmp_path: Path) -> ScriptLog:
    return ScriptLog("d-000000001", "AfterInstall", tmp_path / "logs" / "scripts.log", tmp_path / "common.log")


@pytest.fixture
def run(tmp_path: Path, log: ScriptLog) -> Run:
    """Run a script of this text."""

    def it(text: str | bytes, *, mode: int = 0o755, timeout: float = 20, runas: str | None = None) -> Ran:
        content = text if isinstance(text, bytes) else f"#!/bin/sh\n{text}\n".encode()
        (tmp_path / "script").write_bytes(content)
        (tmp_path / "script").chmod(mode)
        script = Script("script", tmp_path, timeout, {"GIVEN": "yes"}, runas)
        with log:
            return asyncio.run(run_script(script, log, lambda process: None))

    return it


def _alive(pid_file: Path) -> bool:
    """Whether that process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid_file.read_text().strip()}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _soon(fact: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not fact() and time.monotonic() < deadline:
        time.sleep(0.02)
    return fact()


def test_what_a_script_says_is_logged_line_by_line(run: Run, log: ScriptLog, tmp_path: Path) -> None:
    ran = run("echo one; echo two; printf three >&2; cat")

    assert ran == Ran(script="script")
    lines = ["LifecycleEvent - AfterInstall", "Script - script", "[stdout]one", "[stdout]two", "[stderr]three"]
    assert sorted(log.tail.splitlines()) == sorted(lines)
    assert (tmp_path / "logs" / "scripts.log").read_text() == log.tail
    assert all(line.startswith("[d-000000001]") for line in (tmp_path / "common.log").read_text().splitlines())


def test_a_script_sees_what_it_is_given_and_no_secret_of_ours(
    run: Run, log: ScriptLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_TOKEN", "hush")
    run("env")

    assert "[stdout]GIVEN=yes" in log.tail
    assert "HOME=" in log.tail
    assert "hush" not in log.tail


@pytest.mark.parametrize(
    ("text", "mode", "code", "message"),
    [
        ("exit 7", 0o755, ErrorCode.SCRIPT_FAILED, "Script at specified location: script failed with exit code 7"),
        ("exit 0", 0o644, ErrorCode.SUCCESS, ""),
        (b"exit 0\n", 0o755, ErrorCode.SUCCESS, ""),
        (b"#!/no/such/shell\n", 0o755, ErrorCode.UNKNOWN_ERROR, "cannot be run"),
        (b"\x7fELF rubbish \xff", 0o755, ErrorCode.SCRIPT_FAILED, "failed with exit code"),
    ],
)
def test_how_a_script_ends_is_told(run: Run, text: str | bytes, mode: int, code: ErrorCode, message: str) -> None:
    ran = run(text, mode=mode)

    assert ran.code is code
    assert message in ran.message


def test_a_script_that_hangs_is_ended_with_all_of_its_group(run: Run, log: ScriptLog, tmp_path: Path) -> None:
    ran = run(f"trap '' TERM\n(trap '' TERM; sleep 61) &\necho $! > {tmp_path}/child; echo hi; sleep 60", timeout=0.5)

    assert ran.code is ErrorCode.SCRIPT_TIMED_OUT
    assert ran.message == "Script at specified location: script failed to complete in 0.5 seconds"
    assert _soon(lambda: not _alive(tmp_path / "child"))
    assert "[stdout]hi" in log.tail


def test_a_daemon_that_keeps_the_output_open_fails_the_script_and_goes_on(run: Run, tmp_path: Path) -> None:
    begun = time.monotonic()
    ran = run(f"setsid sleep 30 & echo $! > {tmp_path}/daemon", timeout=0.5)

    assert ran.code is ErrorCode.UNKNOWN_ERROR
    assert ran.message == "Script at specified location: script failed to close STDOUT"
    assert time.monotonic() - begun < 20
    assert _alive(tmp_path / "daemon")
    os.kill(int((tmp_path / "daemon").read_text()), 9)


def test_a_daemon_that_closes_its_output_is_fine(run: Run, tmp_path: Path) -> None:
    ran = run(f"setsid sleep 30 >/dev/null 2>&1 </dev/null & echo $! > {tmp_path}/daemon")

    assert ran.code is ErrorCode.SUCCESS
    os.kill(int((tmp_path / "daemon").read_text()), 9)


def test_a_flood_is_bounded_and_its_end_is_kept(run: Run, log: ScriptLog, tmp_path: Path) -> None:
    ran = run("head -c 20000000 /dev/zero | tr '\\0' x; echo; yes | head -n 3000; echo the end")

    assert ran.code is ErrorCode.SUCCESS
    assert len(log.tail) <= MAX_TAIL
    assert log.tail.endswith("[stdout]the end\n")
    assert (tmp_path / "logs" / "scripts.log").stat().st_size < MAX_LOG + 10_000


def test_a_script_that_is_not_there_is_missing(tmp_path: Path, log: ScriptLog) -> None:
    with log:
        ran = asyncio.run(run_script(Script("no/such", tmp_path, 1, {}), log, lambda process: None))

    assert ran.code is ErrorCode.SCRIPT_MISSING
    assert ran.message == f"Script does not exist at specified location: {tmp_path}/no/such"


def test_a_script_behind_a_link_that_leads_out_is_not_run(tmp_path: Path, log: ScriptLog) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "out").symlink_to("/bin")
    with log:
        ran = asyncio.run(run_script(Script("out/true", tmp_path / "in", 1, {}), log, lambda process: None))

    assert ran.code is ErrorCode.UNKNOWN_ERROR
    assert "leads out of the revision" in ran.message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_script_runs_as_another_user(run: Run, log: ScriptLog, tmp_path: Path) -> None:
    tmp_path.parent.chmod(0o700)  # as an agent's state directory is
    tmp_path.chmod(0o755)
    ran = run("id -un; id -G; echo $HOME; cat script", runas="nobody")
    plain = run(b"id -un", runas="nobody")
    unknown = run("true", runas="nobody-at-all")

    assert ran.code is ErrorCode.SUCCESS, ran.message
    assert plain.code is ErrorCode.SUCCESS, plain.message
    assert "[stdout]nobody" in log.tail
    assert unknown.code is ErrorCode.UNKNOWN_ERROR
    assert "this machine does not know it" in unknown.message


def test_whoever_stops_waiting_ends_the_script(tmp_path: Path, log: ScriptLog) -> None:
    (tmp_path / "script").write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    (tmp_path / "script").chmod(0o755)

    async def give_up() -> None:
        task = asyncio.create_task(run_script(Script("script", tmp_path, 60, {}), log, lambda process: None))
        while not (tmp_path / "pid").exists():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with log:
        asyncio.run(give_up())

    assert _soon(lambda: not _alive(tmp_path / "pid"))
