"""S3 by boto3, as it comes: what it does against AWS it does here."""

import base64
import hashlib
import io
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeyard.objects import Encryption
from codeyard.objects.links import download_link
from tests.objects.serving import ROLE, ROOT, STRANGER, client, served

TEXT = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
KEYS = st.text(TEXT, min_size=1, max_size=12) | st.text(alphabet="/a.+ %", min_size=1, max_size=8)


def refused(code: str, status: int | None = None) -> "pytest.RaisesExc[ClientError]":
    def is_so(error: ClientError) -> bool:
        told = error.response
        return told["Error"]["Code"] == code and status in (None, told["ResponseMetadata"]["HTTPStatusCode"])

    return pytest.raises(ClientError, check=is_so)


def put(s3: Any, bucket: str, **objects: bytes) -> None:
    for key, content in objects.items():
        s3.put_object(Bucket=bucket, Key=key, Body=content)


def got(s3: Any, bucket: str, key: str, **more: Any) -> bytes:
    content: bytes = s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()
    return content


# ── buckets ──


def test_buckets_are_made_listed_and_removed(s3: Any, bucket: str) -> None:
    before = [found["Name"] for found in s3.list_buckets()["Buckets"]]
    s3.delete_bucket(Bucket=bucket)

    assert bucket in before
    assert bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]
    with refused("404", 404):
        s3.head_bucket(Bucket=bucket)
    with refused("NoSuchBucket", 404):
        s3.list_objects_v2(Bucket=bucket)
    with refused("NoSuchBucket", 404):
        s3.put_object(Bucket=bucket, Key="k", Body=b"")


def test_buckets_are_listed_in_pages(s3: Any, bucket: str) -> None:
    names = [f"{bucket}-{letter}" for letter in "cab"]
    for name in names:
        s3.create_bucket(Bucket=name)
    pages = s3.get_paginator("list_buckets").paginate(Prefix=f"{bucket}-", PaginationConfig={"PageSize": 2})

    assert [[found["Name"] for found in page["Buckets"]] for page in pages] == [
        [f"{bucket}-a", f"{bucket}-b"],
        [f"{bucket}-c"],
    ]


def test_a_bucket_is_made_twice_only_where_s3_lets_it(address: str, s3: Any, bucket: str) -> None:
    elsewhere = client(address, region="eu-west-1")
    placed = {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}
    s3.create_bucket(Bucket=bucket)
    elsewhere.create_bucket(Bucket=f"{bucket}-eu", **placed)

    with refused("BucketAlreadyOwnedByYou", 409):
        elsewhere.create_bucket(Bucket=f"{bucket}-eu", **placed)
    assert elsewhere.get_bucket_location(Bucket=f"{bucket}-eu")["LocationConstraint"] == "eu-west-1"
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    assert s3.head_bucket(Bucket=f"{bucket}-eu")["BucketRegion"] == "eu-west-1"


def test_a_bucket_with_objects_is_not_removed(s3: Any, bucket: str) -> None:
    put(s3, bucket, k=b"1")

    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=bucket)


@pytest.mark.parametrize("name", ["ab", "Upper", "under_score", "1.2.3.4", "a..b"])
def test_a_bad_name_of_a_bucket_is_told(s3: Any, name: str) -> None:
    with refused("InvalidBucketName", 400):
        s3.create_bucket(Bucket=name)


def test_settings_that_no_bucket_has_are_told_as_unset(s3: Any, bucket: str) -> None:
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert s3.get_bucket_acl(Bucket=bucket)["Grants"][0]["Permission"] == "FULL_CONTROL"
    with refused("NoSuchBucketPolicy", 404):
        s3.get_bucket_policy(Bucket=bucket)
    with refused("NoSuchLifecycleConfiguration", 404):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    with refused("NotImplemented", 501):
        s3.get_bucket_replication(Bucket=bucket)


