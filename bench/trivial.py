"""Trivial builds through a server: until the first command runs, until it succeeded, and many; Buildbot beside it.

    python -m bench.trivial [--runs N] [--many N] [--image IMAGE] [--buildbot DIR]

`--buildbot` names a virtual environment for Buildbot, which is made there if it is not; `none` leaves Buildbot out.
"""

import argparse
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.buildbot import Buildbot, buildbot, install
from bench.report import heading, left_out, line, middle, ms
from bench.serving import TELLS, TRIVIAL, Client, Server, serving

_AT_ONCE = 8


def main() -> None:
    """Run everything and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--many", type=int, default=100)
    parser.add_argument("--image", help="one that the container engine has; without it docker is left out")
    parser.add_argument("--buildbot", default=str(Path(tempfile.gettempdir()) / "codeyard-bench-buildbot"))
    options = parser.parse_args()
    heading(f"Trivial builds: median of {options.runs}, {os.cpu_count()} cores; builds per second of {options.many}")
    with tempfile.TemporaryDirectory(prefix="codeyard-bench-") as place, ExitStack() as stack:
        peer = _buildbot(Path(place), options.buildbot, stack)
        for name in ("bubblewrap", "process"):
            if name == "bubblewrap" and shutil.which("bwrap") is None:
                left_out(name, "there is no bwrap")
                continue
            _ours(Path(place) / name, name, options.runs, options.many, peer)
        stack.close()
        if options.image:
            _docker(Path(place) / "docker", options.image, options.runs, options.many // 4)
        else:
            left_out("docker", "--image names none")


def _buildbot(place: Path, environment: str, stack: ExitStack) -> Buildbot | None:
    problem = "as was asked" if environment == "none" else install(Path(environment))
    if problem is not None:
        left_out("Buildbot", problem)
        return None
    peer = stack.enter_context(buildbot(Path(environment), place / "buildbot", _two_ports()))
    _one_of(peer)
    return peer


def _one_of(peer: Buildbot) -> None:
    before = peer.complete()
    peer.force()
    peer.wait_for(before + 1)


def _rate_of(peer: Buildbot, many: int) -> float:
    before, began = peer.complete(), time.perf_counter()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda _: peer.force(), range(many)))
    peer.wait_for(before + many)
    return many / (time.perf_counter() - began)


def _ours(place: Path, name: str, runs: int, many: int, peer: Buildbot | None) -> None:
    starts, wholes, theirs = [], [], []
    with _server(place, name) as server:
        client = _projects(server)
        for _ in range(runs):  # in turn, so that whatever else the machine does meets both
            if peer is not None:
                theirs += _each(1, partial(_one_of, peer))
            starts.append(_start(server, client))
            wholes += _each(1, partial(_trivial, server, client))
        rate = _rate(server, client, many)
    started, whole = middle(starts), middle(wholes)
    if peer is None:
        line(f"{name}: StartBuild answered → command runs", ms(started))
        line(f"{name}: StartBuild → SUCCEEDED", ms(whole))
        line(f"{name}: trivial builds per second", f"{rate:.1f} /s")
        return
    one, per_second = middle(theirs), _rate_of(peer, many)
    line("peer: Buildbot, trivial build", ms(one))
    line("peer: Buildbot, trivial builds per second", f"{per_second:.1f} /s")
    line(f"{name}: StartBuild answered → command runs", ms(started), f"{started / one:.3f} × Buildbot's build",
         "≤ 0.2 ×, aim 10 ms", started <= one / 5)  # fmt: skip
    line(f"{name}: StartBuild → SUCCEEDED", ms(whole), f"{whole / one:.3f} × Buildbot's", "≤ 0.25 ×, aim 0.1",
         whole <= one / 4)  # fmt: skip
    line(f"{name}: trivial builds per second", f"{rate:.1f} /s", f"{rate / per_second:.2f} × Buildbot's",
         "≥ 1.5 ×, aim 4", rate >= 1.5 * per_second)  # fmt: skip


def _docker(place: Path, image: str, runs: int, many: int) -> None:
    with _server(place, "docker") as server:
        client = _projects(server, image)
        run = ["docker", "run", "--rm", image, "/bin/sh", "-c", "true"]
        peers, ours, whole = [], [], []
        for _ in range(runs):  # in turn, so that whatever else the machine does meets both
            peers += _each(1, lambda: subprocess.run(run, check=True, capture_output=True))
            ours.append(_start(server, client))
            whole += _each(1, lambda: _trivial(server, client))
        alone = _engine_rate(image, many)
        rate = _rate(server, client, many)
    peer, started = middle(peers), middle(ours)
    line("peer: docker run --rm", ms(peer))
    line("docker: StartBuild answered → command runs", ms(started), f"{started / peer:.2f} × docker run", "≤ 1.2 ×",
         started <= 1.2 * peer)  # fmt: skip
    line("docker: StartBuild → SUCCEEDED", ms(middle(whole)), f"{middle(whole) / peer:.2f} × docker run")
    line(f"peer: the engine alone, {_AT_ONCE} at once", f"{alone:.2f} /s")
    line("docker: trivial builds per second", f"{rate:.2f} /s", f"{rate / alone:.2f} × the engine alone", "≥ 0.85 ×",
         rate >= 0.85 * alone)  # fmt: skip


def _server(place: Path, executor: str):  # type: ignore[no-untyped-def] # a context manager of a Server
    unsafe = ["--unsafe-process"] if executor == "process" else []
    return serving(
        place, "--executor", executor, "--cpus", "64", "--memory", "256", *unsafe,
        settings={"CODEYARD_BUILDS": str(_AT_ONCE)},
    )  # fmt: skip


def _projects(server: Server, image: str = "aws/codebuild/standard:7.0") -> Client:
    client = server.client()
    server.role()
    server.project(client, "trivial", TRIVIAL, image)
    server.project(client, "tells", TELLS, image)
    for _ in range(2):  # what is loaded at the first build
        _trivial(server, client)
    return client


def _start(server: Server, client: Client) -> float:
    """Seconds from StartBuild's answer until the first command has printed."""
    prepared = client.prepare("codebuild", "StartBuild", {"projectName": "tells"})
    run = client.send(prepared)["build"]["id"].rpartition(":")[2]
    began = time.perf_counter()
    home = server.data / "builds" / run
    while not _printed(home / "spool"):
        time.sleep(0.0005)
    taken = time.perf_counter() - began
    _check(server.wait_for(run), server)
    return taken


