"""A bucket as builds use it: for sources, artifacts and logs, wherever it is.

A Bucket is what lies at `s3://bucket` or below `s3://bucket/prefix`; keys are relative to that. Every leaf keeps these
promises:
  - a write is seen when it is complete, and not if it ends before; it replaces what had the key;
  - a write from an iterator that raises leaves nothing;
  - what is not there is NotFound, what is refused Denied, a bucket that does not work is a Fault; `why` begins with
    S3's own code, such as `NoSuchKey`, where there is one.
Calls block, and several threads may make them at once.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, NamedTuple, Protocol

from codeyard.errors import NotFound


class Listed(NamedTuple):
    key: str
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an object beside its bytes: its size is theirs, its ETag without quotes, its user metadata by
    names in lower case. `version` is None where the bucket keeps no versions."""

    size: int
    etag: str = ""
    version: str | None = None
    modified: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Download:
    """An object that is being read: its size in bytes, its bytes in pieces, and what is known of these very bytes."""

    size: int
    pieces: Iterator[bytes]
    facts: Facts


@dataclass(frozen=True, slots=True)
class Note:
    """What is written beside an object. `key` is AWS's name of the key to encrypt it by; None: not encrypted. `acl` is
    a canned ACL's name: who may set one is asked, and a bucket that cannot take it is Invalid."""

    metadata: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None
    key: str | None = None
    cache_control: str | None = None
    acl: str | None = None


class Bucket(Protocol):
    """See the module."""

    def read(self, key: str, version: str | None = None) -> AbstractContextManager[Download]:
        """An object, in a version if one is named. NotFound, Denied, Fault."""

    def facts(self, key: str, version: str | None = None) -> Facts:
        """What is known of it, without reading it. NotFound, Denied, Fault."""

    def write(self, key: str, content: BinaryIO | Iterator[bytes] | bytes, note: Note) -> None:
        """Put one object; a file must be seekable, and is sent from where it stands. Invalid if the key cannot be."""

    def list(self, prefix: str) -> Iterator[Listed]:
        """What lies below the folder `prefix`, "" being all. NotFound if there is no such bucket."""


OpenBucket = Callable[[str], Bucket]  # of s3://bucket or s3://bucket/prefix; Invalid


def read_text(open_bucket: OpenBucket, arn: str, limit: int) -> str:
    """The text of the object that `arn:aws:s3:::bucket/key` names. NotFound also if it is too long, or not UTF-8."""
    bucket, _, key = arn.rpartition(":")[2].partition("/")
    with open_bucket(f"s3://{bucket}").read(key) as found:
        if found.size > limit:
            raise NotFound(f"object {arn}", f"it has more than {limit} bytes.", "Write a shorter one.")
        try:
            return b"".join(found.pieces).decode()
        except UnicodeDecodeError:
            raise NotFound(f"object {arn}", "it is not UTF-8 text.", "Put a text there.") from None
