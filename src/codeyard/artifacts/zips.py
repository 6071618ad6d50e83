"""Zips, which exist only at the edge: made from a tree, the same bytes for the same tree; and taken apart with care.

Making: entries in the order of their paths, each dated 1980-01-01 00:00, mode 0644 or 0755, deflated at level 6 (the
default of zlib, as the AWS agent's own) unless that does not help. The bytes depend on nothing but the tree and the
zlib that Python was built with.

Taking apart: a zip from elsewhere is checked as a whole before a byte of it is written, and again while it is.
"""

import hashlib
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, BinaryIO

from codeyard.artifacts import BlobStore, Entry, Kind, Tree, chunks
from codeyard.artifacts import tree as trees
from codeyard.artifacts.failures import explained
from codeyard.artifacts.scan import Workspace
from codeyard.errors import Conflict, Invalid

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_UNIX = 3
_MODES = {Kind.FILE: 0o100644, Kind.EXECUTABLE: 0o100755, Kind.LINK: 0o120777, Kind.DIRECTORY: 0o040755}
_LEVEL = 6
# Packed already: deflating these again takes most of the time and saves nothing.
_PACKED = frozenset(
    ".7z .avif .br .bz2 .gif .gz .jar .jpeg .jpg .mp3 .mp4 .png .tgz .war .webm .webp .whl .woff2 .xz .zip .zst".split()
)
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Sums:
    """What a zip's bytes add up to. Both sums in lower-case hex."""

    size: int
    md5: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a zip may have; more is Invalid."""

    entries: int = 500_000
    size: int = 64 << 30  # bytes of all files together, unpacked
    ratio: int = 1100  # unpacked to packed, of all files above the first 64 MB; deflate itself cannot pass 1032
    target: int = 4096  # bytes of a link's target


USUAL = Bounds()
_FREE = 64 << 20  # unpacked bytes for which the ratio does not matter


def write_zip(tree: Tree, store: BlobStore, target: BinaryIO) -> Sums:
    """Write the zip of `tree` to a seekable file that is open for reading too, and is empty.

    Invalid if a name is not UTF-8: a zip cannot say it. Fault if the store does not have what the tree names."""
    with (
        explained("writing a zip"),
        zipfile.ZipFile(target, "w", compression=zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive,
    ):
        for entry in tree.entries:
            info = _info(entry)
            if entry.digest is None:
                archive.writestr(info, os.fsencode(entry.target))
                continue
            with store.open(entry.digest) as source, archive.open(info, "w") as member:
                for piece in chunks(source):
                    member.write(piece)
    target.seek(0)
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    for piece in chunks(target):
        md5.update(piece)
        sha256.update(piece)
        size += len(piece)
    return Sums(size, md5.hexdigest(), sha256.hexdigest())


def extract_zip(source: Path, destination: Path, bounds: Bounds = USUAL) -> None:
    """Make `destination`, a new directory, with what the zip holds; whole or not at all.

    Refused as Invalid, with nothing left behind: names that are absolute, empty, have `..`, a drive, a backslash or
    a NUL; two entries for one path, or one beneath another; links that lead out; devices and other odd kinds;
    encrypted or unusually packed entries; entries that overlap; more than `bounds`; a wrong checksum; a torn file."""
    with explained(f"unpacking {source}"), _opened(source, bounds) as archive:
        plan = _plan(archive, bounds)
        if os.path.lexists(destination):
            raise Conflict(f"directory {destination}", "something is there already.", "Choose a new one.")
        destination.parent.mkdir(parents=True, exist_ok=True)
        staging = destination.parent / f".{destination.name[:100]}.{os.urandom(4).hex()}.part"
        staging.mkdir()
        try:
            _unpack(archive, plan, staging, bounds)
            staging.rename(destination)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise


# ── making ──


def _info(entry: Entry) -> zipfile.ZipInfo:
    try:
        entry.path.encode()
        entry.target.encode()
    except UnicodeError:
        raise _refused(entry.path, "its name is not UTF-8, which a zip cannot hold.", "Rename the file.") from None
    info = zipfile.ZipInfo(entry.path + ("/" if entry.kind is Kind.DIRECTORY else ""), _EPOCH)
    info.create_system = _UNIX
    info.external_attr = _MODES[entry.kind] << 16 | (0x10 if entry.kind is Kind.DIRECTORY else 0)
    info.file_size = entry.size
    packed = entry.digest is None or Path(entry.path).suffix.lower() in _PACKED
    info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
    return info


# ── taking apart ──


@contextmanager
def _opened(source: Path, bounds: Bounds) -> Iterator[zipfile.ZipFile]:
    """The open archive; whatever the zip library says of its contents is Invalid."""
    with source.open("rb") as file:
        _check_directory(file, bounds)
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error, UnicodeError) as error:
            raise _refused(str(source), f"it is not a sound zip: {error}.") from error
        except (RuntimeError, ValueError, OverflowError) as error:  # what zipfile says of passwords and odd offsets
            raise _refused(str(source), f"it cannot be read: {error}.") from error


def _check_directory(file: IO[bytes], bounds: Bounds) -> None:
    """Refuse a table of contents that would fill the memory, before anybody reads it whole."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - (1 << 16) - _END.size))
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) < at + _END.size:
        raise _refused("this file", "it is not a zip, or was cut off.", "Make it again.")
    _, _, _, _, _, size, _, _ = _END.unpack_from(tail, at)
    if at >= _LOCATOR64.size and tail[at - _LOCATOR64.size :].startswith(b"PK\6\7"):
        end = length - len(tail) + at - _LOCATOR64.size - _END64.size  # where zipfile looks, too
        file.seek(max(0, end))
        content = file.read(_END64.size)
        if len(content) == _END64.size and content.startswith(b"PK\6\6"):
            size = _END64.unpack(content)[8]
    file.seek(0)
    if size > bounds.entries * 512:
        raise _refused("this zip", f"its table of contents has {size} bytes.", "Make it of fewer files.")


