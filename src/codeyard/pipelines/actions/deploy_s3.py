"""Deploy/AWS/S3 (User Guide, "Amazon S3 deploy action reference"): an artifact's files, or its zip, into a bucket.

The files come from the artifact's tree, with no zip between. What lies in the bucket already stays, but for objects of
the same keys. `{datetime}` in ObjectKey is when the action began, and `{uuid}` its execution's id, so that an upload
that is taken up again goes where it went before.
"""

import asyncio
import re
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import BinaryIO, cast

from codeyard.artifacts import Digest, Entry, chunks
from codeyard.artifacts.buckets import Bucket, Note
from codeyard.artifacts.transfer import load_manifest
from codeyard.artifacts.zips import write_zip
from codeyard.durable import Answer
from codeyard.pipelines.actions import ActionFailed, Artifact, ErrorCode, Outcome, Work
from codeyard.pipelines.actions.deployed_files import content_type, files
from codeyard.pipelines.actions.importing import tree_of
from codeyard.sources.copying import Cancelled, in_thread

_THREADS = 8
_WHOLE = 8 << 20  # bytes of a file that is put in one piece
_LONGEST_KEY = 1024  # bytes, as S3 has it
_CONTROL = re.compile("[\0-\x1f\x7f]")
_ACLS = frozenset(
    "private public-read public-read-write authenticated-read aws-exec-read bucket-owner-read "
    "bucket-owner-full-control".split()
)
Stopped = Callable[[], bool]


class S3DeployAction:
    """Uploads, as the role may."""

    async def run(self, work: Work) -> Outcome:
        given = work.declared.configuration
        bucket, key, note = given.get("BucketName", ""), object_key(work), _note(work)
        if not work.inputs:
            raise ActionFailed(ErrorCode.CONFIGURATION, "The action has no input artifact")
        artifact = work.inputs[0]
        extract = given.get("Extract", "").lower() == "true"
        if not extract and not key:
            raise ActionFailed(ErrorCode.CONFIGURATION, "ObjectKey is required when Extract is false")
        tree = await tree_of(artifact, work) if extract or artifact.tree is not None else None
        opened = await asyncio.to_thread(work.open_bucket, f"s3://{bucket}")

        async def upload() -> Answer:
            if extract:
                assert tree is not None
                return {"files": await in_thread(lambda stopped: _put_files(work, tree, opened, key, note, stopped))}
            await in_thread(lambda stopped: _put_whole(work, replace(artifact, tree=tree), opened, key, note, stopped))
            return {"files": 1}

        done = await work.step("upload", upload)
        return Outcome(summary=f"Deployed {done['files']} {'files' if done['files'] != 1 else 'file'} to {bucket}")


def object_key(work: Work) -> str:
    """ObjectKey with its placeholders filled in, and no slash at its ends."""
    text = work.declared.configuration.get("ObjectKey", "")
    at = work.began.strftime("%Y-%m-%d_%H-%M-%S")  # UTC, as `began` is
    return text.replace("{datetime}", at).replace("{uuid}", work.run).strip("/")


def _note(work: Work) -> Note:
    given = work.declared.configuration
    acl, cache = given.get("CannedACL") or None, given.get("CacheControl") or None
    if acl is not None and acl not in _ACLS:
        raise ActionFailed(ErrorCode.CONFIGURATION, f"CannedACL is none of {', '.join(sorted(_ACLS))}")
    if cache is not None and (_CONTROL.search(cache) or not cache.isascii()):
        raise ActionFailed(ErrorCode.CONFIGURATION, "CacheControl has characters that no header can have")
    return Note(key=given.get("KMSEncryptionKeyARN") or None, cache_control=cache, acl=acl)


def _put_files(work: Work, digest: Digest, bucket: Bucket, prefix: str, note: Note, stopped: Stopped) -> int:
    """How many files were put. Invalid, and nothing is put: one of them cannot be an object."""
    found = files(load_manifest(digest, work.blobs).entries)
    keyed = [(_checked(f"{prefix}/{entry.path}" if prefix else entry.path), entry) for entry in found]

    def send(one: tuple[str, Entry]) -> None:
        key, entry = one
        if stopped():
            raise Cancelled
        assert entry.digest is not None, "files have content"
        with work.blobs.open(entry.digest) as file:
            content = chunks(file) if entry.size > _WHOLE else b"".join(chunks(file))
            bucket.write(key, content, replace(note, content_type=content_type(entry.path)))

    pool = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="deploy")
    try:
        for _ in pool.map(send, keyed):
            pass
    finally:
        pool.shutdown(cancel_futures=True)  # once one file cannot be put, no other needs to be
    return len(keyed)


def _put_whole(work: Work, artifact: Artifact, bucket: Bucket, key: str, note: Note, stopped: Stopped) -> None:
    """The artifact as one object: the zip of its tree, or its bytes as they are."""
    noted = replace(note, content_type=content_type(key))
    _checked(key)
    if artifact.tree is not None:
        with tempfile.TemporaryFile() as file:
            write_zip(load_manifest(artifact.tree, work.blobs), work.blobs, cast(BinaryIO, file))
            file.seek(0)
            if stopped():
                raise Cancelled
            bucket.write(key, cast(BinaryIO, file), noted)
    elif artifact.raw is not None:
        with work.blobs.open(artifact.raw) as blob:
            bucket.write(key, chunks(blob), noted)
    elif artifact.there:
        with work.open_bucket(f"s3://{artifact.bucket}").read(artifact.key) as found:
            bucket.write(key, found.pieces, noted)
    else:
        raise ActionFailed(ErrorCode.CONFIGURATION, f"The artifact {artifact.name} holds no files")


def _checked(key: str) -> str:
    """The key. ActionFailed: S3 takes none such."""
    try:
        fits = len(key.encode()) <= _LONGEST_KEY
    except UnicodeEncodeError:  # a name that was no UTF-8
        fits = False
    if not fits:
        text = f"No object can have the key {key[:200]!r}: it is longer than {_LONGEST_KEY} bytes, or not UTF-8"
        raise ActionFailed(ErrorCode.CONFIGURATION, text)
    return key
