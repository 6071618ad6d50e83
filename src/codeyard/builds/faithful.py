"""What a build hands on to a pipeline of the files that a selection means: links and empty directories too. Pure.

AWS packs a zip, in which a link is a copy of what it leads to unless `enable-symlinks` says otherwise, and no empty
directory is. A tree can hold both, so a repository with its `.git`, or an installed environment, stays what it is.
"""

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import replace

from codeyard.artifacts import Kind, Selection
from codeyard.artifacts import tree as trees
from codeyard.artifacts.patterns import Found, Pick, Selected, Unmatched, compile_pattern, select

_MAGIC = frozenset("*?[\\")


def select_faithfully(listing: Iterable[Found], selection: Selection, inside: str = "") -> Selected:
    """As `select`, but a link is one still where what it leads to goes along; and with it go empty directories that
    the patterns match. Where paths are discarded it is as `select` has it. Unmatched, as there.
    """
    listing = tuple(listing)
    plain = select(listing, selection, inside)
    if selection.discard_paths:
        return plain
    hollow = _hollow(listing, selection)
    links: dict[str, Pick] = {}
    if not selection.enable_symlinks and any(found.kind is Kind.LINK for found in listing):
        links = _links(listing, selection, inside, hollow)
    picks = {pick.path: pick for pick in plain.picks if not _at_or_beneath(pick.path, links)}
    picks |= {pick.path: pick for pick in hollow} | links
    kept = tuple(f"Skipping {path}: " for path in links)
    lines = tuple(line for line in plain.lines if not (kept and line.startswith(kept)))
    return Selected(tuple(picks[path] for path in sorted(picks)), lines)


def _links(listing: tuple[Found, ...], selection: Selection, inside: str, hollow: tuple[Pick, ...]) -> dict[str, Pick]:
    """Those that are kept, by path: in the artifact they lead to something of it."""
    try:
        kept = select(listing, replace(selection, enable_symlinks=True), inside).picks
    except Unmatched:  # all there is lies behind links
        return {}
    paths = [pick.path for pick in (*kept, *hollow) if pick.found.kind is not Kind.LINK]
    there = {".", *paths, *trees.directories(paths)}
    return {pick.path: pick for pick in kept if pick.found.kind is Kind.LINK and _end(pick) in there}


def _end(link: Pick) -> str:
    """The path in the artifact that a relative link leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(link.path), link.found.target))


def _at_or_beneath(path: str, links: Mapping[str, Pick]) -> bool:
    while links and path:
        if path in links:
            return True
        path = path.rpartition("/")[0]
    return False


def _hollow(listing: tuple[Found, ...], selection: Selection) -> tuple[Pick, ...]:
    """The empty directories beneath the base directory that the patterns match; none where there are several bases."""
    base = posixpath.normpath(selection.base_directory or ".")
    if base.startswith(("/", "..")) or _MAGIC & set(base):
        return ()
    start = "" if base == "." else f"{base}/"
    full = set(trees.directories(found.path for found in listing))
    empty = [
        Pick(found.path[len(start) :], found)
        for found in listing
        if found.kind is Kind.DIRECTORY and found.path not in full and found.path.startswith(start)
    ]
    wanted = [compile_pattern(pattern) for pattern in selection.files]
    excluded = [compile_pattern(pattern) for pattern in selection.exclude_paths]
    return tuple(
        pick
        for pick in empty
        if any(matches(pick.path) for matches in wanted) and not any(out(pick.path) for out in excluded)
    )
