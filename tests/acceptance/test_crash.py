"""The process of `codeyard run` is killed, and another goes on: promise 1 and 2 of the design."""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from codeyard.cli import local
from codeyard.executors.docker_engine import Endpoint, Engine, whole
from codeyard.secrets import Secret
from codeyard.secrets.vault import Kind, Vault
from tests.acceptance.harness import (
    PROJECT,
    Result,
    Yard,
    events_of,
    living,
    phases,
    text_of,
    tree_of,
    wait_for,
    write_tree,
)
from tests.machines import Machine

RUNS = 12
_AGENT_TIME = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6}")


def _command(number: int) -> str:
    return f"echo begin-{number}; echo {number} >> ran; sleep 0.07; echo end-{number}"


SPEC = {
    **phases(
        install=[_command(1), "X=kept", _command(2)],
        build={
            "commands": [_command(3), f"{_command(4)}; [ $X = kept ]", "(sleep 0.2; echo late >> ran) &", _command(5),
                         "seq 1 20000"],
            "finally": [_command(6)],
        },
        post_build=[_command(7), "sleep 0.2", _command(8)],
    ),
    "artifacts": {"files": ["ran"], "secondary-artifacts": {"second": {"files": ["*"]}}},
    "cache": {"paths": ["ran"], "key": "never-$CODEBUILD_BUILD_ID"},
}  # fmt: skip


def normal(log: str) -> str:
    """Without what differs from run to run: times, ids, directories, the search's duration."""
    log = _AGENT_TIME.sub("TIME", log)
    log = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", log)
    log = re.sub(r"/\S*UUID/codebuild|/codebuild", "ROOT", log)
    return re.sub(r"src\d{9}|\d\.\d{6} seconds", "…", log)


@dataclass(frozen=True, slots=True)
class Survivor:
    """What was seen of one build that was killed some times."""

    kills: int
    code: int | None  # of the last process; None if that one was killed, once all was done
    log: str
    shown: str
    ran: list[str]
    second: set[str]
    clean: bool


def survive(machine: Machine, root: Path, seed: int) -> Survivor:
    """Start it, kill it at random moments (up to four times), and resume it until it has ended."""
    chance = random.Random(f"{machine.name} {seed}")
    yard = Yard(machine, root / str(seed))
    write_tree(yard.source, {"buildspec.yml": text_of(SPEC)})
    kills, code = 0, None
    while not yard.homes() or not (yard.homes()[0] / "result.json").exists():
        mortal = kills < 4 and chance.random() < (1.0 if kills == 0 else 0.8)
        options = ["--resume", yard.homes()[0].name] if yard.homes() else []
        (yard.root / "out").unlink(missing_ok=True)
        code = _run(yard, options, chance.uniform(0.15, 0.7 if options else 1.5) if mortal else None)
        kills += code is None
    home = yard.homes()[0]
    if not (home / "request.json").exists() or (home / "journal").exists():
        yard.cli("--resume", home.name)  # it died while it cleared up: whoever asks clears the rest
    return Survivor(
        kills=kills,
        code=code,
        log=normal((home / "log").read_text()),
        shown=normal((yard.root / "out").read_text()),
        ran=(home / "artifacts" / PROJECT / "ran").read_text().split(),
        second=set(tree_of(home / "artifacts" / "second")),
        clean=living(home.name) == [] and not (home / "codebuild").exists() and not (home / "spool").exists(),
    )


def _run(yard: Yard, options: list[str], mortal: float | None) -> int | None:
    """The exit code, or None if it was killed before its end."""
    with yard.start(*options) as process:
        try:
            return process.wait(timeout=mortal if mortal is not None else 60)
        except subprocess.TimeoutExpired:
            assert mortal is not None, "it hangs"
            process.send_signal(signal.SIGKILL)
            return None


@pytest.fixture
def undisturbed(yard: Yard) -> Result:
    return yard.build(SPEC, cache=str(yard.root / "cache"))