def _plan(archive: zipfile.ZipFile, bounds: Bounds) -> list[tuple[str, Kind, zipfile.ZipInfo]]:
    """What is where, checked by what the zip says of itself, sorted by path."""
    members = archive.infolist()
    if len(members) > bounds.entries:
        raise _refused("this zip", f"it has {len(members)} entries, over {bounds.entries}.", "Make it of fewer files.")
    plan: dict[str, tuple[str, Kind, zipfile.ZipInfo]] = {}
    for member in members:
        path, kind = _path(member), _kind(member)
        if not path:  # `./`, which some tools write for the directory that they packed
            continue
        if path in plan:
            raise _refused(path, "it occurs twice.")
        plan[path] = (path, kind, member)
    for parent in trees.directories(plan):
        if parent in plan and plan[parent][1] is not Kind.DIRECTORY:
            raise _refused(parent, "other entries lie beneath it, and it is no directory.")
    total = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    _check_size(total, packed, bounds)
    spans = sorted((member.header_offset, member.compress_size) for member in members)
    for (start, size), (following, _) in pairwise(spans):
        if start + 30 + size > following:  # 30: the least that a local header has
            raise _refused("this zip", "its entries overlap, which makes little look like much.")
    return sorted(plan.values(), key=lambda item: item[0])


def _path(member: zipfile.ZipInfo) -> str:
    raw = member.orig_filename  # `filename` ends at a NUL
    if member.create_system == _UNIX and not member.flag_bits & 0x800:
        # The format says code page 437, and Python believes it; the tools of Unix write the bytes that they find.
        raw = os.fsdecode(raw.encode("cp437"))
    path = raw.removesuffix("/")
    if raw in ("./", "."):
        return ""
    path = path.removeprefix("./")
    if "\0" in raw or "\\" in raw:
        raise _refused(raw, "its name has a NUL or a backslash.")
    if raw.startswith("/") or (len(raw) > 1 and raw[1] == ":" and raw[0].isalpha()):
        raise _refused(raw, "its name is absolute.")
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise _refused(raw, "its name has an empty part, `.` or `..`.")
    return path


