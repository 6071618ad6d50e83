"""The files of an artifact go into the blob store, as one tree."""

from collections.abc import Callable

from codeyard.artifacts import Entry, Kind, Tree
from codeyard.artifacts import tree as trees
from codeyard.artifacts.patterns import Selected, Unmatched
from codeyard.artifacts.transfer import save_manifest, store_tree
from codeyard.builds.gather import Group
from codeyard.builds.job import Job


def store(job: Job, identifier: str, groups: list[Group], select: Callable[[Group], Selected]) -> Tree:
    """One tree of all groups, of the same path the last. Unmatched if none of them has a file. Blocking."""
    entries: dict[str, Entry] = {}
    lines: list[str] = []
    unmatched: Unmatched | None = None
    for group in groups:
        try:
            selected = select(group)
        except Unmatched as error:
            unmatched = error
            lines += error.lines
            continue
        lines += selected.lines
        entries.update({entry.path: entry for entry in store_tree(group.root, selected.picks, job.tools.blobs).entries})
    if not entries:
        assert unmatched is not None
        raise Unmatched(unmatched.what, tuple(lines))
    job.say_each(f"artifact-{identifier}", lines)
    full = set(trees.directories(entries))  # what is empty in one group may not be in another
    tree = trees.make(entry for entry in entries.values() if entry.kind is not Kind.DIRECTORY or entry.path not in full)
    save_manifest(tree, job.tools.blobs)
    return tree
