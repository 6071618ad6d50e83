"""`codeyard objects` against a server that is served."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from codeyard.cli.objects import _inside, address, objects
from codeyard.errors import CodeyardError, Denied, Fault, Invalid, NotFound
from tests.objects.serving import ROLE, ROOT, client, served

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("server"), lambda action, resource: "secret" not in resource) as found:
        yield found


@pytest.fixture
def run(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command; what it raises comes out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ROOT.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ROOT.secret)

    def run(*arguments: str, given: bytes = b"") -> Result:
        return CliRunner().invoke(objects, arguments, input=given, catch_exceptions=False)

    return run


@pytest.fixture
def bucket(run: Run, request: pytest.FixtureRequest) -> str:
    name = f"s3://c{abs(hash(request.node.nodeid)) % 10**12}"
    run("mb", name)
    return name


def test_a_file_goes_there_and_back(run: Run, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "app.zip").write_bytes(b"content")
    stored = run("put", "app.zip", f"{bucket}/release/", "--content-type", "application/zip")
    listed = run("ls", f"{bucket}/release/")
    fetched = run("get", f"{bucket}/release/app.zip", "back.zip")

    assert stored.output == f"Stored {bucket}/release/app.zip, 7 B.\n"
    assert listed.output.endswith("         7 B  release/app.zip\n")
    assert fetched.output == f"Fetched {bucket}/release/app.zip as back.zip, 7 B.\n"
    assert (tmp_path / "back.zip").read_bytes() == b"content"
    assert sorted(os.listdir(tmp_path)) == ["app.zip", "back.zip"]


def test_a_directory_goes_there_and_back(run: Run, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "site/deep").mkdir(parents=True)
    (tmp_path / "site/index.html").write_text("i")
    (tmp_path / "site/deep/é").write_text("e")
    (tmp_path / "site/link").symlink_to("/etc/passwd")
    run("put", "site", f"{bucket}/www")
    top = run("ls", f"{bucket}/www/")
    run("get", "-r", f"{bucket}/www", "mirror")

    assert [line.split()[-1] for line in top.output.splitlines()] == ["www/deep/", "www/index.html"]
    assert (tmp_path / "mirror/deep/é").read_text() == "e"
    assert (tmp_path / "mirror/index.html").read_text() == "i"
    assert not (tmp_path / "mirror/link").exists()


def test_pipes_serve_as_files(run: Run, bucket: str) -> None:
    large = os.urandom(1 << 20) * 17
    run("put", "-", f"{bucket}/large", given=large)

    assert run("get", f"{bucket}/large", "-").stdout_bytes == large


def test_what_a_program_reads_is_json(run: Run, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1")
    (tmp_path / "g").write_bytes(b"2")
    put = run("put", "f", "g", bucket, "--json")
    listed = run("ls", bucket, "--json", "--recursive")
    buckets = run("ls", "--json")

    name = bucket.removeprefix("s3://")
    assert [json.loads(line) for line in put.output.splitlines()] == [
        {"action": "stored", "bucket": name, "key": key, "bytes": 1} for key in ("f", "g")
    ]
    assert [json.loads(line)["key"] for line in listed.output.splitlines()] == ["f", "g"]
    assert name in [json.loads(line)["bucket"] for line in buckets.output.splitlines()]


def test_objects_and_buckets_are_removed(run: Run, bucket: str, tmp_path: Path) -> None:
    for name in ("a", "dir/b", "dirty", "dir/c"):
        run("put", "-", f"{bucket}/{name}", given=b"x")
    run("rm", "-r", f"{bucket}/dir")
    left = run("ls", "-r", bucket, "--json").output
    with pytest.raises(Invalid, match="BucketNotEmpty"):
        run("rm", bucket)
    gone = run("rm", "-r", bucket)

    assert [json.loads(line)["key"] for line in left.splitlines()] == ["a", "dirty"]
    assert gone.output.endswith(f"Removed {bucket}.\n")
    with pytest.raises(NotFound, match="NoSuchBucket"):
        run("ls", bucket)


def test_a_link_downloads(run: Run, bucket: str) -> None:
    run("put", "-", f"{bucket}/a b", given=b"hello")
    link = run("link", f"{bucket}/a b", "--expires", "60").output.strip()
    told = json.loads(run("link", f"{bucket}/a b", "--json").output)

    assert requests.get(link, timeout=10).content == b"hello"
    assert told["expires"] == 3600
    with pytest.raises(NotFound):
        run("link", f"{bucket}/none")


def test_a_key_that_leads_out_is_not_fetched(run: Run, bucket: str, server: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    client(server).put_object(Bucket=bucket.removeprefix("s3://"), Key="www/../../escaped", Body=b"x")

    with pytest.raises(Invalid, match="stays inside"):
        run("get", "-r", f"{bucket}/www", "in")
    assert os.listdir(tmp_path) == ["in"]


@given(key=st.text(max_size=20))
def test_no_key_leads_out_of_the_directory(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    root = tmp_path_factory.getbasetemp() / "fetched"  # what is made below it is made
    try:
        target = _inside(root, key, key)
    except (CodeyardError, OSError, ValueError):
        return

    assert target.is_relative_to(root)


def test_control_characters_of_a_key_do_not_reach_the_terminal(run: Run, bucket: str, server: str) -> None:
    client(server).put_object(Bucket=bucket.removeprefix("s3://"), Key="\x1b[2Jk", Body=b"x")

    assert "\x1b" not in run("ls", bucket).output


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("put", "none", "s3://bucket/k"), Invalid),
        (("put", "-", "bucket/k"), Invalid),
        (("get", "s3://no-such-bucket/k"), NotFound),
        (("get", "s3://bucket"), Invalid),
        (("mb", "s3://Bad_Name"), Invalid),
        (("mb", "s3://bucket/key"), Invalid),
        (("rm", "s3://no-such-bucket/k"), NotFound),
    ],
)
def test_what_is_wrong_is_said(run: Run, arguments: tuple[str, ...], kind: type[CodeyardError]) -> None:
    with pytest.raises(kind):
        run(*arguments)


def test_who_may_not_and_who_cannot_are_told(run: Run, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run("put", "-", f"{bucket}/secret", given=b"x")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ROLE.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ROLE.secret)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "role/token")
    with pytest.raises(Denied, match="not authorized"):
        run("get", f"{bucket}/secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Fault):
        run("ls")


def test_an_address_has_a_bucket_and_a_key() -> None:
    assert address("s3://b/a//c/") == ("b", "a//c/")
    assert str(address("s3://b/a")) == "s3://b/a"
    assert str(address("s3://b")) == "s3://b"
    with pytest.raises(Invalid):
        address("s3:/b")