@pytest.mark.parametrize(
    "seeds", [range(3), pytest.param(range(3, 3 + RUNS), marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_a_build_whose_process_is_killed_again_and_again_loses_and_repeats_nothing(
    machine: Machine, undisturbed: Result, tmp_path: Path, seeds: range
) -> None:
    with ThreadPoolExecutor(3) as pool:
        survivors = list(pool.map(partial(survive, machine, tmp_path), seeds))
    logs = {survivor.log for survivor in survivors}

    assert undisturbed.status == "SUCCEEDED"
    assert sum(survivor.kills for survivor in survivors) >= len(seeds) // 2
    assert [survivor.ran for survivor in survivors if sorted(survivor.ran) != sorted([*"12345678", "late"])] == []
    assert logs == {normal(undisturbed.log)}
    assert {survivor.code for survivor in survivors} <= {0, None}
    assert all(survivor.shown == survivor.log for survivor in survivors if survivor.code == 0)
    assert all(survivor.second == {"ran", "buildspec.yml"} for survivor in survivors)
    assert all(survivor.clean for survivor in survivors)


def _killed_in(yard: Yard, command: str, *options: str, spec: dict[str, object] | None = None) -> Path:
    """A build whose process was killed while `command`, which writes a file `there`, ran."""
    write_tree(yard.source, {"buildspec.yml": text_of(spec or phases(build=[command], post_build=["echo after"]))})
    process = yard.start(*options)
    wait_for(lambda: yard.homes() and list(yard.homes()[0].glob("codebuild/output/src*/src/there")))
    process.kill()
    process.wait()
    return yard.homes()[0]


def test_the_exit_code_of_a_failed_build_is_found_again(yard: Yard) -> None:
    home = _killed_in(yard, "touch there; sleep 0.5; exit 7")
    ended = yard.cli("--resume", home.name)

    assert ended.returncode == 1
    assert (home / "log").read_text().count("exit status 7") == 2
    assert b"after\n" in ended.stdout


def test_secrets_stay_masked_in_the_process_that_goes_on(yard: Yard) -> None:
    Vault(yard.state / "vault").put(Kind.PARAMETER, "token", Secret("hush-hush-hush"))
    spec = {
        "env": {"parameter-store": {"T": "token"}},
        **phases(build=["printf 'a %.9s' $T; touch there; sleep 0.6; echo \"${T#?????????}\"; echo $T"]),
    }
    home = _killed_in(yard, "", spec=spec)
    ended = yard.cli("--resume", home.name)

    assert b"hush" not in ended.stdout + ended.stderr
    assert "a ***\n***\n" in (home / "log").read_text()
    assert not (home / "masks").exists()


def test_a_build_that_has_ended_is_not_resumed(yard: Yard) -> None:
    home = yard.build(phases(build=["echo once"])).home
    ended = yard.cli("--resume", f"{PROJECT}:{home.name}")

    assert ended.returncode != 0
    assert b"it has already ended" in ended.stderr
    assert (home / "log").read_text().count("once") == 2


def test_a_build_that_another_process_runs_is_not_resumed(yard: Yard) -> None:
    write_tree(yard.source, {"buildspec.yml": text_of(phases(build=["sleep 1; echo once"]))})
    process = yard.start()
    wait_for(lambda: yard.homes() and (yard.homes()[0] / "log").exists())
    ended = yard.cli("--resume", yard.homes()[0].name)

    assert process.wait() == 0
    assert ended.returncode != 0
    assert b"another process is running it" in ended.stderr


@pytest.mark.parametrize("id", ["nosuch:00000000-0000-0000-0000-000000000000", "..", ""])
def test_an_unknown_build_is_not_resumed(yard: Yard, id: str) -> None:
    yard.build(phases(build=["true"]))
    ended = yard.cli("--resume", id)

    assert ended.returncode == 2
    assert b"no such run" in ended.stderr


def test_the_beginning_of_an_id_is_enough_unless_two_begin_so(yard: Yard) -> None:
    home = _killed_in(yard, "touch there; sleep 0.3")
    (yard.state / "runs" / f"{home.name[:8]}-else").mkdir()
    vague = yard.cli("--resume", home.name[:8])
    exact = yard.cli("--resume", home.name[:12])

    assert (vague.returncode, exact.returncode) == (2, 0)


def test_a_sandbox_that_is_gone_ends_the_build_with_a_fault(yard: Yard) -> None:
    home = _killed_in(yard, "touch there; sleep 60")
    _destroy(yard, home)
    ended = yard.cli("--resume", home.name)
    statuses = [(event["phase"], event["status"], event["code"]) for event in events_of(home) if "status" in event
                and "phase" in event]  # fmt: skip

    assert ended.returncode == 3
    assert ("BUILD", "FAULT", "BUILD_CONTAINER_FOUND_DEAD") in statuses
    assert ("FINALIZING", "SUCCEEDED", "") in statuses
    assert b"after\n" not in ended.stdout
    yard.nothing_is_left(home)


def test_a_workspace_that_is_gone_ends_the_build_and_touches_nothing(yard: Yard) -> None:
    home = _killed_in(yard, "touch there; sleep 60")
    _destroy(yard, home)
    shutil.rmtree(home / "codebuild")
    shutil.rmtree(home / "sandbox", ignore_errors=True)
    ended = yard.cli("--resume", home.name)

    assert ended.returncode == 3
    yard.nothing_is_left(home)


def test_a_state_that_is_gone_is_an_unknown_build(yard: Yard) -> None:
    home = _killed_in(yard, "touch there; sleep 0.2")
    assert yard.cli("--resume", home.name).returncode == 0
    shutil.rmtree(home)
    ended = yard.cli("--resume", home.name)

    assert ended.returncode == 2


def _destroy(yard: Yard, home: Path, *, spared: int = 0) -> None:
    """What a restart of the machine does: every process of the sandbox is gone at once, and docker's container too."""
    if yard.machine.name == "docker":
        engine = Engine(Endpoint.find())
        assert engine.exchange("DELETE", f"/containers/codeyard-{home.name}", {"force": "1"}, whole).ok
        return
    pids = set(living(home.name)) - {spared}
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def test_a_build_whose_sandbox_dies_while_it_runs_is_found_dead(yard: Yard) -> None:
    write_tree(yard.source, {"buildspec.yml": text_of(phases(build=["touch there; sleep 60"], post_build=["echo x"]))})
    process = yard.start()
    wait_for(lambda: yard.homes() and list(yard.homes()[0].glob("codebuild/output/src*/src/there")))
    home = yard.homes()[0]
    _destroy(yard, home, spared=process.pid)
    code = process.wait(timeout=30)
    (ended,) = [event for event in events_of(home) if event["event"] == "phase_ended" and event["phase"] == "BUILD"]

    assert code == 1
    assert "x\n" not in (home / "log").read_text()
    assert ended["code"] == "BUILD_CONTAINER_FOUND_DEAD"
    assert "Build container found dead before completing the build" in (home / "log").read_text()
    yard.nothing_is_left(home)


def test_a_torn_journal_and_index_are_mended(yard: Yard) -> None:
    """What a machine that lost its power may leave: a line cut in the middle."""
    home = _killed_in(yard, "touch there; sleep 0.3; echo done")
    for name in ("journal", "log.index"):
        with (home / name).open("ab") as file:
            file.write(b'["PRE_BU')
    with (home / "events.jsonl").open("ab") as file:
        file.write(b'{"event": "phase')
    ended = yard.cli("--resume", home.name)

    assert ended.returncode == 0
    assert (home / "log").read_text().count("done\n") == 2
    assert events_of(home)[-1]["event"] == "build_ended"


def test_a_request_can_be_resumed_that_never_began(yard: Yard) -> None:
    home = local.submit(yard.state, yard.request(phases(build=["echo here"])))
    ended = yard.perform(home, resumed=True)

    assert ended.printed == ["here"]
    assert time.time() - (home / "log").stat().st_mtime < 30
