"""What a commit's files are, once they were brought: so that the next execution on it brings nothing.

A file for each commit below `root`, which several processes may use; it may be removed at any time. It says nothing of
who may read the repository: ask its server first.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from codeyard.artifacts import BlobStore, Digest
from codeyard.artifacts.transfer import load_manifest
from codeyard.errors import CodeyardError
from codeyard.sources.git_facts import CommitFacts

MOST = 2000  # commits of one repository


class Remembered:
    """Commits, and the trees of their files. All of it blocks."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def facts(self, url: str, commit: str) -> CommitFacts | None:
        """What is known of the commit of this full id."""
        known = self._read(url, commit)
        return None if known is None else facts_of(known)

    def tree(self, url: str, commit: str, blobs: BlobStore) -> Digest | None:
        """The digest of its tree, if the store still has all of it, which then stays for the next hour."""
        known = self._read(url, commit)
        if known is None or not known.get("tree"):
            return None
        try:
            digest = Digest.parse(known["tree"])
            if not blobs.has(digest):
                return None
            entries = load_manifest(digest, blobs).entries
        except CodeyardError:
            return None
        return digest if all(blobs.has(entry.digest) for entry in entries if entry.digest is not None) else None

    def keep(self, url: str, facts: CommitFacts, tree: Digest | None) -> None:
        path = self._path(url, facts.id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
        draft.write_text(json.dumps({**facts_shape(facts), "tree": tree and str(tree)}))
        draft.rename(path)
        _thin(path.parent)

    def _read(self, url: str, commit: str) -> dict[str, str] | None:
        try:
            known = json.loads(self._path(url, commit).read_text())
        except (OSError, ValueError):
            return None
        return known if isinstance(known, dict) and known.get("commit") == commit else None

    def _path(self, url: str, commit: str) -> Path:
        assert commit.isalnum(), commit
        return self._root / hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()[:40] / commit


def _thin(directory: Path) -> None:
    """Of very many commits, forget the older half."""
    if len(os.listdir(directory)) <= MOST:
        return
    with suppress(FileNotFoundError):  # another process is at it too
        oldest = sorted((path.stat().st_mtime, path) for path in directory.iterdir())
        for _, path in oldest[: MOST // 2]:
            path.unlink()


def facts_shape(facts: CommitFacts) -> dict[str, str]:
    """As JSON holds it: see `facts_of`."""
    return {
        "commit": facts.id,
        "author": facts.author,
        "authored": facts.authored.isoformat(),
        "committed": facts.committed.isoformat(),
        "message": facts.message,
    }


def facts_of(shape: Mapping[str, str]) -> CommitFacts:
    return CommitFacts(
        shape["commit"],
        shape["author"],
        datetime.fromisoformat(shape["authored"]),
        datetime.fromisoformat(shape["committed"]),
        shape["message"],
    )
