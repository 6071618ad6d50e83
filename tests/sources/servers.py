"""Real servers for the tests: git over smart HTTP(S), and S3."""

import base64
import datetime
import ipaddress
import os
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from codeyard.sources import SourceKind, SourceSpec

BACKEND = Path(subprocess.check_output(["git", "--exec-path"], text=True).strip()) / "git-http-backend"


@dataclass
class GitServer:
    """What a running server is and has seen."""

    url: str
    root: Path
    credential: tuple[str, str] | None = None
    sent: int = 0  # bytes of bodies
    authorizations: list[str] = field(default_factory=list)
    stalls: threading.Event = field(default_factory=threading.Event)  # set: answers to fetches never come
    asked: threading.Event = field(default_factory=threading.Event)  # a fetch was asked for
    redirect: str | None = None

    @property
    def host(self) -> str:
        return self.url.partition("://")[2]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    state: GitServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that was killed


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    server: _Server

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _answer(self, body: bytes) -> None:
        state = self.server.state
        if authorization := self.headers.get("Authorization"):
            state.authorizations.append(authorization)
        if state.redirect:
            self.send_response(302)
            self.send_header("Location", state.redirect + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if state.credential is not None and authorization != _basic(*state.credential):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.command == "POST":
            state.asked.set()
            if state.stalls.is_set():
                time.sleep(3600)
        self._backend(body)

    def _backend(self, body: bytes) -> None:
        state, parts = self.server.state, urlsplit(self.path)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(state.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "REQUEST_METHOD": self.command,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run([str(BACKEND)], input=body, env=environment, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
        status = next((value for name, value in headers if name == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for name, value in headers:
            if name not in ("Status", "Content-Length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        state.sent += len(content)

    def log_message(self, *_: Any) -> None:
        pass


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@contextmanager
def git_server(
    root: Path, *, credential: tuple[str, str] | None = None, tls: Path | None = None
) -> Iterator[GitServer]:
    """Serve the repositories beneath `root`; with `tls`, over https with the certificate made there."""
    server = _Server(("127.0.0.1", 0), _Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self_signed(tls))
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls is not None else "http"
    server.state = GitServer(f"{scheme}://127.0.0.1:{server.server_port}", root, credential)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def self_signed(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody trusts, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    directory.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "server.crt", directory / "server.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


@contextmanager
def s3_server(directory: Path) -> Iterator[str]:
    """A moto server's endpoint."""
    port_file = directory / "port"
    program = (
        "import sys; from werkzeug.serving import make_server; from moto.server import DomainDispatcherApplication,"
        " create_backend_app\n"
        "server = make_server('127.0.0.1', 0, DomainDispatcherApplication(create_backend_app), threaded=True)\n"
        "open(sys.argv[1] + '.new', 'w').write(str(server.server_port))\n"
        "__import__('os').rename(sys.argv[1] + '.new', sys.argv[1]); server.serve_forever()\n"
    )
    with (directory / "log").open("wb") as log:
        child = subprocess.Popen([sys.executable, "-c", program, str(port_file)], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not port_file.exists():
            if child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((directory / "log").read_text())
            time.sleep(0.05)
        endpoint = f"http://127.0.0.1:{port_file.read_text()}"
        urllib.request.urlopen(f"{endpoint}/moto-api/").close()
        yield endpoint
    finally:
        child.kill()
        child.wait()


class Repo:
    """A repository to write to, with fixed names and dates."""

    def __init__(self, path: Path, *options: str) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main", *options)

    def git(self, *arguments: str, stdin: bytes | None = None) -> str:
        return git(self.path, *arguments, stdin=stdin)

    def write(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text)

    def commit(self, name: str, text: str) -> str:
        """Write the file, commit everything, and give the commit."""
        self.write(name, text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", f"{name}: {text[:20]}")
        return self.git("rev-parse", "HEAD")

    def submodule(self, url: str, path: str, commit: str) -> str:
        """Commit a submodule without fetching it."""
        self.git("config", "-f", ".gitmodules", f"submodule.{path}.path", path)
        self.git("config", "-f", ".gitmodules", f"submodule.{path}.url", url)
        self.git("update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
        self.git("add", ".gitmodules")
        self.git("commit", "--quiet", "-m", f"submodule {path}")
        return self.git("rev-parse", "HEAD")


ALONE = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z",
}


def git(directory: Path, *arguments: str, stdin: bytes | None = None) -> str:
    """Run git with no settings of this machine, and give what it prints, without the last newline."""
    settings: Sequence[str] = ("-c", "protocol.file.allow=always", "-c", "safe.directory=*")
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), **ALONE}
    done = subprocess.run(
        ["git", "-C", str(directory), *settings, *arguments],
        input=stdin,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, (arguments, done.stderr.decode())
    return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")


class History:
    """main: one, two, three (tagged v3); feature: from one; a pull request 7 that no branch has."""

    def __init__(self, path: Path) -> None:
        self.repo = Repo(path)
        self.one = self.repo.commit("file", "one")
        self.two = self.repo.commit("file", "two")
        self.repo.git("tag", "v2")
        self.three = self.repo.commit("file", "three")
        self.repo.git("tag", "-a", "v3", "-m", "the third")
        self.repo.git("checkout", "--quiet", "-b", "feature/x", self.one)
        self.feature = self.repo.commit("file", "feature")
        self.repo.git("checkout", "--quiet", "--detach")
        self.pull = self.repo.commit("file", "pull")
        self.repo.git("update-ref", "refs/pull/7/head", self.pull)
        self.repo.git("checkout", "--quiet", "main")


def spec_of(server: GitServer, version: str | None = None, name: str = "app", **more: object) -> SourceSpec:
    return replace(SourceSpec(SourceKind.GIT, f"{server.url}/{name}", version), **more)  # type: ignore[arg-type]


def quiet(_line: str) -> None:
    """Progress that nobody wants to hear."""
