"""Which of a batch of events CloudWatch Logs takes: PutLogEvents in the API reference. This module does no I/O."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from codeyard.errors import Invalid
from codeyard.logs.records import Record

_HOUR = 3_600_000  # milliseconds
_DAY = 24 * _HOUR
_LARGEST_BATCH = 1_048_576
_LARGEST_EVENT = 1_048_576
_OVERHEAD = 26  # bytes that an event counts beside its message


@dataclass(frozen=True, slots=True)
class Sifted:
    """What is taken, and by the names of the API's shape which are not."""

    taken: tuple[Record, ...]
    rejected: Mapping[str, int] = field(default_factory=dict)


def sift(events: Sequence[tuple[int, bytes]], now: int, retention: int | None) -> Sifted:
    """Of events (time in milliseconds, message), those that are neither too old nor too new. Invalid.

    `retention` is how many days their group keeps events.
    """
    size = sum(len(message) + _OVERHEAD for _, message in events)
    if size > _LARGEST_BATCH:
        raise _wrong(f"Upload too large: {size} bytes exceeds limit of {_LARGEST_BATCH}")
    largest = max((len(message) for _, message in events), default=0)
    if largest + _OVERHEAD > _LARGEST_EVENT:
        raise _wrong(f"Log event too large: {largest + _OVERHEAD} bytes exceeds limit of {_LARGEST_EVENT}")
    moments = [moment for moment, _ in events]
    if any(later < sooner for sooner, later in pairwise(moments)):
        raise _wrong("Log events in a single PutLogEvents request must be in chronological order.")
    kept = now - (_DAY * retention if retention is not None else now)
    expired = bisect_left(moments, kept)
    old = bisect_left(moments, now - 14 * _DAY)
    new = bisect_right(moments, now + 2 * _HOUR)
    first = max(expired, old)
    if first < new and moments[new - 1] - moments[first] > _DAY:
        raise _wrong("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
    rejected = {
        name: index
        for name, index, some in (
            ("tooNewLogEventStartIndex", new, new < len(events)),
            ("tooOldLogEventEndIndex", old, old > 0),
            ("expiredLogEventEndIndex", expired, expired > old),
        )
        if some
    }
    return Sifted(tuple(Record(moment, now, message) for moment, message in events[first:new]), rejected)


def _wrong(why: str) -> Invalid:
    return Invalid("the batch of log events", why, "Send smaller batches, in order.")
