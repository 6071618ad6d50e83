"""An object as a source: of the embedded store, and of a bucket with versions at a server."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from codeyard.artifacts.buckets import Note, OpenBucket
from codeyard.artifacts.object_store import open_bucket
from codeyard.errors import Denied
from codeyard.objects.buckets import permitted
from codeyard.pipelines.actions import ActionFailed, ErrorCode, SourceOverride
from codeyard.pipelines.actions.source_s3 import S3Action
from codeyard.pipelines.model import Action
from tests.artifacts.servers import KEYS, client, s3_server
from tests.pipelines.works import BUCKET, Bench, action, bench_at


def packed(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, each in files.items():
            archive.writestr(name, each)
    return content.getvalue()


def declared(bucket: str = BUCKET, key: str = "app.zip", **more: str) -> Action:
    return action("Source/AWS/S3/1", {"S3Bucket": bucket, "S3ObjectKey": key, **more}, outputs=["Source"])


@pytest.fixture(scope="module")
def versioned() -> Iterator[tuple[Any, OpenBucket]]:
    """A bucket named `source` that keeps versions, at a server."""
    with s3_server() as address, ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in KEYS.items():
            patch.setenv(name, value)
        s3 = client(address)
        s3.create_bucket(Bucket="source")
        s3.put_bucket_versioning(Bucket="source", VersioningConfiguration={"Status": "Enabled"})
        yield s3, partial(open_bucket, endpoint=address)


class Elsewhere(Bench):
    """A Bench whose buckets are at a server."""

    buckets: OpenBucket

    @property
    def open_bucket(self) -> OpenBucket:
        return self.buckets


def elsewhere(home: Path, buckets: OpenBucket, declared: Action, pinned: SourceOverride | None = None) -> Elsewhere:
    bench = Elsewhere(home, declared, pinned=pinned)
    bench.buckets = buckets
    return bench


async def test_a_zip_is_copied_as_it_is_and_unpacked(tmp_path: Path, versioned: tuple[Any, OpenBucket]) -> None:
    s3, buckets = versioned
    summary = {"codepipeline-artifact-revision-summary": "release 7"}
    s3.put_object(Bucket="source", Key="dir/é+.zip", Body=packed(a=b"1"), Metadata=summary)
    put = s3.head_object(Bucket="source", Key="dir/é+.zip")
    bench = elsewhere(tmp_path, buckets, declared("source", "dir/é+.zip"))

    outcome = await S3Action(tmp_path / "scratch").run(bench)

    output = outcome.outputs[0]
    assert bench.files(output) == {"a": b"1"}
    assert output.raw is not None
    with bench.blobs.open(output.raw) as raw:
        assert raw.read() == packed(a=b"1")
    assert outcome.variables == {
        "BucketName": "source",
        "ETag": put["ETag"].strip('"'),
        "ObjectKey": "dir/é+.zip",
        "VersionId": put["VersionId"],
    }
    assert outcome.revision is not None
    assert (outcome.revision.id, outcome.revision.summary) == (put["VersionId"], "release 7")
    assert outcome.revision.created == put["LastModified"]


async def test_a_version_and_a_key_may_be_pinned(tmp_path: Path, versioned: tuple[Any, OpenBucket]) -> None:
    s3, buckets = versioned
    first = s3.put_object(Bucket="source", Key="other.zip", Body=packed(a=b"old"))["VersionId"]
    s3.put_object(Bucket="source", Key="other.zip", Body=packed(a=b"new"))
    pinned = SourceOverride(version_id=first, object_key="other.zip")
    allowed = declared("source", AllowOverrideForS3ObjectKey="true")

    bench = elsewhere(tmp_path / "1", buckets, allowed, pinned)
    outcome = await S3Action().run(bench)
    with pytest.raises(ActionFailed, match="does not allow an override"):
        await S3Action().run(elsewhere(tmp_path / "2", buckets, declared("source"), pinned))

    assert bench.files(outcome.outputs[0]) == {"a": b"old"}
    assert outcome.variables["ObjectKey"] == "other.zip"
    assert outcome.summary == f"Amazon S3 version id: {first}"


async def test_a_zip_that_cannot_be_unpacked_is_copied_as_it_is(tmp_path: Path) -> None:
    bench = bench_at(tmp_path, declared(key="torn.zip"))
    bench.put("torn.zip", packed(a=b"1")[:40])

    output = (await S3Action().run(bench)).outputs[0]

    assert output.tree is None
    assert output.raw is not None
    with bench.blobs.open(output.raw) as raw:
        assert raw.read() == packed(a=b"1")[:40]


async def test_the_embedded_store_keeps_no_versions_so_the_etag_is_the_revision(tmp_path: Path) -> None:
    bench = bench_at(tmp_path, declared(key="text"))
    bench.put("text", b"no zip")

    outcome = await S3Action().run(bench)

    output = outcome.outputs[0]
    etag = outcome.variables["ETag"]
    assert (output.tree, output.revision, outcome.variables["VersionId"]) == (None, etag, "null")
    again = bench_at(tmp_path / "2", declared(key="text"), pinned=SourceOverride(version_id=etag))
    again.put("text", b"no zip")
    assert (await S3Action().run(again)).outputs[0].raw == output.raw


REFUSALS = [
    (declared(key="absent"), None, ErrorCode.CONFIGURATION, "The object with key 'absent' does not exist"),
    (declared("nowhere"), None, ErrorCode.CONFIGURATION, "The Amazon S3 bucket nowhere does not exist"),
    (declared(), SourceOverride(version_id="v0"), ErrorCode.UNAVAILABLE_REVISION, "The version 'v0'"),
]


@pytest.mark.parametrize(("given", "pinned", "code", "text"), REFUSALS)
async def test_what_cannot_be_had_fails_the_action(
    tmp_path: Path, given: Action, pinned: SourceOverride | None, code: ErrorCode, text: str
) -> None:
    bench = bench_at(tmp_path, given, pinned=pinned)
    bench.put("app.zip", packed(a=b"1"))

    with pytest.raises(ActionFailed, match=text) as failed:
        await S3Action().run(bench)

    assert failed.value.code is code


async def test_a_role_that_may_not_read_it_fails_the_action(tmp_path: Path) -> None:
    def refuse(action: str, arn: str) -> None:
        raise Denied(f"{action} on {arn}", f"{action} is not allowed.", "Allow it.")

    bench = bench_at(tmp_path, declared())
    bench.open_bucket(f"s3://{BUCKET}").write("app.zip", packed(a=b"1"), Note())
    asking = elsewhere(tmp_path, permitted(bench.open_bucket, refuse), declared())

    with pytest.raises(ActionFailed, match="Unable to access the Amazon S3 object key") as failed:
        await S3Action().run(asking)

    assert failed.value.code is ErrorCode.PERMISSION
