"""What of an artifact goes into a bucket, and as what: a bucket has neither links nor empty directories. Pure.

A link to a file of the artifact becomes a copy of that file, as `aws s3 sync` makes of it. Any other link, to a
directory, out of the artifact or to nothing, is refused before anything is put: a site of which a part is silently
missing is worse than one that is not deployed.
"""

import mimetypes
from collections.abc import Iterable

from codeyard.artifacts import Entry, Kind
from codeyard.errors import Invalid

_HOPS = 40  # links in a chain, as the kernel follows them
_DEFAULT = "application/octet-stream"
# What the usual table leaves out, or machines have it differently.
_MORE = {
    "avif": "image/avif", "ico": "image/x-icon", "js": "text/javascript", "map": "application/json",
    "md": "text/markdown", "mjs": "text/javascript", "otf": "font/otf", "ttf": "font/ttf", "wasm": "application/wasm",
    "webmanifest": "application/manifest+json", "webp": "image/webp", "woff": "font/woff", "woff2": "font/woff2",
    "yaml": "application/yaml", "yml": "application/yaml",
}  # fmt: skip
_PACKED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz", "br": _DEFAULT}
_TYPES = mimetypes.MimeTypes()  # Python's own table, without what the machine adds to it


def files(entries: Iterable[Entry]) -> list[Entry]:
    """The files, each by the path that it goes to. Invalid: there is a link to what is no file of the artifact."""
    by_path = {entry.path: entry for entry in entries}
    return [_file(entry, by_path) for entry in by_path.values() if entry.kind is not Kind.DIRECTORY]


def content_type(path: str) -> str:
    """By the name, as S3 shows it to browsers. Something packed is what it is packed as."""
    ending = path.rpartition("/")[2].rpartition(".")[2].lower()
    if ending in _MORE:
        return _MORE[ending]
    kind, packed = _TYPES.guess_type(f"x/{path}", strict=True)
    return (_PACKED.get(packed, _DEFAULT) if packed else kind) or _DEFAULT


def _file(entry: Entry, by_path: dict[str, Entry]) -> Entry:
    at = entry
    for _ in range(_HOPS):
        if at.digest is not None:
            return at._replace(path=entry.path)
        place = _joined(at.path.rpartition("/")[0], at.target)
        found = by_path.get(place) if place is not None else None
        if found is None or found.kind is Kind.DIRECTORY:
            break
        at = found
    raise Invalid(
        f"the artifact's file {entry.path[:200]!r}",
        f"it is a symbolic link to {entry.target[:200]!r}, which is no file of the artifact.",
        "A bucket has no links: put the file itself there.",
    )


def _joined(directory: str, target: str) -> str | None:
    """Where a link in the directory leads; None: out of the artifact, or up again from what may be a link itself."""
    above = directory.split("/") if directory else []
    below: list[str] = []
    for part in target.split("/"):
        if part == "..":
            if below or not above:
                return None
            above.pop()
        elif part not in ("", "."):
            below.append(part)
    return None if target.startswith("/") else "/".join((*above, *below))
