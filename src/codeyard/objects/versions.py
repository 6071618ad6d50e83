"""The versions of an object: the newest where objects always are, those before it, and marks of deletion, beside them.

BUCKET/versioning                              `Enabled` or `Suspended`, once it was turned on
BUCKET/objects/<path>                          the newest; no file if the newest is a mark
BUCKET/versions/<path>/<number>-<version>      a former one or a mark; of a key, the higher number is the newer

A version gets its number when it becomes a former one, a mark at once. So that readers of the newest need no lock, and
a process may die at any moment, every change happens in one step, to the name in `objects`, or to the only name it is
about. What else belongs to it is a file that is kept before, and files that are swept after, or by the next change of
the key if nobody came to it. These files do not count:
  - the newest itself, where it has a second name among the former ones already or still, and what is newer than that;
  - S3's `null` versions, of which there is one at a time, except the newest of them.

Who changes versions of a bucket holds its lock alone; who looks for former ones holds it shared.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path

from codeyard.aws import Refused
from codeyard.objects import NULL, Stored
from codeyard.objects.files import Draft, Opened
from codeyard.objects.listing import Directory, common_prefix, page
from codeyard.objects.names import path_of
from codeyard.objects.placing import make_directories, place, prune, settle, unplace

_FORMER = re.compile(r"([0-9]{12})-([0-9a-f]{32}|null(?:\.[0-9a-f]{32})?)")


class Versioning(StrEnum):
    """What a bucket does with former versions. Of one that never kept any, there is none of these."""

    ENABLED = "Enabled"
    SUSPENDED = "Suspended"  # those that are there stay; what is put is the `null` version


class Marked(Refused):
    """A mark of deletion is what was found: there is no object, or the mark's own version was asked for (`named`)."""

    def __init__(self, marker: Stored, named: bool) -> None:
        if named:
            super().__init__("MethodNotAllowed", "The specified method is not allowed against this resource.", 405)
        else:
            super().__init__("NoSuchKey", "The specified key does not exist.", 404)
        self.args = (marker, named)
        self.marker, self.named = marker, named


@dataclass(frozen=True, slots=True)
class Former:
    """A file among the former versions."""

    number: int
    version: str  # as in Stored
    path: str

    @property
    def version_id(self) -> str:
        return self.version.partition(".")[0]


@dataclass(frozen=True, slots=True)
class VersionPage:
    """Versions with whether each is the newest of its key, by key and then the newer first; and common prefixes."""

    versions: tuple[tuple[Stored, bool], ...]
    prefixes: tuple[str, ...]
    last: (
        tuple[str, str | None] | None
    )  # key (or prefix) and version id where the next page begins after; None: no more


def fresh(versioning: Versioning | None) -> str | None:
    """The version of what is put now; see Stored."""
    if versioning is None:
        return None
    id = os.urandom(16).hex()
    return id if versioning is Versioning.ENABLED else f"{NULL}.{id}"


