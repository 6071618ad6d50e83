"""Little directories of files, and what is in them."""

import os
from collections.abc import Mapping
from pathlib import Path


def lay(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write the files below `root`; `-> x` is a link to x."""
    root.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str) and content.startswith("-> "):
            place.symlink_to(content[3:])
        else:
            place.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def contents(root: Path) -> dict[str, str]:
    """Every file and link below `root`, links as `-> target`, empty directories as `/`."""
    found: dict[str, str] = {}
    for directory, folders, names in os.walk(root):
        place = Path(directory)
        for name in [*names, *(folder for folder in folders if (place / folder).is_symlink())]:
            path = place / name
            text = f"-> {path.readlink()}" if path.is_symlink() else path.read_bytes().decode("utf-8", "replace")
            found[str(path.relative_to(root))] = text
        if not names and not folders and place != root:
            found[str(place.relative_to(root))] = "/"
    return found
