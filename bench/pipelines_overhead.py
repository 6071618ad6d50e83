"""What a pipeline itself costs: ten stages whose actions do nothing, and hundreds of such pipelines at once.

    python -m bench.pipelines_overhead [--runs 20] [--pipelines 200]

Each action is a Codeyard-HTTP request to a listener in this process, which notes when it came and answers at once: so
an action's work begins when the request is there, and from one to the next is all that lies between two actions, the
request itself included. The peer are the same ten requests, made by curl in a shell script.
"""

import argparse
import io
import subprocess
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.pipelines_served import action, definition, ended, prepare, put_source, until
from bench.report import at, heading, left_out, line, middle, ms
from bench.serving import Server, serving

_STAGES = 10
_HTTP = ("Invoke", "Custom", "Codeyard-HTTP")


def main() -> None:
    """Run everything and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--pipelines", type=int, default=200)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="codeyard-bench-") as made,
        _listening() as heard,
        serving(Path(made) / "data", "--executor", "process", "--unsafe-process") as server,
    ):
        prepare(server)
        source = put_source(server, empty_zip())
        _one(server, source, heard, options.runs)
        _peer(heard, options.runs)
        _crowd(server, source, heard, options.pipelines)


def _one(server: Server, source: dict[str, Any], heard: "Heard", runs: int) -> None:
    heading(f"A pipeline of a source and {_STAGES} stages with an action each that does nothing")
    client = server.boto("codepipeline")
    client.create_pipeline(pipeline=_pipeline("ten", source, heard))
    first = until("it has begun", lambda: _executions(client, "ten"))[0]["pipelineExecutionId"]
    ended(client, "ten", first)
    gaps: list[float] = []
    begins: list[float] = []
    wholes: list[float] = []
    for _ in range(runs):
        heard.clear()
        began = time.time()
        id = client.start_pipeline_execution(name="ten")["pipelineExecutionId"]
        ended(client, "ten", id)
        times = heard.times("ten")
        assert len(times) == _STAGES, times
        begins.append(times[0] - began)
        gaps += [after - before for before, after in pairwise(times)]
        wholes.append(_last_update(client, id) - began)
    worst = f"p99 {ms(at(0.99, gaps))}"
    line(
        "an action's work begins → the next one's", ms(middle(gaps)), worst, "≤ 100 ms, aim 20 ms", middle(gaps) <= 0.1
    )
    line("StartPipelineExecution asked → first work", ms(middle(begins)), "a source from S3 comes before it")
    line(f"the whole: source and {_STAGES} stages", ms(middle(wholes)), f"p99 {ms(at(0.99, wholes))}")


def _last_update(client: Any, id: str) -> float:
    found = client.list_pipeline_executions(pipelineName="ten", maxResults=10)["pipelineExecutionSummaries"]
    return float(next(each["lastUpdateTime"].timestamp() for each in found if each["pipelineExecutionId"] == id))


def _peer(heard: "Heard", runs: int) -> None:
    """The same requests by curl, one after the other, from a shell."""
    script = f"for i in 1 2 3 4 5 6 7 8 9 10; do curl -s -o /dev/null -d '{{}}' {heard.url}/peer; done"
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        try:
            subprocess.run(["sh", "-c", script], check=True)
        except subprocess.CalledProcessError:
            left_out("peer: curl", "it could not be run")
            return
        taken.append(time.perf_counter() - began)
    line(f"peer: {_STAGES} × curl in a shell script", ms(middle(taken)))


def _crowd(server: Server, source: dict[str, Any], heard: "Heard", pipelines: int) -> None:
    heading(f"{pipelines} such pipelines, an execution of each at once")
    names = [f"crowd-{number}" for number in range(pipelines)]
    clients = threading.local()

    def begun(name: str) -> tuple[str, str, float, float]:
        if not hasattr(clients, "mine"):
            clients.mine = server.boto("codepipeline")
        began = time.time()
        clients.mine.create_pipeline(pipeline=_pipeline(name, source, heard))
        took = time.time() - began
        found = until("it has begun", lambda: _executions(clients.mine, name))
        return name, str(found[0]["pipelineExecutionId"]), began, took

    before, worked = server.memory(), server.cpu()
    began = time.time()
    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(begun, names))
    all_begun = time.time() - began
    client = server.boto("codepipeline")
    statuses, wholes = [], []
    for name, id, at_first, _ in started:
        ended(client, name, id)
        found = _executions(client, name)[0]
        statuses.append(found["status"])
        wholes.append(found["lastUpdateTime"].timestamp() - at_first)
    took = time.time() - began
    gaps = [after - before for name in names for before, after in pairwise(heard.times(name))]
    counts = [len(heard.times(name)) for name in names]
    good = statuses.count("Succeeded") == pipelines and set(counts) == {_STAGES}
    line("ended Succeeded, each action done once", f"{statuses.count('Succeeded')}", f"of {pipelines}", "all", good)
    line(
        "all created and begun, by 8 clients",
        f"{all_begun:.1f} s",
        f"CreatePipeline {ms(middle([s[3] for s in started]))}",
    )
    line("all ended", f"{took:.1f} s", f"{pipelines * (_STAGES + 1) / took:.0f} actions a second")
    line("an execution", f"{middle(wholes):.1f} s", f"p99 {at(0.99, wholes):.1f} s")
    line("an action's work begins → the next one's", ms(middle(gaps)), f"p99 {ms(at(0.99, gaps))}")
    line("memory, at the most", f"{server.most_memory() / 1e6:.0f} MB", f"{before / 1e6:.0f} MB before the first")
    line("the server worked, for each action", ms((server.cpu() - worked) / pipelines / (_STAGES + 1)))


def _executions(client: Any, name: str) -> list[Any]:
    return list(client.list_pipeline_executions(pipelineName=name, maxResults=1)["pipelineExecutionSummaries"])


def _pipeline(name: str, source: dict[str, Any], heard: "Heard") -> dict[str, Any]:
    nothing = action("Nothing", _HTTP, {"Url": f"{heard.url}/{name}"})
    stages = {f"Stage{number}": [nothing] for number in range(1, _STAGES + 1)}
    return definition(name, {"Source": [source], **stages})


def empty_zip() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("README", "Nothing is done with it.")
    return made.getvalue()


class Heard:
    """When requests came, by their paths."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._came: dict[str, list[float]] = {}

    def note(self, path: str) -> None:
        self._came.setdefault(path.strip("/"), []).append(time.time())

    def times(self, name: str) -> list[float]:
        return list(self._came.get(name, ()))

    def clear(self) -> None:
        self._came.clear()


@contextmanager
def _listening() -> Iterator[Heard]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            heard.note(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            self.close_connection = True

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nobody asks."""

    class Listener(ThreadingHTTPServer):
        request_queue_size = 512
        daemon_threads = True

    server = Listener(("127.0.0.1", 0), Handler)
    heard = Heard(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    main()
