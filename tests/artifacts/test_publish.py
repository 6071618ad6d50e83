"""Where artifacts go."""

import gzip
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.artifacts import Tree
from codeyard.artifacts.disk import DiskStore
from codeyard.artifacts.object_store import open_bucket
from codeyard.artifacts.publish import (
    NamespaceType,
    Packaging,
    layout,
    publish_log,
    publish_to_bucket,
    publish_to_directory,
)
from codeyard.artifacts.transfer import everything, store_tree
from codeyard.errors import CodeyardError, Conflict, Fault, Invalid
from tests.artifacts.files import contents, lay
from tests.artifacts.servers import client

UUID = "12345678-9abc-def0-1234-56789abcdef0"
NONE, BY_BUILD = NamespaceType.NONE, NamespaceType.BUILD_ID
ARN = "arn:aws:codebuild:us-east-1:123456789012:build/app:" + UUID
FILES = {"index.html": "<html>", "js/app #1+é%.js": "js", "js/deep/x": "x" * 100}


@pytest.mark.parametrize(
    ("path", "namespace", "name", "key"),
    [
        ("MyArtifacts", NONE, "MyArtifact.zip", "MyArtifacts/MyArtifact.zip"),
        ("MyArtifacts", BY_BUILD, "MyArtifact.zip", f"MyArtifacts/{UUID}/MyArtifact.zip"),
        (None, NONE, "app", "app"),
        ("", BY_BUILD, "app", f"{UUID}/app"),
        ("/a//b/", NONE, "app", "a/b/app"),
        ("p", NONE, "builds/7/out", "p/builds/7/out"),
        ("p", NONE, "/app/", "p/app"),
    ],
)
@pytest.mark.parametrize("packaging", list(Packaging))
def test_the_key_is_that_of_codebuild(
    path: str | None, namespace: NamespaceType, name: str, key: str, packaging: Packaging
) -> None:
    assert layout(path, namespace, name, UUID, packaging) == key


@pytest.mark.parametrize(
    ("path", "namespace", "folder", "file"),
    [
        (None, NONE, "", f"{UUID}.zip"),
        (None, BY_BUILD, UUID, f"{UUID}/{UUID}.zip"),
        ("P", NONE, "P", f"P/{UUID}.zip"),
        ("P", BY_BUILD, f"P/{UUID}", f"P/{UUID}/{UUID}.zip"),
    ],
)
def test_a_slash_for_a_name_is_the_root_of_what_precedes_it(
    path: str | None, namespace: NamespaceType, folder: str, file: str
) -> None:
    assert layout(path, namespace, "/", UUID, Packaging.NONE) == folder
    assert layout(path, namespace, "/", UUID, Packaging.ZIP) == file


def test_a_prefix_of_the_buildspec_counts_only_with_the_build_id() -> None:
    assert layout("P", BY_BUILD, "n.zip", UUID, Packaging.ZIP, s3_prefix="S/") == f"S/{UUID}/n.zip"
    assert layout("P", NONE, "n.zip", UUID, Packaging.ZIP, s3_prefix="S") == "P/n.zip"


