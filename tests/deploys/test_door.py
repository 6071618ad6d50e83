"""The way to a server: by TLS that is checked, and ended when the agent is to end."""

import http.server
import ipaddress
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from codeyard.deploys.door import Door, Shut, Unreachable
from codeyard.errors import CodeyardError, Conflict, Denied, Invalid, NotFound


class Handler(http.server.BaseHTTPRequestHandler):
    """Whose answer's status is the last part of the path."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        status = int(self.path.rpartition("/")[2])
        if status == 0:
            time.sleep(5)
        self.send_response(status or 200)
        self.end_headers()
        self.wfile.write(b'{"good": true, "error": "why."}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 127.0.0.1, signed by nobody else, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "deploys")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("certificate") / "both.pem"
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture(scope="module")
def port(certificate: Path) -> Iterator[int]:
    """Of a server that speaks TLS."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture
def door(port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Door:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return Door(f"https://127.0.0.1:{port}/base/", "shown")


def test_a_certificate_that_nobody_vouches_for_lets_nothing_through(port: int) -> None:
    with pytest.raises(Unreachable, match=r"(?i)certificate"):
        Door(f"https://127.0.0.1:{port}").post("200", {})


def test_a_certificate_that_this_machine_trusts_does(door: Door) -> None:
    assert door.post("200", {})["good"] is True


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Invalid), (401, Shut), (403, Denied), (404, NotFound), (409, Conflict), (500, Unreachable),
     (503, Unreachable), (302, Unreachable)],
)  # fmt: skip
def test_what_a_server_refuses_has_its_kind_and_its_words(door: Door, status: int, kind: type[CodeyardError]) -> None:
    with pytest.raises(kind, match="why") as refused:
        door.post(str(status), {})

    assert type(refused.value) is kind
    assert "shown" not in str(refused.value)


def test_a_door_that_is_closed_ends_what_is_asked_at_once(door: Door) -> None:
    threading.Timer(0.2, door.close).start()

    with pytest.raises(Unreachable):
        door.post("0", {}, timeout=30)  # else it would be answered, later
