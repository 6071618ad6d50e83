"""What a list of objects shows: keys in the order of their bytes, those that share a prefix rolled up, in pages.

Rules: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html and the page on prefixes and delimiters.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from codeyard.objects.names import Name, Role

AFTER_ALL = b"\xff"  # after every byte that UTF-8 has

Directory = Callable[[str], list[Name]]


@dataclass(frozen=True, slots=True)
class Page:
    """Keys and common prefixes, together at most as many as asked for, and the last of both if there are more."""

    keys: tuple[str, ...]
    prefixes: tuple[str, ...]
    last: str | None  # where the next page begins after; None: there is none

    @property
    def count(self) -> int:
        return len(self.keys) + len(self.prefixes)


def keys_from(read: Directory, low: bytes, prefix: bytes) -> Iterator[bytes]:
    """The keys at or after `low` that begin with `prefix`, in order. `read` gives the names in a directory, sorted by
    span; "" is the bucket. Directories in which there can be none are not read."""
    low = max(low, prefix)
    places: list[tuple[str, Iterator[tuple[Name, bytes]]]] = [("", _wanted(read(""), b"", low, prefix))]
    while places:  # and no recursion: a key may have a thousand slashes
        place, names = places[-1]
        found = next(names, None)
        if found is None:
            places.pop()
            continue
        name, key = found
        if name.role is Role.FILE:
            yield key
        else:
            inner = f"{place}/{name.name}" if place else name.name
            places.append((inner, _wanted(read(inner), key, low, prefix)))


def page(read: Directory, prefix: str, delimiter: str, after: str, limit: int) -> Page:
    """At most `limit` keys and common prefixes that come after the text `after`. A common prefix that is not after it
    is not shown, nor is what it stands for."""
    start, cut, seen = prefix.encode(), delimiter.encode(), after.encode()
    keys: list[str] = []
    prefixes: list[str] = []
    last = ""
    low = seen + b"\0" if seen else b""
    while True:
        rolled = False
        for key in keys_from(read, low, start):
            common = _common(key, start, cut)
            if common is not None and common <= seen:
                low, rolled = common + AFTER_ALL, True
                break
            if len(keys) + len(prefixes) == limit:
                return Page(tuple(keys), tuple(prefixes), last or None)
            if common is not None:
                last = common.decode()
                prefixes.append(last)
                low, rolled = common + AFTER_ALL, True
                break
            last = key.decode()
            keys.append(last)
        if not rolled:
            return Page(tuple(keys), tuple(prefixes), None)


def common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    """What a key that begins with `prefix` is rolled up to."""
    found = _common(key.encode(), prefix.encode(), delimiter.encode())
    return found.decode() if found is not None else None


def _common(key: bytes, prefix: bytes, delimiter: bytes) -> bytes | None:
    at = key.find(delimiter, len(prefix)) if delimiter else -1
    return None if at < 0 else key[: at + len(delimiter)]


def _wanted(names: list[Name], base: bytes, low: bytes, prefix: bytes) -> Iterator[tuple[Name, bytes]]:
    """Of the names in a directory, whose keys begin with `base`, those that can lead to a wanted key; with how their
    keys begin."""
    rest = low[len(base) :] if low.startswith(base) else b""
    # A directory that begins `rest` sorts before it, and may hold keys after it. There is nothing between the two.
    for name in names[max(0, bisect_left(names, rest, key=lambda name: name.span) - 1) :]:
        begins = base + name.span
        if begins > prefix and not begins.startswith(prefix):
            return
        if name.role is Role.FILE:
            wanted = name.span >= rest and begins.startswith(prefix)
        else:
            leads = rest.startswith(name.span) and not rest.startswith(name.span + AFTER_ALL)
            wanted = (name.span >= rest or leads) and (begins.startswith(prefix) or prefix.startswith(begins))
        if wanted:
            yield name, begins
