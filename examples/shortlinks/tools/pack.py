"""Make shortlinks.pyz: the whole application as one file that python3 runs.

The same sources give the same bytes: files in order, one date for all.
"""

import sys
import zipfile
from pathlib import Path

START = b"#!/usr/bin/env python3\n"
MAIN = "from shortlinks.__main__ import main\n\nmain()\n"
DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold


def main(target: Path) -> None:
    """Write the archive to `target`."""
    package = Path(__file__).parents[1] / "shortlinks"
    sources = sorted(path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        file.write(START)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(_entry("__main__.py"), MAIN)
            for path in sources:
                archive.writestr(_entry(path.relative_to(package.parent).as_posix()), path.read_bytes())
    target.chmod(0o755)
    print(f"{target}: {len(sources) + 1} files, {target.stat().st_size:,} bytes")


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


if __name__ == "__main__":
    main(Path(sys.argv[1]))