# ── objects ──


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(st.sets(KEYS, min_size=1, max_size=5))
def test_any_key_comes_back_and_is_listed_in_the_order_of_its_bytes(s3: Any, bucket: str, keys: set[str]) -> None:
    for found in s3.list_objects_v2(Bucket=bucket).get("Contents", ()):  # what an example that failed has left
        s3.delete_object(Bucket=bucket, Key=found["Key"])
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    listed = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    contents = {key: got(s3, bucket, key).decode() for key in listed}
    plain = [{"Key": key} for key in keys if key.isprintable()]  # XML has no way to say some of the others
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [*plain, {"Key": "none"}]})
    for key in keys:
        s3.delete_object(Bucket=bucket, Key=key)

    assert listed == sorted(keys, key=str.encode)
    assert contents == {key: key for key in keys}
    assert "Errors" not in gone
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_what_is_told_of_an_object_comes_back(s3: Any, bucket: str) -> None:
    told = {
        "ContentType": "text/html",
        "CacheControl": "no-cache",
        "ContentDisposition": "inline",
        "ContentEncoding": "gzip",
        "ContentLanguage": "en",
        "Metadata": {"a": "b", "long-name": "x y"},
    }
    answer = s3.put_object(Bucket=bucket, Key="k", Body=b"hello", **told)
    found = s3.get_object(Bucket=bucket, Key="k")
    head = s3.head_object(Bucket=bucket, Key="k")

    assert {name: found[name] for name in told} == told
    assert {name: head[name] for name in told} == told
    assert answer["ETag"] == found["ETag"] == head["ETag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'
    assert head["ContentLength"] == 5
    assert datetime.now(UTC) - head["LastModified"] < timedelta(minutes=1)


def test_an_object_that_is_not_there_is_told(s3: Any, bucket: str) -> None:
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="none")
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="none")
    assert s3.delete_object(Bucket=bucket, Key="none")["ResponseMetadata"]["HTTPStatusCode"] == 204


@pytest.mark.parametrize(
    ("asked", "content", "shown"),
    [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-30", b"0123456789", "bytes 0-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
        ("bytes=4-2", b"0123456789", None),
        ("lines=1-2", b"0123456789", None),
        ("bytes=0-1,3-4", b"0123456789", None),
    ],
)
@pytest.mark.parametrize("sealed", [False, True])
def test_a_range_of_an_object(
    s3: Any, bucket: str, asked: str, content: bytes, shown: str | None, sealed: bool
) -> None:
    more = {"ServerSideEncryption": "AES256"} if sealed else {}
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789", **more)
    found = s3.get_object(Bucket=bucket, Key="k", Range=asked)

    assert found["Body"].read() == content
    assert found.get("ContentRange") == shown
    assert found["ResponseMetadata"]["HTTPStatusCode"] == (200 if shown is None else 206)


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused(s3: Any, bucket: str, asked: str) -> None:
    put(s3, bucket, k=b"0123456789")

    with refused("InvalidRange", 416):
        s3.get_object(Bucket=bucket, Key="k", Range=asked)


