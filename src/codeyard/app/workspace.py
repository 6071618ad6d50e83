"""What of a build's directory goes when it has ended, with a server and without: the workspace, and all that is raw."""

from pathlib import Path

from codeyard.artifacts.removal import remove_tree

_TREES = ("codebuild", "sandbox", "incoming", "gathered")
_FILES = ("spool", "masks", ".masks.new", "log.index")  # raw output, values to hide, and what needs those


def clear_workspace(home: Path) -> None:
    """Remove it; what is gone already is no error, so it may be done again after a death."""
    for name in _TREES:
        remove_tree(home / name)
    for name in _FILES:
        (home / name).unlink(missing_ok=True)
