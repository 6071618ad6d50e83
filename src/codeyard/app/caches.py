"""Caches in buckets, as builds may use them: by what the service role may do there, as on CodeBuild.

They lie in DATA/caches and not in the bucket that the project names, but only who may read below its prefix gets what
others left there, and only who may write there leaves anything: a cache decides what a build runs.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from codeyard.artifacts.cache import CacheStore, Hit, Part, Saved, Wanted
from codeyard.artifacts.disk import DiskStore

Permit = Callable[[str, str], None]  # of an action, such as s3:GetObject, and an ARN; Denied


class PermittedCache(CacheStore):
    """A CacheStore that asks first, for an object of the scope's below `location`: bucket, or bucket/prefix."""

    def __init__(self, root: Path, location: str, permit: Permit) -> None:
        super().__init__(root, DiskStore(root / "blobs"))
        self._location, self._permit = location, permit

    def lookup(self, wanted: Wanted) -> Hit | None:
        """See CacheStore. Denied."""
        self._permit("s3:GetObject", self._arn(wanted))
        return super().lookup(wanted)

    def save(self, wanted: Wanted, parts: Sequence[Part]) -> Saved:
        """See CacheStore. Denied."""
        self._permit("s3:PutObject", self._arn(wanted))
        return super().save(wanted, parts)

    def _arn(self, wanted: Wanted) -> str:
        name = hashlib.sha256(wanted.scope.encode()).hexdigest()
        return f"arn:aws:s3:::{self._location}/{name}"
