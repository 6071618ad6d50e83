"""Zips, and folders on S3, from a real server."""

import asyncio
import io
import os
import stat
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.artifacts.object_store import RemoteBucket, open_bucket
from codeyard.errors import Invalid
from codeyard.sources import Fetched, SourceError, SourceKind, SourceSpec, parse_location
from codeyard.sources.archive import NoSource, S3FolderSource, S3ZipSource, ZipSource, _target
from tests.sources.servers import s3_server


def quiet(_line: str) -> None:
    pass


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3")) as url:
        yield url


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of the server, which the sources find by the environment; with an empty bucket named `sources`."""
    for name, value in (
        ("AWS_ENDPOINT_URL_S3", endpoint), ("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "s3cr3t"),
        ("AWS_REGION", "us-east-1"), ("AWS_DEFAULT_REGION", "us-east-1"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    urllib.request.urlopen(f"{endpoint}/moto-api/reset", data=b"").close()
    client = boto3.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket="sources")
    return client


def zip_of(**files: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/"), text)
    return packed.getvalue()


def here(directory: Path) -> dict[str, str]:
    return {path.relative_to(directory).as_posix(): path.read_text() for path in directory.rglob("*") if path.is_file()}


# ── zips on disk ──


async def test_a_zip_is_unpacked(tmp_path: Path, out: Path) -> None:
    (tmp_path / "src.zip").write_bytes(zip_of(buildspec="b", dir__file="text"))

    fetched = await ZipSource().fetch(parse_location("src.zip", tmp_path), out, quiet)

    assert here(out) == {"buildspec": "b", "dir/file": "text"}
    assert fetched == Fetched(None, "", "", "", "zip src.zip", files=2, bytes=5)


async def test_unpacking_can_be_repeated_over_what_a_death_left(tmp_path: Path, out: Path) -> None:
    (tmp_path / "src.zip").write_bytes(zip_of(file="text"))
    (out / ".0123.zip").write_text("half")
    (out / ".abc/deep").mkdir(parents=True)
    (out / "link").symlink_to(tmp_path)

    await ZipSource().fetch(parse_location("src.zip", tmp_path), out, quiet)

    assert os.listdir(out) == ["file"]


@pytest.mark.parametrize("name", ["../escaped", "/escaped", "a/../../escaped"])
async def test_a_zip_that_leads_out_is_refused(tmp_path: Path, out: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "src.zip", "w") as archive:
        archive.writestr(name, "x")

    with pytest.raises(SourceError, match=r"Unable to unpack .*src\.zip: .*: "):
        await ZipSource().fetch(parse_location("src.zip", tmp_path), out, quiet)

    assert os.listdir(out) == []
    assert not (tmp_path / "escaped").exists()


async def test_a_torn_zip_is_refused(tmp_path: Path, out: Path) -> None:
    (tmp_path / "src.zip").write_bytes(zip_of(file="text" * 1000)[:-30])

    with pytest.raises(SourceError, match=r"Unable to unpack .*src\.zip"):
        await ZipSource().fetch(parse_location("src.zip", tmp_path), out, quiet)


async def test_a_zip_that_went_away_is_told(tmp_path: Path, out: Path) -> None:
    with pytest.raises(SourceError, match="there is no such file"):
        await ZipSource().fetch(SourceSpec(SourceKind.ZIP, str(tmp_path / "none.zip")), out, quiet)


async def test_what_can_be_run_still_can(tmp_path: Path, out: Path) -> None:
    with zipfile.ZipFile(tmp_path / "src.zip", "w") as archive:
        entry = zipfile.ZipInfo("run")
        entry.external_attr = 0o100755 << 16
        archive.writestr(entry, "#!/bin/sh\n")

    await ZipSource().fetch(parse_location("src.zip", tmp_path), out, quiet)

    assert stat.S_IMODE((out / "run").stat().st_mode) == 0o755


# ── zips on S3 ──


async def test_a_zip_on_s3_is_unpacked(s3: Any, out: Path) -> None:
    s3.put_object(Bucket="sources", Key="a/src.zip", Body=zip_of(dir__file="text"))
    lines: list[str] = []

    fetched = await S3ZipSource(open_bucket).fetch(parse_location("s3://sources/a/src.zip", out), out, lines.append)

    assert here(out) == {"dir/file": "text"}
    assert fetched == Fetched(None, "", "s3://sources/a/src.zip", "", "zip s3://sources/a/src.zip", files=1, bytes=4)
    assert lines == ["Downloading s3://sources/a/src.zip"]


async def test_a_version_of_a_zip_is_the_objects(s3: Any, out: Path) -> None:
    s3.put_bucket_versioning(Bucket="sources", VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket="sources", Key="src.zip", Body=zip_of(file="old"))["VersionId"]
    s3.put_object(Bucket="sources", Key="src.zip", Body=zip_of(file="new"))
    spec = parse_location("s3://sources/src.zip", out, version=old)

    fetched = await S3ZipSource(open_bucket).fetch(spec, out, quiet)

    assert here(out) == {"file": "old"}
    assert fetched.version == old
    assert fetched.resolved_version is None


async def test_a_large_zip_comes_in_pieces(s3: Any, out: Path) -> None:
    text = os.urandom(6_000_000).hex()
    s3.put_object(Bucket="sources", Key="src.zip", Body=zip_of(file=text))

    await S3ZipSource(open_bucket).fetch(parse_location("s3://sources/src.zip", out), out, quiet)

    assert here(out) == {"file": text}


@pytest.mark.parametrize(
    ("location", "what"),
    [
        ("s3://sources/none.zip", "NoSuchKey: The specified key does not exist."),
        ("s3://no-such-bucket/src.zip", "NoSuchBucket: The specified bucket does not exist"),
    ],
)
async def test_a_zip_that_is_not_there_is_told_as_s3_does(s3: Any, out: Path, location: str, what: str) -> None:
    with pytest.raises(SourceError) as error:
        await S3ZipSource(open_bucket).fetch(parse_location(location, out), out, quiet)

    assert error.value.what == what
    assert os.listdir(out) == []


async def test_a_version_that_is_not_there_is_an_error(s3: Any, out: Path) -> None:
    s3.put_bucket_versioning(Bucket="sources", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="sources", Key="src.zip", Body=zip_of(file="new"))
    spec = parse_location("s3://sources/src.zip", out, version="00000000-0000-0000-0000-000000000000")

    with pytest.raises(SourceError):
        await S3ZipSource(open_bucket).fetch(spec, out, quiet)


async def test_an_object_that_is_no_zip_is_refused(s3: Any, out: Path) -> None:
    s3.put_object(Bucket="sources", Key="folder", Body=b"text")

    with pytest.raises(SourceError, match="Unable to unpack s3://sources/folder"):
        await S3ZipSource(open_bucket).fetch(parse_location("s3://sources/folder", out), out, quiet)


async def test_a_server_that_is_not_there_is_told_without_the_keys(
    s3: Any, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")

    def impatient(url: str) -> Any:
        from datetime import timedelta

        from obstore.store import S3Store

        retry = {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}
        options: Any = {"client_options": {"allow_http": True}, "retry_config": retry}
        return RemoteBucket(S3Store(url.removeprefix("s3://"), endpoint="http://127.0.0.1:9", **options))

    with pytest.raises(SourceError, match=r"Unable to download s3://sources/src\.zip") as error:
        await S3ZipSource(impatient).fetch(parse_location("s3://sources/src.zip", out), out, quiet)

    assert "s3cr3t" not in str(error.value)


# ── folders on S3 ──


async def test_a_folder_is_downloaded_without_its_neighbours(s3: Any, out: Path) -> None:
    for key in ("app/a", "app/dir/b", "app/with space/ü", "application/c", "d"):
        s3.put_object(Bucket="sources", Key=key, Body=key.encode())

    fetched = await S3FolderSource(open_bucket).fetch(parse_location("s3://sources/app/", out), out, quiet)

    assert here(out) == {"a": "app/a", "dir/b": "app/dir/b", "with space/ü": "app/with space/ü"}
    assert (fetched.repo_url, fetched.files) == ("s3://sources/app/", 3)


async def test_a_whole_bucket_is_downloaded(s3: Any, out: Path) -> None:
    names = {f"dir{number % 7}/{number}": str(number) for number in range(60)}
    for key, text in names.items():
        s3.put_object(Bucket="sources", Key=key, Body=text.encode())

    await S3FolderSource(open_bucket).fetch(parse_location("s3://sources", out), out, quiet)

    assert here(out) == names


async def test_empty_objects_that_stand_for_directories_are_directories(s3: Any, out: Path) -> None:
    for key, body in (("app/", b""), ("app/empty/", b""), ("app/dir/", b""), ("app/dir/file", b"x"), ("app/nil", b"")):
        s3.put_object(Bucket="sources", Key=key, Body=body)

    await S3FolderSource(open_bucket).fetch(parse_location("s3://sources/app/", out), out, quiet)

    assert here(out) == {"dir/file": "x", "nil": ""}
    assert (out / "empty").is_dir()


@pytest.mark.parametrize("keys", [["app/../../out", "app/x"], ["app//etc/passwd"], ["app/x", "app/x/y"]])
async def test_keys_that_are_no_paths_are_refused(s3: Any, out: Path, keys: list[str]) -> None:
    for key in keys:
        s3.put_object(Bucket="sources", Key=key, Body=b"x")

    with pytest.raises(SourceError):
        await S3FolderSource(open_bucket).fetch(parse_location("s3://sources/app/", out), out, quiet)

    assert sorted(path.name for path in out.parent.iterdir()) == ["workspace"]


async def test_a_folder_with_nothing_in_it_is_told(s3: Any, out: Path) -> None:
    with pytest.raises(SourceError, match="NoSuchKey"):
        await S3FolderSource(open_bucket).fetch(parse_location("s3://sources/none/", out), out, quiet)


async def test_a_cancelled_download_stops(s3: Any, out: Path) -> None:
    for number in range(300):
        s3.put_object(Bucket="sources", Key=f"app/{number}", Body=b"x")
    task = asyncio.create_task(S3FolderSource(open_bucket).fetch(parse_location("s3://sources/app/", out), out, quiet))
    while not os.listdir(out):
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    count = len(os.listdir(out))
    await asyncio.sleep(0.2)

    assert len(os.listdir(out)) == count < 300


@given(st.text(max_size=30))
def test_no_key_leads_out(key: str) -> None:
    """A key is a path beneath the destination, or an error."""
    root = Path("/workspace")
    try:
        target = _target(root, key, key)
    except SourceError:
        return

    assert target.is_relative_to(root)
    assert target != root
    assert ".." not in target.parts


async def test_no_source_is_an_empty_directory(out: Path) -> None:
    (out / "old").touch()

    fetched = await NoSource().fetch(SourceSpec(SourceKind.NONE, ""), out, quiet)

    assert os.listdir(out) == []
    assert (fetched.repo_url, fetched.files) == ("", 0)


async def test_a_source_of_another_kind_is_refused(out: Path) -> None:
    with pytest.raises(Invalid):
        await ZipSource().fetch(SourceSpec(SourceKind.NONE, ""), out, quiet)
