"""What builds ask of log groups: a stream for each, which tells when its events were once the build ended; and the
sweep that lets go of what is older than its group keeps."""

from collections.abc import Callable
from datetime import datetime, timedelta

from codeyard.errors import NotFound
from codeyard.ident import Owner
from codeyard.logs import Framing, LogFiles, Place, table
from codeyard.logs.reading import open_log
from codeyard.store import Database, Duplicate, Tx, patiently

_AT_ONCE = 200  # streams in one transaction
_FORGOTTEN = timedelta(days=1)  # a log that was not closed and that nobody wrote to for so long


class LogGroups:
    """The groups and streams of builds, over one database."""

    def __init__(self, db: Database, now: Callable[[], datetime], files: LogFiles) -> None:
        self._db, self._now, self._files = db, now, files

    async def build_stream(self, owner: Owner, group: str, stream: str, run: str) -> None:
        """See that this stream shows the log of this run; makes the group and the stream if they are missing.

        The same again does nothing. It waits for a database that is away: the build can.
        """
        now = milliseconds(self._now())

        def work(tx: Tx) -> None:
            found = table.group(tx, owner, group)
            if found is None:
                table.create_group(tx, owner, group, now, {})
                found = table.group(tx, owner, group)
            assert found is not None
            table.build_stream(tx, found, stream, run, now)

        try:
            await patiently(lambda: self._db.write(work))
        except Duplicate:  # another process made one of them in between
            await patiently(lambda: self._db.write(work))

    async def build_ended(self, run: str) -> None:
        """The log of this run is closed: its streams tell from when to when it goes.

        The same again does nothing. It waits for a database that is away: the build, which is done, must not fail.
        """
        first = last = None
        size = 0
        try:
            log = await open_log(self._files, Place(Framing.LINES, run))
            first, last, size = await log.first_moment(), await log.last_moment(), log.state.size
        except NotFound:
            pass  # a build that ended before it wrote anything

        def work(tx: Tx) -> None:
            for stream in table.streams_of_run(tx, run):
                if not stream.ended:
                    table.learn(tx, stream, first=first, last=last, stored=size, ended=True)

        await patiently(lambda: self._db.write(work))

    async def sweep(self) -> int:
        """Remove streams that are older than their groups keep, and the files of all that were deleted.

        How many files went. A log that is being written stays until it is closed.
        """
        now = milliseconds(self._now())
        while await self._db.write(lambda tx: table.expire(tx, now, _AT_ONCE)) == _AT_ONCE:
            pass
        gone, after = 0, ""
        while places := await self._removals(after):
            after = places[-1].name
            free = [place for place in places if await self._free(place)]
            for place in free:
                await self._files.remove(place)
            await self._forget(free)
            gone += len(free)
        return gone

    async def _removals(self, after: str) -> list[Place]:
        return await self._db.read(lambda tx: table.removals(tx, after, _AT_ONCE))

    async def _forget(self, places: list[Place]) -> None:
        await self._db.write(lambda tx: table.removed(tx, places))

    async def _free(self, place: Place) -> bool:
        """Whether nobody writes to it any more."""
        try:
            state = await self._files.state(place)
        except NotFound:
            return True
        return state.closed or place.framing is not Framing.LINES or state.idle > _FORGOTTEN / timedelta(milliseconds=1)


def milliseconds(moment: datetime) -> int:
    """As the API has times."""
    return int(moment.timestamp() * 1000)
