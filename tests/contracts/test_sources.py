"""What every Source keeps, whatever it brings from."""

import asyncio
import hashlib
import io
import os
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from codeyard.errors import Invalid
from codeyard.sources import Source, SourceError, SourceKind, SourceSpec
from tests.artifacts.files import lay
from tests.sources.servers import Repo, quiet, s3_server

FILES = {"buildspec.yml": "version: 0.2\n", "dir/deep/file": "text", "dir/empty": ""}


@dataclass(frozen=True)
class Case:
    """A source, a spec of what it can bring (FILES), one of what it cannot, and where on disk the first lies."""

    source: Source
    spec: SourceSpec
    missing: SourceSpec
    origin: Path


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3")) as url:
        yield url


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in FILES.items():
            archive.writestr(name, text)
    return packed.getvalue()


def directory(origin: Path, environment: dict[str, str]) -> Case:
    from codeyard.sources.directory import DirectorySource

    for name, text in FILES.items():
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_text(text)
    spec = SourceSpec(SourceKind.DIRECTORY, str(origin))
    return Case(DirectorySource(environment), spec, replace(spec, location=str(origin / "none")), origin)


def git(origin: Path, environment: dict[str, str]) -> Case:
    from codeyard.sources.git import GitSource

    repo = Repo(origin)
    for name, text in FILES.items():
        repo.commit(name, text)
    spec = SourceSpec(SourceKind.GIT, origin.as_uri())
    return Case(GitSource(origin.parent / "cache", environment), spec, replace(spec, version="none"), origin)


def archive(origin: Path, _environment: dict[str, str]) -> Case:
    from codeyard.sources.archive import ZipSource

    (origin / "src.zip").write_bytes(zipped())
    spec = SourceSpec(SourceKind.ZIP, str(origin / "src.zip"))
    return Case(ZipSource(), spec, replace(spec, location=str(origin / "none.zip")), origin)


def client(origin: Path) -> tuple[Any, str]:
    s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    bucket = "b" + hashlib.sha256(str(origin).encode()).hexdigest()[:20]
    s3.create_bucket(Bucket=bucket)
    return s3, bucket


def s3_zip(origin: Path, _environment: dict[str, str]) -> Case:
    from codeyard.artifacts.object_store import open_bucket
    from codeyard.sources.archive import S3ZipSource

    s3, bucket = client(origin)
    s3.put_object(Bucket=bucket, Key="src.zip", Body=zipped())
    spec = SourceSpec(SourceKind.S3_ZIP, f"s3://{bucket}/src.zip")
    return Case(S3ZipSource(open_bucket), spec, replace(spec, location=f"s3://{bucket}/none.zip"), origin)


def s3_folder(origin: Path, _environment: dict[str, str]) -> Case:
    from codeyard.artifacts.object_store import open_bucket
    from codeyard.sources.archive import S3FolderSource

    s3, bucket = client(origin)
    for name, text in FILES.items():
        s3.put_object(Bucket=bucket, Key=f"app/{name}", Body=text.encode())
    spec = SourceSpec(SourceKind.S3_FOLDER, f"s3://{bucket}/app/")
    return Case(S3FolderSource(open_bucket), spec, replace(spec, location=f"s3://{bucket}/none/"), origin)


def tree(origin: Path, _environment: dict[str, str]) -> Case:
    from codeyard.artifacts.disk import DiskStore
    from codeyard.artifacts.transfer import everything, save_manifest, store_tree
    from codeyard.sources.trees import TreeSource

    store, made = DiskStore(origin.parent / "store"), lay(origin, FILES)
    digest = save_manifest(store_tree(made, everything(made), store), store)
    return Case(TreeSource(store), SourceSpec(SourceKind.TREE, digest), SourceSpec(SourceKind.TREE, "0" * 64), origin)


