"""Manifests: the canonical text of a tree, its digest, and what differs between two trees. No files are read here.

The text is `codeyard tree 1`, a line feed, then for each entry, sorted by path (as code points):
`<kind> <size> <digest or -> <path> NUL <target> NUL`. One tree has one text, so its SHA-256 names the tree.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter

from codeyard.artifacts import Digest, Entry, Kind, Tree
from codeyard.errors import Invalid

LIMIT = 512 << 20  # bytes of a manifest; a million files have about 150 MB
_HEADER = "codeyard tree 1\n"
_LINE = re.compile(r"([fxld]) (0|[1-9][0-9]{0,18}) ([0-9a-f]{64}|-) ([^\0]+)\0([^\0]*)\0", re.ASCII)
_KINDS = {kind.value: kind for kind in Kind}
_HOLLOW = ("", ".", "..")


@dataclass(frozen=True, slots=True)
class Difference:
    """What turns one tree into another."""

    removed: tuple[Entry, ...]  # in the first only
    added: tuple[Entry, ...]  # in the second only
    changed: tuple[tuple[Entry, Entry], ...]  # the same path, another kind, content or target


def make(entries: Iterable[Entry]) -> Tree:
    """The tree of `entries`, in any order. Invalid if two share a path, one lies under another, or a path is odd."""
    ordered = tuple(sorted(entries, key=itemgetter(0)))
    _check(ordered)
    return Tree(ordered, Digest(hashlib.sha256(_render(ordered)).hexdigest()))


def render(tree: Tree) -> bytes:
    """The canonical manifest."""
    return _render(tree.entries)


def parse(content: bytes) -> Tree:
    """The tree whose manifest is `content`. Invalid unless it is exactly what `render` gives for some tree."""
    try:
        text = content.decode("utf-8", "surrogateescape")
    except UnicodeError:  # cannot happen with surrogateescape, but costs nothing
        raise _broken("it is not text.") from None
    if not text.startswith(_HEADER):
        raise _broken("it does not begin as one.")
    entries = [
        Entry(path, _KINDS[kind], int(size), None if digest == "-" else Digest(digest), target)
        for kind, size, digest, path, target in _LINE.findall(text, len(_HEADER))
    ]
    try:
        tree = make(entries)
    except Invalid as wrong:
        raise _broken(f"{wrong.what} {wrong.why}") from wrong
    if tree.digest != hashlib.sha256(content).hexdigest():  # reordered, torn, or with something between the lines
        raise _broken("it is not in canonical form.")
    return tree


def difference(was: Tree, now: Tree) -> Difference:
    """What must be removed, added and changed to turn `was` into `now`, each in the order of paths."""
    before, after = set(was.entries), set(now.entries)
    gone = {entry.path: entry for entry in before - after}
    come = {entry.path: entry for entry in after - before}
    return Difference(
        removed=tuple(gone[path] for path in sorted(gone.keys() - come.keys())),
        added=tuple(come[path] for path in sorted(come.keys() - gone.keys())),
        changed=tuple((gone[path], come[path]) for path in sorted(gone.keys() & come.keys())),
    )


def under(tree: Tree, prefix: str) -> Tree:
    """The part of `tree` below the directory `prefix`, with paths relative to it; the tree itself for the prefix ""."""
    if not prefix:
        return tree
    start = prefix.rstrip("/") + "/"
    return make(entry._replace(path=entry.path[len(start) :]) for entry in tree.entries if entry.path.startswith(start))


def directories(paths: Iterable[str]) -> list[str]:
    """Every directory above `paths`, each once, parents first; the root is not among them."""
    found: set[str] = set()
    for path in paths:
        parent = path.rpartition("/")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return sorted(found)


def _render(entries: Iterable[Entry]) -> bytes:
    lines = [f"{kind.value} {size} {digest or '-'} {path}\0{target}\0" for path, kind, size, digest, target in entries]
    return (_HEADER + "".join(lines)).encode("utf-8", "surrogateescape")


def _check(entries: tuple[Entry, ...]) -> None:
    """Refuse what could not be laid out as files, or would have two texts."""
    paths = {entry.path for entry in entries}
    if len(paths) != len(entries):
        twice = next(a.path for a, b in pairwise(entries) if a.path == b.path)
        raise _odd(twice, "it occurs twice.")
    for path, kind, size, digest, target in entries:
        if path.startswith("/") or path.rpartition("/")[2] in _HOLLOW:
            raise _odd(path, "its first or last part is no name.")
        if (digest is None) is (kind is Kind.FILE or kind is Kind.EXECUTABLE) or (digest is None and size):
            raise _odd(path, "its kind, size and digest do not agree.")
        if bool(target) is not (kind is Kind.LINK) or size < 0:
            raise _odd(path, "its kind, size and target do not agree.")
    for parent in directories(paths):
        if parent.rpartition("/")[2] in _HOLLOW:
            raise _odd(parent, "a part of it is no name.")
        if parent in paths:
            raise _odd(parent, "it is an entry itself, and other entries lie under it.")
    text = "".join(entry.path + entry.target for entry in entries)
    if not text.isascii():
        try:
            stable = text == text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
        except UnicodeError:
            stable = False
        if not stable:
            raise _odd("of a file", "it has characters that no file system gives.")
    if "\0" in text:
        raise _odd("of a file", "it has a NUL in it.")


def _odd(path: str, why: str) -> Invalid:
    return Invalid(f"path {path[:200]!r}", why, "Name each file once, by a plain relative path.")


def _broken(why: str) -> Invalid:
    return Invalid("this manifest", why, "Make the artifact again.")
