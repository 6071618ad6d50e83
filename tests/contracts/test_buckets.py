"""What every Bucket promises, asked of each: embedded, of a real S3 server, and of ours over the wire."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from codeyard.artifacts.buckets import Bucket, Note, OpenBucket, read_text
from codeyard.artifacts.object_store import open_bucket
from codeyard.errors import CodeyardError, Denied, Invalid, NotFound
from codeyard.objects.buckets import embedded, permitted, split_url
from tests.artifacts.servers import KEYS, client, s3_server
from tests.objects import serving

Make = Callable[[str], None]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture(params=["embedded", "permitted", "s3", "ours"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[OpenBucket, Make]]:
    """Opens buckets, and makes one of a name."""
    with ExitStack() as stack:
        keys = stack.enter_context(pytest.MonkeyPatch.context())
        store = serving.directory(tmp_path / "data")

        def make(name: str) -> None:
            store.create(serving.ACCOUNT, name, "us-east-1")

        match request.param:
            case "embedded":
                yield embedded(store, serving.ACCOUNT), make
            case "permitted":
                yield permitted(embedded(store, serving.ACCOUNT), lambda action, arn: None), make
            case "s3":
                address = request.getfixturevalue("moto")
                for name, value in KEYS.items():
                    keys.setenv(name, value)
                yield partial(open_bucket, endpoint=address), lambda name: client(address).create_bucket(Bucket=name)
            case _:
                address = stack.enter_context(serving.served(tmp_path / "data"))
                keys.setenv("AWS_ACCESS_KEY_ID", serving.ROOT.id)
                keys.setenv("AWS_SECRET_ACCESS_KEY", serving.ROOT.secret)
                yield partial(open_bucket, endpoint=address), make


@pytest.fixture
def bucket(opener: tuple[OpenBucket, Make]) -> Bucket:
    name = f"b-{uuid4()}"
    opener[1](name)
    return opener[0](f"s3://{name}/below/a prefix")


def got(bucket: Bucket, key: str) -> bytes:
    with bucket.read(key) as found:
        content = b"".join(found.pieces)
        assert len(content) == found.size
    return content


def test_what_is_known_of_an_object_is_told_with_its_bytes_and_without(bucket: Bucket) -> None:
    bucket.write("dir/é+", b"12345", Note({"codepipeline-artifact-revision-summary": "seven"}, "text/plain"))

    facts = bucket.facts("dir/é+")
    with bucket.read("dir/é+") as found:
        beside = found.facts

    assert (facts, facts.size, facts.version) == (beside, 5, None)
    assert facts.etag == "827ccb0eea8a706c4c34a16891f84e7b"
    assert facts.metadata == {"codepipeline-artifact-revision-summary": "seven"}
    assert facts.modified is not None
    with pytest.raises(NotFound):
        bucket.facts("absent")


@pytest.mark.parametrize("size", [0, 5, 20 << 20])
@pytest.mark.parametrize("key", [None, "alias/aws/s3"])
def test_what_is_written_can_be_read(bucket: Bucket, size: int, key: str | None) -> None:
    content = os.urandom(1 << 20) * (size >> 20) if size > 100 else b"12345"[:size]
    bucket.write("bytes é+", content, Note({"a": "b"}, "text/plain", key))
    bucket.write("dir/pieces", iter([content[:3], content[3:]]), Note(key=key))
    file = io.BytesIO(b"skipped" + content)
    file.seek(7)
    bucket.write("dir/file", file, Note(key=key))

    assert got(bucket, "bytes é+") == got(bucket, "dir/pieces") == got(bucket, "dir/file") == content
    assert sorted(bucket.list("dir")) == [("dir/file", size), ("dir/pieces", size)]


def test_a_write_replaces_what_had_the_key(bucket: Bucket) -> None:
    bucket.write("k", b"old", Note())
    bucket.write("k", b"new", Note())

    assert got(bucket, "k") == b"new"
    assert list(bucket.list("")) == [("k", 3)]


def test_a_write_that_breaks_off_leaves_what_was_there(bucket: Bucket) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise Invalid("it", "breaks off", "now")

    bucket.write("k", b"old", Note())
    with pytest.raises(Exception, match="breaks off"):
        bucket.write("k", broken(), Note())

    assert got(bucket, "k") == b"old"


def test_a_folder_is_not_what_begins_like_it(bucket: Bucket) -> None:
    for key in ("a/1", "ab/2", "a", "b"):
        bucket.write(key, b"", Note())

    assert [key for key, _ in bucket.list("a")] == ["a/1"]
    assert [key for key, _ in bucket.list("a/")] == ["a/1"]
    assert list(bucket.list("none")) == []


def test_what_is_not_there_is_not_found(bucket: Bucket, opener: tuple[OpenBucket, Make]) -> None:
    nowhere = opener[0]("s3://no-such-bucket")
    with pytest.raises(NotFound, match="NoSuchKey"), bucket.read("none"):
        pass
    with pytest.raises(NotFound, match="NoSuchBucket"), nowhere.read("k"):
        pass
    with pytest.raises(CodeyardError, match="NoSuchBucket"):
        nowhere.write("k", b"", Note())
    with pytest.raises(NotFound, match="NoSuchBucket"):
        list(nowhere.list(""))


def test_many_more_objects_than_a_page_are_listed(opener: tuple[OpenBucket, Make]) -> None:
    name = f"b-{uuid4()}"
    opener[1](name)
    bucket = opener[0](f"s3://{name}")
    for number in range(1005):
        bucket.write(f"k/{number:05}", b"", Note())

    assert [key for key, _ in bucket.list("")] == [f"k/{number:05}" for number in range(1005)]


def test_a_text_is_read_by_its_arn(opener: tuple[OpenBucket, Make]) -> None:
    name = f"b-{uuid4()}"
    opener[1](name)
    opener[0](f"s3://{name}").write("dir/spec.yml", "é".encode(), Note())

    assert read_text(opener[0], f"arn:aws:s3:::{name}/dir/spec.yml", 10) == "é"
    with pytest.raises(NotFound, match="more than 1 bytes"):
        read_text(opener[0], f"arn:aws:s3:::{name}/dir/spec.yml", 1)


# ── leave is asked first ──


def test_nothing_is_done_without_leave(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def permit(action: str, arn: str) -> None:
        asked.append((action, arn))
        raise Denied(arn, f"{action} is not allowed.", "Allow it.")

    store = serving.directory(tmp_path / "data")
    store.create(serving.ACCOUNT, "bucket", "us-east-1")
    plain = embedded(store, serving.ACCOUNT)
    plain("s3://bucket/pre").write("k", b"1", Note())
    bucket = permitted(plain, permit)("s3://bucket/pre")

    with pytest.raises(Denied), bucket.read("k"):
        pass
    with pytest.raises(Denied), bucket.read("k", "v1"):
        pass
    with pytest.raises(Denied):
        bucket.write("k", b"2", Note())
    with pytest.raises(Denied):
        list(bucket.list(""))
    arn = "arn:aws:s3:::bucket/pre/k"
    assert asked == [
        ("s3:GetObject", arn),
        ("s3:GetObjectVersion", arn),
        ("s3:PutObject", arn),
        ("s3:ListBucket", "arn:aws:s3:::bucket"),
    ]
    assert got(plain("s3://bucket"), "pre/k") == b"1"


@pytest.mark.parametrize("url", ["", "s3://", "s3:///k", "file:///x", "bucket/key"])
def test_what_names_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        split_url(url)


def test_the_embedded_buckets_have_no_versions(tmp_path: Path) -> None:
    store = serving.directory(tmp_path / "data")
    store.create(serving.ACCOUNT, "bucket", "us-east-1")

    with pytest.raises(NotFound, match="NoSuchVersion"), embedded(store, serving.ACCOUNT)("s3://bucket").read("k", "v"):
        pass
