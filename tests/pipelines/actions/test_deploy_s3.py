"""Artifacts that go into buckets."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codeyard.artifacts.buckets import Note
from codeyard.artifacts.object_store import open_bucket
from codeyard.errors import Invalid, NotFound
from codeyard.objects import Stored
from codeyard.objects.buckets import embedded, permitted
from codeyard.pipelines.actions import ActionFailed, Artifact, ErrorCode
from codeyard.pipelines.actions.deploy_s3 import S3DeployAction
from tests.pipelines.actions.services import forget
from tests.pipelines.works import BUCKET, OWNER, RUN, Bench, a_blob, a_tree, action, bench_at

FILES = {"index.html": b"<html>", "js/app.js": b"1", "large.bin": b"x" * (9 << 20)}


def a_bench(home: Path, artifact: Artifact, extract: str = "true", **given: str) -> Bench:
    configuration = {"BucketName": "site", "Extract": extract, **given}
    bench = bench_at(home, action("Deploy/AWS/S3/1", configuration, inputs=["In"]), [artifact])
    bench.objects.create(OWNER.account, "site", OWNER.region)
    return bench


def objects(bench: Bench) -> dict[str, Stored]:
    return {each.key: each for each in bench.objects.list(OWNER.account, "site")[0]}


def content(bench: Bench, key: str) -> bytes:
    with bench.objects.open(OWNER.account, "site", key) as found:
        return b"".join(found.read())


async def test_each_file_is_put_below_the_key_with_what_is_noted(tmp_path: Path) -> None:
    tree = a_tree(tmp_path, "In", FILES, links={"js/link.js": "app.js"})
    note = {"CacheControl": "public, max-age=3600", "KMSEncryptionKeyARN": "arn:k", "CannedACL": "public-read"}
    bench = a_bench(tmp_path, tree, ObjectKey="/v1/{datetime}/{uuid}/", **note)
    outcome = await S3DeployAction().run(bench)
    found, prefix = objects(bench), f"v1/2026-03-01_12-00-00/{RUN}"
    about = bench.objects.head(OWNER.account, "site", f"{prefix}/js/app.js").about

    assert sorted(found) == [f"{prefix}/{name}" for name in ("index.html", "js/app.js", "js/link.js", "large.bin")]
    assert content(bench, f"{prefix}/js/link.js") == b"1"
    assert content(bench, f"{prefix}/large.bin") == FILES["large.bin"]
    assert about.headers == {"content-type": "text/javascript", "cache-control": "public, max-age=3600"}
    assert about.encryption is not None
    assert (about.encryption.key, outcome.summary) == ("arn:k", "Deployed 4 files to site")


async def test_other_objects_stay_and_it_is_put_once(tmp_path: Path) -> None:
    bench = a_bench(tmp_path, a_tree(tmp_path, "In", {"a": b"1"}))
    site = bench.open_bucket("s3://site")
    site.write("b", b"other", Note())
    await S3DeployAction().run(bench)
    site.write("a", b"changed since", Note())
    await S3DeployAction().run(bench.again())

    assert (content(bench, "a"), content(bench, "b")) == (b"changed since", b"other")


async def test_a_dead_process_s_upload_goes_where_it_went(tmp_path: Path) -> None:
    bench = a_bench(tmp_path, a_tree(tmp_path, "In", {"a": b"1"}), ObjectKey="{uuid}/{datetime}")
    await S3DeployAction().run(bench)
    forget(tmp_path, "upload")
    await S3DeployAction().run(bench.again())

    assert list(objects(bench)) == [f"{RUN}/2026-03-01_12-00-00/a"]


async def test_without_extraction_the_zip_is_put(tmp_path: Path) -> None:
    bench = a_bench(tmp_path, a_tree(tmp_path, "In", {"a": b"1"}), "false", ObjectKey="r/{datetime}.zip")
    await S3DeployAction().run(bench)
    packed = zipfile.ZipFile(io.BytesIO(content(bench, "r/2026-03-01_12-00-00.zip")))

    assert packed.read("a") == b"1"


async def test_without_extraction_an_object_is_copied_as_it_is(tmp_path: Path) -> None:
    raw = a_bench(tmp_path / "1", a_blob(tmp_path / "1", "In", b"as it is"), "false", ObjectKey="k")
    await S3DeployAction().run(raw)
    there = a_bench(tmp_path / "2", Artifact("In", BUCKET, "In/x", there=True), "false", ObjectKey="k")
    there.put("In/x", b"somebody's")
    await S3DeployAction().run(there)

    assert (content(raw, "k"), content(there, "k")) == (b"as it is", b"somebody's")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"CannedACL": "everybody"}, "CannedACL is none of"),
        ({"CacheControl": "a\r\nx-evil: 1"}, "no header can have"),
        ({"ObjectKey": "é" * 600}, "longer than 1024 bytes"),
        ({"Extract": "false"}, "ObjectKey is required"),
    ],
)
async def test_a_wrong_configuration_puts_nothing(tmp_path: Path, given: dict[str, str], text: str) -> None:
    bench = a_bench(tmp_path, a_tree(tmp_path, "In", {"a": b"1"}), given.pop("Extract", "true"), **given)

    with pytest.raises(ActionFailed, match=text) as failed:
        await S3DeployAction().run(bench)
    assert failed.value.code is ErrorCode.CONFIGURATION
    assert objects(bench) == {}


async def test_a_link_to_nothing_puts_nothing(tmp_path: Path) -> None:
    bench = a_bench(tmp_path, a_tree(tmp_path, "In", {"a": b"1"}, links={"z": "/etc/passwd"}))

    with pytest.raises(Invalid, match="is no file of the artifact"):
        await S3DeployAction().run(bench)
    assert objects(bench) == {}


async def test_a_bucket_that_is_not_there_fails_it(tmp_path: Path) -> None:
    bench = a_bench(tmp_path, a_tree(tmp_path, "In", {"a": b"1"}))
    bench.declared = replace(bench.declared, configuration={"BucketName": "none", "Extract": "true"})

    with pytest.raises(NotFound, match="NoSuchBucket"):
        await S3DeployAction().run(bench)


async def test_who_sets_an_acl_must_be_allowed_to(tmp_path: Path) -> None:
    asked: list[Any] = []
    bench = a_bench(tmp_path, a_tree(tmp_path, "In", {"a": b"1"}))
    buckets = permitted(embedded(bench.objects, OWNER.account), lambda *each: asked.append(each))
    buckets("s3://site/x").write("a", b"", Note(acl="public-read"))

    assert asked == [("s3:PutObject", "arn:aws:s3:::site/x/a"), ("s3:PutObjectAcl", "arn:aws:s3:::site/x/a")]


def test_a_bucket_elsewhere_takes_a_cache_control_but_no_acl() -> None:
    bucket = open_bucket("memory:///")
    bucket.write("a", b"1", Note(cache_control="no-store", acl="private"))

    assert bucket.facts("a").metadata == {}
    with pytest.raises(Invalid, match="no ACL public-read"):
        bucket.write("a", b"1", Note(acl="public-read"))


async def test_a_clone_has_no_files(tmp_path: Path) -> None:
    bench = a_bench(tmp_path, Artifact("In", BUCKET, "k"))

    with pytest.raises(ActionFailed, match="holds no files"):
        await S3DeployAction().run(bench)