def test_conditions_decide_whether_an_object_is_sent(s3: Any, bucket: str) -> None:
    put(s3, bucket, k=b"1")
    tag = s3.head_object(Bucket=bucket, Key="k")["ETag"]
    past, future = datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(hours=1)

    assert got(s3, bucket, "k", IfMatch=tag, IfUnmodifiedSince=past) == b"1"
    assert got(s3, bucket, "k", IfNoneMatch='"0"', IfModifiedSince=future) == b"1"
    assert got(s3, bucket, "k", IfModifiedSince=past) == b"1"
    with refused("PreconditionFailed", 412):
        s3.get_object(Bucket=bucket, Key="k", IfMatch='"0"')
    with refused("PreconditionFailed", 412):
        s3.get_object(Bucket=bucket, Key="k", IfUnmodifiedSince=past)
    with refused("304", 304):
        s3.get_object(Bucket=bucket, Key="k", IfNoneMatch=tag)
    with refused("304", 304):
        s3.get_object(Bucket=bucket, Key="k", IfModifiedSince=future)
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=tag)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_a_checksum_is_held_to_and_told_back(s3: Any, bucket: str, algorithm: str) -> None:
    values = {
        "CRC32": "y/Q5Jg==",
        "CRC32C": "4waSgw==",
        "CRC64NVME": "rosUhgp5mIg=",
        "SHA1": "98O8HYCOBHMq32eZZczDTKeuNEE=",
        "SHA256": "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
    }
    name = f"Checksum{algorithm}"
    s3.put_object(Bucket=bucket, Key="k", Body=b"123456789", **{name: values[algorithm]})
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")

    assert (head[name], head["ChecksumType"]) == (values[algorithm], "FULL_OBJECT")
    assert name not in s3.head_object(Bucket=bucket, Key="k")
    with refused("BadDigest", 400):
        s3.put_object(Bucket=bucket, Key="other", Body=b"123456780", **{name: values[algorithm]})
    with refused("404"):
        s3.head_object(Bucket=bucket, Key="other")


def test_a_content_md5_is_held_to(s3: Any, bucket: str) -> None:
    right = base64.b64encode(hashlib.md5(b"1").digest()).decode()
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", ContentMD5=right)

    with refused("BadDigest", 400):
        s3.put_object(Bucket=bucket, Key="other", Body=b"2", ContentMD5=right)
    with refused("InvalidDigest", 400):
        s3.put_object(Bucket=bucket, Key="other", Body=b"2", ContentMD5="nonsense")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1


def test_many_objects_are_removed_at_once(s3: Any, bucket: str) -> None:
    put(s3, bucket, a=b"", b=b"", c=b"")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in ("a", "b", "none")]})
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "c"}], "Quiet": True})

    assert [found["Key"] for found in answer["Deleted"]] == ["a", "b", "none"]
    assert "Deleted" not in quiet
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_copy_is_an_object_of_its_own(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="dir/from é+", Body=b"1", Metadata={"a": "b"}, ContentType="text/x")
    source = {"Bucket": bucket, "Key": "dir/from é+"}
    s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)
    s3.copy_object(
        Bucket=bucket, Key="new", CopySource=source, Metadata={"c": "d"}, MetadataDirective="REPLACE",
        ServerSideEncryption="aws:kms", SSEKMSKeyId="alias/mine",
    )  # fmt: skip
    kept, new = (s3.get_object(Bucket=bucket, Key=key) for key in ("kept", "new"))

    assert (kept["Body"].read(), kept["Metadata"], kept["ContentType"]) == (b"1", {"a": "b"}, "text/x")
    assert (new["Body"].read(), new["Metadata"]) == (b"1", {"c": "d"})
    assert (new["ServerSideEncryption"], new["SSEKMSKeyId"]) == ("aws:kms", "alias/mine")
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=bucket, Key="kept", CopySource={"Bucket": bucket, "Key": "kept"})
    with refused("NoSuchKey", 404):
        s3.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "none"})
    with refused("PreconditionFailed", 412):
        s3.copy_object(Bucket=bucket, Key="k", CopySource=source, CopySourceIfMatch='"0"')


def test_what_cannot_be_kept_is_not_taken(s3: Any, bucket: str) -> None:
    with refused("NotImplemented", 501):
        s3.put_object(Bucket=bucket, Key="k", Body=b"", Tagging="a=b")
    with refused("MetadataTooLarge", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"", Metadata={"a": "x" * 2048})
    with refused("KeyTooLongError", 400):
        s3.put_object(Bucket=bucket, Key="k" * 1025, Body=b"")
    with refused("NoSuchVersion", 404):
        s3.get_object(Bucket=bucket, Key="k", VersionId="v1")