def _printed(spool: Path) -> bool:
    try:
        return b"began" in spool.read_bytes()
    except OSError:
        return False


def _trivial(server: Server, client: Client) -> None:
    prepared = client.prepare("codebuild", "StartBuild", {"projectName": "trivial"})
    _check(server.wait_for(client.send(prepared)["build"]["id"].rpartition(":")[2]), server)


def _check(status: str, server: Server) -> None:
    if status != "SUCCEEDED":
        raise SystemExit(f"a build ended {status}: see {server.data}")


def _rate(server: Server, client: Client, many: int) -> float:
    """Builds per second, _AT_ONCE at a time, from the first call to the last end."""
    prepared = client.prepare("codebuild", "StartBuild", {"projectName": "trivial"})
    before, began = server.statuses().get("SUCCEEDED", 0), time.perf_counter()
    for _ in range(many):
        client.send(prepared)
    while (found := server.statuses()).get("SUCCEEDED", 0) < before + many:
        if set(found) - {"SUCCEEDED", "IN_PROGRESS"}:
            raise SystemExit(f"builds ended otherwise: {found}")
        time.sleep(0.01)
    return many / (time.perf_counter() - began)


class _Unix(http.client.HTTPConnection):
    def connect(self) -> None:
        path = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)


def _engine_rate(image: str, many: int) -> float:
    """Containers of `sh -c true` per second by the engine's own API, created, started, awaited and removed."""

    def one(_: int) -> None:
        connection = _Unix("docker")

        def ask(method: str, path: str, given: object = None) -> bytes:
            body = None if given is None else json.dumps(given)
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            if answer.status >= 300:
                raise SystemExit(f"the engine answered {answer.status}: {content[:200]!r}")
            return content

        id = json.loads(ask("POST", "/containers/create", {"Image": image, "Cmd": ["/bin/sh", "-c", "true"]}))["Id"]
        ask("POST", f"/containers/{id}/start")
        ask("POST", f"/containers/{id}/wait")
        ask("DELETE", f"/containers/{id}")
        connection.close()

    began = time.perf_counter()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(one, range(many)))
    return many / (time.perf_counter() - began)


def _each(runs: int, work: Callable[[], object]) -> list[float]:
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return taken


def _two_ports() -> int:
    """A free port, after which one more is free."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


if __name__ == "__main__":
    main()
