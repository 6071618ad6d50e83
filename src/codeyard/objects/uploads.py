"""Objects that come in parts, in any order and at the same time, and become one at the end. All of it blocks.

`uploads/<id>/upload.json` says what the object is to be; `uploads/<id>/<number>` is a part, in the form of an object.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import md5
from itertools import pairwise
from pathlib import Path

from codeyard.artifacts.failures import explained
from codeyard.artifacts.removal import remove_tree
from codeyard.aws import Refused
from codeyard.objects import About, Encryption, Stored, checksums
from codeyard.objects.directory import Condition, ObjectDirectory
from codeyard.objects.files import Draft, Opened
from codeyard.objects.names import key_name

PARTS_AT_MOST = 10_000
SMALLEST = 5 << 20  # bytes of a part that is not the last
LARGEST = 5 << 40  # bytes of an object
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Upload:
    """What the object is to be. `checksum` is its algorithm; `whole`: one sum of all bytes, not of the parts' sums."""

    id: str
    key: str
    started: datetime
    about: About
    checksum: str | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """A part as the one who completes an upload names it."""

    number: int
    etag: str
    checksums: dict[str, str] = field(default_factory=dict)


class Uploads:
    """See the module."""

    def __init__(self, objects: ObjectDirectory) -> None:
        self._objects = objects

    def create(
        self, account: str, bucket: str, key: str, about: About, checksum: str | None = None, *, whole: bool = False
    ) -> Upload:
        """NoSuchBucket."""
        upload = Upload(os.urandom(16).hex(), key_name(key), self._objects.now, about, checksum, whole)
        place = self._objects.uploads(account, bucket) / upload.id
        with explained("starting an upload"):
            place.mkdir(mode=0o700, parents=True)
            text = json.dumps(asdict(upload) | {"started": upload.started.isoformat()})
            (place / ".upload.json").write_text(text)
            (place / ".upload.json").rename(place / "upload.json")
        return upload

    def get(self, account: str, bucket: str, key: str, id: str) -> Upload:
        """NoSuchUpload, if none of this id is for this key; NoSuchBucket."""
        upload = self._read(self._objects.uploads(account, bucket), id)
        if upload is None or upload.key != key:
            raise _gone()
        return upload

    def put(self, account: str, bucket: str, upload: Upload, number: int, draft: Draft, sums: dict[str, str]) -> Stored:
        """One part, replacing what had its number. NoSuchUpload."""
        place = self._objects.uploads(account, bucket) / upload.id
        stored = Stored(str(number), draft.size, draft.md5.hex(), self._objects.now, draft.about, sums)
        with explained("writing a part"):
            draft.finish(stored, _bound(account, bucket, upload.id, number))
            try:
                draft.replace(str(place / f"{number:05}"))
            except FileNotFoundError:
                raise _gone() from None
        return stored

    def parts(self, account: str, bucket: str, upload: Upload) -> Iterator[Stored]:
        """By number; a part's key is its number."""
        place = self._objects.uploads(account, bucket) / upload.id
        for name in sorted(path.name for path in place.glob("[0-9][0-9][0-9][0-9][0-9]")):
            with suppress(FileNotFoundError), self._part(account, bucket, upload.id, int(name)) as part:
                yield part.stored

    def all(self, account: str, bucket: str) -> tuple[Upload, ...]:
        """Those under way in a bucket, by key and time."""
        place = self._objects.uploads(account, bucket)
        found = [self._read(place, path.name) for path in place.glob("*")]
        return tuple(sorted((one for one in found if one), key=lambda one: (one.key.encode(), one.started)))

    def complete(
        self,
        account: str,
        bucket: str,
        upload: Upload,
        chosen: tuple[Chosen, ...],
        wanted: dict[str, str],
        condition: Condition | None = None,
    ) -> Stored:
        """The object of these parts, in their order; others are dropped. `wanted` are checksums that it must have.

        InvalidPart, InvalidPartOrder, EntityTooSmall, EntityTooLarge, BadDigest."""
        if any(first.number >= second.number for first, second in pairwise(chosen)):
            text = "The list of parts was not in ascending order. Parts must be ordered by part number."
            raise Refused("InvalidPartOrder", text)
        with ExitStack() as stack:
            stored = [self._check(account, bucket, upload, part) for part in chosen]
            if any(part.size < SMALLEST for part in stored[:-1]):
                raise Refused("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
            if sum(part.size for part in stored) > LARGEST:
                raise Refused("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
            draft = stack.enter_context(self._objects.draft(account, bucket, upload.about))
            total = checksums.start(upload.checksum) if upload.checksum and upload.whole else None
            for one in chosen:
                with self._part(account, bucket, upload.id, one.number) as part:
                    for piece in part.read():
                        draft.write(piece)
                        if total is not None:
                            total.update(piece)
            sums = _sums(upload, stored, total, wanted)
            result = self._objects.put(
                account,
                bucket,
                upload.key,
                draft,
                checksums=sums,
                etag=_etag(stored),
                parts=tuple(part.size for part in stored),
                condition=condition,
            )
        self.abort(account, bucket, upload)
        return result

    def abort(self, account: str, bucket: str, upload: Upload) -> None:
        """Forget it and its parts."""
        place = self._objects.uploads(account, bucket) / upload.id
        with suppress(FileNotFoundError):
            (place / "upload.json").unlink()  # from now on it is not there, whatever becomes of the rest
        remove_tree(place)

    def _check(self, account: str, bucket: str, upload: Upload, part: Chosen) -> Stored:
        try:
            with self._part(account, bucket, upload.id, part.number) as found:
                stored = found.stored
        except FileNotFoundError:
            raise _invalid_part() from None
        told = {name: value for name, value in part.checksums.items() if name in stored.checksums}
        if stored.etag != part.etag or any(stored.checksums[name] != value for name, value in told.items()):
            raise _invalid_part()
        return stored

    def _part(self, account: str, bucket: str, id: str, number: int) -> Opened:
        path = self._objects.uploads(account, bucket) / id / f"{number:05}"
        return self._objects.part(path, _bound(account, bucket, id, number))

    def _read(self, place: Path, id: str) -> Upload | None:
        if _ID.fullmatch(id) is None:
            return None
        try:
            known = json.loads((place / id / "upload.json").read_bytes())
        except FileNotFoundError:
            return None
        about = known["about"]
        encryption = Encryption(**about["encryption"]) if about["encryption"] else None
        return Upload(
            id,
            known["key"],
            datetime.fromisoformat(known["started"]),
            About(about["headers"], about["metadata"], encryption),
            known["checksum"],
            known["whole"],
        )


def _etag(parts: list[Stored]) -> str:
    of_all = md5(b"".join(bytes.fromhex(part.etag) for part in parts), usedforsecurity=False).hexdigest()
    return f"{of_all}-{len(parts)}"


def _sums(
    upload: Upload, parts: list[Stored], total: checksums.Checksum | None, wanted: dict[str, str]
) -> dict[str, str]:
    """The object's own checksum, if it was started with one."""
    algorithm = upload.checksum
    if algorithm is None:
        return {}
    if total is not None:
        value = total.value() or wanted.get(algorithm)
    else:
        own = tuple(part.checksums[algorithm] for part in parts if algorithm in part.checksums)
        value = checksums.of_parts(algorithm, own) if len(own) == len(parts) else None
    if value is None:
        return {}
    if wanted.get(algorithm, value) not in (value, value.partition("-")[0]):
        raise Refused("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.")
    return {algorithm: value}


def _bound(account: str, bucket: str, id: str, number: int) -> bytes:
    return f"{account}/{bucket}?{id}/{number}".encode()  # no key is bound to this: a bucket's name has no "?"


def _gone() -> Refused:
    text = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or"
    return Refused("NoSuchUpload", f"{text} completed.", 404)


def _invalid_part() -> Refused:
    text = "One or more of the specified parts could not be found.  The part may not have been uploaded, or the"
    return Refused("InvalidPart", f"{text} specified entity tag may not match the part's entity tag.")
