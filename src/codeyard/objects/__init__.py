"""Buckets of the server's own, in a directory, that speak S3; and one way for builds to use these or any others.

Every object that is read is one that was written: whole, by one `put`, whatever other processes do meanwhile and
whenever one of them dies. A put that was acknowledged is on the disk. Keys are any text that S3 takes, and are listed
in the order of their UTF-8 bytes. What is refused is `codeyard.aws.Refused`, with S3's own code, text and HTTP status.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from codeyard.secrets.sealing import Key

NULL = "null"  # the version id of what was put while its bucket kept no versions


@dataclass(frozen=True, slots=True)
class Encryption:
    """How an object lies on the disk: by a key of the vault, whatever AWS's name for that was."""

    algorithm: str = "aws:kms"  # or AES256
    key: str = "alias/aws/s3"  # what the client, or the project, calls the key; it is told back and no more


@dataclass(frozen=True, slots=True)
class About:
    """What is kept beside an object's bytes and was told by its writer."""

    headers: Mapping[str, str] = field(default_factory=dict)  # content-type, cache-control and so on, as they came
    metadata: Mapping[str, str] = field(default_factory=dict)  # user metadata, without `x-amz-meta-`
    encryption: Encryption | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it lies in a bucket."""

    key: str
    size: int  # bytes, of what was put
    etag: str  # without quotes: the MD5, or of several parts the MD5 of their MD5s, `-`, and how many
    modified: datetime
    about: About = About()
    checksums: Mapping[str, str] = field(default_factory=dict)  # by algorithm (CRC32, …), in base64
    parts: tuple[int, ...] = ()  # the sizes of what it was put together from
    # Like no other of its key: its id, or what begins with `null`. None: the bucket never kept versions until then.
    version: str | None = None
    marker: bool = False  # no object at all, but a mark that it was deleted

    @property
    def version_id(self) -> str:
        """As S3 tells it."""
        return self.version.partition(".")[0] if self.version is not None else NULL


class Keys(Protocol):
    """Where keys of the vault come from; a `codeyard.secrets.sealing.KeyFile` is one, whose file is there already: it
    does not make it for several at once."""

    def newest(self) -> Key:
        """The key to seal by."""
        ...

    def get(self, key_id: str) -> Key:
        """The key of this id. Denied."""
        ...
