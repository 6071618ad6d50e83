"""What a request asks for."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.aws.sigv4 import Request
from codeyard.objects import asked as table
from codeyard.objects.asked import Asked, asked
from codeyard.objects.wire import S3
from tests.objects.serving import People, directory


def of(method: str, target: str, host: str = "127.0.0.1:8000", **headers: str) -> Asked:
    path, _, query = target.partition("?")
    told = (("host", host), *((name.replace("_", "-"), value) for name, value in headers.items()))
    return asked(Request(method, path, query, told, ""), ("localhost",))


@pytest.mark.parametrize(
    ("method", "target", "operation"),
    [
        ("GET", "/", "ListBuckets"),
        ("GET", "/?x-id=ListBuckets", "ListBuckets"),
        ("PUT", "/b", "CreateBucket"),
        ("PUT", "/b/", "CreateBucket"),
        ("GET", "/b?list-type=2&prefix=a", "ListObjectsV2"),
        ("GET", "/b?uploads", "ListMultipartUploads"),
        ("POST", "/b?delete", "DeleteObjects"),
        ("GET", "/b//", "GetObject"),
        ("PUT", "/b/k?partNumber=1&uploadId=u", "UploadPart"),
        ("POST", "/b/k?uploads=", "CreateMultipartUpload"),
    ],
)
def test_method_path_and_query_name_the_operation(method: str, target: str, operation: str) -> None:
    assert of(method, target).operation == operation


def test_a_source_makes_a_copy_of_a_put() -> None:
    assert of("PUT", "/b/k", x_amz_copy_source="/a/b").operation == "CopyObject"
    assert of("PUT", "/b/k?partNumber=1&uploadId=u", x_amz_copy_source="/a/b").operation == "UploadPartCopy"


def test_a_bucket_is_in_the_path_or_in_the_host() -> None:
    path, host = of("GET", "/b/a%2Fb//c+%C3%A9"), of("GET", "/k/x", "b.localhost:1")
    deep = of("GET", "/k", "a.b.localhost")

    assert (path.bucket, path.key) == ("b", "a/b//c+é")
    assert (host.bucket, host.key) == ("b", "k/x")
    assert (deep.bucket, deep.key) == ("a.b", "k")


@given(st.text(max_size=20), st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "x"]))
def test_any_path_asks_for_something_or_is_refused(path: str, method: str) -> None:
    try:
        found = of(method, path).operation
    except (Refused, UnicodeEncodeError):
        return

    assert found[0].isupper()


def test_every_operation_that_can_be_asked_for_is_here(tmp_path: Path) -> None:
    app = S3(directory(tmp_path / "data"), People(lambda action, resource: True))
    named = {*table._OF_BUCKET.values(), *table._OF_OBJECT.values(), *table._OF_COPY.values(), "ListBuckets"}

    assert named == app.operations
