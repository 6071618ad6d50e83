"""When what was written: pairs of an offset in the log and the time from which on, in milliseconds, bytes have it.

An entry is 16 bytes; both columns rise. The last may be the mark that nothing follows. This module does no I/O.
"""

import struct
import sys
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

ENTRY = struct.Struct(">QQ")
END = 2**64 - 1  # the offset of the mark
PAUSE = 1000  # milliseconds; what is written to a line after this long begins an event of its own


@dataclass(frozen=True, slots=True)
class Times:
    """A run of entries. Bytes before the first of them have its time, and 0 if there is none."""

    offsets: "array[int]"
    moments: "array[int]"

    @classmethod
    def parse(cls, content: bytes) -> "Times":
        """Whole entries; the mark is left out."""
        columns = array("Q")
        columns.frombytes(content[: len(content) // ENTRY.size * ENTRY.size])
        if sys.byteorder == "little":
            columns.byteswap()
        if columns and columns[-2] == END:
            del columns[-2:]
        return cls(columns[0::2], columns[1::2])

    def at(self, offset: int) -> int:
        """The time of the byte at `offset`."""
        if not self.moments:
            return 0
        return self.moments[max(0, bisect_right(self.offsets, offset) - 1)]

    def pauses(self) -> list[int]:
        """The offsets before which nothing was written for a second: an unfinished line ends there.

        So a line that a reader was shown because nothing more came stays as it was shown.
        """
        moments = self.moments
        return [self.offsets[i] for i in range(1, len(moments)) if moments[i] - moments[i - 1] >= PAUSE]

    def below(self, column: int, value: int) -> int:
        """How many entries have less than `value` in column 0 (offsets) or 1 (times)."""
        return bisect_left(self.moments if column else self.offsets, value)