class History:
    """The versions of one key of the bucket in the directory `bucket`. See the module about locks. OSError, Fault."""

    def __init__(self, bucket: Path, key: str) -> None:
        path = path_of(key)
        self._drafts, self._top = f"{bucket}/drafts", f"{bucket}/objects"
        self._path, self._former_top = f"{self._top}/{path}", f"{bucket}/versions"
        self._place = f"{self._former_top}/{path}"

    def all(self) -> Iterator[Stored]:
        """The newest, then those before it."""
        newest = self._newest()
        if newest is not None:
            yield newest
        for one in self._former(newest):
            yield _known(one.path)

    def empty(self) -> bool:
        return next(self.all(), None) is None

    def find(self, version_id: str) -> str | None:
        """The file of a version."""
        newest = self._newest()
        if newest is not None and newest.version_id == version_id:
            return self._path
        return next((one.path for one in self._former(newest) if one.version_id == version_id), None)

    def put(self, draft: Draft, stored: Stored) -> None:
        """The finished draft becomes the newest."""
        self._keep(self._swept(), stored)
        place(draft, self._path)
        self._sweep(stored)

    def mark(self, draft: Draft, marker: Stored) -> None:
        """The finished draft, a mark of deletion, becomes the newest."""
        self._keep(self._swept(), marker)
        place(draft, self._next(marker))
        unplace(self._path, self._top)
        self._sweep(None)

    def remove(self, version_id: str) -> Stored | None:
        """Remove a version, and say what it was; None if there is no such."""
        newest = self._swept()
        former = self._former(newest)
        if newest is not None and newest.version_id == version_id:
            gone, path, top, rest = newest, self._path, self._top, former
        else:
            found = next((one for one in former if one.version_id == version_id), None)
            if found is None:
                return None
            gone, path, top = _known(found.path), found.path, self._former_top
            rest = former[1:] if newest is None and found is former[0] else []
        following = _known(rest[0].path) if rest else None
        if following is not None and not following.marker:  # what becomes the newest takes the place of what goes
            self._promote(rest[0])
            self._sweep(following)
        else:
            unplace(path, top)
        return gone

    def _newest(self) -> Stored | None:
        try:
            return _known(self._path)
        except FileNotFoundError:
            return None

    def _every(self) -> list[Former]:
        """All files, the newer first."""
        try:
            names = os.listdir(self._place)
        except FileNotFoundError:
            return []
        matches = [match for name in names if (match := _FORMER.fullmatch(name)) is not None]
        found = [Former(int(match[1]), match[2], f"{self._place}/{match[0]}") for match in matches]
        return sorted(found, key=lambda one: one.number, reverse=True)

    def _former(self, newest: Stored | None) -> list[Former]:
        """Those that count, the newer first."""
        return counting(self._every(), newest)

    def _keep(self, newest: Stored | None, by: Stored) -> None:
        """Let the newest be among the former ones as well, before another takes its place; a `null` one gives it up to
        another `null` one."""
        if newest is not None and not newest.version_id == by.version_id == NULL:
            make_directories(self._place)
            os.link(self._path, self._next(newest))
            settle(self._place)

    def _next(self, stored: Stored) -> str:
        """The name of what becomes the newest among the former ones."""
        number = max((one.number for one in self._every()), default=0) + 1
        return f"{self._place}/{number:012}-{stored.version or NULL}"

    def _promote(self, one: Former) -> None:
        above = os.path.dirname(self._path)  # noqa: PTH120
        make_directories(above)
        step = f"{self._drafts}/{os.urandom(16).hex()}"
        os.link(one.path, step)
        os.replace(step, self._path)  # noqa: PTH105
        settle(above)

    def _swept(self) -> Stored | None:
        newest = self._newest()
        self._sweep(newest)
        return newest

    def _sweep(self, newest: Stored | None) -> None:
        """Remove what does not count, the newer first: else what is above the newest's second name would count."""
        every = self._every()
        counted = counting(every, newest)
        for one in every:
            if one not in counted:
                os.unlink(one.path)  # noqa: PTH108
                settle(self._place)
        prune(self._place, self._former_top)


def counting(every: list[Former], newest: Stored | None) -> list[Former]:
    """Of the former files of a key, the newer first, those that count beside this newest object; see the module."""
    version = newest and (newest.version or NULL)
    second = next((at for at, one in enumerate(every) if one.version == version), -1)
    found, null = [], newest is not None and newest.version_id == NULL
    for one in every[second + 1 :]:
        if one.version_id != NULL or not null:
            found.append(one)
        null = null or one.version_id == NULL
    return found


def version_page(
    read: Directory,
    versions: Callable[[str], Iterator[Stored]],
    prefix: str,
    delimiter: str,
    after: tuple[str, str | None],
    limit: int,
) -> VersionPage:
    """At most `limit` versions and common prefixes that come after a key, or after a version of it. `read` gives the
    names of keys that may have versions, `versions` those of a key."""
    found = list(islice(_entries(read, versions, prefix, delimiter, after, limit), limit + 1))
    shown = found[:limit]
    last: tuple[str, str | None] | None = None
    if shown and len(found) > limit:
        final = shown[-1]
        last = (final, None) if isinstance(final, str) else (final[0].key, final[0].version_id)
    return VersionPage(
        tuple(one for one in shown if not isinstance(one, str)),
        tuple(one for one in shown if isinstance(one, str)),
        last,
    )


def _entries(
    read: Directory,
    versions: Callable[[str], Iterator[Stored]],
    prefix: str,
    delimiter: str,
    after: tuple[str, str | None],
    limit: int,
) -> Iterator[tuple[Stored, bool] | str]:
    key, version = after
    if version is not None and key.startswith(prefix) and common_prefix(key, prefix, delimiter) is None:
        every = [(stored, at == 0) for at, stored in enumerate(versions(key))]
        seen = next((at for at, (stored, _) in enumerate(every) if stored.version_id == version), -1)
        # One that was removed since the last page, as those before it may be, hides nothing that was not shown.
        yield from every[seen + 1 :]
    start: str | None = key
    while start is not None:
        found = page(read, prefix, delimiter, start, limit + 1)
        rolled = set(found.prefixes)
        for name in sorted((*found.keys, *rolled), key=str.encode):
            if name in rolled:
                yield name
            else:
                yield from ((stored, at == 0) for at, stored in enumerate(versions(name)))
        start = found.last


def _known(path: str) -> Stored:
    with Opened(path, b"", None) as found:
        return found.stored
