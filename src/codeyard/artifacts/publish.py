"""Where an artifact goes: the key that AWS gives it, and getting it there, in a directory or a bucket.

The layout is that of the CodeBuild API's ProjectArtifacts (path, namespaceType, name, packaging).
"""

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, cast

from codeyard.artifacts import BlobStore, Digest, Entry, Kind, Tree, chunks
from codeyard.artifacts.buckets import Bucket, Note, OpenBucket
from codeyard.artifacts.failures import explained
from codeyard.artifacts.transfer import move_over, place_tree
from codeyard.errors import Conflict, Invalid


class Packaging(StrEnum):
    NONE = "NONE"  # each file by itself, the name is a folder
    ZIP = "ZIP"  # one file


class NamespaceType(StrEnum):
    NONE = "NONE"
    BUILD_ID = "BUILD_ID"  # the build's uuid is a part of the key


@dataclass(frozen=True, slots=True)
class Published:
    """What is where now. The sums are of the zip, and None for a folder, as AWS reports them."""

    location: str  # an absolute path, or arn:aws:s3:::bucket/key
    tree: Digest
    files: int
    size: int  # bytes of the zip, or of all files
    md5: str | None = None
    sha256: str | None = None


def layout(
    path: str | None,
    namespace_type: NamespaceType,
    name: str,
    build_uuid: str,
    packaging: Packaging,
    *,
    s3_prefix: str | None = None,
) -> str:
    """The key of a zip, or of the folder of the files; "" is the root. `name` "/" stands for the root of what precedes
    it, and of a zip there it is the build's uuid with `.zip`, for a file needs some name.

    `s3_prefix`, of the buildspec, takes the place of `path` where the namespace is BUILD_ID.
    Invalid if a part is `.` or `..`, or has a control character."""
    spaced = namespace_type is NamespaceType.BUILD_ID
    parts = [s3_prefix if s3_prefix and spaced else path, build_uuid if spaced else None, name]
    key = "/".join(part for text in parts if text for part in text.split("/") if part)
    for part in key.split("/"):
        if part in (".", "..") or any(character < " " or character == "\x7f" for character in part):
            raise Invalid(f"artifact name {key[:200]!r}", "it has a part that is no name.", "Use plain names.")
    if packaging is Packaging.ZIP and not name.strip("/"):
        return f"{key}/{build_uuid}.zip" if key else f"{build_uuid}.zip"
    return key


def publish_to_directory(tree: Tree, store: BlobStore, directory: Path, key: str, packaging: Packaging) -> Published:
    """Put the artifact at `key` below `directory`, which is made if need be.

    A zip, or a folder that is new, appears whole or not at all. In a folder that exists, files of the same path are
    replaced one by one and others stay, as in a bucket; it is complete under another name first, so a full disk or
    a file that cannot be read shows before anything is touched. Invalid if the place cannot be written to."""
    with explained(f"artifact directory {directory}"):
        target = directory.resolve() / key if key else directory.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
    if packaging is Packaging.ZIP:
        size, md5, sha256 = _zip_to(tree, store, target)
        return Published(str(target), tree.digest, tree.files, size, md5, sha256)
    if os.path.lexists(target):
        _merge(tree, store, target)
    else:
        try:
            place_tree(tree, store, target)
        except Conflict:  # another build made it in the meantime
            _merge(tree, store, target)
    return Published(str(target), tree.digest, tree.files, tree.size)


