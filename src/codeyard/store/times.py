"""Times as columns keep them: microseconds since 1970, exactly, which sort and compare in every database. Pure."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(at: datetime) -> int:
    """Of an aware time."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def time_of(value: int) -> datetime:
    """What `microseconds` was given, in UTC."""
    return _EPOCH + timedelta(microseconds=value)
