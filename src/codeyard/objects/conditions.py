"""Whether an object is sent, and how much of it: the conditions and ranges of HTTP as S3 reads them (RFC 9110)."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

from codeyard.aws import Refused
from codeyard.objects import Stored

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class Fate(StrEnum):
    SEND = "send"
    NOT_MODIFIED = "not modified"
    FAILED = "failed"


def fate(headers: Mapping[str, str], stored: Stored, prefix: str = "") -> Fate:
    """What becomes of a read. `prefix` is that of the headers' names: a copy's begin `x-amz-copy-source-`."""
    modified = stored.modified.astimezone(UTC).replace(microsecond=0)
    match, none_match = headers.get(f"{prefix}if-match"), headers.get(f"{prefix}if-none-match")
    if match is not None:
        if not _among(match, stored.etag):
            return Fate.FAILED
    elif (since := _time(headers.get(f"{prefix}if-unmodified-since"))) is not None and modified > since:
        return Fate.FAILED
    if none_match is not None:
        return Fate.NOT_MODIFIED if _among(none_match, stored.etag) else Fate.SEND
    since = _time(headers.get(f"{prefix}if-modified-since"))
    return Fate.NOT_MODIFIED if since is not None and modified <= since else Fate.SEND


def part_of(text: str | None, size: int) -> tuple[int, int] | None:
    """Start and length of the range that a Range header asks for; None: all, also if it cannot be read.

    InvalidRange if there is nothing of it."""
    match = _RANGE.fullmatch(text.strip()) if text else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        start, end = max(0, size - int(match[2])), size - 1
    else:
        start, end = int(match[1]), min(int(match[2]) if match[2] else size - 1, size - 1)
        if match[2] and int(match[2]) < start:
            return None
    if start >= size or end < start:
        raise Refused("InvalidRange", "The requested range is not satisfiable", 416)
    return start, end - start + 1


def _among(text: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in text.split(",")]
    return "*" in tags or etag in tags


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
