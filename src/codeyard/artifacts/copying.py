"""Copying between open files, by the quickest way that this system has: a clone, the kernel, by hand."""

import errno
import fcntl
import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

SMALL = 1 << 20  # a file up to this size is held in memory, read once and written once
# What copy_file_range, link and FICLONE say when these two files cannot be copied so; the plain way always can.
CANNOT = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY, errno.EPERM, errno.EBADF, errno.ETXTBSY}
)
_FICLONE = 0x40049409  # linux/fs.h


def clone(source: int, target: int) -> int:
    """Let the empty `target` share the bytes of `source`: 0 if it does now, else the reason why it cannot."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in CANNOT:
            raise
        return error.errno
    return 0


def pour(source: BinaryIO, target: int, size: int) -> None:
    """Copy `size` bytes from where `source` stands: cloned or in the kernel if it is a real file, else by hand."""
    try:
        descriptor = source.fileno()
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if source.tell() == 0 and os.fstat(descriptor).st_size == size:
            with suppress(OSError):
                if clone(descriptor, target) == 0:
                    return
        offset, left = source.tell(), size
        while left and (done := os.copy_file_range(descriptor, target, left, offset_src=offset)):
            offset, left = offset + done, left - done
        if not left:
            return
    except OSError as error:  # includes io.UnsupportedOperation, whose errno is None
        if error.errno is not None and error.errno not in CANNOT:
            raise
    os.lseek(target, 0, os.SEEK_SET)
    os.ftruncate(target, 0)
    while size and (piece := source.read(min(size, SMALL))):
        write_all(target, piece)
        size -= len(piece)


def hash_of(descriptor: int) -> str:
    """The SHA-256 of an open file, from its beginning; its position ends at the end."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    hashed = hashlib.sha256()
    while piece := os.read(descriptor, SMALL):
        hashed.update(piece)
    return hashed.hexdigest()


def write_all(descriptor: int, content: bytes) -> None:
    done = os.write(descriptor, content)
    while done < len(content):
        done += os.write(descriptor, memoryview(content)[done:])


def flush(directory: Path) -> None:
    """Flush the file system that `directory` is on."""
    import ctypes

    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    except AttributeError:  # a C library without it
        os.sync()
    finally:
        os.close(descriptor)