def publish_to_bucket(
    tree: Tree,
    store: BlobStore,
    url: str,
    key: str,
    packaging: Packaging,
    *,
    build_arn: str = "",
    open_bucket: OpenBucket | None = None,
    encrypt_by: str | None = None,
) -> Published:
    """Put the artifact at `key` below `url` (`s3://bucket/prefix`), with the user metadata that CodeBuild gives.

    Objects with the same keys are replaced. Denied, NotFound or Fault as the bucket answers; Invalid for links in an
    artifact that is not a zip: a bucket has none. `open_bucket` gives the bucket, by default as the environment says;
    `encrypt_by` is AWS's name of the key that it encrypts by, if any."""
    bucket = _opened(url, open_bucket)
    metadata = {"codebuild-buildarn": build_arn} if build_arn else {}
    scheme, _, rest = url.partition("://")
    where = "/".join(part for part in (rest.strip("/"), key) if part)
    location = f"arn:aws:s3:::{where}" if scheme == "s3" else f"{scheme}://{where}"
    if packaging is Packaging.ZIP:
        import tempfile

        from codeyard.artifacts.zips import write_zip

        with explained("making a zip"), tempfile.TemporaryFile() as file:
            sums = write_zip(tree, store, cast(BinaryIO, file))
            file.seek(0)
            told = {"codebuild-content-md5": sums.md5, "codebuild-content-sha256": sums.sha256}
            bucket.write(key, cast(BinaryIO, file), Note(metadata | told, key=encrypt_by))
        return Published(location, tree.digest, tree.files, sums.size, sums.md5, sums.sha256)
    if odd := [entry.path for entry in tree.entries if entry.kind is Kind.LINK]:
        raise Invalid(f"artifact file {odd[0]!r}", "a bucket has no links.", "Use ZIP, or turn enable-symlinks off.")

    from concurrent.futures import ThreadPoolExecutor

    def send(entry: Entry) -> None:
        assert entry.digest is not None
        with store.open(entry.digest) as file:
            content = chunks(file) if entry.size > (8 << 20) else file.read()
            bucket.write(f"{key}/{entry.path}" if key else entry.path, content, Note(metadata, key=encrypt_by))

    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="publish") as pool:
        for _ in pool.map(send, [entry for entry in tree.entries if entry.digest is not None]):
            pass
    return Published(location, tree.digest, tree.files, tree.size)


def publish_log(
    open_bucket: OpenBucket,
    location: str,
    build_uuid: str,
    log: Iterable[bytes],
    *,
    build_arn: str = "",
    encrypt_by: str | None = None,
) -> str:
    """Put the gzip of a build's log at `<prefix>/<uuid>.gz`; gives its ARN (reference 10.2).

    `location` is `bucket[/prefix]`, or that as an ARN; `log` is its bytes, in pieces. Denied, NotFound, Fault."""
    import gzip
    import tempfile

    name, key = log_place(location, build_uuid)
    with explained("packing a log"), tempfile.TemporaryFile() as file:
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
            for piece in log:
                packed.write(piece)
        file.seek(0)
        metadata = {"codebuild-buildarn": build_arn} if build_arn else {}
        note = Note(metadata, "application/gzip", encrypt_by)
        open_bucket(f"s3://{name}").write(key, cast(BinaryIO, file), note)
    return f"arn:aws:s3:::{name}/{key}"


def log_place(location: str, build_uuid: str) -> tuple[str, str]:
    """Bucket and key of a build's log; `location` as for `publish_log`."""
    name, _, prefix = location.removeprefix("arn:aws:s3:::").partition("/")
    return name, "/".join(part for part in (*prefix.split("/"), f"{build_uuid}.gz") if part)


def _opened(url: str, open_bucket: OpenBucket | None) -> Bucket:
    if open_bucket is not None:
        return open_bucket(url)
    from codeyard.artifacts.object_store import open_bucket as of_the_environment

    return of_the_environment(url)


def _zip_to(tree: Tree, store: BlobStore, target: Path) -> tuple[int, str, str]:
    """Write the zip beside its place and rename it there; its size and its two sums."""
    from codeyard.artifacts.zips import write_zip

    draft = target.parent / f".{target.name[:100]}.{os.urandom(4).hex()}.part"
    with explained(f"artifact {target}"):
        try:
            with draft.open("x+b") as file:
                sums = write_zip(tree, store, cast(BinaryIO, file))
            draft.replace(target)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise
    return sums.size, sums.md5, sums.sha256


def _merge(tree: Tree, store: BlobStore, target: Path) -> None:
    """Into a folder that exists. The draft is inside it: only there are we sure to be on its disk and allowed."""
    if not target.is_dir():
        raise Invalid(f"artifact directory {target}", "a file is in its place.", "Choose another, or remove it.")
    draft = target / f".codeyard-{os.urandom(4).hex()}.part"
    try:
        place_tree(tree, store, draft)
        move_over(tree, draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