# ── lists ──


def test_a_list_rolls_up_by_a_delimiter_in_pages(s3: Any, bucket: str) -> None:
    for key in ("a/1", "a/2", "b", "c/d/e", "c/f", "d"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    pages = list(
        s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2})
    )
    older = list(
        s3.get_paginator("list_objects").paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2})
    )
    shown = [
        [
            *(prefix["Prefix"] for prefix in page.get("CommonPrefixes", ())),
            *(found["Key"] for found in page.get("Contents", ())),
        ]
        for page in pages
    ]

    assert shown == [["a/", "b"], ["c/", "d"]]
    assert [page["KeyCount"] for page in pages] == [2, 2]
    assert [page.get("CommonPrefixes") for page in older] == [page.get("CommonPrefixes") for page in pages]


def test_a_list_begins_after_a_key_and_below_a_prefix(s3: Any, bucket: str) -> None:
    put(s3, bucket, **dict.fromkeys(("a1", "a2", "a3", "b1"), b""))

    def keys(**asked: Any) -> list[str]:
        return [found["Key"] for found in s3.list_objects_v2(Bucket=bucket, **asked).get("Contents", ())]

    assert keys(Prefix="a", StartAfter="a1") == ["a2", "a3"]
    assert keys(StartAfter="a9") == ["b1"]
    assert keys(Prefix="c") == []
    assert keys(MaxKeys=0) == []
    assert [found["Key"] for found in s3.list_objects(Bucket=bucket, Marker="a2")["Contents"]] == ["a3", "b1"]
    with refused("InvalidArgument", 400):
        s3.list_objects_v2(Bucket=bucket, ContinuationToken="nonsense")


# ── in parts ──


def test_a_large_object_goes_in_parts_and_comes_back(s3: Any, bucket: str) -> None:
    content = os.urandom(1 << 20) * 20
    s3.upload_fileobj(io.BytesIO(content), bucket, "large", ExtraArgs={"Metadata": {"a": "b"}})
    target = io.BytesIO()
    s3.download_fileobj(bucket, "large", target)
    head = s3.head_object(Bucket=bucket, Key="large", ChecksumMode="ENABLED")

    assert target.getvalue() == content
    assert (head["Metadata"], head["ETag"][-3:]) == ({"a": "b"}, '-3"')
    assert (head["ChecksumType"], head["ChecksumCRC32"][-2:]) == ("COMPOSITE", "-3")
    part = s3.get_object(Bucket=bucket, Key="large", PartNumber=3)
    assert (part["PartsCount"], part["ContentLength"]) == (3, 4 << 20)
    assert part["Body"].read() == content[16 << 20 :]


def test_a_large_object_is_copied_in_parts(s3: Any, bucket: str) -> None:
    from boto3.s3.transfer import TransferConfig

    content = os.urandom(1 << 20) * 12
    s3.put_object(Bucket=bucket, Key="large", Body=content, ServerSideEncryption="aws:kms")
    config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    s3.copy({"Bucket": bucket, "Key": "large"}, bucket, "copy", Config=config)

    assert got(s3, bucket, "copy") == content


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC64NVME"])
def test_a_sum_of_the_whole_is_reckoned_over_the_parts(s3: Any, bucket: str, algorithm: str) -> None:
    upload = s3.create_multipart_upload(
        Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT", ServerSideEncryption="AES256"
    )
    named = {"Bucket": bucket, "Key": "k", "UploadId": upload["UploadId"]}
    whole = s3.put_object(Bucket=bucket, Key="whole", Body=b"x" * (5 << 20) + b"y", ChecksumAlgorithm="CRC32")
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**named, PartNumber=number, Body=body)["ETag"]}
        for number, body in ((1, b"x" * (5 << 20)), (2, b"y"))
    ]
    done = s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})

    assert done["ChecksumType"] == "FULL_OBJECT"
    assert algorithm != "CRC32" or done["ChecksumCRC32"] == whole["ChecksumCRC32"]
    assert s3.head_object(Bucket=bucket, Key="k")["ServerSideEncryption"] == "AES256"


