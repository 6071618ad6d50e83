"""Logs that ended, in a bucket: each as two objects, the log and its time index."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import obstore
from obstore import exceptions
from obstore.store import ObjectStore

from codeyard.errors import Conflict, Fault
from codeyard.logs import LogState, Place, log_not_there
from codeyard.logs.files import LocalLogs

_KNOWN = 1000  # logs whose sizes are kept
_NEVER = 1 << 40  # milliseconds since something was written to what is closed


class BucketLogs:
    """See LogFiles. What is here is complete, and never changes."""

    def __init__(self, bucket: ObjectStore) -> None:
        self._bucket = bucket
        self._known: dict[Place, LogState] = {}

    async def state(self, place: Place) -> LogState:
        known = self._known.get(place)
        if known is None:
            with _answered(place):
                log = await obstore.head_async(self._bucket, _key(place, "log"))
                times = await obstore.head_async(self._bucket, _key(place, "times"))
            if len(self._known) >= _KNOWN:
                self._known.clear()
            known = self._known[place] = LogState(log["size"], times["size"], True, _NEVER)
        return known

    async def read(self, place: Place, offset: int, length: int) -> bytes:
        return await self._part(place, "log", offset, min(length, (await self.state(place)).size - offset))

    async def times(self, place: Place, offset: int, length: int) -> bytes:
        return await self._part(place, "times", offset, min(length, (await self.state(place)).times - offset))

    async def remove(self, place: Place) -> None:
        self._known.pop(place, None)
        for part in ("log", "times"):
            with suppress(FileNotFoundError):
                try:
                    await obstore.delete_async(self._bucket, _key(place, part))
                except exceptions.BaseError as error:
                    raise _fault(error) from error

    async def archive(self, local: LocalLogs, place: Place) -> None:
        """Put a log that is closed here; the same again does nothing. NotFound; Conflict if it is being written."""
        state = await local.state(place)
        if not state.closed:
            raise Conflict(f"log {place.name}", "it is still being written.", "Archive it when its build has ended.")
        with suppress(FileNotFoundError):
            if (await obstore.head_async(self._bucket, _key(place, "log")))["size"] == state.size:
                return
        path = local.path(place)
        times = await local.times(place, 0, state.times)
        with _answered(place):  # the log last: it is what is looked for
            await obstore.put_async(self._bucket, _key(place, "times"), times)
            await asyncio.to_thread(obstore.put, self._bucket, _key(place, "log"), path)

    async def _part(self, place: Place, part: str, offset: int, length: int) -> bytes:
        if length <= 0:
            return b""
        with _answered(place):
            found = await obstore.get_range_async(self._bucket, _key(place, part), start=offset, length=length)
        return bytes(found)


def _key(place: Place, part: str) -> str:
    return f"logs/{place.framing}/{place.name}/{part}"


@contextmanager
def _answered(place: Place) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise log_not_there(place) from None
    except exceptions.BaseError as error:
        raise _fault(error) from error


def _fault(error: Exception) -> Fault:
    told = (str(error).splitlines() or ["no reason given"])[0][:300].rstrip(". ")
    return Fault("a log in the bucket", f"the bucket cannot be used: {told}.", "Check its address and its keys.")