@pytest.mark.parametrize("name", ["..", "../../etc", "a/./b", "a\nb", "a\0b", "a/../../b"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        layout(None, NONE, name, UUID, Packaging.ZIP)
    with pytest.raises(Invalid):
        layout(name, NONE, "fine", UUID, Packaging.ZIP)


@given(st.text(max_size=20), st.text(max_size=20), st.sampled_from(NamespaceType), st.sampled_from(Packaging))
def test_no_key_ever_leads_out(path: str, name: str, namespace: NamespaceType, packaging: Packaging) -> None:
    key = layout_or_plain(path, name, namespace, packaging)

    assert not {"..", "."} & set(key.split("/"))
    assert key == "" or all(key.split("/"))


def layout_or_plain(path: str, name: str, namespace: NamespaceType, packaging: Packaging) -> str:
    try:
        return layout(path, namespace, name, UUID, packaging)
    except Invalid:
        return "plain"


@pytest.fixture
def tree(tmp_path: Path, store: DiskStore) -> Tree:
    root = lay(tmp_path / "work", FILES)
    return store_tree(root, everything(root), store)


def sums(content: bytes) -> tuple[str, str]:
    return hashlib.md5(content).hexdigest(), hashlib.sha256(content).hexdigest()


def test_a_folder_is_published(tree: Tree, store: DiskStore, tmp_path: Path) -> None:
    published = publish_to_directory(tree, store, tmp_path / "new/artifacts", "P/app", Packaging.NONE)

    assert published.location == str(tmp_path / "new/artifacts/P/app")
    assert (published.files, published.size, published.md5, published.tree) == (3, 108, None, tree.digest)
    assert contents(tmp_path / "new/artifacts") == {f"P/app/{path}": text for path, text in FILES.items()}


def test_a_zip_is_published_with_its_sums(tree: Tree, store: DiskStore, tmp_path: Path) -> None:
    published = publish_to_directory(tree, store, tmp_path / "artifacts", "app", Packaging.ZIP)

    content = (tmp_path / "artifacts/app").read_bytes()
    assert ((published.md5, published.sha256), published.size) == (sums(content), len(content))
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == ["app"]


def test_a_folder_that_exists_gets_the_files_and_keeps_its_own(tree: Tree, store: DiskStore, tmp_path: Path) -> None:
    lay(tmp_path / "artifacts", {"mine": "mine", "index.html": "old", "js/mine": "mine"})

    published = publish_to_directory(tree, store, tmp_path / "artifacts", "", Packaging.NONE)

    assert published.location == str(tmp_path / "artifacts")
    assert contents(tmp_path / "artifacts") == {**FILES, "mine": "mine", "js/mine": "mine"}


def test_builds_that_publish_into_one_new_folder_at_once_all_succeed(
    tree: Tree, store: DiskStore, tmp_path: Path
) -> None:
    def publish(number: int) -> str:
        folder = f"app-{number % 10}"
        return publish_to_directory(tree, store, tmp_path / "out", folder, Packaging.NONE).location

    with ThreadPoolExecutor(16) as pool:
        places = set(pool.map(publish, [number // 8 for number in range(80)]))

    assert places == {str(tmp_path / "out" / f"app-{number}") for number in range(10)}
    assert all(contents(Path(place)) == contents(tmp_path / "out" / "app-0") for place in places)


def test_an_existing_zip_is_replaced(tree: Tree, store: DiskStore, tmp_path: Path) -> None:
    lay(tmp_path / "artifacts", {"app.zip": "old"})

    publish_to_directory(tree, store, tmp_path / "artifacts", "app.zip", Packaging.ZIP)

    assert (tmp_path / "artifacts/app.zip").read_bytes().startswith(b"PK")


@pytest.mark.parametrize("trap", [{"js": "-> ../outside"}, {"js": "a file"}, {"index.html/x": "a directory"}])
def test_nothing_is_published_through_a_link_or_over_a_directory(
    tree: Tree, store: DiskStore, tmp_path: Path, trap: dict[str, str]
) -> None:
    (tmp_path / "outside").mkdir()
    lay(tmp_path / "artifacts", trap)
    before = contents(tmp_path / "artifacts")

    with pytest.raises(Conflict):
        publish_to_directory(tree, store, tmp_path / "artifacts", "", Packaging.NONE)

    assert list((tmp_path / "outside").iterdir()) == []
    assert {path: text for path, text in contents(tmp_path / "artifacts").items() if text != "/"} == before


@pytest.mark.parametrize("packaging", list(Packaging))
def test_a_directory_that_cannot_be_made_is_the_callers_mistake(
    tree: Tree, store: DiskStore, tmp_path: Path, packaging: Packaging
) -> None:
    lay(tmp_path, {"file": "in the way"})

    with pytest.raises(Invalid):
        publish_to_directory(tree, store, tmp_path / "file", "app", packaging)
    with pytest.raises(Invalid):
        publish_to_directory(tree, store, Path("/proc/nowhere"), "app", packaging)


@pytest.mark.parametrize("packaging", list(Packaging))
def test_a_full_disk_leaves_nothing_half_written(
    store: DiskStore, tmp_path: Path, tiny_disk: Path, packaging: Packaging
) -> None:
    root = lay(tmp_path / "large", {f"f{number}": os.urandom(900_000) for number in range(8)})
    tree = store_tree(root, everything(root), store)
    lay(tiny_disk, {"mine": "mine"})

    with pytest.raises(Fault, match="no space"):
        publish_to_directory(tree, store, tiny_disk, "app", packaging)
    with pytest.raises(Fault, match="no space"):
        publish_to_directory(tree, store, tiny_disk, "", Packaging.NONE)

    assert contents(tiny_disk) == {"mine": "mine"}


@pytest.mark.parametrize("packaging", list(Packaging))
def test_a_read_only_directory_is_the_callers_mistake(
    tree: Tree, store: DiskStore, read_only: Path, packaging: Packaging
) -> None:
    with pytest.raises(Invalid, match="read-only"):
        publish_to_directory(tree, store, read_only, "app", packaging)
    with pytest.raises(Invalid, match="read-only"):
        publish_to_directory(tree, store, read_only, "", Packaging.NONE)


def test_a_folder_goes_to_a_bucket(tree: Tree, store: DiskStore, s3_keys: str) -> None:
    published = publish_to_bucket(
        tree,
        store,
        "s3://artifacts/pre/fix/",
        "P/app",
        Packaging.NONE,
        build_arn=ARN,
        open_bucket=partial(open_bucket, endpoint=s3_keys),
    )

    assert published.location == "arn:aws:s3:::artifacts/pre/fix/P/app"
    assert published.md5 is None
    s3 = client(s3_keys)
    listed = [found["Key"] for found in s3.list_objects_v2(Bucket="artifacts", Prefix="pre/")["Contents"]]
    assert listed == sorted(f"pre/fix/P/app/{path}" for path in FILES)
    found = s3.get_object(Bucket="artifacts", Key="pre/fix/P/app/js/app #1+é%.js")
    assert (found["Body"].read(), found["Metadata"]) == (b"js", {"codebuild-buildarn": ARN})


def test_a_zip_goes_to_a_bucket_with_its_sums(
    tree: Tree, store: DiskStore, s3_keys: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_keys)

    published = publish_to_bucket(tree, store, "s3://artifacts", "app.zip", Packaging.ZIP, build_arn=ARN)

    found = client(s3_keys).get_object(Bucket="artifacts", Key="app.zip")
    assert published.location == "arn:aws:s3:::artifacts/app.zip"
    assert sums(found["Body"].read()) == (published.md5, published.sha256)
    assert found["Metadata"] == {
        "codebuild-buildarn": ARN,
        "codebuild-content-md5": published.md5,
        "codebuild-content-sha256": published.sha256,
    }


def test_a_large_file_goes_to_a_bucket_in_parts(store: DiskStore, tmp_path: Path, s3_keys: str) -> None:
    content = os.urandom(1 << 20) * 20
    root = lay(tmp_path / "large", {"large": content})
    tree = store_tree(root, everything(root), store)

    publish_to_bucket(
        tree, store, "s3://artifacts", "large", Packaging.NONE, open_bucket=partial(open_bucket, endpoint=s3_keys)
    )

    assert client(s3_keys).get_object(Bucket="artifacts", Key="large/large")["Body"].read() == content


def test_links_need_a_zip_in_a_bucket(store: DiskStore, tmp_path: Path, s3_keys: str) -> None:
    root = lay(tmp_path / "links", {"f": "F", "link": "-> f"})
    tree = store_tree(root, everything(root), store)

    with pytest.raises(Invalid, match="links"):
        publish_to_bucket(
            tree, store, "s3://artifacts", "l", Packaging.NONE, open_bucket=partial(open_bucket, endpoint=s3_keys)
        )


def test_a_bucket_that_is_not_there_is_named(tree: Tree, store: DiskStore, s3_keys: str) -> None:
    with pytest.raises(CodeyardError, match=r"nowhere|index\.html"):
        publish_to_bucket(
            tree, store, "s3://nowhere", "a", Packaging.NONE, open_bucket=partial(open_bucket, endpoint=s3_keys)
        )


@pytest.mark.parametrize(
    ("location", "key"),
    [
        ("artifacts", f"{UUID}.gz"),
        ("artifacts/logs", f"logs/{UUID}.gz"),
        ("arn:aws:s3:::artifacts/a/b/", f"a/b/{UUID}.gz"),
    ],
)
def test_a_log_goes_to_a_bucket_packed(s3_keys: str, location: str, key: str) -> None:
    arn = publish_log(partial(open_bucket, endpoint=s3_keys), location, UUID, iter([b"one\n", b"two\n"]), build_arn=ARN)

    found = client(s3_keys).get_object(Bucket="artifacts", Key=key)
    assert arn == f"arn:aws:s3:::artifacts/{key}"
    assert gzip.decompress(found["Body"].read()) == b"one\ntwo\n"
    assert found["Metadata"] == {"codebuild-buildarn": ARN}


@pytest.mark.parametrize("url", ["s3://", "nonsense", "ftp://host/x", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="s3://bucket/prefix"):
        open_bucket(url)