def test_parts_are_listed_replaced_and_given_up(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="dir/k é")
    named = {"Bucket": bucket, "Key": "dir/k é", "UploadId": upload["UploadId"]}
    for number, body in ((2, b"b"), (1, b"a"), (2, b"bb")):
        s3.upload_part(**named, PartNumber=number, Body=body)
    pages = s3.get_paginator("list_parts").paginate(**named, PaginationConfig={"PageSize": 1})
    parts = [(part["PartNumber"], part["Size"]) for page in pages for part in page["Parts"]]
    uploads = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    s3.abort_multipart_upload(**named)

    assert parts == [(1, 1), (2, 2)]
    assert [(found["Key"], found["UploadId"]) for found in uploads] == [("dir/k é", upload["UploadId"])]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    for attempt in (s3.list_parts, s3.abort_multipart_upload):
        with refused("NoSuchUpload", 404):
            attempt(**named)
    with refused("NoSuchUpload", 404):
        s3.upload_part(**named, PartNumber=1, Body=b"")
    s3.delete_bucket(Bucket=bucket)


def test_an_upload_is_completed_only_with_the_parts_there_are(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")
    named = {"Bucket": bucket, "Key": "k", "UploadId": upload["UploadId"]}
    tags = {number: s3.upload_part(**named, PartNumber=number, Body=b"x")["ETag"] for number in (1, 2)}

    def complete(*parts: tuple[int, str]) -> None:
        wanted = [{"PartNumber": number, "ETag": tag} for number, tag in parts]
        s3.complete_multipart_upload(**named, MultipartUpload={"Parts": wanted})

    with refused("InvalidPartOrder"):
        complete((2, tags[2]), (1, tags[1]))
    with refused("InvalidPart"):
        complete((1, '"0"'))
    with refused("InvalidPart"):
        complete((3, tags[1]))
    with refused("EntityTooSmall"):
        complete((1, tags[1]), (2, tags[2]))
    with refused("MalformedXML"):
        complete()
    with refused("InvalidArgument"):
        s3.upload_part(**named, PartNumber=10_001, Body=b"")
    complete((2, tags[2]))
    assert got(s3, bucket, "k") == b"x"


# ── who may ──


def test_accounts_see_their_own_buckets_only(address: str, s3: Any, bucket: str) -> None:
    put(s3, bucket, k=b"mine")
    stranger = client(address, STRANGER)

    assert stranger.list_buckets()["Buckets"] == []
    with refused("NoSuchBucket", 404):
        stranger.get_object(Bucket=bucket, Key="k")


def test_a_role_may_do_what_its_policies_say_object_by_object(address: str, s3: Any, bucket: str) -> None:
    put(s3, bucket, plain=b"1", secret=b"2")
    role = client(address, ROLE)
    answer = role.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "plain"}, {"Key": "secret"}]})

    assert [found["Key"] for found in answer["Deleted"]] == ["plain"]
    assert [(found["Key"], found["Code"]) for found in answer["Errors"]] == [("secret", "AccessDenied")]
    with refused("AccessDenied", 403):
        role.get_object(Bucket=bucket, Key="secret")
    with refused("AccessDenied", 403):
        role.put_object(Bucket=bucket, Key="secret", Body=b"3")
    with refused("AccessDenied", 403):
        role.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "secret"})
    with refused("AccessDenied", 403):
        role.create_multipart_upload(Bucket=bucket, Key="secret")
    assert got(s3, bucket, "secret") == b"2"


def test_who_may_not_list_is_not_told_what_is_missing(tmp_path: Path) -> None:
    with served(tmp_path, lambda action, resource: action == "s3:GetObject") as address:
        client(address).create_bucket(Bucket="bucket")

        with refused("AccessDenied", 403):
            client(address, ROLE).get_object(Bucket="bucket", Key="none")


