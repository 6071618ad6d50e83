"""A server from its first start to its end, and again: keys, answers, signals, what goes on without it."""

import json
import os
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.service.servers import Server, allow, environment, log_of, process, project, running, up
from tests.service.test_drive import executor


@pytest.fixture
def settings() -> dict[str, str]:
    return executor()


def get(server: Server, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{server.url}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def command(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`codeyard …` on the server's own machine."""
    return subprocess.run(
        [sys.executable, "-m", "codeyard.cli.main", *arguments],
        env={**environment({}), "CODEYARD_DATA": str(server.data)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_the_first_start_makes_an_account_and_keys_that_only_their_owner_reads(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    with up(tmp_path, **settings) as server:
        who = server.client("sts").get_caller_identity()
        said = server.main.said()

    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (server.data / "keys").iterdir()}
    assert files == {"console": 0o600, "root": 0o600, "vault.key": 0o600}
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    assert who["Arn"] == "arn:aws:iam::000000000000:root"
    assert server.url in said


def test_all_that_a_server_keeps_is_for_its_owner_alone(tmp_path: Path, settings: dict[str, str]) -> None:
    with up(tmp_path, **settings) as server:
        project(server, "app", allow(server, "builds"), {"phases": {"build": {"commands": ["echo hello"]}}})
        build = server.client("codebuild").start_build(projectName="app")["build"]["id"]
        server.wait(build)
        readable = [path for path in server.data.rglob("*") if stat.S_IMODE(path.lstat().st_mode) & 0o077]

    # Beneath a directory that only its owner may enter.
    outside = [path for path in readable if not any(part.parent == server.data / "builds" for part in path.parents)]
    assert [path for path in outside if not path.is_symlink() and path.parent == server.data] == []


def test_the_environment_for_clients_is_printed_for_a_shell(tmp_path: Path, settings: dict[str, str]) -> None:
    with up(tmp_path, **settings) as server:
        printed = command(server, "env")
        told = json.loads(command(server, "env", "--json").stdout)
        used = subprocess.run(["sh", "-c", 'eval "$0" && env', printed.stdout], capture_output=True, text=True)

    assert {line for line in used.stdout.splitlines() if line.startswith("AWS_")} >= {
        f"{name}={value}" for name, value in told.items()
    }


def test_it_says_how_it_is(tmp_path: Path, settings: dict[str, str]) -> None:
    with up(tmp_path, **settings) as server:
        answers = {path: get(server, path) for path in ("/healthz", "/readyz", "/metrics")}

    assert {path: answer[0] for path, answer in answers.items()} == {"/healthz": 200, "/readyz": 200, "/metrics": 200}
    assert 'codeyard_builds{standing="WAITING"} 0.0' in answers["/metrics"][1]
    assert "codeyard_workers 1.0" in answers["/metrics"][1]


def test_a_second_server_of_the_same_directory_is_refused(tmp_path: Path, settings: dict[str, str]) -> None:
    with up(tmp_path, **settings) as server:
        second = command(server, "up", "--listen", "127.0.0.1:0")

    assert second.returncode == 2
    assert "it runs already" in second.stderr


def test_a_port_that_is_taken_is_told(tmp_path: Path, settings: dict[str, str]) -> None:
    with up(tmp_path, **settings) as server:
        address = server.url.removeprefix("http://")
        second = command(server, "up", "--listen", address, "--data", str(tmp_path / "other"))

    assert second.returncode == 2
    assert address in second.stderr
    assert "--listen" in second.stderr


def test_another_key_than_the_one_that_sealed_the_database_is_refused(tmp_path: Path, settings: dict[str, str]) -> None:
    with up(tmp_path, **settings) as server:
        pass
    (server.data / "keys" / "vault.key").unlink()

    again = command(server, "up", "--listen", "127.0.0.1:0")

    assert again.returncode == 3
    assert "vault_key" in again.stderr
    assert not (server.data / "keys" / "vault.key").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_build_outlives_its_server_and_the_next_one_ends_it(
    tmp_path: Path, settings: dict[str, str], number: signal.Signals
) -> None:
    commands = [f"echo line {line}; sleep 0.2" for line in range(15)]
    with up(tmp_path, **settings) as server:
        project(server, "app", allow(server, "builds"), {"phases": {"build": {"commands": commands}}})
        build = server.client("codebuild").start_build(projectName="app")["build"]["id"]
        codebuild = server.client("codebuild")
        while codebuild.batch_get_builds(ids=[build])["builds"][0]["currentPhase"] != "BUILD":
            pass
        server.main.signal(number)
        code = server.main.wait()
        server.start()
        ended = server.wait(build)
        log = log_of(server, build)

    assert code == (0 if number is signal.SIGTERM else -9)
    assert ended["buildStatus"] == "SUCCEEDED"
    printed = [line for line in log.splitlines() if line.startswith("line ")]
    assert printed == [f"line {line}" for line in range(15)]


def test_workers_beside_the_server_end_with_it_and_are_started_again_if_they_die(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    with up(tmp_path, "--workers", "1", **settings) as server:
        project(server, "app", allow(server, "builds"), {"phases": {"build": {"commands": ["true"]}}})
        first = server.client("codebuild").start_build(projectName="app")["build"]["id"]
        server.wait(first)
        (worker,) = children(server)
        os.kill(worker, signal.SIGKILL)
        second = server.client("codebuild").start_build(projectName="app")["build"]["id"]
        ended = server.wait(second)
        (again,) = children(server)
        server.main.signal(signal.SIGTERM)
        server.main.wait()

    assert ended["buildStatus"] == "SUCCEEDED"
    assert again != worker
    assert not Path(f"/proc/{again}").exists()


def children(server: Server) -> list[int]:
    """The worker processes of a server."""
    assert server.main.child is not None
    parent = server.main.child.pid
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command, status = (path / "cmdline").read_bytes(), (path / "stat").read_text()
        except OSError:
            continue
        if b"\0worker\0" in command and int(status.rpartition(")")[2].split()[1]) == parent:
            found.append(int(path.name))
    return found


def test_a_server_that_only_serves_leaves_builds_to_a_worker(tmp_path: Path, settings: dict[str, str]) -> None:
    main = process(tmp_path, "server", "serve", "--listen", "127.0.0.1:0", **settings)
    server = Server(main)
    with running(server):
        database = f"sqlite:///{server.data / 'codeyard.sqlite'}"
        key = str(server.data / "keys" / "vault.key")
        project(server, "app", allow(server, "builds"), {"phases": {"build": {"commands": ["echo by a worker"]}}})
        build = server.client("codebuild").start_build(projectName="app")["build"]["id"]
        waiting = server.client("codebuild").batch_get_builds(ids=[build])["builds"][0]
        worker = process(
            tmp_path, "worker", "worker", **settings, database=database, vault_key=key, url=server.url, worker="one"
        )
        server.workers.append(worker)
        worker.start()
        ended = server.wait(build)
        log = log_of(server, build)

    assert waiting["currentPhase"] == "QUEUED"
    assert ended["buildStatus"] == "SUCCEEDED"
    assert "by a worker" in log.splitlines()  # read from the worker, over HTTP: its directory is another
