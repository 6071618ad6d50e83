"""What a tenant names as a source or a buildspec: it reaches nothing of the server's, nor of its user's."""

import io
import json
import stat
import threading
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest
from botocore.exceptions import ClientError

from tests.service.servers import Server, log_of
from tests.service_security.tenants import ENVIRONMENT, Tenant, Victim, contexts, whole_bucket

pytestmark = pytest.mark.slow

# ── sources that reach where they should not ──


@pytest.mark.parametrize(
    "location",
    ["file:///etc", "FILE:///etc", "ext::sh -c id", "-oProxyCommand=id", "--upload-pack=id", "/etc", "../x", "fd::3",
     "http://", "gopher://127.0.0.1/", "https://a b/", "git@host:x\n", "ssh://-oProxyCommand=id/x"],
)  # fmt: skip
def test_what_is_no_url_of_a_git_server_is_refused_or_fails(tenant: Tenant, location: str) -> None:
    source = {"type": "GITHUB_ENTERPRISE", "location": location, "buildspec": "version: 0.2\n"}
    try:
        name = tenant.create(f"-git-{uuid.uuid4().hex[:6]}", source=source)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidInputException"  # noqa: PT017 - either way is right
        return

    ended = tenant.build(name)

    assert ended["buildStatus"] == "FAILED"
    assert "this server does not" in contexts(ended) or "Git clone failed" in contexts(ended)


@pytest.mark.parametrize("location", ["git@127.0.0.1:owner/repository.git", "ssh://git@127.0.0.1/repository"])
def test_the_keys_of_the_servers_user_are_no_projects(tenant: Tenant, location: str) -> None:
    name = tenant.create(f"-ssh-{uuid.uuid4().hex[:6]}", source={"type": "GITHUB_ENTERPRISE", "location": location})

    ended = tenant.build(name)

    assert ended["buildStatus"] == "FAILED"
    assert "does not use its own user's ssh keys" in contexts(ended)


class _Asking(BaseHTTPRequestHandler):
    """Asks for a password, and remembers what it was shown."""

    seen: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def _asking() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Asking)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_no_server_is_shown_what_the_servers_user_has_for_git(tenant: Tenant) -> None:
    with _asking() as url:
        name = tenant.create("-netrc", source={"type": "GITHUB_ENTERPRISE", "location": f"{url}/owner/app"})
        ended = tenant.build(name)

    assert ended["buildStatus"] == "FAILED"
    assert _Asking.seen
    assert not [seen for seen in _Asking.seen if "authorization" in seen or "x-of-the-operator" in seen]


def test_the_servers_own_api_is_no_source(server: Server, tenant: Tenant, victim: Victim) -> None:
    places = [f"{server.url}/{victim.name}/key", f"{server.url}/metrics", f"{server.url}/internal/logs/lines/x"]
    names = [
        tenant.create(f"-self-{number}", source={"type": "GITHUB_ENTERPRISE", "location": place})
        for number, place in enumerate(places)
    ]

    ended = [tenant.build(name) for name in names]

    assert [each["buildStatus"] for each in ended] == ["FAILED"] * 3
    assert all("Git clone failed" in contexts(each) for each in ended)
    assert "what only the victim has" not in str(ended)
    assert "codeyard_builds" not in str(ended) + "".join(log_of(server, each["id"]) for each in ended)


# ── buildspecs and archives ──


@pytest.mark.parametrize("path", ["../../../../keys/root", "/etc/passwd", "link", "directory/link/root", "file/x"])
def test_a_buildspec_is_read_from_the_source_alone(server: Server, tenant: Tenant, path: str) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("file", "x")
        for name, target in (("link", server.data / "keys" / "root"), ("directory/link", server.data / "keys")):
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, str(target))
    bucket = _bucket_of(server, tenant, content.getvalue())
    source = {"type": "S3", "location": f"{bucket}/source.zip", "buildspec": path}
    name = tenant.create(f"-spec-{uuid.uuid4().hex[:6]}", source=source)

    ended = tenant.build(name)

    secret = json.loads((server.data / "keys" / "root").read_text())["secret"]
    assert ended["buildStatus"] == "FAILED"
    assert secret not in str(ended) + _log(server, ended)
    assert "root:" not in str(ended) + _log(server, ended)


def test_what_a_link_in_a_source_points_at_gets_into_no_artifact(server: Server, tenant: Tenant) -> None:
    content = io.BytesIO()
    spec = {"version": 0.2, "phases": {"build": {"commands": ["true"]}}, "artifacts": {"files": ["**/*"]}}
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("buildspec.yml", json.dumps(spec))
        entry = zipfile.ZipInfo("link")
        entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, str(server.data / "keys" / "root"))
    bucket = _bucket_of(server, tenant, content.getvalue())
    target = {"type": "S3", "location": bucket, "name": "made.zip", "packaging": "ZIP"}
    source = {"type": "S3", "location": f"{bucket}/source.zip"}
    name = tenant.create(f"-link-{uuid.uuid4().hex[:6]}", source=source, artifacts=target)

    ended = tenant.build(name)

    secret = json.loads((server.data / "keys" / "root").read_text())["secret"].encode()
    if ended["buildStatus"] == "SUCCEEDED":
        made = server.client("s3").get_object(Bucket=bucket, Key="made.zip")["Body"].read()
        with zipfile.ZipFile(io.BytesIO(made)) as archive:
            assert not [each for each in archive.namelist() if secret in archive.read(each)]


def test_a_small_archive_that_would_fill_the_disk_is_given_up(server: Server, tenant: Tenant) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("buildspec.yml", "version: 0.2\nphases:\n  build:\n    commands: [true]\n")
        for number in range(3000):
            archive.writestr(f"{'d/' * 40}{number}", b"")
        archive.writestr("../../../../outside", b"x")
    bucket = _bucket_of(server, tenant, content.getvalue())
    name = tenant.create(f"-bomb-{uuid.uuid4().hex[:6]}", source={"type": "S3", "location": f"{bucket}/source.zip"})

    ended = tenant.build(name)

    assert ended["buildStatus"] == "FAILED"
    assert not list(server.data.parent.rglob("outside"))


def _bucket_of(server: Server, tenant: Tenant, archive: bytes) -> str:
    """A bucket with this as source.zip, which the tenant's builds may use."""
    bucket = f"{tenant.name}-{uuid.uuid4().hex[:6]}"
    server.client("s3").create_bucket(Bucket=bucket)
    server.client("s3").put_object(Bucket=bucket, Key="source.zip", Body=archive)
    tenant.may(whole_bucket(bucket))
    return bucket


def _log(server: Server, build: Mapping[str, Any]) -> str:
    return log_of(server, build["id"])


def test_what_names_no_variable_sets_none(tenant: Tenant) -> None:
    for name in ("A=B", "A B", "A;touch /tmp/x", "$(id)", "A\nB", "-x"):
        variables = [{"name": name, "value": "v"}]
        try:
            made = tenant.create(
                f"-env-{uuid.uuid4().hex[:6]}", environment={**ENVIRONMENT, "environmentVariables": variables}
            )
        except ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidInputException"  # noqa: PT017 - either way is right
            continue
        assert tenant.build(made)["buildStatus"] == "FAILED", name
