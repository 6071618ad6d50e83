"""The commands for people, against a server that runs: what they show, and how they end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.servers import Server, allow, process, project, running
from tests.service.test_drive import executor

ROLE = "arn:aws:iam::000000000000:role/builds"
COMMAND = (sys.executable, "-m", "codeyard.cli.main")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that is at the same address when it starts again."""
    directory = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"cpus": "4", "memory": "8", **executor()}
    made = Server(process(directory, "data", "up", "--listen", f"127.0.0.1:{port}", **settings))
    with running(made):
        allow(made, "builds")
        project(made, "good", ROLE, {"phases": {"build": {"commands": ["echo hello"]}}})
        project(made, "bad", ROLE, {"phases": {"build": {"commands": ["exit 3"]}}})
        project(made, "long", ROLE, {"phases": {"build": {"commands": ["echo begun; sleep ${NAP:-60}; echo done"]}}})
        yield made


def environment(server: Server, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CODEYARD_", "NO_COLOR"))}
    return {**kept, **server.env(), **more}


def ran(server: Server, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], env=environment(server, **more), capture_output=True, text=True, timeout=60, check=False
    )


def begun(server: Server, *arguments: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments], env=environment(server, **more), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def heard(child: subprocess.Popen[str], what: str) -> None:
    """Read until it is said."""
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip() == what:
            return
    raise AssertionError(f"it never said {what!r}")


@pytest.mark.parametrize(("name", "code", "said"), [("good", 0, "SUCCEEDED"), ("bad", 1, "FAILED")])
def test_whoever_follows_a_build_leaves_as_it_ended(server: Server, name: str, code: int, said: str) -> None:
    started = ran(server, "start", name, "--follow")
    again = ran(server, "logs", name, "--follow")

    assert (started.returncode, again.returncode) == (code, code)
    assert f"codeyard: {said} in " in started.stderr
    assert started.stdout == again.stdout == ran(server, "logs", name).stdout


def test_ctrl_c_ends_only_the_looking(server: Server) -> None:
    child = begun(server, "start", "long", "--follow")
    heard(child, "begun")
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=30)
    listed = ran(server, "builds", "long", "--limit", "1").stdout
    stopped = ran(server, "stop", "long")

    assert child.returncode == 130
    assert "the build goes on. See it: codeyard logs -f long:" in errors
    assert " IN_PROGRESS " in listed
    assert stopped.stdout.split()[1:] == ["STOPPED"]


def test_a_build_that_is_stopped_ends_the_looking(server: Server) -> None:
    child = begun(server, "start", "long", "--follow")
    heard(child, "begun")
    ran(server, "stop", "long")
    _, errors = child.communicate(timeout=30)

    assert (child.returncode, "codeyard: STOPPED in " in errors) == (1, True)


def test_whoever_looks_looks_on_while_the_server_starts_again(server: Server) -> None:
    child = begun(server, "start", "long", "--follow", "--env", "NAP=6")
    heard(child, "begun")
    server.kill()
    time.sleep(1.5)  # long enough to be missed
    server.start()
    shown, errors = child.communicate(timeout=60)

    assert "the server does not answer; waiting for it" in errors
    assert child.returncode == 0
    assert "done" in shown.splitlines()


@pytest.mark.parametrize(
    ("arguments", "change", "code", "said"),
    [
        (["start", "none"], {}, 2, "codeyard projects"),
        (["stop", "good:00000000-0000-0000-0000-000000000000"], {}, 2, "there is no such build"),
        (["projects"], {"AWS_SECRET_ACCESS_KEY": "wrong"}, 2, 'eval "$(codeyard env)"'),
        (["projects"], {"AWS_ACCESS_KEY_ID": "AKIANONE"}, 2, 'eval "$(codeyard env)"'),
        (["projects"], {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, 3, "See that it runs"),
        (["projects"], {"AWS_ENDPOINT_URL": "127.0.0.1:9"}, 2, "it is no URL"),
        (["artifacts", "good"], {}, 2, "none in a bucket"),
    ],
)
def test_what_is_wrong_is_said_with_what_helps(
    server: Server, arguments: list[str], change: dict[str, str], code: int, said: str
) -> None:
    ended = ran(server, *arguments, **change)

    assert (ended.returncode, ended.stdout) == (code, "")
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_no_color_counts_whatever_it_is_set_to(server: Server) -> None:
    ended = ran(server, "logs", "good", NO_COLOR="always")

    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_newest_build_of_each_project_is_told(server: Server) -> None:
    ran(server, "start", "bad", "--follow")
    project(server, "unused", ROLE, {"phases": {"build": {"commands": ["true"]}}})
    listed = {line.split()[0]: line.split()[1] for line in ran(server, "projects").stdout.splitlines()}

    assert (listed["bad"], listed["unused"]) == ("FAILED", "-")


def test_the_greeting_says_how_to_reach_a_server_elsewhere(server: Server, tmp_path: Path) -> None:
    told = subprocess.run(
        [*COMMAND, "env", "--data", str(server.data)], capture_output=True, text=True, timeout=30, check=True
    )

    assert f"codeyard env --data {server.data}" in server.main.said()
    assert f"export AWS_ENDPOINT_URL={server.url}" in told.stdout
