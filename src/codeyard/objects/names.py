"""The names of buckets and objects: which are good, and where each lies in a directory.

An object's path is its key, cut at the slashes. A part that goes on is a directory, `+part`; the last one is the file,
`=part`, so that `a`, `a/` and `a/b` are all possible; of a part too long for a file name the first PIECE bytes are a
directory, `~piece`, in which the rest, even if it is empty, lies in the same way. Of a part only letters, digits, `-`,
`_` and `.` stay as they are; every other byte becomes `%XX`. So no key means another's file, nor anything outside.
"""

import ipaddress
import re
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from codeyard.aws import Refused

KEY_LIMIT = 1024  # bytes
PIECE = 80  # bytes of a key in one file name, which are at most 241 of the name
_BUCKET = re.compile(r"(?!xn--|sthree-)[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9](?<!-s3alias)(?<!--ol-s3)")


class Role(StrEnum):
    """What a name in the directory stands for."""

    FILE = "="  # the key ends here
    PART = "+"  # a slash follows
    PIECE = "~"  # more of the same part follows


class Name(NamedTuple):
    """A name in a directory. `span` is what it adds to the key, with the slash; names sort by it."""

    span: bytes
    role: Role
    name: str


def bucket_name(text: str) -> str:
    """The text, if S3 would take it for a general purpose bucket. InvalidBucketName."""
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    if _BUCKET.fullmatch(text) is None or _is_address(text):
        raise Refused("InvalidBucketName", "The specified bucket is not valid.")
    return text


def key_name(text: str) -> str:
    """The text, if it can be a key. KeyTooLongError, InvalidArgument."""
    size = len(text.encode())
    if size > KEY_LIMIT:
        raise Refused("KeyTooLongError", "Your key is too long")
    if size == 0:
        raise Refused("InvalidArgument", "A key has at least one byte.")
    return text


def path_of(key: str) -> str:
    """Where the object lies, relative to the objects of its bucket."""
    *parts, last = key.encode().split(b"/")
    names = [name for part in parts for name in _pieces(part, Role.PART)]
    return "/".join((*names, *_pieces(last, Role.FILE)))


def parse(name: str) -> Name | None:
    """What a name in the directory stands for; None if it is none of ours."""
    if name[:1] not in ("=", "+", "~"):
        return None
    role = Role(name[0])
    return Name(unquote_to_bytes(name[1:]) + (b"/" if role is Role.PART else b""), role, name)


def _pieces(part: bytes, last: Role) -> list[str]:
    pieces = [part[start : start + PIECE] for start in range(0, len(part) + 1, PIECE)]
    roles = [Role.PIECE] * (len(pieces) - 1) + [last]
    # "~" needs no quotes for the library, and is quoted all the same for what it means here in front.
    return [
        role + quote_from_bytes(piece, safe="").replace("~", "%7E") for role, piece in zip(roles, pieces, strict=True)
    ]


def _is_address(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
