"""What a git server says of its refs, and a commit of itself: read, and never run. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Protocol

from codeyard.sources import Credential

MESSAGE_LIMIT = 100 << 10  # bytes of a message that are shown (CodePipeline's CommitMessage)

_REF = re.compile(rb"([0-9a-f]{40}(?:[0-9a-f]{24})?)\t([^\t\n]{1,1024})")
_PERSON = re.compile(rb"(.*?)(?: <[^>]*>)? (-?\d{1,15}) ([+-])(\d\d)(\d\d)")
_PEELED = b"^{}"


@dataclass(frozen=True, slots=True)
class CommitFacts:
    """A commit, by its full id. Times keep the offset that their writer had."""

    id: str
    author: str
    authored: datetime
    committed: datetime
    message: str


class Histories(Protocol):
    """What repositories are asked for, by their URL, beside being cloned. All raise SourceError.

    `credential` is shown to the URL's own server, and to no other.
    """

    async def refs(
        self, url: str, credential: Credential | None, patterns: tuple[str, ...] = ("refs/heads/*", "refs/tags/*")
    ) -> Mapping[str, str]:
        """The refs that match, each with the commit that it leads to, as the server has them now."""
        ...

    async def commit(self, url: str, credential: Credential | None, commit: str, ref: str | None) -> CommitFacts:
        """The commit of this id (or its beginning), wherever in the repository; `ref` may lead to it. NotFound."""
        ...

    async def check_out(self, url: str, commit: str, destination: Path) -> None:
        """The files of a commit that `commit` gave, into `destination`, an empty directory: no `.git` among them, and
        of submodules only their directories."""
        ...

    async def changed(self, url: str, before: str | None, after: str, limit: int) -> tuple[str, ...]:
        """The paths that differ between two commits that `commit` gave, at most `limit`; None: all of `after`."""
        ...


def parse_refs(listing: bytes) -> dict[str, str]:
    """Ref to commit, from what `git ls-remote` prints: a tag's own object gives way to what it leads to."""
    found: dict[str, str] = {}
    for line in listing.splitlines():
        match = _REF.fullmatch(line)
        if match is None:
            continue
        name = match[2].removesuffix(_PEELED).decode("utf-8", "surrogateescape")
        if name not in found or match[2].endswith(_PEELED):
            found[name] = match[1].decode("ascii")
    return found


def parse_commit(id: str, raw: bytes) -> CommitFacts:
    """The commit that `git cat-file commit` prints. What cannot be read of it is as of 1970, or as text with marks."""
    head, _, body = raw.partition(b"\n\n")
    fields: dict[bytes, bytes] = {}
    for line in head.split(b"\n"):
        name, _, value = line.partition(b" ")
        fields.setdefault(name, value)
    author, authored = _person(fields.get(b"author", b""))
    _, committed = _person(fields.get(b"committer", b""))
    message = body[:MESSAGE_LIMIT].decode(_encoding(fields.get(b"encoding")), "replace").replace("\0", "")
    return CommitFacts(id, author, authored, committed, message.rstrip("\n"))


def parse_paths(listing: bytes, limit: int) -> tuple[str, ...]:
    """Paths, from what `git diff-tree -z --name-only` prints."""
    return tuple(raw.decode("utf-8", "surrogateescape") for raw in listing.split(b"\0")[:limit] if raw)


def _person(line: bytes) -> tuple[str, datetime]:
    match = _PERSON.fullmatch(line)
    if match is None:
        return "", datetime(1970, 1, 1, tzinfo=UTC)
    minutes = (int(match[4]) * 60 + int(match[5])) * (-1 if match[3] == b"-" else 1)
    zone = timezone(timedelta(minutes=minutes)) if abs(minutes) < 24 * 60 else UTC
    name = match[1].decode("utf-8", "replace").replace("\0", "")
    return name, _bounded(int(match[2]), zone)


def _bounded(seconds: int, zone: timezone) -> datetime:
    """A commit may say any time; one that no calendar has is as of 1970."""
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).astimezone(zone)
    except (OverflowError, ValueError):
        return datetime(1970, 1, 1, tzinfo=UTC)


def _encoding(said: bytes | None) -> str:
    """Of the encodings that git's users have, those that Python knows as texts; else UTF-8."""
    name = (said or b"utf-8").decode("ascii", "replace").lower()
    decoders: Mapping[str, str] = {"iso-8859-1": "latin-1", "latin1": "latin-1", "iso-8859-15": "iso-8859-15"}
    return decoders.get(name, "utf-8")
