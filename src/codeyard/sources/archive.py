"""Brings what lies packed, or in a bucket: a zip on disk, a zip on S3, a folder on S3 (4.4).

A zip is unpacked as it is: one with a directory around everything leaves everything in that directory.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from codeyard.artifacts.buckets import Bucket, OpenBucket
from codeyard.artifacts.zips import USUAL, extract_zip
from codeyard.errors import CodeyardError, Denied, Invalid, NotFound
from codeyard.sources import Fetched, SourceError, SourceKind, SourceSpec
from codeyard.sources.copying import Cancelled, clear, in_thread, measure, told, trouble

OBJECT_LIMIT = USUAL.entries
SIZE_LIMIT = USUAL.size  # bytes, of a zip or of all objects of a folder
AT_ONCE = 16  # downloads


class ZipSource:
    """A zip on this machine."""

    async def fetch(self, spec: SourceSpec, destination: Path, progress: Callable[[str], None]) -> Fetched:
        """Unpack `spec.location` into `destination`. SourceError."""
        _expect(spec, SourceKind.ZIP)
        if not Path(spec.location).is_file():
            raise SourceError(f"Unable to read {spec.location}", "there is no such file.", "Name another.")
        await in_thread(lambda _stopped: clear(destination))
        await _unpack(Path(spec.location), spec.location, destination)
        return await _fetched(spec, "", f"zip {Path(spec.location).name}", destination)


class S3ZipSource:
    """A zip in a bucket; `open_bucket` gives the bucket at `s3://name`, as `artifacts.object_store` does."""

    def __init__(self, open_bucket: OpenBucket) -> None:
        self._open_bucket = open_bucket

    async def fetch(self, spec: SourceSpec, destination: Path, progress: Callable[[str], None]) -> Fetched:
        """Download and unpack `spec.location`, in its version `spec.version` if one is named. SourceError."""
        _expect(spec, SourceKind.S3_ZIP)
        await in_thread(lambda _stopped: clear(destination))
        bucket, key = _split(spec.location)
        packed = destination / f".{secrets.token_hex(8)}.zip"
        progress(f"Downloading {spec.location}")
        try:
            with _explained(spec.location):
                await _download(self._open_bucket(f"s3://{bucket}"), key, packed, spec.version)
            await _unpack(packed, spec.location, destination)
        finally:
            packed.unlink(missing_ok=True)
        return await _fetched(spec, spec.location, f"zip {spec.location}", destination)


class S3FolderSource:
    """All objects whose keys begin as the location does, or a whole bucket."""

    def __init__(self, open_bucket: OpenBucket) -> None:
        self._open_bucket = open_bucket

    async def fetch(self, spec: SourceSpec, destination: Path, progress: Callable[[str], None]) -> Fetched:
        """Download all that lies beneath `spec.location`. SourceError."""
        _expect(spec, SourceKind.S3_FOLDER)
        await in_thread(lambda _stopped: clear(destination))
        name, prefix = _split(spec.location)
        progress(f"Downloading {spec.location}")
        with _explained(spec.location):
            bucket = self._open_bucket(f"s3://{name}")
            objects = await _list(bucket, prefix)
            if not objects:
                raise SourceError(
                    "NoSuchKey: The specified key does not exist.", f"nothing lies in {spec.location}.", "Check it."
                )
            await _download_all(bucket, prefix, objects, destination)
        return await _fetched(spec, spec.location, f"folder {spec.location}", destination)


class NoSource:
    """An empty directory: the type NO_SOURCE (4.6)."""

    async def fetch(self, spec: SourceSpec, destination: Path, progress: Callable[[str], None]) -> Fetched:
        _expect(spec, SourceKind.NONE)
        await in_thread(lambda _stopped: clear(destination))
        return Fetched(None, "", "", "", "no source", 0, 0)


def _expect(spec: SourceSpec, kind: SourceKind) -> None:
    if spec.kind is not kind:
        raise Invalid(f"source of kind {spec.kind}", f"it is not {kind}.", "Give it to another.")


def _split(location: str) -> tuple[str, str]:
    bucket, _, key = location.removeprefix("s3://").partition("/")
    return bucket, key


async def _unpack(packed: Path, name: str, destination: Path) -> None:
    """Unpack inside the destination, so that what a death leaves is cleared with it, then move everything up."""
    inside = destination / f".{secrets.token_hex(8)}"
    try:
        await in_thread(lambda _stopped: extract_zip(packed, inside))
    except SourceError:
        raise
    except CodeyardError as error:
        raise SourceError(
            f"Unable to unpack {name}: {error.what}: {error.why.rstrip('.')}", error.why, error.fix
        ) from None
    with told(destination):
        for entry in sorted(inside.iterdir()):
            entry.rename(destination / entry.name)
        inside.rmdir()


async def _list(bucket: Bucket, prefix: str) -> list[tuple[str, int]]:
    """Keys and sizes. Consoles make an empty object named `dir/` for a directory; its key loses the slash here."""

    def work(stopped: Callable[[], bool]) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        total = 0
        for key, size in bucket.list(prefix):
            found.append((key if size else key.rstrip("/"), size))
            total += size
            if stopped():
                raise Cancelled
            if len(found) > OBJECT_LIMIT or total > SIZE_LIMIT:
                raise SourceError(
                    "Unable to download the folder",
                    f"it has more than {OBJECT_LIMIT} objects or {SIZE_LIMIT >> 30} GB.",
                    "Name a smaller one.",
                )
        return found

    return await in_thread(work)


async def _download_all(bucket: Bucket, prefix: str, objects: list[tuple[str, int]], destination: Path) -> None:
    folder = prefix.rstrip("/") + "/" if prefix.strip("/") else ""
    parents = {key[:at] for key, _ in objects for at, letter in enumerate(key) if letter == "/"}
    waiting = iter([(key, size) for key, size in objects if not (size == 0 and key in parents)])

    async def worker() -> None:
        for key, size in waiting:
            target = _target(destination, key.removeprefix(folder), key)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                await _download(bucket, key, target, None)
            except NotFound:
                if size:  # else it was a directory
                    raise
                target.mkdir(exist_ok=True)
            except OSError as error:  # an object in the way of a directory
                raise trouble(str(target), error) from None

    await _all_or_none([worker() for _ in range(AT_ONCE)])


async def _all_or_none(work: list[Awaitable[None]]) -> None:
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            if not task.cancelling():  # a second time would keep it from waiting for its thread
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _target(destination: Path, path: str, key: str) -> Path:
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in path or len(path) > 2000:
        raise SourceError(
            f"Unable to download {key[:200]!r}", "its key is not a path that stays inside.", "Rename the object."
        )
    return destination.joinpath(*parts)


async def _download(bucket: Bucket, key: str, target: Path, version: str | None) -> None:
    def work(stopped: Callable[[], bool]) -> None:
        with bucket.read(key, version) as found:
            if found.size > SIZE_LIMIT:
                raise SourceError(
                    f"Unable to download {key!r}", f"it has more than {SIZE_LIMIT >> 30} GB.", "Name another."
                )
            try:
                with target.open("xb") as file:
                    for piece in found.pieces:
                        file.write(piece)
                        if stopped():
                            raise Cancelled
            except OSError as error:
                raise trouble(str(target), error) from None

    await in_thread(work)


@contextmanager
def _explained(location: str) -> Iterator[None]:
    """A bucket's answers as AWS words them, with no request in them."""
    try:
        yield
    except SourceError:
        raise
    except NotFound as error:
        code = next((code for code in _NOT_THERE if code in error.why), "NoSuchKey")
        raise SourceError(f"{code}: {_NOT_THERE[code]}", f"{location} is not there.", "Check the address.") from None
    except Denied:
        raise SourceError(
            "AccessDenied: Access Denied",
            f"the credentials here may not read {location}.",
            "Give them s3:GetObject, s3:GetObjectVersion and s3:ListBucket.",
        ) from None
    except CodeyardError as error:
        raise SourceError(f"Unable to download {location}", f"{error.what}: {error.why}", error.fix) from None


_NOT_THERE = {
    "NoSuchBucket": "The specified bucket does not exist",
    "NoSuchVersion": "The specified version does not exist.",
    "NoSuchKey": "The specified key does not exist.",
}


async def _fetched(spec: SourceSpec, url: str, description: str, destination: Path) -> Fetched:
    files, size = await in_thread(lambda _stopped: measure(destination))
    return Fetched(None, "", url, spec.version or "", description, files, size)
