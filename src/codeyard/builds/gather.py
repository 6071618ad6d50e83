"""The files that a selection means, wherever they are inside: in the source tree, or anywhere else in the sandbox."""

import asyncio
import posixpath
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from codeyard.artifacts import Selection
from codeyard.artifacts.patterns import Found, Selected, select
from codeyard.artifacts.removal import remove_tree
from codeyard.artifacts.scan import Root, listing
from codeyard.builds.expansion import below
from codeyard.builds.job import Job

_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Group:
    """A directory on the host, what it is called inside, and what is meant of it."""

    root: Root
    inside: str
    selection: Selection
    found: tuple[Found, ...]

    def select(self) -> Selected:
        return select(self.found, self.selection, self.inside)


async def gather(job: Job, selection: Selection, key: str) -> list[Group]:
    """The selection as groups of one root each. Its variables are replaced; `key` names where copies may lie.

    What is outside the build's writable tree is copied out of the sandbox first: `files` with absolute paths keep
    these, without the slash, as their paths in the artifact.
    """
    source = (await job.place()).source
    base = selection.base_directory
    if base is not None and base.startswith("/"):
        anchor, rest = _split(_plain(base))
        root = await _reach(job, anchor, job.tools.sandbox.home / "gathered" / key)
        return [await _group(root, anchor, replace(selection, base_directory=rest or None))]
    inner, outer = split_outside(selection.files, source)
    groups = []
    if inner or not outer:
        place = await job.on_host(source)
        assert place is not None
        groups.append(await _group(place, source, replace(selection, files=inner)))
    if outer:
        files = tuple(pattern.lstrip("/") for pattern in outer)
        only = replace(selection, files=files, base_directory=None)
        groups.append(await _group(await copy_out(job, outer, key), "/", only))
    return groups


def split_outside(patterns: tuple[str, ...], source: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those of the source tree, made relative to it, and those with absolute paths outside, which hold no `..`."""
    paths = tuple(below(_plain(pattern), source) for pattern in patterns)
    return (
        tuple(path for path in paths if not path.startswith("/")),
        tuple(path for path in paths if path.startswith("/")),
    )


async def copy_out(job: Job, patterns: tuple[str, ...], key: str) -> Path:
    """A directory with copies of all that absolute patterns may match, at their paths without the first slash."""
    copies = job.tools.sandbox.home / "gathered" / key
    await asyncio.to_thread(remove_tree, copies)
    copies.mkdir(parents=True)
    sandbox = await job.sandbox()
    for anchor in _anchors(patterns):
        await job.within(sandbox.fetch(anchor, copies / anchor.lstrip("/")))
    return copies


async def _group(root: Root, inside: str, selection: Selection) -> Group:
    found = await asyncio.to_thread(listing, root)
    return Group(root, inside, selection, found)


async def _reach(job: Job, inside: str, copy: Path) -> Root:
    """Where the host can read the directory; an empty one if it is not there."""
    if (root := await job.on_host(inside)) is not None:
        return root
    await asyncio.to_thread(remove_tree, copy)
    await job.within((await job.sandbox()).fetch(inside, copy))
    copy.mkdir(parents=True, exist_ok=True)
    return copy


def _anchors(patterns: tuple[str, ...]) -> list[str]:
    """The paths without a wildcard that hold all matches, none of them beneath another."""
    anchors = sorted({_split(pattern)[0] for pattern in patterns})
    return [path for path in anchors if not any(_beneath(path, other) for other in anchors)]


def _beneath(path: str, other: str) -> bool:
    return path != other and PurePosixPath(path).is_relative_to(other)


def _plain(pattern: str) -> str:
    """An absolute pattern without `.` and `..`: by those a copy would lie elsewhere than among the copies."""
    return "/" + posixpath.normpath(pattern).lstrip("/") if pattern.startswith("/") else pattern


def _split(pattern: str) -> tuple[str, str]:
    """An absolute pattern's longest part without a wildcard, and the rest."""
    parts = [part for part in pattern.split("/") if part]
    plain = next((number for number, part in enumerate(parts) if _MAGIC.search(part)), len(parts))
    return "/" + "/".join(parts[:plain]), "/".join(parts[plain:])
