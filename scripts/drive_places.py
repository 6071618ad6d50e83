"""What a driven pipeline reads from and deploys to, all of it on this machine: a git server, and agents.

Each agent has a directory of its own where the others have theirs: what lies at PLACE is another thing to each of
them (bubblewrap), as it is on machines of their own.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
_NOBODYS = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{
        f"GIT_{who}_{what}": f"{who.lower()}@example.com"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
}


class Repository:
    """A git repository, filled from a directory."""

    def __init__(self, path: Path, files: Path, replaced: tuple[str, str]) -> None:
        """`replaced` in each file is a text, and what stands for it."""
        self.path = path
        shutil.copytree(files, path, ignore=shutil.ignore_patterns("__pycache__"))
        for file in path.rglob("*"):
            if file.is_file():
                file.write_text(file.read_text().replace(*replaced))
        self._git("init", "--quiet", "--initial-branch=main")

    def commit(self, name: str | None = None, text: str = "") -> str:
        """Write the file, if one is named, and commit everything; the commit."""
        if name is not None:
            (self.path / name).write_text(text)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "-m", f"{name or 'All of it'}: {text.strip()}")
        return self._git("rev-parse", "HEAD")

    def _git(self, *arguments: str) -> str:
        environment = {"PATH": os.environ["PATH"], **_NOBODYS}
        command = ["git", "-C", str(self.path), *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


class _Git(BaseHTTPRequestHandler):
    """git's own CGI program, asked."""

    def __init__(self, root: Path, backend: str, *given: Any) -> None:
        self._root, self._backend = root, backend
        super().__init__(*given)

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _answer(self, body: bytes) -> None:
        path = urlsplit(self.path)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self._root),
            "GIT_HTTP_EXPORT_ALL": "1",
            **_NOBODYS,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path.path,
            "QUERY_STRING": path.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run([self._backend], input=body, env=environment, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self.send_response(int(headers.pop("Status", "200 OK").split()[0]))
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nobody asks."""


@contextmanager
def git_served(root: Path) -> Iterator[str]:
    """The URL at which the repositories below `root` are served."""
    programs = subprocess.run(["git", "--exec-path"], check=True, capture_output=True, text=True).stdout.strip()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Git, root, f"{programs}/git-http-backend"))
    server.daemon_threads, server.block_on_close = True, False
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Target:
    """One agent, and the directory that it has at `place`."""

    def __init__(self, name: str, directory: Path, place: Path, codeyard: Sequence[str]) -> None:
        self.name, self.own, self.output = name, directory / name, directory / f"{name}.out"
        self._state, self._place, self._codeyard = directory / f"{name}.state", place, codeyard
        self._child: subprocess.Popen[bytes] | None = None
        self.own.mkdir()
        place.mkdir(exist_ok=True)

    def start(self, server: str, token: str) -> None:
        """`token` is shown the first time alone."""
        inside = ["bwrap", "--dev-bind", "/", "/", "--bind", str(self.own), str(self._place), "--die-with-parent", "--"]
        command = [*inside, *self._codeyard, "agent", "--server", server, "--name", self.name, "--state", self._state]
        with self.output.open("ab") as out:
            self._child = subprocess.Popen(
                command,
                env={**os.environ, "CODEYARD_AGENT_TOKEN": token},
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def kill(self) -> None:
        """As `kill -9`, all of it but the scripts that it runs."""
        if self._child is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()


@contextmanager
def working(targets: Sequence[Target], server: str, token: str) -> Iterator[None]:
    """The agents, until they are killed."""
    try:
        for each in targets:
            each.start(server, token)
        yield
    finally:
        for each in targets:
            each.kill()


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="drive-pipeline-", ignore_cleanup_errors=True) as made:
        yield Path(made)


def until(what: str, look: Callable[[], T], seconds: float = 120.0) -> T:
    """What `look` gives, once it is something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise SystemExit(f"NOT AS IT SHOULD BE: in {seconds:.0f} seconds it did not come to this: {what}")
        time.sleep(0.05)
    return found