def test_wrong_keys_are_refused_as_s3_does(address: str, bucket: str) -> None:
    with refused("SignatureDoesNotMatch", 403):
        client(address, replace(ROOT, secret="wrong")).list_buckets()
    with refused("InvalidAccessKeyId", 403):
        client(address, replace(ROOT, id="AKIANONE")).list_buckets()


@pytest.mark.parametrize("version", [None, "s3v4"])
def test_a_link_downloads_until_it_expires(address: str, bucket: str, version: str | None) -> None:
    s3 = client(address, signature_version=version)
    s3.put_object(Bucket=bucket, Key="dir/a é.txt", Body=b"hello")
    named = {"Bucket": bucket, "Key": "dir/a é.txt", "ResponseContentDisposition": 'attachment; filename="x"'}
    link = s3.generate_presigned_url("get_object", Params=named)
    found = requests.get(link, timeout=10)
    late = requests.get(s3.generate_presigned_url("get_object", Params=named, ExpiresIn=-1), timeout=10)
    other = requests.get(link.replace(".txt", ".txu"), timeout=10)
    upload = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "by-link"})
    requests.put(upload, data=b"content", timeout=10).raise_for_status()
    naked = requests.get(f"{address}/{bucket}/dir/a%20%C3%A9.txt", timeout=10)

    assert (found.content, found.headers["content-disposition"]) == (b"hello", named["ResponseContentDisposition"])
    assert got(s3, bucket, "by-link") == b"content"
    assert (late.status_code, other.status_code) == (403 if version is None else 400, 403)
    assert "<Code>SignatureDoesNotMatch</Code>" in other.text
    assert (naked.status_code, "<Code>AccessDenied</Code>" in naked.text) == (403, True)


def test_a_link_of_a_session_works(address: str, s3: Any, bucket: str) -> None:
    put(s3, bucket, k=b"1", secret=b"2")
    role = client(address, ROLE)

    def fetched(key: str) -> requests.Response:
        return requests.get(
            role.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}), timeout=10
        )

    assert fetched("k").content == b"1"
    assert fetched("secret").status_code == 403


def test_a_link_of_ours_works(address: str, s3: Any, bucket: str) -> None:
    put(s3, bucket, **{"a b/é+%.zip": b"1"})
    link = download_link(address, bucket, "a b/é+%.zip", ROOT, datetime.now(UTC), file_name="é.zip")
    late = download_link(address, bucket, "k", ROOT, datetime.now(UTC) - timedelta(hours=2))
    found = requests.get(link, timeout=10)

    assert found.content == b"1"
    assert found.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%A9.zip"
    assert "Request has expired" in requests.get(late, timeout=10).text


# ── ways to ask ──


def test_a_bucket_may_be_in_the_hosts_name(address: str, s3: Any, bucket: str) -> None:
    put(s3, bucket, k=b"1")
    elsewhere = client(f"http://localhost:{address.rpartition(':')[2]}", s3={"addressing_style": "virtual"})
    link = elsewhere.generate_presigned_url("list_objects_v2", Params={"Bucket": bucket})
    host = f"{bucket}.localhost:{address.rpartition(':')[2]}"
    found = requests.get(link.replace(f"http://{host}", address), headers={"host": host}, timeout=10)

    assert host in link
    assert "<Key>k</Key>" in found.text


def test_objects_are_sealed_by_default_if_the_server_says_so(tmp_path: Path) -> None:
    with served(tmp_path, usual=Encryption("AES256", "")) as address:
        s3 = client(address)
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="k", Body=b"a secret")
        found = s3.get_object(Bucket="bucket", Key="k")

    assert (found["Body"].read(), found["ServerSideEncryption"]) == (b"a secret", "AES256")
    assert all(b"a secret" not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
