"""A log as plain text: what terminals take as orders is left out, and of a progress line its last state stays. Pure."""

import re

# Control sequences (ECMA-48 5.4: colours, cursor), operating system commands (titles, links), other escapes.
_ORDERS = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]"
    rb"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)"
    rb"|\x1b[ -/]*[0-Z\\^-~]"
    rb"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)
_LONGEST = 64 * 1024  # bytes that are held back for a line's end


class PlainText:
    """Takes a log in pieces, cut anywhere, and gives it without orders."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """The text of whole lines; a line that does not end is given in parts."""
        content = self._held + piece
        whole = content.rfind(b"\n") + 1
        if len(content) - whole > _LONGEST:
            whole = len(content) - len(content) % _LONGEST
        self._held = content[whole:]
        return plain(content[:whole])

    def rest(self) -> bytes:
        held, self._held = self._held, b""
        return plain(held)


def plain(content: bytes) -> bytes:
    """Whole lines as they would look in the end, without colours."""
    return b"\n".join(_line(line) for line in _ORDERS.sub(b"", content).split(b"\n"))


def _line(line: bytes) -> bytes:
    """What is left of a line that was written over: what follows its last return of the carriage."""
    return line.rstrip(b"\r").rpartition(b"\r")[2]
