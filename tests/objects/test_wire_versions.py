"""Versions by boto3: of ours, and of an imitation of S3 that others wrote, the same is expected."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from codeyard.artifacts.buckets import Note
from codeyard.errors import NotFound
from codeyard.objects.buckets import embedded
from codeyard.objects.versions import Versioning
from tests.artifacts import servers
from tests.objects.serving import ACCOUNT, ROLE, client, directory, served
from tests.objects.test_wire import got, refused


@pytest.fixture(scope="module")
def imitation() -> Iterator[str]:
    with servers.s3_server() as address:
        yield address


@pytest.fixture(params=["ours", "imitation"])
def s3(request: pytest.FixtureRequest) -> Any:
    if request.param == "ours":
        return client(request.getfixturevalue("address"))
    return servers.client(request.getfixturevalue("imitation"))


@pytest.fixture
def ours(address: str) -> Any:
    return client(address)


def made(s3: Any, status: str | None = "Enabled") -> str:
    name = f"b-{uuid4()}"
    s3.create_bucket(Bucket=name)
    if status is not None:
        turned(s3, name, status)
    return name


def turned(s3: Any, bucket: str, status: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def put(s3: Any, bucket: str, key: str, content: bytes) -> str | None:
    version: str | None = s3.put_object(Bucket=bucket, Key=key, Body=content).get("VersionId")
    return version


def told(s3: Any, bucket: str, **more: Any) -> set[tuple[str, str, bool, bool]]:
    """Key, version, whether it is the newest, and whether a mark."""
    found = s3.list_object_versions(Bucket=bucket, **more)
    kinds = ((found.get("Versions", ()), False), (found.get("DeleteMarkers", ()), True))
    return {(one["Key"], one["VersionId"], one["IsLatest"], mark) for ones, mark in kinds for one in ones}


def test_each_put_is_a_version_that_can_be_had(s3: Any) -> None:
    bucket = made(s3, None)
    put(s3, bucket, "k", b"before")
    before = s3.get_bucket_versioning(Bucket=bucket).get("Status")
    turned(s3, bucket, "Enabled")
    first = put(s3, bucket, "k", b"1")
    second = put(s3, bucket, "k", b"22")

    assert (before, s3.get_bucket_versioning(Bucket=bucket)["Status"]) == (None, "Enabled")
    assert None not in (first, second)
    assert [got(s3, bucket, "k", VersionId=id) for id in ("null", first, second)] == [b"before", b"1", b"22"]
    assert s3.get_object(Bucket=bucket, Key="k")["VersionId"] == second
    assert s3.head_object(Bucket=bucket, Key="k", VersionId=first)["ContentLength"] == 1
    assert told(s3, bucket) == {("k", "null", False, False), ("k", first, False, False), ("k", second, True, False)}
    assert [one["Size"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [2]


def test_a_removal_leaves_a_mark_which_can_be_removed(s3: Any) -> None:
    bucket = made(s3)
    first = put(s3, bucket, "k", b"1")
    gone = s3.delete_object(Bucket=bucket, Key="k")
    mark = gone["VersionId"]
    listed = told(s3, bucket)
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="k")
    with refused("405", 405):
        s3.head_object(Bucket=bucket, Key="k", VersionId=mark)
    empty = s3.list_objects_v2(Bucket=bucket)["KeyCount"]
    back = s3.delete_object(Bucket=bucket, Key="k", VersionId=mark)

    assert gone["DeleteMarker"] is True
    assert listed == {("k", first, False, False), ("k", mark, True, True)}
    assert (back["VersionId"], empty) == (mark, 0)
    assert got(s3, bucket, "k") == b"1"


def test_a_version_that_is_removed_is_gone_and_the_one_before_it_is_back(s3: Any) -> None:
    bucket = made(s3)
    ids = [put(s3, bucket, "k", content) for content in (b"1", b"2", b"3")]
    s3.delete_object(Bucket=bucket, Key="k", VersionId=ids[1])
    s3.delete_object(Bucket=bucket, Key="k", VersionId=ids[2])

    assert got(s3, bucket, "k") == b"1"
    assert told(s3, bucket) == {("k", ids[0], True, False)}
    with refused("NoSuchVersion", 404):
        s3.get_object(Bucket=bucket, Key="k", VersionId=ids[1])
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=bucket)


def test_a_former_version_is_copied_to_the_front(s3: Any) -> None:
    bucket = made(s3)
    first = put(s3, bucket, "k+ é", b"1")
    put(s3, bucket, "k+ é", b"2")
    source = {"Bucket": bucket, "Key": "k+ é", "VersionId": first}
    copied = s3.copy_object(Bucket=bucket, Key="k+ é", CopySource=source)

    assert got(s3, bucket, "k+ é") == b"1"
    assert copied["CopySourceVersionId"] == first
    assert copied["VersionId"] not in (None, first)


def test_several_are_removed_at_once_with_versions_and_without(s3: Any) -> None:
    bucket = made(s3)
    first, other = put(s3, bucket, "k", b"1"), put(s3, bucket, "other", b"2")
    asked = [{"Key": "k", "VersionId": first}, {"Key": "other"}]
    gone = {one["Key"]: one for one in s3.delete_objects(Bucket=bucket, Delete={"Objects": asked})["Deleted"]}
    mark = gone["other"]["DeleteMarkerVersionId"]

    assert gone == {
        "k": {"Key": "k", "VersionId": first},
        "other": {"Key": "other", "DeleteMarker": True, "DeleteMarkerVersionId": mark},
    }
    assert told(s3, bucket) == {("other", other, False, False), ("other", mark, True, True)}


# ── what only S3 and ours do ──


def test_while_it_is_suspended_there_is_one_null_version(ours: Any) -> None:
    bucket = made(ours)
    kept = put(ours, bucket, "k", b"kept")
    turned(ours, bucket, "Suspended")
    for content in (b"1", b"22"):
        put(ours, bucket, "k", content)
    now = told(ours, bucket)
    newest = got(ours, bucket, "k")
    ours.delete_object(Bucket=bucket, Key="k", VersionId="null")

    assert (ours.get_bucket_versioning(Bucket=bucket)["Status"], newest) == ("Suspended", b"22")
    assert now == {("k", "null", True, False), ("k", kept, False, False)}
    assert got(ours, bucket, "k") == b"kept"


def test_versions_are_listed_in_pages_that_may_be_removed_as_they_come(ours: Any) -> None:
    bucket = made(ours)
    for key in ("a", "b/1", "b/2", "c"):
        for content in (b"1", b"22", b"333"):
            put(ours, bucket, key, content)
    ours.delete_object(Bucket=bucket, Key="c")
    rolled = ours.list_object_versions(Bucket=bucket, Delimiter="/", MaxKeys=4)
    rest = ours.list_object_versions(Bucket=bucket, Delimiter="/", KeyMarker=rolled["NextKeyMarker"])
    pages = ours.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
    sizes = []
    for page in pages:
        marks, found = page.get("DeleteMarkers", []), page.get("Versions", [])
        sizes += [(one["Key"], one["Size"]) for one in found]
        gone = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in (*marks, *found)]
        ours.delete_objects(Bucket=bucket, Delete={"Objects": gone, "Quiet": True})
    ours.delete_bucket(Bucket=bucket)

    assert [one["Size"] for one in rolled["Versions"]] == [3, 2, 1]
    assert ([one["Prefix"] for one in rolled["CommonPrefixes"]], rolled["NextKeyMarker"]) == (["b/"], "b/")
    assert {one["Key"] for one in rest["Versions"]} == {"c"}
    assert sizes == [(key, size) for key in ("a", "b/1", "b/2", "c") for size in (3, 2, 1)]


def test_a_mark_is_told_in_the_headers(ours: Any) -> None:
    bucket = made(ours)
    put(ours, bucket, "k", b"1")
    mark = ours.delete_object(Bucket=bucket, Key="k")["VersionId"]
    again = ours.delete_object(Bucket=bucket, Key="k")["VersionId"]
    gone = ours.delete_object(Bucket=bucket, Key="k", VersionId=again)
    with pytest.raises(ours.exceptions.ClientError) as absent:
        ours.get_object(Bucket=bucket, Key="k")
    with refused("MethodNotAllowed", 405) as named:
        ours.get_object(Bucket=bucket, Key="k", VersionId=mark)
    with refused("InvalidRequest", 400):
        ours.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "k", "VersionId": mark})

    for error in (absent, named):
        headers = error.value.response["ResponseMetadata"]["HTTPHeaders"]
        assert (headers["x-amz-delete-marker"], headers["x-amz-version-id"]) == ("true", mark)
    assert (headers["allow"], gone["DeleteMarker"], gone["VersionId"]) == ("DELETE", True, again)
    assert ours.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")["VersionId"]


def test_an_object_of_parts_is_a_version(ours: Any) -> None:
    bucket = made(ours)
    first = put(ours, bucket, "k", b"1")
    upload = ours.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    where = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    source = {"Bucket": bucket, "Key": "k", "VersionId": first}
    part = ours.upload_part_copy(**where, PartNumber=1, CopySource=source)
    parts = [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]
    done = ours.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})

    assert part["CopySourceVersionId"] == first
    assert ours.head_object(Bucket=bucket, Key="k")["VersionId"] == done["VersionId"] != first


def test_a_bucket_that_never_kept_versions_tells_of_none(ours: Any) -> None:
    bucket = made(ours, None)
    version = put(ours, bucket, "k", b"1")

    assert (version, "VersionId" in ours.get_object(Bucket=bucket, Key="k")) == (None, False)
    assert told(ours, bucket) == {("k", "null", True, False)}
    assert got(ours, bucket, "k", VersionId="null") == b"1"
    assert "VersionId" not in ours.delete_object(Bucket=bucket, Key="k")
    assert told(ours, bucket) == set()


@pytest.mark.parametrize(
    ("configuration", "code"),
    [
        ({}, "IllegalVersioningConfigurationException"),
        ({"Status": "On"}, "MalformedXML"),
        ({"Status": "Enabled", "MFADelete": "Enabled"}, "NotImplemented"),
    ],
)
def test_what_cannot_be_set_is_refused(ours: Any, configuration: dict[str, str], code: str) -> None:
    bucket = made(ours, None)

    with refused(code):
        ours.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=configuration)
    with refused("NoSuchBucket", 404):
        turned(ours, f"{bucket}-none", "Enabled")


def test_versions_have_actions_of_their_own(tmp_path: Path) -> None:
    asked = []

    def allowed(action: str, resource: str) -> bool:
        asked.append(action.removeprefix("s3:"))
        return action != "s3:DeleteObjectVersion"

    with served(tmp_path, allowed) as address:
        s3 = client(address, ROLE)
        bucket = made(s3)
        version = put(s3, bucket, "k", b"1")
        s3.get_object(Bucket=bucket, Key="k", VersionId=version)
        s3.get_object_acl(Bucket=bucket, Key="k", VersionId=version)
        s3.list_object_versions(Bucket=bucket)
        with refused("AccessDenied", 403):
            s3.delete_object(Bucket=bucket, Key="k", VersionId=version)

    wanted = "CreateBucket PutBucketVersioning PutObject GetObjectVersion GetObjectVersionAcl ListBucketVersions"
    assert asked == [*wanted.split(), "DeleteObjectVersion"]


def test_builds_and_pipelines_read_versions_without_a_server(tmp_path: Path) -> None:
    store = directory(tmp_path / "data")
    store.create(ACCOUNT, "source", "us-east-1")
    bucket = embedded(store, ACCOUNT)("s3://source/dir")
    bucket.write("k", b"before", Note(key="alias/aws/s3"))
    store.set_versioning(ACCOUNT, "source", Versioning.ENABLED)
    null = bucket.facts("k")
    bucket.write("k", b"1", Note(key="alias/aws/s3"))
    first = bucket.facts("k")
    bucket.write("k", b"2", Note())
    mark = store.delete(ACCOUNT, "source", "dir/k")

    assert null.version is None
    assert first.version
    assert mark is not None
    with bucket.read("k", first.version) as found, bucket.read("k", "null") as before:
        assert (found.facts, b"".join(found.pieces), b"".join(before.pieces)) == (first, b"1", b"before")
    for version in (None, mark.version_id, "none"):
        with pytest.raises(NotFound):
            bucket.facts("k", version)
