"""Brings what lies packed, or in a bucket: a zip on disk, a zip on S3, a folder on S3 (4.4).

A zip is unpacked as it is: one with a directory around everything leaves everything in that directory.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from codeyard.artifacts.zips import USUAL, extract_zip
from codeyard.errors import CodeyardError, Invalid
from codeyard.sources import Fetched, SourceError, SourceKind, SourceSpec
from codeyard.sources.copying import clear, in_thread, measure, told, trouble

OBJECT_LIMIT = USUAL.entries
SIZE_LIMIT = USUAL.size  # bytes, of a zip or of all objects of a folder
AT_ONCE = 16  # downloads
_PIECE = 4 << 20


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

    def __init__(self, open_bucket: Callable[[str], Any]) -> None:
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

    def __init__(self, open_bucket: Callable[[str], Any]) -> None:
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


async def _list(bucket: Any, prefix: str) -> list[tuple[str, int]]:
    """Keys, as the bucket's client has them, and sizes."""
    import obstore

    found: list[tuple[str, int]] = []
    total = 0
    async for page in obstore.list(bucket, prefix=prefix or None, chunk_size=1000):
        for item in page:
            found.append((item["path"], item["size"]))
            total += item["size"]
        if len(found) > OBJECT_LIMIT or total > SIZE_LIMIT:
            raise SourceError(
                "Unable to download the folder",
                f"it has more than {OBJECT_LIMIT} objects or {SIZE_LIMIT >> 30} GB.",
                "Name a smaller one.",
            )
    return found


async def _download_all(bucket: Any, prefix: str, objects: list[tuple[str, int]], destination: Path) -> None:
    folder = prefix.rstrip("/") + "/" if prefix.strip("/") else ""
    parents = {key[:at] for key, _ in objects for at, letter in enumerate(key) if letter == "/"}
    waiting = iter([(key, size) for key, size in objects if not (size == 0 and key in parents)])

    async def worker() -> None:
        for key, size in waiting:
            target = _target(destination, key.removeprefix(folder), key)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                await _download(bucket, key, target, None)
            except FileNotFoundError:
                # Consoles make an empty object named `dir/` for a directory; its listed key has lost the slash.
                if size:
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
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _target(destination: Path, path: str, key: str) -> Path:
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in path or len(path) > 2000:
        raise SourceError(
            f"Unable to download {key[:200]!r}", "its key is not a path that stays inside.", "Rename the object."
        )
    return destination.joinpath(*parts)


async def _download(bucket: Any, key: str, target: Path, version: str | None) -> None:
    import obstore

    answer = await obstore.get_async(bucket, key, options={"version": version} if version else None)
    if answer.meta["size"] > SIZE_LIMIT:
        raise SourceError(f"Unable to download {key!r}", f"it has more than {SIZE_LIMIT >> 30} GB.", "Name another.")
    try:
        with target.open("xb") as file:
            async for piece in answer.stream(min_chunk_size=_PIECE):
                file.write(piece)
    except OSError as error:
        raise trouble(str(target), error) from None


@contextmanager
def _explained(location: str) -> Iterator[None]:
    """A bucket's answers as AWS words them, with no request in them."""
    from obstore import exceptions

    try:
        yield
    except CodeyardError as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"Unable to download {location}", f"{error.what}: {error.why}", error.fix) from None
    except FileNotFoundError as error:
        text = str(error)
        for code, message in _NOT_THERE.items():
            if code in text:
                raise SourceError(f"{code}: {message}", f"{location} is not there.", "Check the address.") from None
        raise SourceError(
            "NoSuchKey: The specified key does not exist.", f"{location} is not there.", "Check the address."
        ) from None
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError):
        raise SourceError(
            "AccessDenied: Access Denied",
            f"the credentials here may not read {location}.",
            "Give them s3:GetObject, s3:GetObjectVersion and s3:ListBucket.",
        ) from None
    except (exceptions.BaseError, ValueError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise SourceError(
            f"Unable to download {location}", reason, "Check the endpoint, the region, the credentials and the version."
        ) from None


_NOT_THERE = {
    "NoSuchBucket": "The specified bucket does not exist",
    "NoSuchVersion": "The specified version does not exist.",
    "NoSuchKey": "The specified key does not exist.",
}


async def _fetched(spec: SourceSpec, url: str, description: str, destination: Path) -> Fetched:
    files, size = await in_thread(lambda _stopped: measure(destination))
    return Fetched(None, "", url, spec.version or "", description, files, size)