@pytest.fixture(params=[directory, git, archive, s3_zip, s3_folder, tree], ids=lambda make: make.__name__)
def case(request: pytest.FixtureRequest, tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Case:
    for name, value in (
        ("AWS_ENDPOINT_URL", endpoint), ("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    for name in ("origin", "home"):
        (tmp_path / name).mkdir()
    make: Callable[[Path, dict[str, str]], Case] = request.param
    return make(tmp_path / "origin", {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    place = tmp_path / "out"
    place.mkdir()
    return place


def here(directory: Path) -> dict[str, str]:
    files = [path for path in directory.rglob("*") if path.is_file() and ".git" not in path.parts]
    return {path.relative_to(directory).as_posix(): path.read_text() for path in files}


def state(directory: Path) -> dict[Path, tuple[int, int, int]]:
    found = [(path, path.lstat()) for path in (directory, *directory.rglob("*"))]
    return {path: (status.st_mode, status.st_mtime_ns, status.st_ctime_ns) for path, status in found}


async def test_it_brings_the_files_and_counts_them(case: Case, out: Path) -> None:
    fetched = await case.source.fetch(case.spec, out, quiet)

    assert here(out) == FILES
    assert (fetched.files, fetched.bytes) == (3, sum(len(text) for text in FILES.values()))
    assert fetched.description


async def test_it_clears_what_was_there_and_follows_no_symlink(case: Case, out: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (out / "dir").symlink_to(outside)
    (out / "buildspec.yml").symlink_to(outside / "kept")
    (out / "old/deep").mkdir(parents=True)

    await case.source.fetch(case.spec, out, quiet)

    assert here(out) == FILES
    assert here(outside) == {"kept": "kept"}


async def test_it_can_be_repeated(case: Case, out: Path) -> None:
    first = await case.source.fetch(case.spec, out, quiet)

    second = await case.source.fetch(case.spec, out, quiet)

    assert first == second
    assert here(out) == FILES


async def test_it_leaves_what_it_reads_as_it_was(case: Case, out: Path) -> None:
    before = state(case.origin)

    await case.source.fetch(case.spec, out, quiet)

    assert state(case.origin) == before


async def test_a_build_owns_what_it_got(case: Case, out: Path) -> None:
    await case.source.fetch(case.spec, out, quiet)
    files = [path for path in out.rglob("*") if path.is_file()]
    for path in files:
        path.chmod(0o600)
        path.write_text("spoilt")

    assert {path.stat().st_nlink for path in files} == {1}
    await case.source.fetch(case.spec, out, quiet)
    assert here(out) == FILES


async def test_what_is_not_there_is_an_error_that_says_how_to_go_on(case: Case, out: Path) -> None:
    with pytest.raises(SourceError) as error:
        await case.source.fetch(case.missing, out, quiet)

    assert all(error.value.args)


async def test_another_kind_is_refused(case: Case, out: Path) -> None:
    with pytest.raises(Invalid):
        await case.source.fetch(SourceSpec(SourceKind.NONE, ""), out, quiet)


@pytest.mark.parametrize("after", [0.0, 0.005, 0.02])
async def test_a_cancelled_one_stops_and_can_be_begun_again(case: Case, out: Path, after: float) -> None:
    task: asyncio.Future[object] = asyncio.ensure_future(_as_awaitable(case, out))
    await asyncio.sleep(after)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    left = state(out)
    await asyncio.sleep(0.05)

    assert state(out) == left
    await case.source.fetch(case.spec, out, quiet)
    assert here(out) == FILES


def _as_awaitable(case: Case, out: Path) -> Awaitable[object]:
    return case.source.fetch(case.spec, out, quiet)


async def test_many_at_once_do_not_meet(case: Case, tmp_path: Path) -> None:
    places = [tmp_path / f"out{number}" for number in range(4)]

    await asyncio.gather(*(case.source.fetch(case.spec, place, quiet) for place in places))

    assert [here(place) for place in places] == [FILES] * 4
