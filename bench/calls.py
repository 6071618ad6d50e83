"""Small calls to a server: how long an answer takes and how many it gives; /healthz of the same server beside them.

    python -m bench.calls [--calls N]

Requests are signed beforehand. Client and server share the machine.
"""

import argparse
import tempfile
import time
import urllib.parse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import TypeVar

from bench.report import at, heading, line, ms
from bench.serving import TRIVIAL, Client, Server, serving

T = TypeVar("T")
_AT_ONCE = 8


def main() -> None:
    """Print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1000)
    options = parser.parse_args()
    heading(f"Small calls: {options.calls} one after the other, and {_AT_ONCE} at a time")
    with tempfile.TemporaryDirectory(prefix="codeyard-bench-") as place:
        data = Path(place) / "data"
        with serving(data, "--executor", "process", "--unsafe-process") as server:
            client = server.client()
            server.role()
            for number in range(50):
                server.project(client, f"project-{number}", TRIVIAL)
            build = client.call("codebuild", "StartBuild", projectName="project-1")["build"]["id"]
            server.wait_for(build.rpartition(":")[2])
            _healthz(server, options.calls)
            _small(server, "ListProjects (50)", "ListProjects", {}, options.calls)
            _small(server, "BatchGetBuilds (1)", "BatchGetBuilds", {"ids": [build]}, options.calls)
            _small(server, "BatchGetProjects (1)", "BatchGetProjects", {"names": ["project-1"]}, options.calls)


def _small(server: Server, what: str, operation: str, given: dict[str, object], calls: int) -> None:
    client = server.client()
    prepared = client.prepare("codebuild", operation, given)
    many = [server.client() for _ in range(_AT_ONCE)]

    def some(each: Client) -> None:
        for _ in range(calls // _AT_ONCE):
            each.send(prepared)

    _told(what, _times(calls, lambda: client.send(prepared)), _rate(many, some, calls))


def _healthz(server: Server, calls: int) -> None:
    parts = urllib.parse.urlsplit(server.url)

    def opened() -> HTTPConnection:
        return HTTPConnection(parts.hostname or "", parts.port)

    def get(connection: HTTPConnection) -> None:
        connection.request("GET", "/healthz")
        connection.getresponse().read()

    def some(connection: HTTPConnection) -> None:
        for _ in range(calls // _AT_ONCE):
            get(connection)

    one = opened()
    _told(
        "peer: GET /healthz", _times(calls, lambda: get(one)), _rate([opened() for _ in range(_AT_ONCE)], some, calls)
    )


def _told(what: str, times: list[float], rate: float) -> None:
    line(what, ms(at(0.5, times)), f"p99 {ms(at(0.99, times))}; {rate:,.0f} /s, {_AT_ONCE} at a time")


def _times(calls: int, work: Callable[[], object]) -> list[float]:
    taken = []
    for _ in range(calls):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return taken


def _rate(clients: list[T], work: Callable[[T], None], calls: int) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(work, clients))
    return calls / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