def _kind(member: zipfile.ZipInfo) -> Kind:
    if member.flag_bits & 0x1:
        raise _refused(member.filename, "it is encrypted.", "Make the zip without a password.")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refused(member.filename, "it is packed in an unusual way.", "Make the zip with deflate.")
    if member.is_dir():
        return Kind.DIRECTORY
    mode = member.external_attr >> 16 if member.create_system == _UNIX else 0
    match stat.S_IFMT(mode):
        case stat.S_IFLNK:
            return Kind.LINK
        case stat.S_IFREG | 0:
            return Kind.EXECUTABLE if mode & stat.S_IXUSR else Kind.FILE
        case _:
            raise _refused(member.filename, "it is a device, a pipe or of another odd kind.")


def _check_size(total: int, packed: int, bounds: Bounds) -> None:
    if total > bounds.size:
        raise _refused("this zip", f"it unpacks to over {bounds.size} bytes.", "Make it smaller.")
    if total > _FREE + packed * bounds.ratio:
        raise _refused("this zip", f"it unpacks to over {bounds.ratio} times its size.")


def _unpack(
    archive: zipfile.ZipFile, plan: list[tuple[str, Kind, zipfile.ZipInfo]], root: Path, bounds: Bounds
) -> None:
    """Write everything below `root`, which is empty and ours. Links come last: nothing is ever written past one."""
    folders = set(trees.directories(path for path, _, _ in plan)) | {
        path for path, kind, _ in plan if kind is Kind.DIRECTORY
    }
    for folder in sorted(folders):
        (root / folder).mkdir()
    total = 0
    links: list[tuple[str, str]] = []
    with Workspace(root) as workspace:
        for path, kind, member in plan:
            if kind is Kind.LINK:
                links.append((path, _target(archive, path, member, bounds)))
            elif kind is not Kind.DIRECTORY:
                parent, _, name = path.rpartition("/")
                descriptor = os.open(name, _NEW, 0o600, dir_fd=workspace.directory(parent))
                with os.fdopen(descriptor, "wb") as target, archive.open(member) as source:
                    total += _copy(source, target, member)
                    os.fchmod(descriptor, 0o755 if kind is Kind.EXECUTABLE else 0o644)
        for path, leads_to in links:
            parent, _, name = path.rpartition("/")
            os.symlink(leads_to, name, dir_fd=workspace.directory(parent))
    _check_size(total, sum(member.compress_size for _, _, member in plan), bounds)


def _copy(source: IO[bytes], target: IO[bytes], member: zipfile.ZipInfo) -> int:
    """The member's bytes; no more of them than it said, whatever else is packed there."""
    done = 0
    while piece := source.read(1 << 20):
        done += len(piece)
        if done > member.file_size:
            raise _refused(member.filename, "it unpacks to more than it says.")
        target.write(piece)
    if done != member.file_size:
        raise _refused(member.filename, "it unpacks to less than it says.")
    return done


def _target(archive: zipfile.ZipFile, path: str, member: zipfile.ZipInfo, bounds: Bounds) -> str:
    """What a link points to. Counted through the names only, so a link through a link may not climb either."""
    if member.file_size > bounds.target:
        raise _refused(path, "it is a link with an endless target.")
    with archive.open(member) as source:
        target = os.fsdecode(source.read(bounds.target + 1))
    depth = path.count("/")
    climbed = False
    for part in target.split("/"):
        if part == "..":
            depth -= 1
            if climbed:  # `a/../..`: if a is a link, its `..` is elsewhere
                depth = -1
        elif part not in ("", "."):
            depth += 1
            climbed = True
        if depth < 0:
            break
    if not target or "\0" in target or target.startswith("/") or depth < 0:
        raise _refused(path, f"it is a link to {target[:100]!r}, which may lead out.")
    return target


def _refused(name: str, why: str, fix: str = "Do not trust it; make it again from its files.") -> Invalid:
    return Invalid(f"zip entry {name[:200]!r}" if not name.startswith("this ") else name, why, fix)
