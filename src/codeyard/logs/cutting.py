"""Where one event of a text log ends and the next begins: the same for every reader, forwards and backwards.

An event is a line with its end, or what stands before a pause in the writing (see `times`), or, of a line that is
longer than a MiB, the piece up to the next offset that is a multiple of one. This module does no I/O.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

LONGEST = 1 << 20  # bytes of an event


def forwards(content: bytes, base: int, pauses: Sequence[int], complete: bool) -> Iterator[tuple[int, int]]:
    """Beginning and end of each event of `content`, which begins with one at `base`.

    Stops at what may go on beyond the content, unless it is `complete`: all that will ever be.
    """
    at, there = base, base + len(content)
    pause = bisect_right(pauses, at)
    while at < there:
        found = content.find(b"\n", at - base)
        end = there + 1 if found < 0 else base + found + 1
        while pause < len(pauses) and pauses[pause] <= at:
            pause += 1
        if pause < len(pauses):
            end = min(end, pauses[pause])
        if end > there:
            if there - at <= LONGEST and not complete:
                return
            end = there
        if end - at > LONGEST:
            end = (at // LONGEST + 1) * LONGEST
        yield at, end
        at = end


def backwards(content: bytes, base: int, pauses: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The same, from the end of the content, which is an event's, towards its beginning.

    Stops at what may have begun before the content, unless that begins at 0.
    """
    end = base + len(content)
    while end > base:
        start = base + content.rfind(b"\n", 0, end - 1 - base) + 1
        known = start > base or base == 0
        earlier = bisect_left(pauses, end)
        if earlier and pauses[earlier - 1] >= start and pauses[earlier - 1] >= base:
            start, known = pauses[earlier - 1], True
        if end - start > LONGEST:
            start = (end - 1) // LONGEST * LONGEST
        elif not known:
            return
        yield start, end
        end = start
