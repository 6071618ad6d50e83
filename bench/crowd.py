"""Many builds at once: thousands of StartBuild calls that queue, and fifty builds that print ten megabytes each.

    python -m bench.crowd [--calls N] [--builds N] [--megabytes N] [--minutes N]

Builds run in the process executor, eight at a time for the first, all at once for the second. Client and server share
the machine. A tenth more of the calls come while builds run.
"""

import argparse
import itertools
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.report import at, heading, line, ms
from bench.serving import TRIVIAL, Client, Server, serving

_CLIENTS, _PROJECTS = 8, 10
_TEXT = "x" * 99
_OPTIONS = ("--executor", "process", "--unsafe-process", "--cpus", "1000", "--memory", "4000")


def main() -> None:
    """Run both and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000, help="10000 is the number that is promised")
    parser.add_argument("--builds", type=int, default=50)
    parser.add_argument("--megabytes", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=30.0, help="until it gives up")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="codeyard-bench-") as place:
        if options.calls:
            heading(f"{options.calls:,} StartBuild calls at once, {_CLIENTS} connections, 8 builds at a time")
            _queue(Path(place) / "queue", options.calls, options.minutes * 60)
        if options.builds:
            heading(f"{options.builds} builds at once that print {options.megabytes} MB each")
            _output(Path(place), options.builds, options.megabytes, options.minutes * 60)


def _queue(place: Path, calls: int, patience: float) -> None:
    """All are asked for while nothing runs, so that as many wait at once; then a server with a worker takes them."""
    with serving(place, command="serve") as server:
        client = server.client()
        server.role()
        for number in range(_PROJECTS):
            server.project(client, f"project-{number}", TRIVIAL)
        before = server.memory()
        began = time.perf_counter()
        times = _started(server, calls)
        asked = time.perf_counter() - began
        line(
            "StartBuild, no build runs", ms(at(0.5, times)), f"p99 {ms(at(0.99, times))}; {calls / asked:,.0f} calls/s"
        )
        line(f"BatchGetBuilds of one, {server.under_way():,} wait", ms(_looked(server)), "with its place in the queue")
        line("memory, at the most", f"{server.most_memory() / 1e6:.0f} MB", f"{before / 1e6:.0f} MB before")
    with serving(place, *_OPTIONS, settings={"CODEYARD_BUILDS": "8"}) as server:
        began, worked, left = time.perf_counter(), server.cpu(), server.under_way()
        line("BatchGetBuilds of one, eight builds run", ms(_looked(server)), "with its place in the queue")
        times = _started(server, calls // 10)
        line("StartBuild, eight builds run", ms(at(0.5, times)), f"p99 {ms(at(0.99, times))}")
        rates = _all_end(server, calls + len(times), patience)
        took, worked = time.perf_counter() - began, server.cpu() - worked
        most = server.most_memory()
    ended = left + len(times)
    line("all ended SUCCEEDED", f"{calls + len(times):,}", f"{ended / took:.1f} builds/s")
    line("by tenths of what was left", " ".join(f"{rate:.1f}" for rate in rates), "builds/s")
    line("the server worked, for each", ms(worked / ended))
    line("memory, at the most", f"{most / 1e6:.0f} MB")


def _started(server: Server, calls: int) -> list[float]:
    """Seconds that each StartBuild took, of so many by all connections at once, of every project in turn."""
    clients = [server.client() for _ in range(_CLIENTS)]

    def start(each: tuple[Client, int]) -> list[float]:
        client, share = each
        prepared = [
            client.prepare("codebuild", "StartBuild", {"projectName": f"project-{n}"}) for n in range(_PROJECTS)
        ]
        taken = []
        for request in itertools.islice(itertools.cycle(prepared), share):
            began = time.perf_counter()
            client.send(request)
            taken.append(time.perf_counter() - began)
        return taken

    shares = [len(range(number, calls, _CLIENTS)) for number in range(_CLIENTS)]
    with ThreadPoolExecutor(_CLIENTS) as pool:
        return list(itertools.chain.from_iterable(pool.map(start, zip(clients, shares, strict=True))))


def _looked(server: Server) -> float:
    """Seconds to be told of the build that waits last, the middle of several."""
    client = server.client()
    asked = client.prepare("codebuild", "BatchGetBuilds", {"ids": client.call("codebuild", "ListBuilds")["ids"][:1]})
    taken = []
    for _ in range(25):
        began = time.perf_counter()
        client.send(asked)
        taken.append(time.perf_counter() - began)
        time.sleep(0.1)
    return at(0.5, taken)


def _all_end(server: Server, builds: int, patience: float) -> list[float]:
    """Wait for it. Builds per second, of each tenth of those that are under way now."""
    began = marked = time.monotonic()
    tenth = server.under_way() / 10
    left, rates = 10 * tenth, list[float]()
    while (now := server.under_way()) > 0:
        if time.monotonic() > began + patience:
            raise SystemExit(f"after {patience:g} seconds: {server.statuses()}")
        if now <= left - tenth:
            rates.append((left - now) / (time.monotonic() - marked))
            left, marked = now, time.monotonic()
        time.sleep(0.1)
    if (found := server.statuses()) != {"SUCCEEDED": builds}:
        raise SystemExit(f"builds ended otherwise: {found}")
    return rates


def _output(place: Path, builds: int, megabytes: int, patience: float) -> None:
    lines = megabytes * 1_000_000 // (len(_TEXT) + 1)
    command = f"yes {_TEXT} | head -n {lines}"
    buildspec = f"version: 0.2\nphases: {{build: {{commands: ['{command}']}}}}\n"
    plain = _plain(place, command, builds)
    with serving(place / "output", *_OPTIONS, settings={"CODEYARD_BUILDS": str(builds)}) as server:
        client = server.client()
        server.role()
        server.project(client, "prints", buildspec)
        before = server.memory()
        request = client.prepare("codebuild", "StartBuild", {"projectName": "prints"})
        began = time.perf_counter()
        runs = [client.send(request)["build"]["id"].rpartition(":")[2] for _ in range(builds)]
        _all_end(server, builds, patience)
        took = time.perf_counter() - began
        most = server.most_memory()
        whole = sum(_whole(server.data / "builds" / run / "log", lines) for run in runs)
    line("peer: the same shells into files", ms(plain))
    line("all ended", ms(took), f"{took / plain:.1f} × the shells; {builds * megabytes / took:.0f} MB/s")
    line("logs that are whole", f"{whole}", f"of {builds}", "all", whole == builds)
    line("memory, at the most", f"{most / 1e6:.0f} MB", f"{before / 1e6:.0f} MB before")


def _plain(place: Path, command: str, builds: int) -> float:
    began = time.perf_counter()
    running = []
    for number in range(builds):
        with (place / f"plain-{number}").open("wb") as out:
            running.append(subprocess.Popen(["sh", "-c", command], stdout=out))
    for process in running:
        process.wait()
    return time.perf_counter() - began


def _whole(log: Path, lines: int) -> bool:
    wanted = f"{_TEXT}\n".encode()
    with log.open("rb") as content:
        return sum(each == wanted for each in content) == lines


if __name__ == "__main__":
    main()
