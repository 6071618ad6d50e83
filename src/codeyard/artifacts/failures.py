"""What the machine's refusals to write mean, in words for the one who must act on them."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from codeyard.errors import CodeyardError, Fault, Invalid

_FULL = {errno.ENOSPC: "no space is left on the device.", errno.EDQUOT: "the disk quota is used up."}
_SHUT = {
    errno.EROFS: "the file system is read-only.",
    errno.EACCES: "this user may not write there.",
    errno.EPERM: "this user may not write there.",
    errno.ENOTDIR: "a part of the path is a file.",
    errno.EEXIST: "a file is in its place.",
    errno.ENOENT: "a part of the path does not exist, and cannot be made.",
    errno.EISDIR: "a directory is in the way.",
    errno.ELOOP: "a symbolic link is in the way.",
    errno.ENAMETOOLONG: "a name is longer than the file system allows.",
    errno.EILSEQ: "the file system does not take such a name.",
}


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn an OSError of the block into a CodeyardError about `what`."""
    try:
        yield
    except OSError as error:
        raise explain(what, error) from error


def explain(what: str, error: OSError) -> CodeyardError:
    """Invalid where another place or name would do, Fault where the machine needs help."""
    number = error.errno or 0
    if number in _FULL:
        return Fault(what, _FULL[number], "Free some space, or choose a place that has it.")
    if number in _SHUT:
        return Invalid(what, _SHUT[number], "Choose a place that can be written to.")
    return Fault(what, f"{error.strerror or error}.", "Look after the disk, then try again.")
